"""The list of everything that a package change renames, on the disk before the first rename."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..action import Refused
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


def write(manifest: Manifest, path: str) -> None:
    """Write it so that it is there wholly or not at all, and wait until it is on the disk.

    The first line is a checksum of the rest.
    """
    body = msgspec.json.encode(manifest)
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    partial = path + ".new"
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync_folder(folder)


def read(path: str) -> Manifest | None:
    """The manifest at ``path``; None if there is none. Raises Refused if it is damaged."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}") from None
    checksum, _, body = data.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() == checksum:
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(body, type=Manifest)
    raise Refused(f"{path}, the list of what a fix changed, is damaged: it cannot be undone by itself")


def sync_folder(folder: str) -> None:
    """Wait until a folder's own entries are on the disk (POSIX)."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
