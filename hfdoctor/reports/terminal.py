"""The terminal that is written to: its encoding, its width, whether it takes colour."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO


def prepare_streams() -> None:
    """Make stdout and stderr take any text: what their code page lacks is written as ``\\uXXXX``, never raised."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def silence_broken_pipe() -> None:
    """Point stdout at nothing, so that the interpreter's own flush at exit does not raise again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def takes_colour(stream: TextIO) -> bool:
    """True for a terminal that shows colour and a person who did not refuse it (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def columns(stream: TextIO) -> int:
    """Columns to fill: the terminal's, at most 100; 80 where the output is not a terminal."""
    if not stream.isatty():
        return 80
    try:
        return max(40, min(100, os.get_terminal_size(stream.fileno()).columns))
    except (OSError, ValueError):
        return 80


def to_ascii(text: str) -> str:
    """``text`` with every other character escaped, for ``--no-unicode``."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


#: what is said by colour is also said in words: the label is always there
_COLOURS = {"error": "red", "crash": "magenta", "warning": "yellow", "note": "cyan", "next": "green"}


def paint(text: str, role: str) -> str:
    """``text`` in the colour of its role, for a terminal that takes colour."""
    import click

    return click.style(text, fg=_COLOURS.get(role), bold=role in ("error", "warning", "crash", "id"))
