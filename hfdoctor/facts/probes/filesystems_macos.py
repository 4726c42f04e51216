"""Which file system holds a folder, asked of macOS."""

from __future__ import annotations

import ctypes
import os

from ..fact import Fact, known
from ..sections.storage import FileSystem


class _Statfs(ctypes.Structure):
    """``struct statfs`` of macOS with 64-bit inodes (sys/mount.h)."""

    _fields_ = (
        ("bsize", ctypes.c_uint32),
        ("iosize", ctypes.c_int32),
        ("blocks", ctypes.c_uint64),
        ("bfree", ctypes.c_uint64),
        ("bavail", ctypes.c_uint64),
        ("files", ctypes.c_uint64),
        ("ffree", ctypes.c_uint64),
        ("fsid", ctypes.c_int32 * 2),
        ("owner", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("subtype", ctypes.c_uint32),
        ("kind", ctypes.c_char * 16),
        ("mount", ctypes.c_char * 1024),
        ("source", ctypes.c_char * 1024),
        ("flags_ext", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 7),
    )


def filesystem_of(folder: str) -> Fact[FileSystem]:
    """The file system that holds an existing folder. Source: statfs. Raises OSError."""
    # not by the mount's name: the folders of the data volume appear below "/", which is read-only
    libc = ctypes.CDLL(None, use_errno=True)
    statfs = getattr(libc, "statfs$INODE64", None) or libc.statfs
    info = _Statfs()
    if statfs(os.fsencode(folder), ctypes.byref(info)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)
    read_only, local = 0x1, 0x1000
    return known(
        FileSystem(
            kind=info.kind.decode("utf-8", "replace"),
            mount=info.mount.decode("utf-8", "replace"),
            volume=f"{info.fsid[0]:x}:{info.fsid[1]:x}",
            network=not info.flags & local,
            read_only=bool(info.flags & read_only),
        ),
        "statfs",
    )
