"""What every kind of action is and promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..facts.snapshot import Snapshot

#: what an action finds when it looks: nothing done yet; all done; cut short in the middle; somebody else's doing
State = Literal["before", "after", "between", "other"]
#: called now and then while an action works: what it does, and bytes done of bytes in all (0: not known)
Progress = Callable[[str, int, int], None]


class Refused(Exception):
    """An action cannot or must not be done. One line for the person: what, where, what to do.

    Nothing was changed, or everything was brought back.
    """


class NothingToDo(Exception):
    """The machine is already as the change wants it."""


class Difference(msgspec.Struct, omit_defaults=True):
    """One line of a plan: what changes, its value now and then, in words for a person ("not set", "1", a path)."""

    what: str
    old: str
    new: str


class Needs(msgspec.Struct, omit_defaults=True):
    """The price of an action: rights, a connection, bytes to download, bytes of disk (negative: it frees them)."""

    administrator: bool = False
    network: bool = False
    download_bytes: int = 0
    disk_bytes: int = 0
    #: it cannot be undone (a program's own cleaning, say), and why
    for_good: str = ""


class Seen(msgspec.Struct, omit_defaults=True):
    """What ``look`` found; ``shows`` are the values now beside those that were expected, where they are others'."""

    state: State
    shows: list[Difference] = []


class Workplace(msgspec.Struct, frozen=True):
    """What preparing an action may know and use.

    ``token`` is new for each fix: it is part of every private name (partial copies, staging folders), so that what a
    dead process left is known for ours. ``folder`` is the fix's own folder below the state folder, for what is too
    large for the journal; it exists only from the first action on. ``environ``, ``home`` and
    ``cwd`` are the person's.
    """

    state: Path
    folder: Path
    token: str
    environ: Mapping[str, str]
    home: Path
    cwd: Path
    snapshot: Snapshot


class Action(msgspec.Struct):
    """One reversible change, prepared for one machine.

    It holds what it needs to be finished or taken back by another process after this one was killed: the old value,
    the places of copies. It goes through the journal as JSON. Every subclass is a msgspec Struct with its own tag
    (``tag_field="kind"``) and stands in ``kinds.registered.Kind``.
    """

    def describe(self) -> list[Difference]:
        """What changes, for the plan: old value, new value."""
        raise NotImplementedError

    def needs(self) -> Needs:
        """What it takes."""
        raise NotImplementedError

    def look(self) -> Seen:
        """Hold the machine against the action: not begun, done, cut short, or changed by somebody else since."""
        raise NotImplementedError

    def apply(self, progress: Progress) -> None:
        """Make the change from ``before`` or ``between``. Raises Refused or OSError; ``undo`` then brings it back."""
        raise NotImplementedError

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """Take the change back from ``after`` or ``between``; ``force``: from ``other``, too; ``before``: do nothing.

        Raises Refused or OSError. It may be called again after a kill in the middle of it.
        """
        raise NotImplementedError

    def keeps(self) -> int:
        """Bytes on the disk that are kept for ``undo`` alone, once it is applied: ``forget`` frees them."""
        return 0

    def forget(self) -> None:
        """Give up what is kept only for ``undo`` (quarantine, copies): it cannot be undone afterwards."""

    def stands_on(self) -> list[str]:
        """What it changes, as two fixes of the same thing name it alike: absolute paths, names of values.

        A later fix of the same, or of something inside it, has to be undone first.
        """
        return [one.what for one in self.describe()]

    def environ_after(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment variables that a program started from now on gets where this one had ``environ``."""
        return dict(environ)

    def target_after(self) -> str:
        """The interpreter or environment to inspect afterwards, where the action made a new one; "" for the same."""
        return ""

    def still_to_do(self, *, undone: bool = False) -> list[str]:
        """What the person has to do for the change (``undone``: the undo) to take effect ("open a new terminal")."""
        return []


def quiet(what: str, done: int, total: int) -> None:
    """A Progress that says nothing."""


def plain(value: Any) -> str:
    """A value as a plan shows it; None is "not set"."""
    return "not set" if value is None else str(value)
