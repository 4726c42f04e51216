"""Which volume a place is on, and what that lets be done on it."""

from __future__ import annotations

import os
from typing import NamedTuple

from ..facts.probes.filesystems import Mount, mount_of, mounts
from .path_text import long_path


class Volume(NamedTuple):
    """Where two places have the same one, a file is moved from one to the other by renaming it.

    ``mount`` is the folder at which it is seen: a rename does not even cross two views of one volume.
    """

    device: int
    mount: str


class Manners(NamedTuple):
    """What a volume lets be done on it."""

    read_only: bool
    #: programs on it can be run
    runs: bool


def volume_of(folder: str, table: list[Mount] | None = None) -> Volume:
    """Of an existing folder, without links in its path. Raises OSError.

    ``table`` is what ``mounts`` told just before: it need not be read again for each of many folders.
    """
    device = os.lstat(long_path(folder)).st_dev
    if os.name == "posix" and (mount := mount_of(folder, mounts() if table is None else table)) is not None:
        return Volume(device, mount.point)
    at = folder
    while not os.path.ismount(at):
        above = os.path.dirname(at)
        if above == at or os.lstat(long_path(above)).st_dev != device:
            break
        at = above
    return Volume(device, os.path.normcase(at))


def mounted_in(folder: str) -> list[str]:
    """Where other volumes are mounted below ``folder``, or at it."""
    if os.name != "posix":
        return [folder] if os.path.ismount(folder) else []
    points = [mount.point for mount in mounts()] or ([folder] if os.path.ismount(folder) else [])
    return [point for point in points if point == folder or point.startswith(folder.rstrip("/") + "/")]


def manners_of(folder: str) -> Manners:
    """Of the volume of an existing folder. Raises OSError."""
    if os.name == "nt":
        return Manners(False, True)
    flags = os.statvfs(folder).f_flag
    return Manners(bool(flags & os.ST_RDONLY), not flags & getattr(os, "ST_NOEXEC", 0))


def block_size(folder: str) -> int:
    """Bytes of the smallest piece that a file takes there. Raises OSError."""
    return os.statvfs(folder).f_frsize or 4096 if os.name == "posix" else 4096
