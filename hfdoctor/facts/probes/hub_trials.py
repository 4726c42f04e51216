"""Tries in the cache's own folder what the library will do there: take a file lock, make a symbolic link.

Both leave nothing behind. They are made in no other folder: what one file system can, the next one cannot, and a
person's home is not a place for trials.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys

from ..fact import Fact, absent, denied, known
from ..legible import legible
from ..sections.hub import LinkTrial, LockTrial

PREFIX = ".hfdoctor-trial-"


def try_lock(folder: str) -> Fact[LockTrial]:
    """Take and release a lock on a new hidden file in ``folder``, with the system call that filelock uses."""
    if not os.path.isdir(folder):
        return absent("there is no cache folder yet", folder)
    path = os.path.join(folder, f"{PREFIX}{secrets.token_hex(6)}.lock")
    at = legible(folder)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        return denied(f"no file can be made in the cache folder: {error.strerror}", at)
    try:
        _lock(handle)
    except OSError as error:
        return known(LockTrial(False, legible(str(error.strerror)), _code(error), at), f"a lock in {at}")
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            os.unlink(path)
    return known(LockTrial(True, at=at), f"a lock in {at}")


if sys.platform == "win32":

    def _lock(handle: int) -> None:
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:

    def _lock(handle: int) -> None:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(handle, fcntl.LOCK_UN)


def try_link(folder: str) -> Fact[LinkTrial]:
    """Make and remove a relative symbolic link in ``folder``."""
    if not os.path.isdir(folder):
        return absent("there is no cache folder yet", folder)
    path = os.path.join(folder, f"{PREFIX}{secrets.token_hex(6)}")
    at = legible(folder)
    try:
        os.symlink("CACHEDIR.TAG", path)
    except OSError as error:
        if isinstance(error, PermissionError) and _code(error) != 1314 and not os.access(folder, os.W_OK):
            return denied(f"nothing can be made in the cache folder: {error.strerror}", at)
        return known(LinkTrial(False, legible(str(error.strerror)), _code(error), at), f"a link in {at}")
    try:
        ok = os.path.islink(path)  # some network file systems answer yes and make a copy
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
    error_text = "" if ok else "the system reported success, but there is no link"
    return known(LinkTrial(ok, error_text, at=at), f"a link in {at}")


def _code(error: OSError) -> int | None:
    return getattr(error, "winerror", None) or error.errno
