"""Reads the one-line files in which kernels and installers say things."""

from __future__ import annotations

LIMIT = 65536


def text_of(path: str) -> str:
    """The text of a small file; "" if it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as stream:
            return stream.read(LIMIT).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""


def first_line(path: str) -> str:
    """The first line of a small file, without blanks and zeros around it; "" if it cannot be read."""
    return text_of(path).partition("\n")[0].strip(" \t\r\0")
