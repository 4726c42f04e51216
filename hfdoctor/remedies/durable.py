"""Brings a file or a folder to the disk, as far as the system can be made to tell the truth about it."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def settle(handle: int) -> None:
    """Wait until what was written to the open file ``handle`` survives a power cut. Raises OSError."""
    if sys.platform == "darwin":
        import fcntl

        # fsync leaves it in the drive's own memory there; some file systems (network ones) only know fsync
        with contextlib.suppress(OSError):
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
            return
    os.fsync(handle)


def settle_folder(folder: Path | str) -> None:
    """Wait until the names in ``folder`` survive a power cut; Windows keeps them by itself. Raises OSError."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        settle(handle)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes | memoryview) -> None:
    """Write all of ``data``: the system may take a part of it at a time, on a nearly full disk above all."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def write_whole(path: Path, data: bytes) -> None:
    """Make ``data`` the private file at ``path``, wholly or not at all, also in a power cut. Raises OSError.

    ``path`` with ".new" at its end is its name until then; a dead process may have left that.
    """
    partial = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(partial, flags, 0o600)
    try:
        write_all(handle, data)
        settle(handle)
    finally:
        os.close(handle)
    partial.replace(path)
    settle_folder(path.parent)
