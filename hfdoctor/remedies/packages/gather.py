"""Works out what leaves an environment and what comes, down to each file and folder: the manifest."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence, Set

from ...facts.probes.distributions import read_distributions, read_small
from ...facts.probes.record import read_record
from ...facts.sections.packages import Distribution
from ..action import Refused
from .manifest import File, Folder, Manifest, digest
from .resolve import Package
from .stage import Staged, tops
from .swap import cache_beside, compiled_of
from .target import Root, Site, located
from .tree import Tree

Place = tuple[int, str]


def gather(site: Site, room: Root, packages: Sequence[Package], staged: Sequence[Staged]) -> Manifest:
    """The manifest for ``packages``, of which the new files lie in ``room``. Raises Refused."""
    roots = (*site.roots, room)
    folders = [site.roots[number].path for number in site.libraries]
    names = {package.name for package in packages}
    installed = read_distributions(folders)
    with Tree(roots) as tree:
        sort = _Sorting(tree, site, installed, names)
        for entry in installed:
            if entry.name in names:
                sort.leave_distribution(entry, room.path)
        return sort.manifest(staged)


def others_aside(site: Site, names: set[str], manifest: Manifest, tree: Tree) -> bool:
    """Put aside (``x`` in the private folder) what somebody installed of ``names`` since; whether there was any."""
    installed = read_distributions([site.roots[number].path for number in site.libraries])
    room = manifest.roots[manifest.room]
    sort = _Sorting(tree, site, installed, names)
    for entry in installed:
        if entry.name in names:
            sort.leave_distribution(entry, room.path)
    ours = {(file.root, file.path): (file.size, file.mtime_ns) for file in manifest.come}
    number = 0
    tree.mkdirs(manifest.room, "x")
    for place, found in sort.leaving.items():
        if ours.get(place) != (found.st_size, found.st_mtime_ns):
            while tree.stat(manifest.room, f"x/o{number}") is not None:
                number += 1
            tree.rename(*place, manifest.room, f"x/o{number}")
    for folder in sort.empty_folders():
        tree.rmdir(folder.root, folder.path)
    return bool(tree.names(manifest.room, "x"))


class _Sorting:
    """Sorts the environment's files into those that leave and those that stay."""

    def __init__(self, tree: Tree, site: Site, installed: Sequence[Distribution], names: set[str]) -> None:
        self.tree = tree
        self.site = site
        #: files of packages that stay
        self.kept: set[Place] = set()
        for entry in installed:
            if entry.name not in names:
                self.kept.update(self._listed(entry)[0])
        self.leaving: dict[Place, os.stat_result] = {}
        #: folders of which the content was looked through
        self.walked: set[Place] = set()

    def _at(self, path: str) -> Place | None:
        return located(path, self.site.roots)

    def _listed(self, entry: Distribution) -> tuple[list[Place], bool]:
        """The files that a distribution says are its own, and whether it has such a list."""
        library = os.path.dirname(entry.path)
        if entry.path.endswith(".dist-info"):
            record, problem = read_record(os.path.join(entry.path, "RECORD"))
            paths: Iterable[str] = record.paths
            base = library
        else:
            data = read_small(os.path.join(entry.path, "installed-files.txt"), 1 << 24)
            problem = "" if data else "no-record"
            paths = (data or b"").decode("utf-8", "replace").splitlines()
            base = entry.path
        places = [self._at(os.path.join(base, path)) for path in paths if path and "\0" not in path]
        return [place for place in places if place is not None], not problem

    def leave_distribution(self, entry: Distribution, room: str) -> None:
        """Let everything go that belongs to ``entry``."""
        info = self._at(entry.path)
        if info is None:
            raise Refused(f"{entry.path} is not in this environment")
        places, has_list = self._listed(entry)
        for place in places:
            self._leave(place)
        if not has_list:
            self._leave_unlisted(entry, room)
        self._leave_all(info)
        modules: dict[Place, set[str]] = {}
        for root, path in list(self.leaving):
            if path.endswith(".py"):
                modules.setdefault((root, cache_beside(path)), set()).add(path.rpartition("/")[2][:-3])
        for (root, cache), stems in modules.items():
            for name in compiled_of(self.tree.names(root, cache), stems):
                self._leave((root, f"{cache}/{name}"))

    def _leave_unlisted(self, entry: Distribution, room: str) -> None:
        """Without a list of files: what only this package can have put at the top of the folder."""
        library = self.site.libraries[0] if len(self.site.libraries) == 1 else self._library_of(entry)
        told = read_small(os.path.join(entry.path, "top_level.txt")) or b""
        names = {line.strip() for line in told.decode("utf-8", "replace").splitlines() if line.strip()}
        names |= set(tops(room, entry.name)) or {entry.name.replace("-", "_")}
        for name in sorted(names):
            if "/" in name or "\\" in name or name in (".", ".."):
                continue
            for top in (name, f"{name}.py"):
                shared = any(
                    root == library and (path == top or path.startswith(top + "/")) for root, path in self.kept
                )
                if not shared and self.tree.stat(library, top) is not None:
                    self._leave_all((library, top))

    def _library_of(self, entry: Distribution) -> int:
        info = self._at(entry.path)
        return info[0] if info else self.site.libraries[0]

    def _leave(self, place: Place) -> None:
        """One file, unless it belongs to a package that stays; of a folder nothing."""
        if place in self.kept or place in self.leaving:
            return
        try:
            found = self.tree.stat(*place)
        except Refused:
            return  # behind a link: somebody put it elsewhere, and there it stays
        if found is not None and not stat.S_ISDIR(found.st_mode):
            self.leaving[place] = found

    def _leave_all(self, place: Place) -> None:
        """A file, or a folder with all that is in it."""
        found = self.tree.stat(*place)
        if found is None:
            return
        if not stat.S_ISDIR(found.st_mode):
            self._leave(place)
            return
        self.walked.add(place)
        for name in self.tree.names(*place):
            self._leave_all((place[0], f"{place[1]}/{name}"))

    def manifest(self, staged: Sequence[Staged]) -> Manifest:
        """All of it, with what stands in the way of what comes."""
        come = []
        room = len(self.tree.roots) - 1
        for one in staged:
            here = self.tree.stat(room, one.staged)
            assert here is not None, one.staged
            come.append(File(one.root, one.path, here.st_size, here.st_mtime_ns, one.staged))
        self._clear_the_way(come)
        needed = {(file.root, folder) for file in come for folder in _above(file.path)}
        gone = self.empty_folders(needed)
        made = []
        for root, folder in sorted(needed, key=lambda place: (place[0], place[1].count("/"), place[1])):
            found = self._stat_safely(root, folder)
            if found is None or (root, folder) in self.leaving:
                made.append(Folder(root, folder, 0o755))
            elif not stat.S_ISDIR(found.st_mode):
                raise Refused(f"{self.tree.path(root, folder)} is in the way of a folder")
        new = {(folder.root, folder.path) for folder in made}
        away = {(folder.root, folder.path) for folder in gone}
        touched: dict[Place, Folder] = {}
        changed = [*self.leaving, *((file.root, file.path) for file in come), *new, *away]
        changed += [(file.root, cache_beside(file.path) + "/x") for file in come if file.path.endswith(".py")]
        for root, path in changed:
            folder = path.rpartition("/")[0]
            key = (root, folder)
            if key in touched or key in new or key in away:
                continue
            found = self._stat_safely(root, folder)
            if found is not None and stat.S_ISDIR(found.st_mode):
                names = digest(self.tree.names(root, folder))
                touched[key] = Folder(root, folder, stat.S_IMODE(found.st_mode), found.st_mtime_ns, names)
        leave = [File(*place, found.st_size, found.st_mtime_ns) for place, found in self.leaving.items()]
        return Manifest(
            roots=self.tree.roots,
            leave=sorted(leave, key=lambda file: (file.root, file.path)),
            come=sorted(come, key=lambda file: (file.root, file.path)),
            gone=gone,
            made=made,
            touched=list(touched.values()),
            folds=self._folds(),
        )

    def _folds(self) -> bool:
        """Whether case does not matter in the environment's file names: shown by the private folder's own."""
        room = self.tree.roots[-1]
        folder, name = os.path.split(room.path)
        try:
            return os.stat(os.path.join(folder, name.swapcase())).st_ino == room.inode
        except OSError:
            return False

    def _stat_safely(self, root: int, path: str) -> os.stat_result | None:
        """What is at a place; None also where something that leaves is on the way to it."""
        if any((root, folder) in self.leaving for folder in _above(path)):
            return None
        return self.tree.stat(root, path)

    def _clear_the_way(self, come: Sequence[File]) -> None:
        """Let go what is where something comes, and what was compiled of it."""
        modules: dict[Place, set[str]] = {}
        names: dict[Place, dict[str, str]] = {}
        for file in come:
            place = (file.root, file.path)
            folder, _, name = file.path.rpartition("/")
            found = self._stat_safely(*place)
            if found is not None and place not in self.leaving:
                if (file.root, folder) not in names:
                    there = self.tree.names(file.root, folder)
                    names[file.root, folder] = {one.lower(): one for one in there}
                    names[file.root, folder].update({one: one for one in there})
                # where case does not matter, what is there may be written otherwise
                real = names[file.root, folder].get(name) or names[file.root, folder].get(name.lower(), name)
                actual = (file.root, f"{folder}/{real}" if folder else real)
                if actual not in self.leaving:
                    if stat.S_ISDIR(found.st_mode):
                        raise Refused(f"{self.tree.path(*actual)} is a folder, where a file has to go")
                    self.kept.discard(actual)
                    self._leave(actual)
            if file.path.endswith(".py"):
                modules.setdefault((file.root, cache_beside(file.path)), set()).add(name[:-3])
        for (root, cache), stems in modules.items():
            if self._stat_safely(root, cache) is not None:
                for name in compiled_of(self.tree.names(root, cache), stems):
                    self._leave((root, f"{cache}/{name}"))

    def empty_folders(self, needed: Set[Place] = frozenset()) -> list[Folder]:
        """The folders that are empty when all that leaves has left, deepest first."""
        candidates = {(root, folder) for root, path in self.leaving for folder in _above(path)} | self.walked
        for root, path in list(candidates):
            candidates |= {(root, folder) for folder in _above(path)}
        gone: dict[Place, Folder] = {}
        for root, folder in sorted(candidates, key=lambda place: -place[1].count("/")):
            if (root, folder) in needed:
                continue
            inside = ((root, f"{folder}/{name}") for name in self.tree.names(root, folder))
            if all(place in self.leaving or place in gone for place in inside):
                found = self.tree.stat(root, folder)
                if found is not None and stat.S_ISDIR(found.st_mode):
                    gone[root, folder] = Folder(root, folder, stat.S_IMODE(found.st_mode), found.st_mtime_ns)
        return list(gone.values())


def _above(path: str) -> Iterator[str]:
    """The folders above a path, nearest first, without the root."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
