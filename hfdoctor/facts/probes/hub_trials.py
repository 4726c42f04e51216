"""Tries in the cache's own folder what the library will do there: take a file lock, make a symbolic link.

Both leave nothing behind. They are made in no other folder: what one file system can, the next one cannot, and a
person's home is not a place for trials.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys

from ..fact import Fact, absent, denied, known
from ..legible import legible
from ..sections.hub import LinkTrial, LockTrial

PREFIX = ".hfdoctor-trial-"

#: WinError: a required privilege is not held by the client
NO_PRIVILEGE = 1314
#: what a system answers that cannot make links here: invalid function, not supported, invalid parameter; or errno
NO_LINKS = (
    frozenset({NO_PRIVILEGE, 1, 50, 87})
    if sys.platform == "win32"
    else frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
)


def try_lock(folder: str) -> Fact[LockTrial]:
    """Take and release a lock on a new hidden file in ``folder``, with the system call that filelock uses.

    ``denied`` if nothing may be written there. Raises OSError if the file cannot be made for another reason.
    """
    if not os.path.isdir(folder):
        return absent("there is no cache folder yet", folder)
    path = os.path.join(folder, f"{PREFIX}{os.urandom(6).hex()}.lock")
    at = legible(folder)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        if not _may_not_write(error):
            raise  # a full or failing disk says nothing about locks
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
    """Make and remove a relative symbolic link in ``folder``.

    ``denied`` if nothing may be written there. Raises OSError if that fails for another reason (a full disk, say).
    """
    if not os.path.isdir(folder):
        return absent("there is no cache folder yet", folder)
    path = os.path.join(folder, f"{PREFIX}{os.urandom(6).hex()}")
    at = legible(folder)
    try:
        os.symlink("CACHEDIR.TAG", path)
    except OSError as error:
        if _code(error) not in NO_LINKS or (_code(error) != NO_PRIVILEGE and not os.access(folder, os.W_OK)):
            if not _may_not_write(error):
                raise
            return denied(f"nothing can be made in the cache folder: {error.strerror}", at)
        return known(LinkTrial(False, legible(str(error.strerror)), _code(error), at), f"a link in {at}")
    try:
        ok = os.path.islink(path)  # some network file systems answer yes and make a copy
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
    error_text = "" if ok else "the system reported success, but there is no link"
    return known(LinkTrial(ok, error_text, at=at), f"a link in {at}")


def _may_not_write(error: OSError) -> bool:
    return isinstance(error, PermissionError) or error.errno == errno.EROFS


def _code(error: OSError) -> int | None:
    return getattr(error, "winerror", None) or error.errno
