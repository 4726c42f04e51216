"""The fixed drives of a Windows machine on which a person can keep files."""

from __future__ import annotations

import ctypes
import os
from typing import Any

from ..legible import legible
from ..sections.storage import Volume
from .filesystems import space_of
from .filesystems_windows import filesystem_of
from .volumes import WORTH_NAMING

#: what GetDriveType calls a drive that is neither pulled out nor elsewhere
_FIXED = 3
#: file systems that hold links and large files
_KINDS = ("NTFS", "REFS")


def fixed_drives(home: str) -> list[Volume]:
    """The drives that this user can write: on the home's own drive the home, else the drive's top folder."""
    kernel32: Any = getattr(ctypes, "WinDLL")("kernel32")  # noqa: B009
    letters = kernel32.GetLogicalDrives()
    found = []
    for index in range(26):
        root = f"{chr(65 + index)}:\\"
        if not letters >> index & 1 or kernel32.GetDriveTypeW(root) != _FIXED:
            continue
        try:
            filesystem, space = filesystem_of(root).need(), space_of(root).need()
        except Exception:  # a drive without a volume that can be read
            continue
        if filesystem.read_only or filesystem.kind.upper() not in _KINDS or space.free < WORTH_NAMING:
            continue
        folder = home if home[:3].upper() == root else root if _may_make_folders(root) else ""
        if folder and legible(folder) == folder:
            found.append(Volume(root, filesystem.volume, filesystem.kind, folder, space.total, space.free))
    return found


def _may_make_folders(root: str) -> bool:
    """Windows tells only by trying: a folder is made and removed."""
    path = os.path.join(root, f".hfdoctor-{os.urandom(8).hex()}")
    try:
        os.mkdir(path)
        os.rmdir(path)
    except OSError:
        return False
    return True
