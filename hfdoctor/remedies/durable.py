"""Waits until a file or a folder is on the disk, as far as the system can be made to tell the truth about it."""

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
