"""A file or folder that moves: by a rename on its own volume, else copied, checked, switched and removed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat

from ...conditions.byte_count import size
from ...conditions.changes import TreeMove
from .. import quarantine
from ..action import Action, Difference, Needs, NothingToDo, Progress, Refused, Seen, Workplace
from ..anchored import Identity, chain_of, identity, is_folder, is_link, modes_of, open_folder, open_way
from ..bounds import located, refuse_both, refuse_what_must_stay
from ..path_text import long_path, read_back, shown, written
from ..transfer import Transfer
from ..trees import Kind, Size, kind_of
from ..volumes import volume_of
from ..weighing import Weight, refuse_no_room, refuse_volume, weigh


class MoveAction(Action, tag_field="kind", tag="move"):
    """``source`` becomes ``destination``. Paths are in the form of ``path_text.written``."""

    source: str
    destination: str
    type: Kind
    who: Identity
    size: Size
    #: it is copied to another volume, where it takes ``copy_bytes``
    across: bool
    copy_bytes: int
    #: of the folder that the source is in, and of the nearest one above the destination that existed
    parent: Identity
    start: Identity
    #: of the folders above them, topmost first; the destination's end where they did not exist yet
    source_modes: list[int]
    destination_modes: list[int]
    #: rights of the empty folder that stood at the destination, -1 if none did
    empty_mode: int
    #: only the spelling (aB, ab) changes on a volume to which both are one name
    respelled: bool
    #: the fix's own folder, for the marks of how far a copy came
    folder: str
    token: str
    #: where something new that stands at the source goes when an undo is insisted on
    spots: list[quarantine.Spot]

    def describe(self) -> list[Difference]:
        """Old path, new path, and how much it is."""
        holds = f", {self.size.entries:,} files and folders" if self.type == "folder" else ""
        return [
            Difference(f"{self.type} with {size(self.size.bytes)}{holds}", shown(self.source), shown(self.destination))
        ]

    def needs(self) -> Needs:
        """Room for the copy, on another volume."""
        return Needs(disk_bytes=self.copy_bytes)

    def stands_on(self) -> list[str]:
        """Both places."""
        return [shown(self.source), shown(self.destination)]

    # where things are

    @property
    def _from(self) -> str:
        return read_back(self.source)

    @property
    def _to(self) -> str:
        return read_back(self.destination)

    def _transfer(self, way: str) -> Transfer:
        own = hashlib.blake2b(f"{self.source}\0{self.destination}".encode(), digest_size=4).hexdigest()
        marks = os.path.join(read_back(self.folder), f"move-{own}-{way}.json")
        if way == "there":
            return Transfer(self._from, self._to, marks, self.token, self._new_modes(), over_empty=self.empty_mode >= 0)
        return Transfer(self._to, self._from, marks, self.token, self.source_modes)

    def _new_modes(self) -> list[int]:
        """Of all folders above the destination: those that are made are no more open than the one they are made in."""
        missing = len(self._to_chain()) - len(self.destination_modes)
        return [*self.destination_modes, *[0o700 | (self.destination_modes[-1] & 0o055)] * missing]

    def _to_chain(self) -> list[str]:
        return chain_of(os.path.dirname(self._to))

    def _made(self) -> list[str]:
        """The folders above the destination that this made, or will make, the deepest first."""
        return self._to_chain()[len(self.destination_modes) :][::-1]

    # what is found

    def look(self) -> Seen:
        """Where the tree is now."""
        if not self.across:
            return self._look_renamed()
        there, back = self._transfer("there"), self._transfer("back")
        phase = there.mark.phase
        if back.mark.phase:
            return Seen("between")
        stands, moved = _stands(self._from), _stands(self._to)
        waits = _stands(there.old)
        if phase == "left":
            if waits:
                return Seen("between")
            if not moved:
                return self._other("gone, or its disk is not attached")
            return self._taken() if stands else Seen("after")
        if phase == "leaving" and waits:
            return self._taken() if stands else Seen("between")
        if not stands:
            return Seen("other", [Difference(shown(self.source), "what it was when this was planned", "gone")])
        if phase in ("copied", "leaving") and there.arrived(there.mark) and there.changed(there.mark):
            return self._other("changed since it was copied")
        return Seen("between" if phase or self._part_made() else "before")

    def _look_renamed(self) -> Seen:
        if self.respelled:
            with open_folder(os.path.dirname(self._from)) as parent:
                return Seen("after" if os.path.basename(self._to) in parent.names() else "before")
        source, destination = _number(self._from), _number(self._to)
        if source is None:
            if destination is None:
                return self._other("gone")
            return Seen("after")
        if destination == self.who.number and source != self.who.number:
            return self._taken()
        return Seen("between" if self._part_made() else "before")

    def _part_made(self) -> bool:
        """Whether the way to the destination is made although the source did not go it."""
        gone = self.empty_mode >= 0 and not _stands(self._to)
        return gone or any(_stands(folder) for folder in self._made()[-1:])

    def _other(self, words: str) -> Seen:
        return Seen("other", [Difference(shown(self._to), f"what was moved from {shown(self.source)}", words)])

    def _taken(self) -> Seen:
        """Somebody put something at the old place."""
        there = f"nothing (it was moved to {shown(self.destination)})"
        return Seen("other", [Difference(shown(self.source), there, "something new")])

    # forth

    def apply(self, progress: Progress) -> None:
        """Rename it, or copy, check, switch and remove."""
        if self.across and self._transfer("back").mark.phase:
            self.undo(progress)  # it was being taken back when its process died
        state = self.look().state
        if state == "after":
            return
        there = self._transfer("there")
        if self.across and there.mark.phase in ("copied", "leaving", "left"):
            there.run(progress, self.size)
            return
        there.drop_part()
        self._refuse_another()
        if self.across:
            there.run(progress, self.size)
        else:
            self._rename(self._from, self._to, self._new_modes(), over_empty=self.empty_mode >= 0)

    def _refuse_another(self) -> None:
        """Raises Refused if what was planned is not what stands there now."""
        with open_folder(os.path.dirname(self._from), self.parent) as parent:
            found = parent.find(os.path.basename(self._from))
            if found is None or identity(found) != self.who or kind_of(found) != self.type:
                raise Refused(f"{shown(self.source)} is not any more what it was when this was planned: plan it again")
        nearest = self._to_chain()[len(self.destination_modes) - 1]
        open_folder(nearest, self.start).close()
        if self.across:
            refuse_no_room(nearest, Weight(self.size, self.copy_bytes))

    def _rename(self, old: str, new: str, modes: list[int], *, over_empty: bool = False) -> None:
        with open_folder(os.path.dirname(old)) as one, open_way(os.path.dirname(new), modes) as other:
            try:
                one.rename(os.path.basename(old), other, os.path.basename(new), over_empty=over_empty)
            except FileExistsError:
                raise Refused(f"something new stands at {shown(new)}: move it away first") from None
            except OSError as error:
                raise Refused(quarantine.rename_words(error, old)) from None
            other.sync()
            one.sync()

    # back

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """Move it back with all that came into it since; with ``force`` what is new at the old place is put away."""
        seen = self.look()
        if seen.state == "other" and not force:
            raise Refused(f"{seen.shows[0].what} is {seen.shows[0].new}")
        if not self.across:
            if seen.state == "other" and not _stands(self._to):
                raise Refused(f"{shown(self.destination)} is gone: it cannot be moved back")
            if seen.state in ("after", "other"):
                if seen.state == "other":
                    quarantine.displace(self.spots, self._from)
                self._rename(self._to, self._from, self.source_modes)
        else:
            self._bring_back(progress, force)
        self._tidy()

    def _bring_back(self, progress: Progress, force: bool) -> None:
        there, back = self._transfer("there"), self._transfer("back")
        if there.mark.phase != "left" and not back.mark.phase:
            there.cancel(force=force)
            there.unmark()
            return
        if back.mark.phase != "left":
            there.remove_old(progress)
            if back.mark.phase in ("", "copying"):
                if not _stands(self._to):
                    raise Refused(
                        f"{shown(self.destination)} is gone, or its disk is not attached: nothing to move back"
                    )
                if _stands(self._from):
                    if not force:
                        raise Refused(f"something new stands at {shown(self.source)}: move it away first")
                    quarantine.displace(self.spots, self._from)
        try:
            if back.mark.phase in ("", "copying"):
                back.drop_part()
                with open_folder(os.path.dirname(self._to)) as above:
                    weight = weigh(above, os.path.basename(self._to), _nearest(self._from))
                refuse_no_room(_nearest(self._from), weight)
            back.run(progress, self.size)
        except (OSError, Refused):
            if back.mark.phase != "left":  # it stays where it was moved to, whole
                back.cancel()
                back.unmark()
            raise
        there.unmark()
        back.unmark()

    def _tidy(self) -> None:
        """What stood where the tree went: the empty folder, or none of the folders above."""
        quarantine.tidy(self.spots)
        if self.empty_mode >= 0 and not _stands(self._to):
            open_way(self._to, [*self._new_modes(), self.empty_mode]).close()
        for folder in self._made():
            try:
                with open_folder(os.path.dirname(folder)) as above:
                    above.rmdir(os.path.basename(folder))
                    above.sync()
            except FileNotFoundError:
                continue
            except (OSError, Refused):
                break  # somebody put something there

    def forget(self) -> None:
        """Remove what an undo put away, and the marks."""
        quarantine.empty(self.spots)
        for way in ("there", "back"):
            self._transfer(way).unmark()
        with contextlib.suppress(OSError):
            os.rmdir(long_path(read_back(self.folder)))


def _stands(path: str) -> bool:
    return os.path.lexists(long_path(path))


def _number(path: str) -> int | None:
    try:
        return os.lstat(long_path(path)).st_ino
    except (FileNotFoundError, NotADirectoryError):
        return None


def _nearest(path: str) -> str:
    at = os.path.dirname(path)
    while not os.path.isdir(long_path(at)):
        at = os.path.dirname(at)
    return at


def prepare_move(change: TreeMove, place: Workplace) -> MoveAction:
    """See ``registered.prepare``."""
    source = located(change.source, place)
    destination = located(change.destination, place, links=True)
    try:
        return _prepared(source, destination, place)
    except OSError as error:
        raise Refused(f"{shown(error.filename or source)}: {error.strerror or error}") from None


def _prepared(source: str, destination: str, place: Workplace) -> MoveAction:
    try:
        found = os.lstat(long_path(source))
    except (FileNotFoundError, NotADirectoryError):
        raise NothingToDo from None
    if is_link(found):
        raise Refused(f"{shown(source)} is a link to another place: what it leads to stays; move that by its own path")
    refuse_what_must_stay(source, place)
    respelled = refuse_both(source, destination)
    nearest = _nearest(destination)
    parent = os.path.dirname(source)
    across = volume_of(parent) != volume_of(nearest)
    empty_mode = -1 if respelled else _empty_there(destination)
    with open_folder(parent) as above, open_folder(nearest) as start:
        weight = weigh(above, os.path.basename(source), nearest if across else None)
        refuse_volume(nearest, weight)
        if across:
            refuse_no_room(nearest, weight)
        return MoveAction(
            source=written(source),
            destination=written(destination),
            type=kind_of(found),
            who=identity(found),
            size=weight.size,
            across=across,
            copy_bytes=weight.copy_bytes,
            parent=above.who,
            start=start.who,
            source_modes=modes_of(parent),
            destination_modes=modes_of(nearest),
            empty_mode=empty_mode,
            respelled=respelled,
            folder=written(os.fspath(place.folder)),
            token=place.token,
            spots=_spots(source, place),
        )


def _spots(source: str, place: Workplace) -> list[quarantine.Spot]:
    try:
        return quarantine.spots_for(source, place)
    except Refused:
        return []  # then an undo cannot be insisted on


def _empty_there(destination: str) -> int:
    """The rights of an empty folder at the destination, -1 if nothing is there. Raises Refused for anything else."""
    try:
        found = os.lstat(long_path(destination))
    except FileNotFoundError:
        return -1
    if is_folder(found) and not os.listdir(long_path(destination)):
        return stat.S_IMODE(found.st_mode)
    raise Refused(f"{shown(destination)} exists already: hfdoctor overwrites nothing; name another place")
