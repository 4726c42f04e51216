"""A file, folder or link that is put away and can be put back."""

from __future__ import annotations

import os

from ...conditions.byte_count import size
from ...conditions.changes import PutAway
from .. import quarantine
from ..action import Action, Difference, Needs, NothingToDo, Progress, Refused, Seen, Workplace
from ..anchored import Identity, identity, modes_of, open_folder, open_way
from ..bounds import located, refuse_what_must_stay
from ..path_text import long_path, read_back, shown, written
from ..trees import Kind, Size, kind_of, size_of

_WORDS = {"file": "file", "folder": "folder", "link": "link", "other": "special file"}


class QuarantineAction(Action, tag_field="kind", tag="quarantine"):
    """``path`` goes into one of ``spots`` by a rename. Paths are in the form of ``path_text.written``."""

    path: str
    type: Kind
    who: Identity
    size: Size
    mtime_ns: int
    #: of the folder that it is in
    parent: Identity
    #: of the folders above it, topmost first, for the case that they are gone when it is put back
    modes: list[int]
    spots: list[quarantine.Spot]

    def describe(self) -> list[Difference]:
        """The thing with its size, and that it is kept."""
        holds = f", {self.size.entries:,} files and folders" if self.type == "folder" else ""
        what = f"{_WORDS[self.type]} {shown(self.path)}"
        return [
            Difference(
                what, f"in its place ({size(self.size.bytes)}{holds})", "put away, kept on the same disk for an undo"
            )
        ]

    def needs(self) -> Needs:
        """Nothing: a rename. The room comes free when the quarantine is emptied."""
        return Needs()

    def stands_on(self) -> list[str]:
        """Its path."""
        return [shown(self.path)]

    @property
    def _plain(self) -> str:
        return read_back(self.path)

    @property
    def _name(self) -> str:
        return os.path.basename(self._plain)

    def _is_the_one(self, found: os.stat_result) -> bool:
        """Whether it is what was shown: a new file may get the number of the one that it replaced."""
        if identity(found) != self.who or kind_of(found) != self.type:
            return False
        return self.type != "file" or (found.st_size, found.st_mtime_ns) == (self.size.bytes, self.mtime_ns)

    def look(self) -> Seen:
        """Where the thing is now."""
        kept = quarantine.holder(self.spots, self._name) is not None
        stands = os.path.lexists(long_path(self._plain))
        what = f"{_WORDS[self.type]} {shown(self.path)}"
        away = "nothing (it was put away)"
        if kept:
            return Seen("other", [Difference(what, away, "something new")]) if stands else Seen("after")
        if stands:
            if not self._is_the_one(os.lstat(long_path(self._plain))):
                return Seen("other", [Difference(what, "what it was when this was planned", "something else")])
            return Seen("between" if quarantine.begun(self.spots) else "before")
        return Seen("other", [Difference(what, away, "gone, and not in the quarantine either")])

    def apply(self, progress: Progress) -> None:
        """Rename it."""
        if quarantine.holder(self.spots, self._name) is not None:
            if os.path.lexists(long_path(self._plain)):
                raise Refused(f"{shown(self.path)} was put away already, and something new stands there")
            return
        with open_folder(os.path.dirname(self._plain), self.parent) as parent:
            found = parent.find(self._name)
            if found is None or not self._is_the_one(found):
                raise Refused(f"{shown(self.path)} is not any more what it was when this was planned: plan it again")
            quarantine.put(self.spots, parent, self._name)

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """Rename it back; with ``force`` what stands in its place is put away first."""
        spot = quarantine.holder(self.spots, self._name)
        if spot is None:
            quarantine.tidy(self.spots)
            if not os.path.lexists(long_path(self._plain)):
                raise Refused(f"{shown(self.path)} is not in the quarantine any more: it cannot be put back")
            return
        with open_way(os.path.dirname(self._plain), self.modes) as parent:
            if parent.find(self._name) is not None:
                if not force:
                    raise Refused(f"something new stands at {shown(self.path)}: move it away first")
                quarantine.displace(self.spots, self._plain)
            kept = quarantine.entered(spot)
            if kept is None:
                raise Refused(f"{shown(self.path)} is not in the quarantine any more: it cannot be put back")
            with kept:
                try:
                    kept.rename(self._name, parent, self._name)
                except OSError as error:
                    raise Refused(quarantine.rename_words(error, kept.of(self._name))) from None
                parent.sync()
                kept.sync()
        quarantine.tidy(self.spots)

    def keeps(self) -> int:
        """All of it."""
        return self.size.bytes

    def forget(self) -> None:
        """Remove it for good: now its room comes free."""
        quarantine.empty(self.spots)


def prepare_quarantine(change: PutAway, place: Workplace) -> QuarantineAction:
    """See ``registered.prepare``."""
    path = located(change.path, place)
    try:
        found = os.lstat(long_path(path))
    except (FileNotFoundError, NotADirectoryError):
        raise NothingToDo from None
    except OSError as error:
        raise Refused(f"{shown(path)} cannot be looked at: {error.strerror or error}") from None
    refuse_what_must_stay(path, place)
    if os.name == "posix" and found.st_uid != os.geteuid():
        raise Refused(f"{shown(path)} belongs to another user: hfdoctor does not put it away")
    parent = os.path.dirname(path)
    try:
        with open_folder(parent) as folder:
            amount = size_of(folder, os.path.basename(path))
            return QuarantineAction(
                path=written(path),
                type=kind_of(found),
                who=identity(found),
                size=amount,
                mtime_ns=found.st_mtime_ns,
                parent=folder.who,
                modes=modes_of(parent),
                spots=quarantine.spots_for(path, place),
            )
    except OSError as error:
        raise Refused(f"{shown(error.filename or path)} cannot be looked at: {error.strerror or error}") from None
