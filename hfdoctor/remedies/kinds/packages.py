"""Packages of one environment that are installed, changed or taken away, all together or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from ...conditions.changes import PackageChange
from ..action import Action, Difference, Needs, NothingToDo, Progress, Refused, Seen, Workplace
from ..durable import settle_folder
from ..packages.manifest import Folder, Manifest, digest
from ..packages.resolve import Package
from ..packages.target import Root, Site


class PackagesAction(Action, tag_field="kind", tag="packages", dict=True):
    """Old files into quarantine, new ones in their place. ``room`` is the private folder on the environment's volume.

    ``beside`` is the folder that ``room`` is made in, as it was; ``manifest`` the file that tells, once everything is
    unpacked, what is renamed. Where packages come from is read again when it is needed: it may hold a password.
    """

    python: str
    prefix: str
    packages: list[Package]
    breaks: list[Difference]
    roots: list[Root]
    libraries: list[int]
    data: int
    scripts: int
    scripts_below: str
    room: str
    beside: Folder
    beside_root: Root
    manifest: str
    tool: Literal["pip", "uv"]
    index: str
    extra_index: str
    home: str
    cwd: str
    download_bytes: int = 0
    disk_bytes: int = 0

    def describe(self) -> list[Difference]:
        """A line for each package, and one for each that will not fit any more."""
        return [*(_line(package) for package in self.packages), *self.breaks]

    def needs(self) -> Needs:
        """A connection where something comes; the old files stay on the disk for undo."""
        comes = any(package.new for package in self.packages)
        return Needs(network=comes, download_bytes=self.download_bytes, disk_bytes=self.disk_bytes)

    def stands_on(self) -> list[str]:
        """The folders of packages."""
        return [self.roots[number].path for number in self.libraries]

    def look(self) -> Seen:
        """Hold each file against the manifest."""
        from ..packages import swap
        from ..packages.tree import Tree

        listed = self._listed()
        if listed is None:
            return Seen("before")
        if not os.path.lexists(self.room):
            # taken back already, or deleted by somebody: then the old packages are lost
            listed.roots.pop()
            return self._without_room(listed)
        with Tree(listed.roots) as tree:
            found = swap.look(listed, tree)
        if found.where != "other":
            return Seen(found.where)
        return Seen("other", self._strangers(found.strange))

    def _listed(self) -> Manifest | None:
        from ..packages import listing

        return listing.read(self.manifest, Manifest)

    def _without_room(self, listed: Manifest) -> Seen:
        from ..packages.tree import Tree

        with Tree(listed.roots) as tree:
            for file in listed.leave:
                here = tree.stat(file.root, file.path)
                if here is None or (here.st_size, here.st_mtime_ns) != (file.size, file.mtime_ns):
                    return Seen("other", [Difference("the old packages", f"kept in {self.room}", "gone")])
        return Seen("before")

    def _strangers(self, strange: list[Difference]) -> list[Difference]:
        """What somebody else changed, by packages where their versions tell, else by files."""
        now = self._versions_now()
        shown = []
        for package in self.packages:
            found = now.get(package.name, [])
            if found != ([package.new] if package.new else []):
                shown.append(Difference(package.name, package.new or "not installed", _versions(found)))
        return shown or strange[:3]

    def _versions_now(self) -> dict[str, list[str]]:
        from ...facts.probes.distributions import read_distributions

        found: dict[str, list[str]] = {}
        with contextlib.suppress(OSError):
            for entry in read_distributions([self.roots[number].path for number in self.libraries]):
                found.setdefault(entry.name, []).append(entry.version)
        return found

    def apply(self, progress: Progress) -> None:
        """Fetch and unpack beside the environment, write down what is renamed, rename."""
        from ..packages import swap
        from ..packages.tree import Tree

        state = self.look()
        if state.state == "after":
            return
        if state.state == "other":
            raise Refused("; ".join(f"{one.what} is {one.new}, not {one.old}" for one in state.shows))
        if state.state == "before":
            self.undo(progress)  # what an earlier try left
            self._prepare(progress)
        listed = self._listed()
        assert listed is not None
        total = len(listed.leave) + len(listed.come)
        with Tree(listed.roots) as tree:
            swap.forward(listed, tree, _counting(progress, "changing files", total))
            settle_folder(listed.roots[0].path)

    def _prepare(self, progress: Progress) -> None:
        """Everything up to the manifest; nothing of the environment is touched."""
        from ..packages import gather, listing, stage
        from ..packages.tree import Tree

        site = self._site()
        with Tree([self.beside_root]) as tree:
            tree.mkdir(0, os.path.basename(self.room))
            made = tree.stat(0, os.path.basename(self.room))
            assert made is not None
        room = Root(self.room, made.st_dev, made.st_ino)
        coming = [package for package in self.packages if package.new]
        staged: list[stage.Staged] = []
        if coming:
            progress("fetching packages", 0, self.download_bytes)
            self._unpack(coming, progress)
            staged = stage.place(self.room, site)
        listed = gather.gather(site, room, self.packages, staged)
        stage.sync(self.room)
        listing.write(self.manifest, listed)

    def _unpack(self, coming: list[Package], progress: Progress) -> None:
        from ..packages import stage
        from ..packages.index import source
        from ..packages.uv import quiet_environ

        environ = self._environ()
        asked = source(
            environ,
            self.home,
            self.cwd,
            self.prefix,
            tool=self.tool,
            index=self.index,
            extra_index=self.extra_index,
        )
        own_cache = os.path.join(self.room, "c")
        for fresh in (False, True):
            words = asked.cached(environ, self.home, own_cache, fresh=fresh)
            stage.unpack(self.room, self.python, coming, words, asked.over(quiet_environ(environ)), self.cwd)
            progress("checking what was fetched", 0, 0)
            wrong = stage.wrong_file(os.path.join(self.room, "n"), coming)
            stage.discard(own_cache)
            if not wrong:
                break
            stage.discard(os.path.join(self.room, "n"))
        else:
            raise Refused(f"{stage.shown(wrong)} is not as its package says, also fetched anew: nothing is done")
        stage.make_right(self.room, self._site())

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """The same renames the other way round; then the private folder goes."""
        from ..packages import gather, swap
        from ..packages.tree import Tree

        listed = self._listed()
        others = False
        if listed is not None and os.path.lexists(self.room):
            total = len(listed.leave) + len(listed.come)
            with Tree(listed.roots) as tree:
                if force:
                    names = {package.name for package in self.packages}
                    others = gather.others_aside(self._site(), names, listed, tree)
                tell = _counting(progress, "bringing files back", total)
                others = swap.back(listed, tree, tell, force=force) or others
                settle_folder(listed.roots[0].path)
        elif listed is not None and self.look().state == "other":
            raise Refused(f"the old packages are not in {self.room} any more: they cannot be put back")
        if not others:
            self._take_apart(unpacked=listed is not None)

    def _take_apart(self, *, unpacked: bool) -> None:
        """Drop the private folder (nothing of the environment's is in it any more), then the manifest."""
        from ..packages import listing, stage
        from ..packages.tree import Tree

        if os.path.lexists(self.room):
            stage.discard(self.room, orphans=not unpacked)
        with contextlib.suppress(Refused), Tree([self.beside_root]) as tree:
            if digest(tree.names(0, "")) == self.beside.names:
                tree.set_folder(0, "", self.beside.mode, self.beside.mtime_ns)
        listing.drop(self.manifest)

    def keeps(self) -> int:
        """The files of the old packages."""
        listed = self._listed()
        return sum(file.size for file in listed.leave) if listed is not None else 0

    def forget(self) -> None:
        """Drop the old packages."""
        from ..packages import listing, stage

        stage.discard(self.room)
        listing.drop(self.manifest)

    def still_to_do(self, *, undone: bool = False) -> list[str]:
        """What runs already has the packages loaded that were there when it was started."""
        return [f"restart what runs with {self.python} (notebooks, servers): it has the other packages loaded"]

    def _site(self) -> Site:
        return Site(tuple(self.roots), tuple(self.libraries), self.data, self.scripts, self.scripts_below)

    def _environ(self) -> Mapping[str, str]:
        """The person's variables: those that it was prepared with, else this process's."""
        found = self.__dict__.get("environ")
        return found if isinstance(found, dict) else os.environ


def prepare_packages(change: PackageChange, place: Workplace) -> PackagesAction:
    """See ``registered.prepare``."""
    from ..packages import index, ours, price, target
    from ..packages.resolve import Resolver, Wish, name_of
    from ..packages.tree import Tree
    from ..packages.uv import quiet_environ

    for text in change.install:
        if not name_of(text):
            raise Refused(f"{text} is not the name of a package: this is left to you")
    told = target.ask(change.python, place.environ)
    if told.managed:
        raise Refused(
            f"{change.python} belongs to the operating system ({told.managed} says so): make a virtual environment"
        )
    home, cwd = str(place.home), str(place.cwd)
    elsewhere = index.sets_a_place(place.environ, home, told.prefix, cwd)
    if elsewhere:
        raise Refused(f"pip is set up to install elsewhere (its setting {elsewhere}): take that away first")
    names = {name_of(text) for text in change.install} | {name_of(text) for text in change.remove}
    user = not told.isolated and ours.is_the_persons(told, names)
    site = target.site_of(told, user=user)
    tool = ours.tool_of(site, names)
    source = index.source(
        place.environ, home, cwd, told.prefix, tool=tool, index=change.index, extra_index=change.extra_index
    )
    words = source.cached(place.environ, home)
    environ = source.over(quiet_environ(place.environ))
    resolver = Resolver(change.python, told, site, words, environ, cwd, user)
    wish = Wish(change.install, change.remove, change.reinstall, change.upgrade, change.no_deps, change.pre)
    # an index may have other builds of one release, unless the version names the build (2.9.0+cpu)
    one_build = not change.index or all("+" in text for text in change.install)
    if change.reinstall and not change.remove and one_build and ours.whole(resolver, change.install):
        raise NothingToDo
    with target.untouched(told.prefix, site.roots[site.libraries[0]].path):
        found = resolver.plan(wish)
    if not found.packages:
        raise NothingToDo
    ours.refuse_what_is_not_ours(resolver.installed, found.packages, told.prefix, change.python)
    number = hashlib.sha256(msgspec.json.encode(change)).hexdigest()[:4]
    beside, room = target.room_for(site, f".hfdoctor-{place.token}-{number}")
    with Tree([beside]) as tree:
        parent = tree.stat(0, "")
        assert parent is not None
        names_there = tree.names(0, "")
    if os.path.lexists(room):
        raise Refused(f"{room} is there already: another fix is under way")
    disk = price.disk_bytes(resolver.installed, found)
    price.refuse_no_room(beside.path, disk)
    action = PackagesAction(
        python=change.python,
        prefix=told.prefix,
        packages=found.packages,
        breaks=found.breaks,
        roots=list(site.roots),
        libraries=list(site.libraries),
        data=site.data,
        scripts=site.scripts,
        scripts_below=site.scripts_below,
        room=room,
        beside=Folder(0, "", stat.S_IMODE(parent.st_mode), parent.st_mtime_ns, digest(names_there)),
        beside_root=beside,
        manifest=str(place.folder / f"packages-{number}.json"),
        tool=source.tool,
        index=change.index,
        extra_index=change.extra_index,
        home=home,
        cwd=cwd,
        download_bytes=found.download_bytes,
        disk_bytes=disk,
    )
    action.__dict__["environ"] = dict(place.environ)
    return action


def _line(package: Package) -> Difference:
    if not package.new:
        return Difference(package.name, _versions(package.old), "taken away")
    if not package.old:
        return Difference(package.name, "not installed", package.new)
    again = package.old == [package.new]
    return Difference(package.name, _versions(package.old), f"{package.new}, installed again" if again else package.new)


def _versions(versions: list[str]) -> str:
    return " and ".join(version or "of unknown version" for version in versions) or "not installed"


def _counting(progress: Progress, what: str, total: int) -> Callable[[int], None]:
    """Tells ``progress`` now and then."""

    def tell(done: int) -> None:
        if done % 500 == 0 or done == total:
            progress(what, 0, 0)

    return tell
