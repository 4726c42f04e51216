"""What emptying a cache of pip's, uv's or hf_xet's would free: measured only where room is short, and not for long."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterable

from ..sections.storage import Place
from .hub_layout import taken
from .volumes import TIGHT

#: seconds for all caches together; a cache of 100,000 files takes about half of it on a warm disk
PATIENCE_S = 0.8
ROLES = ("pip-cache", "uv-cache", "xet-cache")


def measure(places: Iterable[Place], patience_s: float = PATIENCE_S) -> None:
    """Fill ``bytes`` of the caches among ``places`` whose disk is short of room."""
    deadline = time.monotonic() + patience_s
    for place in places:
        space, filesystem = place.space.maybe(), place.filesystem.maybe()
        if place.role not in ROLES or not place.exists or space is None or space.free >= TIGHT:
            continue
        if filesystem is None or filesystem.network or (sys.platform == "darwin" and place.role == "uv-cache"):
            continue  # on macOS uv's files share their blocks with the environments' and no number tells
        size, whole = bytes_below(place.path, deadline)
        place.bytes, place.at_least = size, not whole


def bytes_below(folder: str, deadline: float) -> tuple[int, bool]:
    """Bytes of the files below ``folder`` that have no second name elsewhere, and whether there was time for all."""
    total = 0
    waiting = [folder]
    while waiting:
        if time.monotonic() > deadline:
            return total, False
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    # Windows tells the number of names only of the file itself, not in the folder's list
                    found = os.lstat(entry.path) if sys.platform == "win32" else entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                        total += taken(found)
        except OSError:
            continue
    return total, True
