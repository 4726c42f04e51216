"""The journal: one line before and one after each action, on the disk before the machine is touched.

A line is a checksum and one JSON record. The first one names the format. A last line that is torn (a kill, a full
disk, a power cut while it was written) never happened: what it announces had not begun, or shows on the machine. A
torn line with sound ones after it is damage, and nothing is done with such a journal.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from .action import Refused
from .kinds.registered import Kind
from .place import own_folder

FORMAT = "hfdoctor.journal/1"
FAMILY, _, VERSION = FORMAT.partition("/")

What = Literal["format", "begin", "start", "done", "undo", "undone", "end", "forgotten"]
How = Literal["", "done", "rolled-back", "undone"]


class Record(msgspec.Struct, omit_defaults=True):
    """One line. ``run`` numbers the fixes from 1; ``action`` counts the actions of a run from 0."""

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
    """One fix as the journal tells it. ``how`` is "" while it is open: its process ended in the middle."""

    number: int
    begin: Record
    started: set[int] = msgspec.field(default_factory=set)
    done: set[int] = msgspec.field(default_factory=set)
    undone: set[int] = msgspec.field(default_factory=set)
    how: How = ""
    ended_at: str = ""
    reason: str = ""
    forgotten: bool = False

    @property
    def open(self) -> bool:
        """Whether a process ended in the middle of it."""
        return not self.how


class Journal:
    """The journal of one person. Use ``locked`` to change anything; reading needs no lock."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.path = state / "journal.jsonl"
        self.runs: dict[int, Run] = {}
        #: bytes of sound lines; what comes after them was torn
        self._sound = 0

    def read(self) -> Journal:
        """Read the file; one that does not exist is empty. Raises Refused if it is damaged, newer or unreadable."""
        self.runs = {}
        self._sound = 0
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return self
        except OSError as error:
            raise Refused(f"the journal {self.path} cannot be read: {error.strerror or error}") from None
        decoder = msgspec.json.Decoder(Record)
        torn = 0
        for number, line in enumerate(data.splitlines(keepends=True), 1):
            body = _sound_body(line)
            if body is None:
                torn = torn or number
                continue
            if torn:
                raise Refused(
                    f"the journal {self.path} is damaged at line {torn}; move it away to begin a new one "
                    "(what it tells of can then only be undone by hand)"
                )
            if number == 1:
                self._check_format(body)
            try:
                self._take(decoder.decode(body))
            except (msgspec.MsgspecError, KeyError, IndexError):
                raise Refused(
                    f"line {number} of the journal {self.path} is not hfdoctor's; a newer hfdoctor may have written it"
                ) from None
            self._sound += len(line)
        return self

    def _check_format(self, body: bytes) -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            head = msgspec.json.decode(body)
            told = str(head.get("format", "")) if isinstance(head, dict) else ""
            family, _, version = told.partition("/")
            if family == FAMILY and version != VERSION:
                raise Refused(f"the journal {self.path} is from another hfdoctor (format {version}): use that one")

    def _take(self, record: Record) -> None:
        if record.what == "format":
            return
        if record.what == "begin":
            self.runs[record.run] = Run(record.run, record)
            return
        run = self.runs[record.run]
        if record.what == "start":
            run.started.add(record.action)
        elif record.what == "done":
            run.done.add(record.action)
        elif record.what == "undo":
            run.how = ""  # it is being taken back: open until its end is told
        elif record.what == "undone":
            run.undone.add(record.action)
        elif record.what == "end":
            run.how, run.ended_at, run.reason = record.how, record.at, record.reason
        elif record.what == "forgotten":
            run.forgotten = True

    @contextlib.contextmanager
    def locked(self) -> Iterator[Journal]:
        """Hold the journal alone and read it. Raises Refused if another hfdoctor holds it, or as ``read`` does."""
        import filelock

        own_folder(self.state)
        lock = filelock.FileLock(self.state / "lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise Refused("another hfdoctor is changing something for you right now: wait until it is done") from None
        except OSError as error:
            raise Refused(f"hfdoctor cannot keep its journal in {self.state}: {error.strerror or error}") from None
        try:
            yield self.read()
        finally:
            lock.release()

    def next_number(self) -> int:
        """The number of the next run."""
        return max(self.runs, default=0) + 1

    def write(self, record: Record) -> None:
        """Add one record and wait until it is on the disk. Raises Refused if that fails: nothing was added then."""
        import time

        record.at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        lines = _line(record)
        if not self._sound:
            lines = _line(Record("format", format=FORMAT, at=record.at)) + lines
        new = not self.path.exists()
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            try:
                os.ftruncate(handle, self._sound)  # a torn line never happened
                os.lseek(handle, self._sound, os.SEEK_SET)
                written = 0
                while written < len(lines):
                    written += os.write(handle, lines[written:])
                os.fsync(handle)
            finally:
                os.close(handle)
            if new and os.name == "posix":
                folder = os.open(self.state, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        except OSError as error:
            raise Refused(f"the journal {self.path} cannot be written: {error.strerror or error}") from None
        self._sound += len(lines)
        self._take(record)


def _line(record: Record) -> bytes:
    body = msgspec.json.encode(record)
    return b"%08x " % zlib.crc32(body) + body + b"\n"


def _sound_body(line: bytes) -> bytes | None:
    """The record of a line, or None if the line is torn."""
    checksum, _, body = line[:-1].partition(b" ")
    if not line.endswith(b"\n") or not body or b"%08x" % zlib.crc32(body) != checksum:
        return None
    return body
