"""Rewrites one small file of the person's on POSIX: whole or not at all, and no other file than the one that was shown.

The folder is held open while the file in it is read and replaced, so that nobody can swap either for a link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from .action import Refused
from .durable import settle, write_all

#: bytes; a start-up file has some thousand
LARGEST = 1 << 20


class Content(msgspec.Struct, frozen=True):
    """What a file holds, and what tells whether it was written to since."""

    data: bytes
    mode: int
    group: int
    #: device, inode, size, time of change
    identity: tuple[int, int, int, int]


@contextlib.contextmanager
def held_folder(path: str, make: Sequence[str] = ()) -> Iterator[int]:
    """Hold the folder ``path`` open, made first where it is one of ``make`` (outermost first).

    Raises Refused if it is a link now, lies behind one, or belongs to another user; FileNotFoundError.
    """
    for folder in make:
        Path(folder).mkdir(0o700, exist_ok=True)
    if os.path.realpath(path) != path:
        raise Refused(f"{path} is reached through a link now, and was not before: nothing was written there")
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(handle).st_uid != os.geteuid():
            raise Refused(f"{path} belongs to another user: hfdoctor writes nothing there")
        yield handle
    finally:
        os.close(handle)


def read(folder: int, name: str) -> Content | None:
    """The file ``name``; None if there is none. Raises Refused if it is none of the person's own text files."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused(f"{name} is a link now, and was none before: nothing was written") from None
        raise
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"{name} is not an ordinary file")
        if found.st_uid != os.geteuid():
            raise Refused(f"{name} belongs to another user")
        data = _all(handle)
    finally:
        os.close(handle)
    if len(data) > LARGEST:
        raise Refused(f"{name} is larger than {LARGEST >> 20} MiB: no start-up file")
    if b"\0" in data:
        raise Refused(f"{name} is not a text file")
    return Content(data, stat.S_IMODE(found.st_mode), found.st_gid, _identity(found))


def _all(handle: int) -> bytes:
    data = b""
    while len(data) <= LARGEST and (chunk := os.read(handle, LARGEST + 1 - len(data))):
        data += chunk
    return data


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def replace(folder: int, name: str, was: Content | None, data: bytes, partial: str) -> None:
    """Write ``data`` as the file ``name`` that was ``was``, by way of the file ``partial`` in the same folder.

    Mode, group and extended attributes stay. Raises Refused if somebody else wrote to it meanwhile.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(partial, dir_fd=folder)  # a dead process left it
    try:
        handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        try:
            write_all(handle, data)
            if was is not None:
                _dress(handle, folder, name, was)
            settle(handle)
        finally:
            os.close(handle)
        _unchanged(folder, name, was)
        os.rename(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial, dir_fd=folder)
        raise
    settle(folder)


def remove(folder: int, name: str, was: Content) -> None:
    """Take away a file that holds nothing but what hfdoctor wrote. Raises Refused if somebody wrote to it meanwhile."""
    _unchanged(folder, name, was)
    os.unlink(name, dir_fd=folder)
    settle(folder)


def _unchanged(folder: int, name: str, was: Content | None) -> None:
    try:
        now = _identity(os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        now = None
    if now != (was.identity if was else None):
        raise Refused(f"{name} was changed by another program at the same moment: try again")


def _dress(handle: int, folder: int, name: str, was: Content) -> None:
    """Give the new file the group, the mode and the extended attributes of the old one."""
    with contextlib.suppress(OSError):  # a group that we are not in: the mode then counts for our own
        os.fchown(handle, -1, was.group)
    os.fchmod(handle, was.mode)
    if not hasattr(os, "listxattr"):
        return
    old = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        for attribute in os.listxattr(old):
            with contextlib.suppress(OSError):  # the system's own ones
                os.setxattr(handle, attribute, os.getxattr(old, attribute))
    except OSError:
        pass  # a file system without them
    finally:
        os.close(old)
