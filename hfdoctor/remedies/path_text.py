"""Paths as text: in the journal, where any file name must survive, and as a person reads them."""

from __future__ import annotations

import os
import re

from ..facts.legible import legible

_SURROGATE = re.compile("[\ud800-\udfff]")
_WRITTEN = re.compile("\0([0-9a-f]{4})")
_LONG = "\\\\?\\"


def written(path: str) -> str:
    """``path`` as text that JSON can hold, for ``read_back``.

    A file name may have bytes that are no text; Python shows them as lone surrogates, which JSON has no form for. Each
    becomes NUL, which no file name has, and four hexadecimal digits.
    """
    return _SURROGATE.sub(lambda found: f"\0{ord(found[0]):04x}", path)


def read_back(text: str) -> str:
    """The path that ``written`` wrote."""
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), text)


def shown(text: str) -> str:
    """A path, written or not, for a person: what is no text in it becomes U+FFFD, Windows' mark of a long path goes."""
    return without_mark(legible(read_back(text)))


def long_path(path: str) -> str:
    """An absolute path as the system takes it at any length: on Windows with its mark of a long path."""
    if os.name != "nt" or path.startswith((_LONG, "\\\\.\\")):
        return path
    path = path.replace("/", "\\")
    return f"{_LONG}UNC\\{path[2:]}" if path.startswith("\\\\") else _LONG + path


def without_mark(path: str) -> str:
    """A Windows path without the mark of a long path."""
    if path.startswith(f"{_LONG}UNC\\"):
        return "\\\\" + path[len(_LONG) + 4 :]
    return path.removeprefix(_LONG)
