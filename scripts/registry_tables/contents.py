"""The longest names that a wheel turns into when it is installed. Pure: names in, names out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

CACHE_TAG = "{cache_tag}"
CACHE_TAG_LENGTH = len("cpython-311")  # the same for 3.10 to 3.99
KEPT = 5


class Named(NamedTuple):
    path: str
    length: int


class Contents(NamedTuple):
    """The longest names of each kind, longest first; ``outside`` pairs a scheme with a path."""

    files: list[Named]
    directories: list[Named]
    bytecode: list[Named]
    libraries: list[Named]
    outside: list[tuple[str, Named]]


def utf16_length(text: str) -> int:
    """The length as Windows counts it: a character beyond the basic plane is two units."""
    return len(text.encode("utf-16-le")) // 2


def installed_place(name: str) -> tuple[str, str]:
    """Return the scheme and the path below it for one name in a wheel (the wheel specification's ``.data`` folders)."""
    first, _, rest = name.partition("/")
    if first.endswith(".data") and "/" in rest:
        scheme, _, below = rest.partition("/")
        return ("site-packages", below) if scheme in ("purelib", "platlib") else (scheme, below)
    return "site-packages", name


def bytecode_path(path: str) -> str:
    """The compiled file that pip writes beside ``path``, with a placeholder for the interpreter's cache tag."""
    source = PurePosixPath(path)
    return str(source.parent / "__pycache__" / f"{source.stem}.{CACHE_TAG}.pyc")


def measure(names: Iterable[str], kept: int = KEPT) -> Contents:
    """Find the longest installed names among the names in a wheel."""
    inside: set[str] = set()
    outside: set[tuple[str, str]] = set()
    for name in names:
        scheme, path = installed_place(name)
        if scheme == "site-packages":
            inside.add(path)
        else:
            outside.add((scheme, path))
    folders = {str(parent) for path in inside for parent in PurePosixPath(path).parents} - {"."}
    compiled = {bytecode_path(path) for path in inside if path.endswith(".py")}
    return Contents(
        files=_longest(inside, kept),
        directories=_longest(folders, kept),
        bytecode=_longest(compiled, kept),
        libraries=_longest({path for path in inside if path.lower().endswith((".pyd", ".dll"))}, kept),
        outside=sorted(
            ((scheme, _named(path)) for scheme, path in outside),
            key=lambda entry: (-entry[1].length, entry[0], entry[1].path),
        )[:kept],
    )


def _named(path: str) -> Named:
    return Named(path, utf16_length(path.replace(CACHE_TAG, "x" * CACHE_TAG_LENGTH)))


def _longest(paths: set[str], kept: int) -> list[Named]:
    return sorted((_named(path) for path in paths), key=lambda entry: (-entry.length, entry.path))[:kept]
