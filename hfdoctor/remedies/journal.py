"""The journal: one line before and one after each action, on the disk before the machine is touched.

A line is a checksum and one JSON record. The first one names the format. A last line that is torn (a kill, a full
disk, a power cut while it was written) never happened: what it announces had not begun, or shows on the machine.
Any other line that is not as it was written is damage, and nothing is done with such a journal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from .action import Refused
from .durable import settle, settle_folder, write_all
from .place import own_folder
from .records import FORMAT, VERSION, How, Record, Run, What, format_in, may_begin_a_journal, opened, seal

__all__ = ["FORMAT", "How", "Journal", "Record", "Run", "Unwritten", "What"]

#: no link is followed, no reader of a pipe is waited for
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Unwritten(Refused):
    """A record could not be brought to the disk: it was not added."""


class Journal:
    """The journal of one person. Use ``locked`` to change anything; reading needs no lock."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.path = state / "journal.jsonl"
        self.runs: dict[int, Run] = {}
        #: bytes of sound lines, and the checksum of the last of them; what comes after them was torn
        self._sound = 0
        self._checksum = 0
        #: bytes of the whole file; None: not known, as writing it was broken off
        self._size: int | None = 0
        self._held = False

    def read(self) -> Journal:
        """Read the file; one that does not exist is empty. Raises Refused if it is damaged, newer or unreadable."""
        self.runs = {}
        self._sound = self._checksum = 0
        data = self._bytes()
        self._size = len(data)
        if not data:
            return self
        *lines, torn = data.split(b"\n")
        decode = msgspec.json.Decoder(Record).decode
        for number, line in enumerate(lines, 1):
            found = opened(line, self._checksum)
            if number == 1:
                self._check_format(line)
            if found is None:
                start, lost, _ = line.partition(b"\0")
                if number == len(lines) and not torn and lost and opened(start, self._checksum) is None:
                    torn = line  # a block of the last line did not reach the disk before the power went
                    break
                raise self._damaged(number)
            try:
                record = decode(found[0])
                self._check(record)
                self._take(record)
            except (msgspec.MsgspecError, ValueError):
                raise Refused(
                    f"line {number} of the journal {self.path} is not known here: a newer hfdoctor wrote it, use that"
                ) from None
            self._checksum = found[1]
            self._sound += len(line) + 1
        if torn and opened(torn[:-1], self._checksum) is not None:
            raise self._damaged(len(lines) + 1)  # a sound line, whose end is not its own
        if torn and not self._sound and not may_begin_a_journal(torn):
            raise self._damaged(1)
        return self

    def _bytes(self) -> bytes:
        try:
            handle = os.open(self.path, os.O_RDONLY | _SAFELY)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._unusable("read", error) from None
        try:
            self._check_file(os.fstat(handle))
            with open(handle, "rb", closefd=False) as file:
                return file.read()
        except OSError as error:
            raise self._unusable("read", error) from None
        finally:
            os.close(handle)

    def _check_file(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f"the journal {self.path} is not a file")
        if os.name == "posix":
            if found.st_uid != os.geteuid():
                raise Refused(f"the journal {self.path} belongs to another user: hfdoctor will not trust it")
            if stat.S_IMODE(found.st_mode) & 0o022:
                raise Refused(f"others can write to the journal {self.path}: hfdoctor will not trust it")

    def _unusable(self, verb: str, error: OSError) -> Refused:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror or str(error)
        kind = Refused if verb == "read" else Unwritten
        return kind(f"the journal {self.path} cannot be {verb}: {why}")

    def _damaged(self, line: int) -> Refused:
        return Refused(
            f"the journal {self.path} is damaged at line {line}; move it away to begin a new one "
            "(what it tells of can then only be undone by hand)"
        )

    def _check_format(self, line: bytes) -> None:
        told = format_in(line)
        if told and told != VERSION:
            raise Refused(
                f"the journal {self.path} was written by another hfdoctor (format {told}, this one knows {VERSION}): "
                "use that one"
            )

    def _check(self, record: Record) -> None:
        """Raises ValueError if ``record`` cannot come next."""
        if record.what == "format":
            if self._sound or record.format != FORMAT:
                raise ValueError("a second beginning")
        elif not self._sound:
            raise ValueError("no format")
        elif record.what == "begin":
            if record.run < self.next_number():
                raise ValueError(f"run {record.run} again")
        elif record.run not in self.runs:
            raise ValueError(f"no run {record.run}")
        else:
            self.runs[record.run].check(record)

    def _take(self, record: Record) -> None:
        if record.what == "begin":
            self.runs[record.run] = Run(record.run, record)
        elif record.what != "format":
            self.runs[record.run].take(record)

    @contextlib.contextmanager
    def locked(self) -> Iterator[Journal]:
        """Hold the journal alone and read it. Raises Refused if another hfdoctor holds it, or as ``read`` does."""
        import filelock

        own_folder(self.state)
        if (self.state / "lock").is_symlink():  # older filelocks follow it
            raise Refused(f"hfdoctor cannot keep its journal in {self.state}: {self.state / 'lock'} is a link")
        lock = filelock.FileLock(self.state / "lock", timeout=0, mode=0o600)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise Refused("another hfdoctor is changing something for you right now: wait until it is done") from None
        except NotImplementedError:
            raise Refused(f"hfdoctor cannot keep its journal in {self.state}: files cannot be locked there") from None
        except OSError as error:
            raise Refused(f"hfdoctor cannot keep its journal in {self.state}: {error.strerror or error}") from None
        try:
            self._held = True
            yield self.read()
        finally:
            self._held = False
            lock.release()

    def next_number(self) -> int:
        """The number of the next run."""
        return next(reversed(self.runs), 0) + 1

    def open_runs(self) -> list[Run]:
        """The fixes whose process ended in the middle, the oldest first."""
        return [run for run in self.runs.values() if run.open and not run.forgotten]

    def write(self, record: Record) -> None:
        """Add one record and wait until it is on the disk. Raises Unwritten if that fails: nothing was added then."""
        import time

        if not self._held:
            raise RuntimeError("the journal is not locked")
        record.at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if not self._sound:
            self._append(Record("format", at=record.at, format=FORMAT))
        self._append(record)

    def _append(self, record: Record) -> None:
        self._check(record)
        try:
            line, checksum = seal(msgspec.json.encode(record), self._checksum)
        except UnicodeEncodeError:
            raise Unwritten("a name that is not Unicode text cannot be written into the journal") from None
        try:
            handle = os.open(self.path, os.O_RDWR | (0 if self._sound else os.O_CREAT) | _SAFELY, 0o600)
            try:
                self._prepare(handle)
                self._size = None
                try:
                    os.lseek(handle, self._sound, os.SEEK_SET)
                    write_all(handle, line)
                    settle(handle)
                    if not self._sound:
                        settle_folder(self.state)
                except OSError:
                    with contextlib.suppress(OSError):  # else the next one does it
                        os.ftruncate(handle, self._sound)
                    raise
            finally:
                os.close(handle)
        except OSError as error:
            raise self._unusable("written", error) from None
        self._sound += len(line)
        self._size = self._sound
        self._checksum = checksum
        self._take(record)

    def _prepare(self, handle: int) -> None:
        """See that the file is the one that was read, private, and without its torn end."""
        found = os.fstat(handle)
        self._check_file(found)
        if found.st_size < self._sound or self._size not in (None, found.st_size):
            raise Unwritten(f"the journal {self.path} was changed by another program: run hfdoctor again")
        if os.name == "posix" and stat.S_IMODE(found.st_mode) & 0o077:
            os.fchmod(handle, 0o600)
        if found.st_size > self._sound:
            os.ftruncate(handle, self._sound)
