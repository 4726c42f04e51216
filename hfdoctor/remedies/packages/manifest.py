"""The list of everything that a package change renames, on the disk before the first rename."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from .target import Root


class File(msgspec.Struct, frozen=True, array_like=True):
    """A file (or link): its root, its path there, its size and time by which it is known again."""

    root: int
    path: str
    size: int
    mtime_ns: int
    #: of a file that comes: its path in the staging folder
    staged: str = ""


class Folder(msgspec.Struct, frozen=True, array_like=True):
    """A folder: mode and time, and a digest of the names in it where it stays."""

    root: int
    path: str
    mode: int
    mtime_ns: int = 0
    names: str = ""


class Manifest(msgspec.Struct):
    """What leaves and what comes. ``roots`` are those of the environment and, last, the private folder.

    Old files go to ``o/ROOT/PATH`` in the private folder, new ones come from ``n/``, what somebody else put where old
    ones belong goes to ``x/``.
    """

    roots: list[Root]
    leave: list[File]
    come: list[File]
    #: folders that are empty once the old files left, deepest first
    gone: list[Folder]
    #: folders that the new files need, topmost first
    made: list[Folder]
    #: folders that stay and in which something changes
    touched: list[Folder]
    #: whether ``A.py`` and ``a.py`` are one file there
    folds: bool = False

    @property
    def room(self) -> int:
        """Number of the private folder."""
        return len(self.roots) - 1

    def key(self, file: File) -> tuple[int, str]:
        """Where a file is, the same for names that are one there."""
        return file.root, file.path.lower() if self.folds else file.path


def digest(names: Sequence[str]) -> str:
    """A short digest of the names in a folder."""
    return hashlib.sha256("\0".join(sorted(names)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
