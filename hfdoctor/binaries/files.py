"""How the readers of native libraries get at files: this machine's, or a tree that stands for another machine's.

Everything here reads at given places and no more; nothing is mapped into memory, so that a file that another program
cuts off meanwhile costs an error and not the process.
"""

from __future__ import annotations

import os
import stat
from typing import Protocol

#: bytes; headers, dynamic segment and version tables of a library lie in few of these
BLOCK = 16 * 1024

#: bytes that are read of one file at most: a hostile header cannot ask for more
MOST_READ = 64 * 1024 * 1024


class File(Protocol):
    """A file opened for reading."""

    size: int
    #: what is the same for two names of one file
    identity: tuple[int, int]

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from ``offset``, fewer where the file ends. Raises OSError."""

    def close(self) -> None:
        """Close it."""


class Files(Protocol):
    """What is asked of a file system. Paths are spelled as the machine that is judged spells them."""

    def open(self, path: str) -> File:
        """Open a regular file. Raises OSError."""

    def is_file(self, path: str) -> bool:
        """Whether there is a regular file."""

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none where it cannot be listed."""

    def real(self, path: str) -> str:
        """The path without symbolic links."""


class LocalFile:
    """A file of this machine, read in blocks that are kept. Raises OSError, ValueError (a path with a zero byte)."""

    def __init__(self, path: str) -> None:
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            state = os.fstat(self._handle)
            if not stat.S_ISREG(state.st_mode):
                raise OSError(f"{path} is not a regular file")
        except OSError:
            os.close(self._handle)
            raise
        self.size = state.st_size
        self.identity = (state.st_dev, state.st_ino)
        self._blocks: dict[int, bytes] = {}
        self._left = MOST_READ

    def read(self, offset: int, length: int) -> bytes:
        if length <= 0 or not 0 <= offset < self.size:
            return b""
        length = min(length, self.size - offset)
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        if last - first > 3:
            return self._fetch(offset, length)
        parts = []
        for number in range(first, last + 1):
            if number not in self._blocks:
                self._blocks[number] = self._fetch(number * BLOCK, BLOCK)
            parts.append(self._blocks[number])
        start = offset - first * BLOCK
        return b"".join(parts)[start : start + length] if len(parts) > 1 else parts[0][start : start + length]

    def _fetch(self, offset: int, length: int) -> bytes:
        self._left -= length
        if self._left < 0:
            raise OSError("the headers ask for more than is read of one file")
        if hasattr(os, "pread"):
            return os.pread(self._handle, length, offset)
        os.lseek(self._handle, offset, os.SEEK_SET)
        return os.read(self._handle, length)

    def close(self) -> None:
        self._blocks.clear()
        os.close(self._handle)


class LocalFiles:
    """The files of this machine, or of a tree at ``root`` that stands for the whole machine."""

    def __init__(self, root: str = "") -> None:
        self.root = root

    def open(self, path: str) -> LocalFile:
        return LocalFile(self._place(path))

    def is_file(self, path: str) -> bool:
        return _kind(self._place(path)) == stat.S_IFREG

    def is_folder(self, path: str) -> bool:
        return _kind(self._place(path)) == stat.S_IFDIR

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._place(folder)))  # noqa: PTH208
        except (OSError, ValueError):
            return []

    def real(self, path: str) -> str:
        try:
            found = os.path.realpath(self._place(path))
        except (OSError, ValueError):
            return path
        return found[len(self.root) :] if self.root and found.startswith(self.root) else found

    def _place(self, path: str) -> str:
        return f"{self.root}{path}" if self.root and path.startswith("/") else path


def _kind(place: str) -> int:
    try:
        return stat.S_IFMT(os.stat(place).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return 0
