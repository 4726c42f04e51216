"""``python -m hfdoctor``, and the program ``hfdoctor``."""

import gc
import os
import sys

# A check lasts a quarter of a second, of which looking for cycles among imported modules would take a twentieth
gc.set_threshold(100_000)

# -m puts the person's folder first on sys.path: their random.py must not become the doctor's own
_own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
try:
    _here = os.getcwd()
except OSError:  # the folder was removed under the shell's feet
    _here = ""
if sys.path and sys.path[0] in ("", _here) and _here != _own:
    del sys.path[0]

import contextlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn


def main() -> NoReturn:
    """Entry point: run the command line and exit with the documented codes."""
    looks = looks_at_a_machine(sys.argv[1:])
    if looks:  # before click is loaded
        from hfdoctor.facts.probes import look_ahead

        look_ahead.begin(named_python(sys.argv[1:]))
    from hfdoctor.cli import run

    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # not there, not listening, closed
            stream.flush()
    if looks:
        look_ahead.end_begun()
    # Taking all modules apart again would take a tenth of a check. Nothing is left to be done there: files and
    # children are closed where they are used, and a probe that was given up on must not hold the exit.
    os._exit(code)


def looks_at_a_machine(arguments: Sequence[str]) -> bool:
    """Whether the command will most likely inspect this machine, as far as its words alone tell."""
    elsewhere = any(word in ("-h", "--help") or word.startswith("--snapshot") for word in arguments)
    return arguments[:1] in (["check"], ["snapshot"]) and not elsewhere


def named_python(arguments: Sequence[str]) -> str | None:
    """What ``--python`` will most likely be, the last one as for click; None without."""
    named = None
    for word, following in pairwise([*arguments, ""]):
        if word == "--python":
            named = following
        elif word.startswith("--python="):
            named = word.partition("=")[2]
    return named


if __name__ == "__main__":
    main()
