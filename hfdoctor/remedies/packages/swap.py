"""Carries a manifest out by renames, and takes it back by the same renames the other way round.

Where each file is tells how far it came: an old one is at its place or in quarantine, a new one in the staging folder
or at its place. Nothing else is needed to go on after a kill.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from ..action import Difference, Refused
from .manifest import File, Manifest, digest
from .tree import Tree

Where = Literal["before", "after", "between", "other"]
_COMPILED = re.compile(r"(.+?)\.(?:cpython|pypy|graalpy)[^.]*(?:\.opt-\w+)?\.pyc(?:\.\d+)?\Z")


class Found(msgspec.Struct):
    """How far it is, and the files that somebody else changed, added or took away since (path, "", what is there)."""

    where: Where
    strange: list[Difference] = []


def old_place(file: File) -> str:
    """Where an old file waits in the private folder."""
    return f"o/{file.root}/{file.path}"


def look(manifest: Manifest, tree: Tree) -> Found:
    """Hold the files against the manifest."""
    room = manifest.room
    leaving = {manifest.key(file): file for file in manifest.leave}
    coming = {manifest.key(file): file for file in manifest.come}
    strange: list[Difference] = []
    moved = stayed = 0
    begun = tree.stat(room, "o") is not None
    for key in {**leaving, **coming}:
        old, new = leaving.get(key), coming.get(key)
        out = old is not None and begun and tree.stat(room, old_place(old)) is not None
        staged = new is not None and tree.stat(room, new.staged) is not None
        one = new or old
        assert one is not None
        here = tree.stat(one.root, one.path)
        if old is None:
            is_in = here is not None and not staged
        else:
            is_in = new is not None and out and here is not None and not staged
        expected = new if is_in else (old if not out else None)
        trouble = _trouble(old, new, out, staged, here, expected)
        if trouble and not is_compiled(key[1]):
            strange.append(Difference(tree.path(one.root, one.path), "as it was installed", trouble))
        moved += out + is_in
        if not is_compiled(key[1]):
            stayed += (old is not None and not out) + (new is not None and not is_in)
    if strange:
        # new files that are away are no strangers where no old one left, and the staging folder is gone: taken back
        if moved == 0 and all(one.new == "missing" for one in strange):
            return Found("before")
        return Found("other", strange)
    return Found("before" if not moved else "after" if not stayed else "between")


def _trouble(
    old: File | None, new: File | None, out: bool, staged: bool, here: os.stat_result | None, expected: File | None
) -> str:
    """What somebody else did to one place, "" for nothing."""
    if here is None:
        if old is not None and not out:
            return "gone"
        return "missing" if new is not None and not staged else ""
    if expected is None:
        return "there again" if old is None or out else ""
    if staged and old is None:
        return "there already"
    return "" if _same(here, expected) else "another file"


def _same(here: os.stat_result | None, file: File) -> bool:
    """Whether what is there is the file that was written down."""
    return here is not None and (here.st_size, here.st_mtime_ns) == (file.size, file.mtime_ns)


def is_compiled(path: str) -> bool:
    """Whether Python itself made the file, and makes or replaces it whenever it likes."""
    return path.endswith(".pyc") and "__pycache__/" in path


def forward(manifest: Manifest, tree: Tree, tell: Callable[[int], None]) -> None:
    """From before or between to after. ``tell`` is called with how many files are where they belong."""
    room = manifest.room
    done = 0
    for file in manifest.leave:
        if tree.stat(room, old_place(file)) is None:
            here = tree.stat(file.root, file.path)
            if is_compiled(file.path) and here is None:
                continue
            if not is_compiled(file.path) and not _same(here, file):
                raise Refused(f"{tree.path(file.root, file.path)} was changed by somebody else just now")
            tree.mkdirs(room, old_place(file).rpartition("/")[0])
            tree.rename(file.root, file.path, room, old_place(file))
        done += 1
        tell(done)
    for folder in manifest.gone:
        tree.rmdir(folder.root, folder.path)
    for folder in manifest.made:
        tree.mkdir(folder.root, folder.path, folder.mode)
    for file in manifest.come:
        if tree.stat(room, file.staged) is not None:
            tree.rename(room, file.staged, file.root, file.path)
        done += 1
        tell(done)


def back(manifest: Manifest, tree: Tree, tell: Callable[[int], None], *, force: bool = False) -> bool:
    """From anywhere to before. Returns whether something of somebody else's was put aside (``force``)."""
    room = manifest.room
    aside = 0
    done = 0

    def put_aside(root: int, path: str) -> None:
        nonlocal aside
        while tree.stat(room, f"x/{aside}") is not None:
            aside += 1
        tree.mkdirs(room, "x")
        tree.rename(root, path, room, f"x/{aside}")
        aside += 1

    others = False
    leaving = {manifest.key(file) for file in manifest.leave}
    waiting = {manifest.key(file) for file in manifest.leave if tree.stat(room, old_place(file)) is not None}
    old_ones = {(f.root, f.path) for f in manifest.leave if manifest.key(f) not in waiting}
    for root, path in _compiled_since(manifest, tree, old_ones):
        put_aside(root, path)
    for file in manifest.come:
        done += 1
        tell(done)
        key = manifest.key(file)
        here = tree.stat(file.root, file.path)
        if here is None or tree.stat(room, file.staged) is not None or (key in leaving and key not in waiting):
            continue
        if _same(here, file):
            tree.mkdirs(room, file.staged.rpartition("/")[0])
            tree.rename(file.root, file.path, room, file.staged)
        elif force:
            put_aside(file.root, file.path)
            others = True
        else:
            raise Refused(f"{tree.path(file.root, file.path)} was changed by somebody else since")
    for root, path in _caches_since(manifest):
        tree.rmdir(root, path)
    for folder in reversed(manifest.made):
        tree.rmdir(folder.root, folder.path)
    for folder in reversed(manifest.gone):
        tree.mkdirs(folder.root, folder.path, folder.mode)
    for file in manifest.leave:
        done += 1
        tell(done)
        if manifest.key(file) not in waiting:
            continue
        if tree.stat(file.root, file.path) is not None:
            if not force:
                raise Refused(f"{tree.path(file.root, file.path)} was put there by somebody else since")
            put_aside(file.root, file.path)
            others = True
        tree.mkdirs(file.root, file.path.rpartition("/")[0], 0o755)
        tree.rename(room, old_place(file), file.root, file.path)
    restore_folders(manifest, tree)
    return others


def restore_folders(manifest: Manifest, tree: Tree) -> None:
    """Give folders the times they had, unless something else was put into them since."""
    for folder in [*manifest.gone, *manifest.touched]:
        if not folder.names or folder.names == digest(tree.names(folder.root, folder.path)):
            tree.set_folder(folder.root, folder.path, folder.mode, folder.mtime_ns)


def _compiled_since(manifest: Manifest, tree: Tree, old_ones: set[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """What Python compiled of the new modules. ``old_ones`` are old files that are back at their places."""
    modules: dict[tuple[int, str], set[str]] = {}
    listed = {(file.root, file.path) for file in manifest.come}
    for file in manifest.come:
        if file.path.endswith(".py"):
            folder, _, name = file.path.rpartition("/")
            modules.setdefault((file.root, folder), set()).add(name[:-3])
    for (root, folder), names in modules.items():
        cache = cache_beside(f"{folder}/x" if folder else "x")
        for name in compiled_of(tree.names(root, cache), names):
            key = (root, f"{cache}/{name}")
            if key not in old_ones and key not in listed:
                yield key


def _caches_since(manifest: Manifest) -> list[tuple[int, str]]:
    """The ``__pycache__`` folders beside new modules that were not there before."""
    known = {(folder.root, folder.path) for folder in [*manifest.gone, *manifest.touched]}
    found: dict[tuple[int, str], None] = {}
    for file in manifest.come:
        if file.path.endswith(".py"):
            found[file.root, cache_beside(file.path)] = None
    return [key for key in found if key not in known]


def cache_beside(path: str) -> str:
    """The folder in which Python keeps what it compiled of the module at ``path``."""
    folder = path.rpartition("/")[0]
    return f"{folder}/__pycache__" if folder else "__pycache__"


def compiled_of(names: list[str], modules: set[str]) -> list[str]:
    """Which of the ``names`` in a ``__pycache__`` folder are compiled ``modules``."""
    return [name for name in names if (match := _COMPILED.match(name)) and match[1] in modules]
