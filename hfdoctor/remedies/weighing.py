"""Whether a tree fits on the volume where it is to go, and can be there what it is here."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from ..conditions.byte_count import size
from ..facts.probes.filesystems import space_of
from ..facts.probes.hub_layout import taken
from .action import Refused
from .anchored import Folder, is_folder
from .copying import refuse_uncopiable
from .path_text import long_path, shown
from .trees import Size, size_of, walk
from .volumes import block_size, manners_of

#: bytes that stay free beside a copy, at least; and its hundredth
_MARGIN = 16 * 2**20
_FILES_MARGIN = 100


class Weight(NamedTuple):
    """How much a tree is, what a copy takes on its disk (0: it is not copied), and whether programs are in it."""

    size: Size
    copy_bytes: int
    programs: bool = False


def weigh(folder: Folder, name: str, target: str | None) -> Weight:
    """Weigh the tree ``name``, for a copy below the folder ``target``, or for a rename (None).

    Raises Refused at what cannot be copied, OSError at what cannot be read.
    """
    if target is None:
        return Weight(size_of(folder, name), 0)
    block = block_size(target)
    device = folder.look(name).st_dev
    total, entries, copied, programs = 0, 0, 0, False
    seen: set[tuple[int, int]] = set()
    for met in walk(folder, name):
        found = met.found
        where = met.folder.of(met.name)
        refuse_uncopiable(where, found, device)
        entries += 1
        if _closed(found, where):
            raise Refused(f"you may not read {shown(where)}, so that it cannot be moved")
        if stat.S_ISREG(found.st_mode):
            key = (found.st_dev, found.st_ino)
            if found.st_nlink > 1 and key in seen:
                continue
            seen.add(key)
            total += found.st_size
            copied += -(-taken(found) // block) * block
            programs = programs or bool(found.st_mode & 0o111 and os.name == "posix") or met.name.endswith(".so")
        else:
            copied += block
        if is_folder(found) and not _may_remove_in(found, where):
            raise Refused(f"{shown(where)} may not be changed by you, so that it could not be removed after the move")
    return Weight(Size(total, entries), copied, programs)


def _closed(found: os.stat_result, where: str) -> bool:
    if os.name != "posix" or stat.S_ISLNK(found.st_mode):
        return False
    wanted = os.R_OK | (os.X_OK if is_folder(found) else 0)
    return not os.access(where, wanted)


def _may_remove_in(found: os.stat_result, where: str) -> bool:
    return os.name != "posix" or found.st_uid == os.geteuid() or os.access(where, os.W_OK | os.X_OK)


def refuse_volume(folder: str, weight: Weight) -> None:
    """Raises Refused if nothing can be made in ``folder``, or if what is moved there could not work there. OSError."""
    manners = manners_of(folder)
    if manners.read_only:
        raise Refused(f"the volume of {shown(folder)} is read-only")
    if os.name == "posix" and not os.access(folder, os.W_OK | os.X_OK):
        raise Refused(f"you may not make anything in {shown(folder)}")
    if weight.copy_bytes and weight.programs and not manners.runs:
        raise Refused(f"programs cannot be run on the volume of {shown(folder)} (noexec), and there are some to move")


def refuse_no_room(folder: str, weight: Weight) -> None:
    """Raises Refused, naming both numbers, if the copy does not fit on the volume of ``folder``. OSError."""
    space = space_of(long_path(folder)).maybe()
    if space is None:
        return  # it does not say: the copy will tell
    needed = weight.copy_bytes + max(_MARGIN, weight.copy_bytes // 100)
    if space.free < needed:
        raise Refused(
            f"the move needs {size(needed)} on the volume of {shown(folder)}, which has {size(space.free)} left"
        )
    files, left = weight.size.entries + _FILES_MARGIN, space.inodes_free
    if left is not None and left < files:
        raise Refused(
            f"the move needs {files:,} inodes (files) on the volume of {shown(folder)}, which has {left:,} left"
        )
