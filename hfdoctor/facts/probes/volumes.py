"""The disks of this machine on which a person can keep files, asked for where one of them is short of room.

Only fixed disks with an ordinary file system: nothing that is pulled out, kept in memory or by another machine, and
none that cannot hold links. Source: /proc/self/mountinfo with /sys/dev/block on Linux, GetLogicalDrives on Windows,
psutil (getfsstat) on macOS.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable

from ..fact import Fact, known, not_run
from ..legible import legible
from ..sections.storage import Place, Volume
from .filesystems import Mount, space_of

#: bytes; more than the largest default install needs while pip works (knowledge/install_sizes.json, held by a test)
TIGHT = 20 * 10**9
#: a volume with less free, in bytes, is no way out
WORTH_NAMING = 10**9
#: file systems of fixed disks that hold links and large files
KINDS = frozenset(
    {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "ntfs3", "apfs", "hfs"}
)
#: where desktops mount what is plugged in, and where the system keeps its own
OTHERS = ("/media/", "/run/", "/mnt/wsl", "/boot", "/snap/", "/var/lib/", "/var/snap/", "/nix/", "/usr/", "/etc/")
#: sums of two volumes that differ by less are the same storage seen twice
_ALIKE = 64 * 1024 * 1024


def volumes(places: Iterable[Place], table: list[Mount], home: str) -> Fact[list[Volume]]:
    """The volumes that this user can write, most room first, if one of ``places`` needs another one."""
    if not any(_wants_another(place) for place in places):
        return not_run("no place is short of room")
    user = os.path.basename(home.rstrip("/\\"))
    if sys.platform == "win32":
        from .volumes_windows import fixed_drives

        found = fixed_drives(home)
        source = "GetLogicalDrives"
    elif sys.platform == "darwin":
        found = _macos(home, user)
        source = "getfsstat"
    else:
        found = _linux(table, home, user)
        source = "/proc/self/mountinfo"
    return known(sorted(_distinct(found), key=lambda volume: -volume.free), source)


def _wants_another(place: Place) -> bool:
    if place.role == "cwd":
        return False
    space, filesystem, writable = place.space.maybe(), place.filesystem.maybe(), place.writable.maybe()
    if writable is not None and (writable.why in ("full", "quota") or (place.role == "temp" and not writable.ok)):
        return True
    if place.role == "hf-cache" and filesystem is not None and filesystem.network:
        return True
    if space is None or (filesystem is not None and filesystem.read_only):
        return False
    few_inodes = space.inodes_free is not None and space.inodes_total and space.inodes_free < 100_000
    return space.free < TIGHT or bool(few_inodes)


def _distinct(found: list[Volume]) -> list[Volume]:
    """Without the volumes that are the same storage again (bind mounts, subvolumes, volumes of one pool)."""
    kept: list[Volume] = []
    for volume in found:
        if not any(same_storage((volume.total, volume.free), (one.total, one.free)) for one in kept):
            kept.append(volume)
    return kept


def same_storage(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two places with these (total, free) bytes share their room, as far as numbers can tell."""
    return one[0] == other[0] and abs(one[1] - other[1]) < _ALIKE


def _linux(table: list[Mount], home: str, user: str) -> list[Volume]:
    found = []
    shadowed: dict[str, Mount] = {mount.point: mount for mount in table}  # the last one mounted there is seen
    for mount in shadowed.values():
        if mount.kind not in KINDS or mount.read_only or f"{mount.point}/".startswith(OTHERS) or _pulled(mount.device):
            continue
        volume = _volume(mount.point, mount.device, mount.kind, home, user)
        if volume is not None:
            found.append(volume)
    return found


def _pulled(device: str) -> bool:
    """Whether the disk behind a device number can be pulled out: its own flag, or a way to it by USB."""
    try:
        path = os.path.realpath(f"/sys/dev/block/{device}")
    except OSError:
        return False
    if "/usb" in path:
        return True
    for folder in (path, os.path.dirname(path)):
        try:
            with open(f"{folder}/removable", "rb") as file:
                return file.read(1) == b"1"
        except OSError:
            continue
    return False


def _macos(home: str, user: str) -> list[Volume]:
    import psutil

    found = []
    for part in psutil.disk_partitions(all=False):
        options = part.opts.split(",")
        hidden = {"ro", "nobrowse", "removable"} & set(options) and part.mountpoint != "/System/Volumes/Data"
        if part.fstype not in KINDS or hidden or "local" not in options:
            continue
        volume = _volume(part.mountpoint, part.device, part.fstype, home, user)
        if volume is not None:
            found.append(volume)
    return found


def _volume(mount: str, device: str, kind: str, home: str, user: str) -> Volume | None:
    try:
        folder = _own_folder(mount, home, user)
        space = space_of(mount).maybe() if folder else None
    except OSError:
        return None
    if not folder or space is None or space.free < WORTH_NAMING or legible(folder) != folder:
        return None
    if space.inodes_free is not None and space.inodes_free < 10_000:
        return None
    return Volume(legible(mount), device, kind, folder, space.total, space.free)


def _own_folder(mount: str, home: str, user: str) -> str:
    """Where on the volume this user can make folders that nobody else can make before them; "" if nowhere."""
    top = os.stat(mount)
    if not stat.S_ISDIR(top.st_mode):
        return ""  # a container's /etc/hosts and the like
    device = top.st_dev
    own = [os.path.join(mount, *parts) for parts in ((user,), ("home", user), ("Users", user)) if user]
    # the system's own disk: only a home is a person's there, whatever else root may write
    names = (home,) if mount == "/" else (home, *own, mount)
    for folder in dict.fromkeys(names):
        try:
            found = os.stat(folder)
        except (OSError, ValueError):
            continue
        if found.st_dev != device or not stat.S_ISDIR(found.st_mode) or not os.path.isabs(folder):
            continue
        if found.st_mode & stat.S_IWOTH:
            continue  # anybody could have put a folder there for us to walk into
        if (folder == mount or found.st_uid == os.geteuid()) and os.access(folder, os.W_OK | os.X_OK):
            return "" if folder == "/" else folder
    return ""
