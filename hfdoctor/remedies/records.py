"""What the journal holds: its records, how a line is sealed, and the fix that they tell of."""

from __future__ import annotations

import re
import zlib
from typing import Literal

import msgspec

from .kinds.registered import Kind

FORMAT = "hfdoctor.journal/1"
FAMILY, _, VERSION = FORMAT.partition("/")

What = Literal["format", "begin", "start", "done", "undo", "undone", "end", "forgotten"]
How = Literal["", "done", "rolled-back", "undone"]


class Record(msgspec.Struct, omit_defaults=True):
    """One line. ``run`` numbers the fixes from 1; ``action`` counts the actions of a run from 0; ``at`` is UTC."""

    what: What
    at: str = ""
    run: int = 0
    action: int = 0
    #: of "format"
    format: str = ""
    #: of "begin"
    condition: str = ""
    choice: str = ""
    python: str = ""
    hfdoctor: str = ""
    token: str = ""
    actions: list[Kind] = []
    #: of "end": how it ended, and why where that is not "done"
    how: How = ""
    reason: str = ""


class Run(msgspec.Struct):
    """One fix as the journal tells it. ``how`` is "" while it is open: its process ended in the middle.

    A fix whose last action is confirmed is done, also if a full disk left no room to say so at its end.
    """

    number: int
    begin: Record
    started: set[int] = msgspec.field(default_factory=set)
    done: set[int] = msgspec.field(default_factory=set)
    undone: set[int] = msgspec.field(default_factory=set)
    how: How = ""
    ended_at: str = ""
    reason: str = ""
    forgotten: bool = False
    #: what was done is being undone, by the person's will
    going_back: bool = False

    @property
    def open(self) -> bool:
        """Whether a process ended in the middle of it."""
        return not self.how

    @property
    def state(self) -> str:
        """Where it stands, in a word: done, cut-short, undone, rolled-back, forgotten."""
        if self.forgotten and self.how in ("", "done"):
            return "forgotten"
        return self.how or "cut-short"

    @property
    def standing(self) -> list[int]:
        """The actions that were begun and not taken back, the last one first."""
        return sorted(self.started - self.undone, reverse=True)

    @property
    def can_be_undone(self) -> bool:
        """Whether ``undo`` means it: it is done or was cut short, and not given up."""
        return not self.forgotten and (self.open or (self.how == "done" and bool(self.standing)))

    def check(self, record: Record) -> None:
        """Raises ValueError if ``record`` cannot come next."""
        count = len(self.begin.actions)
        if record.what in ("start", "done", "undo", "undone"):
            if not 0 <= record.action < count:
                raise ValueError(f"no action {record.action}")
            if record.what != "start" and record.action not in self.started:
                raise ValueError(f"action {record.action} was not begun")
        elif record.what == "end" and not record.how:
            raise ValueError("an end that does not say how")

    def take(self, record: Record) -> None:
        """Note what ``record`` tells."""
        if record.what == "start":
            self.started.add(record.action)
        elif record.what == "done":
            self.done.add(record.action)
            if len(self.done) == len(self.begin.actions):
                self.how, self.ended_at = "done", record.at
        elif record.what == "undo":
            self.going_back = self.going_back or self.how == "done"
            self.how, self.ended_at, self.reason = "", "", ""
        elif record.what == "undone":
            self.undone.add(record.action)
        elif record.what == "end":
            self.how, self.ended_at, self.reason = record.how, record.at, record.reason
            self.going_back = False
        elif record.what == "forgotten":
            self.forgotten = True


def seal(body: bytes, before: int) -> tuple[bytes, int]:
    """A line of the journal and its checksum, in which the one of the line ``before`` is: none can be lost unseen."""
    checksum = zlib.crc32(body, before)
    return b"%08x " % checksum + body + b"\n", checksum


def opened(line: bytes, before: int) -> tuple[bytes, int] | None:
    """The record in a line (without its end) and its checksum, or None if the line is not as it was written."""
    body = line[9:]
    checksum = zlib.crc32(body, before)
    return (body, checksum) if body and line[:9] == b"%08x " % checksum else None


def format_in(line: bytes) -> str:
    """The version of the format that a first line names, whatever else is in it; "" if it names none."""
    found = re.search(rb'"%s/([\w.]{1,20})"' % re.escape(FAMILY.encode()), line)
    return found.group(1).decode() if found else ""


def may_begin_a_journal(torn: bytes) -> bool:
    """Whether what is all of a file can be the beginning of a first line that was torn."""
    return re.match(rb"[0-9a-f]{0,8}\0*$|[0-9a-f]{8} (\{|\0|$)", torn) is not None
