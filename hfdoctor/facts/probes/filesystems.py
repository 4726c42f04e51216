"""Which file system holds a folder: its kind, where it is mounted, whether another machine keeps the files."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import msgspec

from ..fact import Fact, failed, known
from ..legible import legible
from ..sections.machine import Space
from ..sections.storage import FileSystem

#: kinds whose files are kept by another machine (the FUSE ones without their "fuse.")
NETWORK_KINDS = frozenset(
    {"nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afs", "coda", "ncpfs", "afpfs", "webdav", "davfs"}
    | {"lustre", "gpfs", "beegfs", "beegfs_nodev", "ceph", "glusterfs", "pvfs2", "orangefs", "panfs", "wekafs", "dvs"}
    | {"ocfs2", "gfs2", "quobyte", "mfs", "moosefs", "juicefs", "daos", "sshfs", "s3fs", "gcsfuse", "rclone", "goofys"}
    | {"blobfuse", "blobfuse2", "mount-s3", "cvmfs2"}
)


class Mount(msgspec.Struct, frozen=True):
    """One line of /proc/self/mountinfo."""

    point: str
    device: str
    kind: str
    source: str
    read_only: bool


def mounts(table: Path = Path("/proc/self/mountinfo")) -> list[Mount]:
    """The mounted file systems of this process, in the order in which they were mounted; none if nothing tells."""
    found: list[Mount] = []
    if sys.platform in ("win32", "darwin"):
        return found
    try:
        text = table.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return []
    for line in text.split("\n"):
        fields = line.split(" ")
        try:
            dash = fields.index("-", 6)
            kind, source, options = fields[dash + 1 : dash + 4]
        except ValueError:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        read_only = "ro" in fields[5].split(",") or "ro" in options.split(",")
        found.append(Mount(point, fields[2], kind, source, read_only))
    return found


def mount_of(path: str, table: list[Mount]) -> Mount | None:
    """The mount that holds ``path`` (absolute, without links): the longest one, and of those the last."""
    best = None
    for mount in table:
        point = mount.point
        inside = path == point or path.startswith(point if point.endswith("/") else f"{point}/")
        if inside and (best is None or len(point) >= len(best.point)):
            best = mount
    return best


def is_network(kind: str, source: str) -> bool:
    """Whether files of this kind are kept by another machine. WSL shows the Windows drives as 9p: those are not."""
    kind = kind.lower().removeprefix("fuse.")
    if kind == "9p":
        return not (re.match(r"[A-Za-z]:", source) or source in ("drivers", "drvfs", "none"))
    return kind in NETWORK_KINDS


def filesystem_of(folder: str, table: list[Mount]) -> Fact[FileSystem]:
    """The file system that holds an existing folder. ``table`` is used on Linux only. Raises OSError."""
    if sys.platform == "win32":
        from .filesystems_windows import filesystem_of as asked

        return asked(folder)
    if sys.platform == "darwin":
        from .filesystems_macos import filesystem_of as asked

        return asked(folder)
    real = os.path.realpath(folder)
    mount = mount_of(real, table)
    if mount is not None and mount.kind == "autofs":
        mount = mount_of(real, mounts())  # looking at the folder has mounted it meanwhile
    if mount is None:
        return failed(f"no mount holds {legible(real)}", "/proc/self/mountinfo")
    return known(
        FileSystem(
            kind=mount.kind,
            mount=legible(mount.point),
            volume=mount.device,
            network=is_network(mount.kind, mount.source),
            read_only=mount.read_only,
        ),
        "/proc/self/mountinfo",
    )


def space_of(folder: str) -> Fact[Space]:
    """Bytes and inodes that this user may still use where an existing folder is. Raises OSError.

    Source: statvfs; GetDiskFreeSpaceEx on Windows, which knows of quotas.
    """
    if sys.platform == "win32":
        import shutil

        usage = shutil.disk_usage(folder)
        return known(Space(total=usage.total, free=usage.free), "GetDiskFreeSpaceEx")
    info = os.statvfs(folder)
    if info.f_blocks == 0:  # some FUSE file systems do not tell
        return failed("the file system does not say how large it is", "statvfs")
    return known(
        Space(
            total=info.f_blocks * info.f_frsize,
            free=min(info.f_bavail, info.f_bfree) * info.f_frsize,
            # btrfs and others make inodes as they are needed and say 0
            inodes_total=info.f_files or None,
            inodes_free=info.f_favail if info.f_files else None,
        ),
        "statvfs",
    )
