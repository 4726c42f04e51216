"""What a tree of files holds, and how it is removed, without following a link out of it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from .action import Refused
from .anchored import Folder, is_folder, is_link
from .path_text import shown

Kind = Literal["file", "folder", "link", "other"]

#: folders in one another; each holds a handle while the tree is walked
DEEPEST = 400


def kind_of(found: os.stat_result) -> Kind:
    """What ``lstat`` found. A junction is ``other``: no program could make it again the way it was."""
    if stat.S_ISLNK(found.st_mode):
        return "link"
    if is_link(found):
        return "other"
    if stat.S_ISDIR(found.st_mode):
        return "folder"
    return "file" if stat.S_ISREG(found.st_mode) else "other"


class Met(NamedTuple):
    """Something met on a walk: its path below the tree's root ("" is the root itself), and the folder it is in."""

    path: str
    folder: Folder
    name: str
    found: os.stat_result


def walk(folder: Folder, name: str, *, path: str = "", deep: int = 0, skip_unreadable: bool = False) -> Iterator[Met]:
    """The tree ``name`` in ``folder``, each folder before what is in it, names in order. Raises OSError, Refused."""
    found = folder.look(name)
    yield Met(path, folder, name, found)
    if not is_folder(found):
        return
    if deep > DEEPEST:
        raise Refused(f"{shown(folder.of(name))[:200]}... lies more than {DEEPEST} folders deep")
    try:
        inner = folder.enter(name)
        with inner:
            for one in sorted(inner.names()):
                yield from walk(
                    inner, one, path=f"{path}/{one}" if path else one, deep=deep + 1, skip_unreadable=skip_unreadable
                )
    except PermissionError:
        if not skip_unreadable:
            raise


class Size(msgspec.Struct, frozen=True, array_like=True):
    """How much a tree holds: bytes in its files (one with two names counts once), and entries of all kinds."""

    bytes: int
    entries: int


def size_of(folder: Folder, name: str) -> Size:
    """Of a file, link or tree, as far as it can be read. Raises OSError."""
    total, entries, seen = 0, 0, set()
    for met in walk(folder, name, skip_unreadable=True):
        entries += 1
        if stat.S_ISREG(met.found.st_mode):
            key = (met.found.st_dev, met.found.st_ino)
            if met.found.st_nlink == 1 or key not in seen:
                total += met.found.st_size
            seen.add(key)
    return Size(total, entries)


def remove_tree(folder: Folder, name: str) -> None:
    """Remove what is called so, and all that is in it; links go, what they lead to stays. Raises OSError, Refused."""
    _remove(folder, name, folder.look(name).st_dev, 0)


def _remove(folder: Folder, name: str, device: int, deep: int) -> None:
    found = folder.look(name)
    if not stat.S_ISDIR(found.st_mode):
        _unlink(folder, name)
        return
    if is_folder(found):
        if found.st_dev != device:
            raise Refused(f"{shown(folder.of(name))} is a volume of its own: hfdoctor does not empty it")
        if deep > DEEPEST:
            raise Refused(f"{shown(folder.of(name))[:200]}... lies more than {DEEPEST} folders deep")
        if os.name == "posix" and (stat.S_IMODE(found.st_mode) & 0o700) != 0o700 and found.st_uid == os.geteuid():
            folder.set_mode(name, 0o700)
        with folder.enter(name) as inner:
            for one in inner.names():
                _remove(inner, one, device, deep + 1)
    folder.rmdir(name)


def _unlink(folder: Folder, name: str) -> None:
    try:
        folder.unlink(name)
    except PermissionError:
        if os.name != "nt":
            raise
        with contextlib.suppress(OSError):
            folder.set_mode(name, stat.S_IWRITE | stat.S_IREAD)  # Windows removes nothing that is read-only
        folder.unlink(name)
