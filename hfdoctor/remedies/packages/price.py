"""What packages that come take on the disk, and whether there is room for them."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence

from ...conditions.byte_count import size
from ...facts.probes.record import read_record
from ...facts.sections.packages import Distribution
from ..action import Refused
from .resolve import Plan


def disk_bytes(installed: Sequence[Distribution], plan: Plan) -> int:
    """About how many bytes the change takes: what comes, or what the old versions take where that is more."""
    names = {package.name for package in plan.packages if package.new}
    old = 0
    for entry in installed:
        if entry.name in names and entry.path.endswith(".dist-info"):
            record, _ = read_record(os.path.join(entry.path, "RECORD"))
            old += sum(int(text) for text in record.sizes if text)
    fresh = any(package.new and not package.old for package in plan.packages)
    return max(old, unpacked_bytes(plan.download_bytes) if fresh else plan.download_bytes)


def unpacked_bytes(download: int) -> int:
    """About how many bytes wheels of ``download`` bytes take on the disk.

    As many times more as in that install of torch and transformers, of those that were measured, which is nearest in
    size: NVIDIA's libraries, which make a large one, are hardly packed.
    """
    from ...knowledge.sizes import load_install_sizes

    if not download:
        return 0
    known = min(load_install_sizes(), key=lambda row: abs(math.log(row.download / download)))
    return download * known.unpacked // known.download


def refuse_no_room(folder: str, needed: int) -> None:
    """Raises Refused, naming both numbers, if the volume of ``folder`` has not ``needed`` bytes left. OSError."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise Refused(f"about {size(needed)} are needed in {folder}, where {size(free)} are free")
