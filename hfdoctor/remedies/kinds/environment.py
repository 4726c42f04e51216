"""A virtual environment made beside the one that is sick, with packages in it."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from ...conditions.changes import NewEnvironment
from ..action import Action, Difference, Needs, Progress, Refused, Seen, Workplace
from ..packages.resolve import Package

#: seconds; gigabytes over a slow line
_TIMEOUT_S = 6 * 3600.0


class _Made(msgspec.Struct, array_like=True):
    """A file of the environment as it was when it was done: path below it, size, time."""

    path: str
    size: int
    mtime_ns: int


class EnvironmentAction(Action, tag_field="kind", tag="environment", dict=True):
    """``uv venv`` in ``folder``, then ``packages``. ``marker`` is the file in it that says whose it is.

    ``parents`` are the folders above it that do not exist either, topmost first; ``listing`` the file that tells what
    was made, written when all is done.
    """

    python: str
    version: str
    prefix: str
    folder: str
    parents: list[str]
    packages: list[Package]
    seed: bool
    marker: str
    listing: str
    tool: Literal["pip", "uv"]
    home: str
    cwd: str
    extra_index: str = ""
    download_bytes: int = 0
    disk_bytes: int = 0

    def describe(self) -> list[Difference]:
        """The folder, and what was asked to be in it."""
        others = len(self.packages) - sum(package.asked for package in self.packages)
        lines = [Difference(self.folder, "not there", f"a virtual environment of Python {self.version}")]
        lines += [Difference(p.name, "not installed there", p.new) for p in self.packages if p.asked]
        if others:
            count = f"{others} packages" if others > 1 else "1 package"
            lines.append(Difference("packages that these need", "not installed there", count))
        return lines

    def needs(self) -> Needs:
        """A connection for the packages (and for pip, where it is to be in it)."""
        network = bool(self.packages) or self.seed
        return Needs(network=network, download_bytes=self.download_bytes, disk_bytes=self.disk_bytes)

    def stands_on(self) -> list[str]:
        """The environment's folder."""
        return [self.folder]

    def look(self) -> Seen:
        """Whether it is there, ours, whole, and as it was made."""
        folder = Path(self.folder)
        if not os.path.lexists(folder):
            return Seen("before")
        if not (folder / self.marker).is_file() or folder.is_symlink():
            if not folder.is_symlink() and folder.is_dir() and not any(folder.iterdir()):
                return Seen("between")
            return Seen("other", [Difference(self.folder, "made by this fix", "another folder of that name")])
        made = self._listed()
        if made is None:
            return Seen("between")
        strange = _strange(made, self.folder, self.marker)
        return Seen("other", strange[:3]) if strange else Seen("after")

    def apply(self, progress: Progress) -> None:
        """Make the folder, mark it as ours, let uv fill it."""
        from ..packages import listing, stage

        seen = self.look()
        if seen.state == "after":
            return
        if seen.state == "other":
            raise Refused(f"{self.folder} is there already: it is left as it is")
        self.undo(progress)  # what an earlier try left
        for parent in self.parents:
            Path(parent).mkdir(exist_ok=True)
        folder = Path(self.folder)
        folder.mkdir()
        (folder / self.marker).write_text("made by hfdoctor fix; hfdoctor undo takes it away\n", "utf-8")
        self._fill(progress)
        stage.sync(self.folder)
        made = [_Made(path, found.st_size, found.st_mtime_ns) for path, found in _files(self.folder, self.marker)]
        listing.write(self.listing, made)

    def _fill(self, progress: Progress) -> None:
        from ..packages import stage
        from ..packages.index import source
        from ..packages.uv import Failed, quiet_environ, run_uv

        environ = self._environ()
        asked = source(environ, self.home, self.cwd, self.prefix, tool=self.tool, extra_index=self.extra_index)
        variables = asked.over(quiet_environ(environ))
        own_cache = os.path.join(self.folder, ".cache")
        seed = ["--seed"] if self.seed else []
        pins = [f"{package.name}=={package.new}" for package in self.packages]
        try:
            progress("making the environment", 0, 0)
            cache = asked.cached(environ, self.home, own_cache)
            words = ["venv", "--python", self.python, "--allow-existing", *seed, *cache]
            run_uv([*words, "--", self.folder], variables, self.cwd, _TIMEOUT_S)
            wrong = ""
            for again in ([], ["--reinstall"]) if pins else ():
                progress("fetching packages", 0, self.download_bytes)
                cache = asked.cached(environ, self.home, own_cache, fresh=bool(again))
                words = ["pip", "install", "--no-build", "--python", self.interpreter, "--prerelease", "allow", *cache]
                run_uv([*words, "--no-deps", *again, "--", *pins], variables, self.cwd, _TIMEOUT_S)
                progress("checking what was fetched", 0, 0)
                wrong = stage.wrong_file(self.folder, self.packages)
                if not wrong:
                    break
            if wrong:
                raise Refused(f"{stage.shown(wrong)} is not as its package says, also fetched anew: nothing is done")
        except Failed as failed:
            raise Refused(f"the environment could not be made: {failed}") from None
        finally:
            shutil.rmtree(own_cache, ignore_errors=True)

    @property
    def interpreter(self) -> str:
        """Path of the new environment's Python."""
        return os.path.join(self.folder, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """Take away what was made; where something of somebody else's is in it (``force``), keep it beside."""
        from ..packages import listing
        from ..packages.stage import discard, end_orphans

        seen = self.look()
        if seen.state == "other" and not force:
            raise Refused(f"{self.folder} was changed by somebody else since")
        aside = self._aside()
        mine = os.path.isfile(os.path.join(self.folder, self.marker)) or seen.state == "between"
        if seen.state != "before" and mine:
            if seen.state == "between":
                end_orphans(self.folder)  # an uv that a killed hfdoctor left behind
            os.rename(self.folder, aside)  # in one step: never half an environment
        if os.path.lexists(aside):
            if self._others_in(aside):
                return  # kept until it is given up
            discard(aside)
        for parent in reversed(self.parents):
            with contextlib.suppress(OSError):
                Path(parent).rmdir()
        listing.drop(self.listing)

    def _aside(self) -> str:
        return f"{self.folder}.{self.marker.lstrip('.')}"

    def _others_in(self, aside: str) -> bool:
        """Whether what lies aside has something of somebody else's in it; what is gone was deleted by ``undo``."""
        made = self._listed()
        return made is not None and any(one.new != "gone" for one in _strange(made, aside, self.marker))

    def forget(self) -> None:
        """Nothing of the environment itself: what was put aside by force goes."""
        from ..packages import listing
        from ..packages.stage import discard

        discard(self._aside())
        listing.drop(self.listing)

    def target_after(self) -> str:
        """The new environment: the old one is as it was."""
        return self.folder

    def still_to_do(self, *, undone: bool = False) -> list[str]:
        """A new environment is used only by who starts its Python."""
        return [] if undone else [f"use {self.interpreter} from now on (activate it, or choose it in your editor)"]

    def _listed(self) -> list[_Made] | None:
        from ..packages import listing

        return listing.read(self.listing, list[_Made])

    def _environ(self) -> Mapping[str, str]:
        found = self.__dict__.get("environ")
        return found if isinstance(found, dict) else os.environ


def prepare_environment(change: NewEnvironment, place: Workplace) -> EnvironmentAction:
    """See ``registered.prepare``."""
    from ..packages import index, ours, price, target
    from ..packages.resolve import locked, name_of
    from ..packages.uv import Failed, quiet_environ

    folder = os.path.normpath(os.path.join(str(place.cwd), os.path.expanduser(change.folder)))
    if os.path.lexists(folder):
        raise Refused(f"{folder} is there already: choose another folder, or take that one away first")
    parents: list[str] = []
    above = os.path.dirname(folder)
    while not os.path.lexists(above):
        parents.insert(0, above)
        above = os.path.dirname(above)
    if not os.path.isdir(above) or not os.access(above, os.W_OK):
        raise Refused(f"{above} may not be written: no environment can be made in it")
    told = target.ask(change.python, place.environ)
    home, cwd = str(place.home), str(place.cwd)
    tool = ours.tool_at(told)
    source = index.source(place.environ, home, cwd, told.prefix, tool=tool, extra_index=change.extra_index)
    packages: list[Package] = []
    size = 0
    if change.packages:
        words = source.cached(place.environ, home)
        environ = source.over(quiet_environ(place.environ))
        try:
            versions, size = locked(change.python, change.packages, words, environ, cwd)
        except Failed as failed:
            raise Refused(failed.refusal) from None
        asked = {name_of(text) for text in change.packages}
        packages = [Package(name, [], version, name in asked) for name, version in sorted(versions.items())]
    disk = price.unpacked_bytes(size)
    price.refuse_no_room(above, disk)
    action = EnvironmentAction(
        python=change.python,
        version=told.version,
        prefix=told.prefix,
        folder=folder,
        parents=parents,
        packages=packages,
        seed=tool == "pip",
        marker=f".hfdoctor-{place.token}",
        listing=str(place.folder / "environment.json"),
        tool=source.tool,
        home=home,
        cwd=cwd,
        extra_index=change.extra_index,
        download_bytes=size,
        disk_bytes=disk,
    )
    action.__dict__["environ"] = dict(place.environ)
    return action


def _files(folder: str, marker: str) -> Iterator[tuple[str, os.stat_result]]:
    """What is in an environment, compiled files left out: Python writes these whenever it runs."""
    for where, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(where, name))]
        for name in [*names, *links]:
            whole = os.path.join(where, name)
            path = os.path.relpath(whole, folder)
            if path == marker or name.endswith(".pyc"):
                continue
            with contextlib.suppress(FileNotFoundError):
                yield path, os.lstat(whole)


def _strange(made: list[_Made], folder: str, marker: str) -> list[Difference]:
    """What is not as it was made: added, changed, taken away."""
    known = {one.path: one for one in made}
    strange = []
    for path, found in _files(folder, marker):
        one = known.pop(path, None)
        whole = os.path.join(folder, path)
        if one is None:
            strange.append(Difference(whole, "not there", "added since"))
        elif (found.st_size, found.st_mtime_ns) != (one.size, one.mtime_ns) and not stat.S_ISDIR(found.st_mode):
            strange.append(Difference(whole, "as it was installed", "changed since"))
    return [*strange, *(Difference(os.path.join(folder, path), "as it was installed", "gone") for path in known)]
