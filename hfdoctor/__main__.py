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
from typing import NoReturn


def main() -> NoReturn:
    """Entry point: run the command line and exit with the documented codes."""
    looks = sys.argv[1:2] in (["check"], ["snapshot"])
    if looks:  # begin to read before click is loaded
        from hfdoctor.facts.probes.look_ahead import begin

        begin(sys.argv[2:])
    from hfdoctor.cli import run

    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # not there, not listening, closed
            stream.flush()
    if looks:
        from hfdoctor.facts.probes.look_ahead import end_begun

        end_begun()
    # Taking all modules apart again would take a tenth of a check. Nothing is left to be done there: files and
    # children are closed where they are used, and a probe that was given up on must not hold the exit.
    os._exit(code)


if __name__ == "__main__":
    main()
