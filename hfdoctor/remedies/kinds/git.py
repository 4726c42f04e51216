"""A value of the person's global git configuration."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

from ...conditions.changes import GitChange
from ...facts.child import run_child
from .. import own_file
from ..action import Action, Difference, Needs, NothingToDo, Progress, Refused, Seen, Workplace, plain
from ..durable import settle, settle_folder
from ..place import own_folder

#: seconds; git config reads and writes one small file
_TIMEOUT_S = 20.0


class GitAction(Action, tag_field="kind", tag="git"):
    """``git config --global NAME VALUE``. ``git`` is the program's path; None is "not set"."""

    git: str
    name: str
    old: str | None
    new: str | None
    home: str
    #: the file that git keeps it in, where hfdoctor can put it back byte for byte; "" leaves that to git
    file: str = ""
    #: where the file is kept as it was and as it is then, and the private name of it while it is written
    folder: str = ""
    partial: str = ""

    def describe(self) -> list[Difference]:
        """Old value, new value."""
        return [Difference(f"git setting {self.name}", plain(self.old), plain(self.new))]

    def needs(self) -> Needs:
        """Nothing: it is the person's own file."""
        return Needs()

    def look(self) -> Seen:
        """What git says now."""
        now = _value(self.git, self.name, self.home)
        if now == self.new:
            return Seen("after")
        if now == self.old:
            return Seen("before")
        return Seen("other", [Difference(f"git setting {self.name}", plain(self.new), plain(now))])

    def apply(self, progress: Progress) -> None:
        """Let git write it: into a copy, which then takes the file's place."""
        if self.look().state == "after":
            return
        if not self.file:
            _set(self.git, self.name, self.new, self.home)
            return
        own_folder(Path(self.folder))
        with own_file.held_folder(str(Path(self.file).parent)) as held:
            was = own_file.read(held, Path(self.file).name)
            for kept in (self._kept("old"), self._kept("new")):
                kept.unlink(missing_ok=True)
                if was is not None:
                    _keep(kept, was.data)
            _set(self.git, self.name, self.new, self.home, str(self._kept("new")))
            _settle_file(self._kept("new"))
            data = self._kept("new").read_bytes()
            own_file.replace(held, Path(self.file).name, was, data, self.partial)

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """The file as it was, if nobody wrote to it since; else let git write the old value, or take it away."""
        seen = self.look()
        if seen.state == "other" and not force:
            raise Refused("; ".join(f"{one.what} is now {one.new}" for one in seen.shows))
        if seen.state != "before" and not self._put_back():
            _set(self.git, self.name, self.old, self.home)
        self.forget()

    def forget(self) -> None:
        """Give up the copies of the file."""
        if not self.file:
            return
        with contextlib.suppress(OSError):
            (Path(self.file).parent / self.partial).unlink(missing_ok=True)
        for kept in (self._kept("old"), self._kept("new")):
            kept.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is kept there, too
            Path(self.folder).rmdir()

    def _put_back(self) -> bool:
        """Whether the file is as hfdoctor left it, and so could be put back as it was."""
        if not self.file or not self._kept("new").exists():
            return False
        with own_file.held_folder(str(Path(self.file).parent)) as held:
            now = own_file.read(held, Path(self.file).name)
            if now is None or now.data != self._kept("new").read_bytes():
                return False
            if self._kept("old").exists():
                data = self._kept("old").read_bytes()
                own_file.replace(held, Path(self.file).name, now, data, self.partial)
            else:
                own_file.remove(held, Path(self.file).name, now)
        return True

    def _kept(self, which: str) -> Path:
        return Path(self.folder) / f"{self.partial}.{which}"


def prepare_git(change: GitChange, place: Workplace) -> GitAction:
    """See ``registered.prepare``."""
    git = shutil.which("git", path=place.environ.get("PATH"))
    if git is None:
        raise Refused(f"git is not installed here, so that {change.name} cannot be set")
    old = _value(git, change.name, str(place.home))
    if old == change.value:
        raise NothingToDo
    action = GitAction(git=git, name=change.name, old=old, new=change.value, home=str(place.home))
    if os.name == "posix":
        file = os.path.realpath(_file(place.environ, place.home))
        action.file, action.folder = file, str(place.folder)
        action.partial = f"{Path(file).name}.hfdoctor-{place.token}-{crc32(change.name.encode()):08x}"
        with own_file.held_folder(str(Path(file).parent)) as held:
            own_file.read(held, Path(file).name)  # it raises where the file is not the person's
    return action


def _file(environ: Mapping[str, str], home: Path) -> Path:
    """The file that ``git config --global`` writes (its manual, FILES)."""
    if environ.get("GIT_CONFIG_GLOBAL"):
        return Path(environ["GIT_CONFIG_GLOBAL"])
    configured = environ.get("XDG_CONFIG_HOME", "")
    other = (Path(configured) if configured else home / ".config") / "git" / "config"
    return other if other.exists() and not (home / ".gitconfig").exists() else home / ".gitconfig"


def _keep(path: Path, data: bytes) -> None:
    """Write a copy that only the person can read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        settle(file.fileno())


def _settle_file(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        settle(handle)
    finally:
        os.close(handle)
    settle_folder(path.parent)


def _environ(home: str) -> Mapping[str, str]:
    return {**os.environ, "HOME": home}


def _value(git: str, name: str, home: str) -> str | None:
    ended = run_child([git, "config", "--global", "--null", "--get", name], _TIMEOUT_S, environ=_environ(home))
    if ended.code == 1:
        return None
    if ended.code != 0:
        raise Refused(f"git cannot say what {name} is: {ended.stderr.decode(errors='replace').strip()[:200]}")
    return ended.stdout.decode("utf-8", "surrogateescape").rstrip("\0")


def _set(git: str, name: str, value: str | None, home: str, file: str = "") -> None:
    what = ["--unset", name] if value is None else [name, value]
    where = ["--file", file] if file else ["--global"]
    ended = run_child([git, "config", *where, *what], _TIMEOUT_S, environ=_environ(home))
    if ended.code != 0:
        raise Refused(f"git could not change {name}: {ended.stderr.decode(errors='replace').strip()[:200]}")
