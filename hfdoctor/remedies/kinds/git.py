"""A value of the person's global git configuration."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from ...conditions.changes import GitChange
from ...facts.child import run_child
from ..action import Action, Difference, Needs, NothingToDo, Progress, Refused, Seen, Workplace, plain

#: seconds; git config reads and writes one small file
_TIMEOUT_S = 20.0


class GitAction(Action, tag_field="kind", tag="git"):
    """``git config --global NAME VALUE``. ``git`` is the program's path; None is "not set"."""

    git: str
    name: str
    old: str | None
    new: str | None
    home: str

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
        """Let git write it."""
        _set(self.git, self.name, self.new, self.home)

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """Let git write the old value, or take the value away where there was none."""
        if self.look().state != "before":
            _set(self.git, self.name, self.old, self.home)


def prepare_git(change: GitChange, place: Workplace) -> GitAction:
    """See ``registered.prepare``."""
    git = shutil.which("git", path=place.environ.get("PATH"))
    if git is None:
        raise Refused(f"git is not installed here, so that {change.name} cannot be set")
    old = _value(git, change.name, str(place.home))
    if old == change.value:
        raise NothingToDo
    return GitAction(git=git, name=change.name, old=old, new=change.value, home=str(place.home))


def _environ(home: str) -> Mapping[str, str]:
    import os

    return {**os.environ, "HOME": home}


def _value(git: str, name: str, home: str) -> str | None:
    ended = run_child([git, "config", "--global", "--null", "--get", name], _TIMEOUT_S, environ=_environ(home))
    if ended.code == 1:
        return None
    if ended.code != 0:
        raise Refused(f"git cannot say what {name} is: {ended.stderr.decode(errors='replace').strip()[:200]}")
    return ended.stdout.decode("utf-8", "surrogateescape").rstrip("\0")


def _set(git: str, name: str, value: str | None, home: str) -> None:
    what = ["--unset", name] if value is None else [name, value]
    ended = run_child([git, "config", "--global", *what], _TIMEOUT_S, environ=_environ(home))
    if ended.code != 0:
        raise Refused(f"git could not change {name}: {ended.stderr.decode(errors='replace').strip()[:200]}")
