"""A tree copied to another volume: everything it holds, and proof that the copy is what was read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import sys
from collections.abc import Iterator
from typing import NamedTuple

from .action import Progress, Refused
from .anchored import Folder, identity, is_folder
from .durable import write_all
from .path_text import shown
from .trees import DEEPEST, Kind, kind_of, walk

#: bytes read and written at a time
_PIECE = 4 * 2**20
#: ns; the coarsest times that a volume keeps (FAT) are two seconds
_COARSE = 2 * 10**9


class Copied(NamedTuple):
    """One entry as it was read: ``text`` of a link, ``digest`` of a file, ``twin`` the path of its first name."""

    kind: Kind
    mode: int
    size: int
    mtime_ns: int
    text: str = ""
    digest: bytes = b""
    twin: str = ""


class Copy:
    """Copies the tree ``name`` in ``source`` to ``new`` in ``into``; ``total`` bytes are expected."""

    def __init__(self, source: Folder, name: str, into: Folder, new: str, total: int, progress: Progress) -> None:
        self.source, self.name = source, name
        self.into, self.new = into, new
        self.entries: dict[str, Copied] = {}
        self._total = total
        self._progress = progress
        self._done = 0
        self._device = source.look(name).st_dev
        #: the first copy of each file that has several names: where it is (folders from the root), and its path
        self._first: dict[tuple[int, int], str] = {}
        self._buffer = bytearray(_PIECE)

    def make(self) -> None:
        """Copy everything. Raises OSError; Refused at what cannot be copied so that it is the same again."""
        self._one(self.source, self.name, self.into, self.new, "", 0)
        self.into.sync_volume()

    def _one(self, source: Folder, name: str, into: Folder, new: str, path: str, deep: int) -> None:
        found = source.look(name)
        kind = kind_of(found)
        refuse_uncopiable(source.of(name), found, self._device)
        entry = Copied(kind, stat.S_IMODE(found.st_mode), found.st_size, found.st_mtime_ns)
        self.entries[path] = entry  # in its place already: a folder stands before what is in it, as on a walk
        key = (found.st_dev, found.st_ino)
        if kind == "folder":
            if deep > DEEPEST:
                raise Refused(f"{shown(source.of(name))[:200]}... lies more than {DEEPEST} folders deep")
            into.mkdir(new)
            with source.enter(name) as inner, into.enter(new) as made:
                for one in sorted(inner.names()):
                    self._one(inner, one, made, one, f"{path}/{one}" if path else one, deep + 1)
        elif kind == "link":
            entry = entry._replace(text=source.readlink(name))
            into.symlink(entry.text, new, folder=bool(getattr(found, "st_file_attributes", 0) & 0x10))
        elif key in self._first:
            entry = self._second_name(entry, self._first[key], into, new)
        else:
            if found.st_nlink > 1:
                self._first[key] = path
            entry = entry._replace(digest=self._file(source, name, found, into, new))
        self.entries[path] = entry
        if entry.twin == "":
            _dress(into, new, found)

    def _second_name(self, entry: Copied, first: str, into: Folder, new: str) -> Copied:
        names = first.split("/")
        with contextlib.ExitStack() as held:
            at = held.enter_context(self.into.enter(self.new))
            for name in names[:-1]:
                at = held.enter_context(at.enter(name))
            into.link(at, names[-1], new)
        return entry._replace(twin=first, digest=self.entries[first].digest)

    def _file(self, source: Folder, name: str, found: os.stat_result, into: Folder, new: str) -> bytes:
        sparse = getattr(found, "st_blocks", 1) * 512 < found.st_size
        digest = hashlib.blake2b()
        with io.FileIO(source.read(name), "rb") as reader, _closing(into.create(new)) as writer:
            if identity(os.fstat(reader.fileno())) != identity(found):
                raise Refused(f"{shown(source.of(name))} was replaced while it was copied: it is in use")
            while count := reader.readinto(self._buffer):
                piece = memoryview(self._buffer)[:count]
                digest.update(piece)
                if sparse and not any(piece):
                    os.lseek(writer, count, os.SEEK_CUR)
                else:
                    write_all(writer, piece)
                self._done += count
                self._progress(f"copying {shown(source.of(name))}", self._done, self._total)
            if sparse:
                os.ftruncate(writer, os.lseek(writer, 0, os.SEEK_CUR))
            if sys.platform != "linux":  # there all files at once, which is much faster
                os.fsync(writer)
        return digest.digest()

    @property
    def original(self) -> str:
        """What ``looks_of`` says of the source as it was read."""
        looks = _Looks()
        for path, entry in self.entries.items():
            looks.add(path, entry.kind, entry.size, entry.mtime_ns, entry.text)
        return looks.text

    def verify(self) -> str:
        """Read the copy back, hold it against what was read, and say ``looks_of`` of it. Raises Refused, OSError."""
        looks = _Looks()
        met_paths = set()
        done = 0
        numbers: dict[str, tuple[int, int]] = {}
        for met in walk(self.into, self.new):
            entry = self.entries.get(met.path)
            where = shown(met.folder.of(met.name))
            if entry is None:
                raise Refused(f"{where} appeared in the copy: something else writes there")
            met_paths.add(met.path)
            looks.add(met.path, entry.kind, met.found.st_size, met.found.st_mtime_ns, entry.text)
            numbers[met.path] = (met.found.st_dev, met.found.st_ino)
            if wrong := _differs(entry, met.found, met.folder, met.name):
                raise Refused(f"{where}: the volume there does not keep its {wrong}, so that it cannot be moved there")
            if entry.twin and numbers[entry.twin] != numbers[met.path]:
                raise Refused(f"{where}: the volume there does not keep two names of one file")
            if entry.kind == "file" and not entry.twin:
                if self._digest(met.folder, met.name) != entry.digest:
                    raise Refused(
                        f"{where} is not what was written there: the volume is damaged or something changed it"
                    )
                done += entry.size
                self._progress(f"checking {where}", done, self._total)
        if missing := self.entries.keys() - met_paths:
            raise Refused(f"{shown(min(missing))} is missing in the copy: something else writes there")
        return looks.text

    def _digest(self, folder: Folder, name: str) -> bytes:
        digest = hashlib.blake2b()
        with io.FileIO(folder.read(name), "rb") as reader:
            if hasattr(os, "posix_fadvise"):  # what the disk holds, not what memory still has
                os.posix_fadvise(reader.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while count := reader.readinto(self._buffer):
                digest.update(memoryview(self._buffer)[:count])
        return digest.digest()

    def refuse_change(self, folder: Folder, name: str) -> None:
        """Raises Refused if what was copied, now called ``name`` in ``folder``, is not any more as it was read."""
        seen = set()
        for met in walk(folder, name):
            seen.add(met.path)
            entry = self.entries.get(met.path)
            same = entry is not None and (kind_of(met.found), met.found.st_mtime_ns) == (entry.kind, entry.mtime_ns)
            if not same or (entry is not None and entry.kind == "file" and entry.size != met.found.st_size):
                raise Refused(f"{shown(met.folder.of(met.name))} changed while it was copied: end what uses it")
        if missing := self.entries.keys() - seen:
            raise Refused(f"{shown(min(missing))} went away while it was copied: end what uses it")


def refuse_uncopiable(path: str, found: os.stat_result, device: int) -> None:
    """Raises Refused at what could not be made again elsewhere the way it is."""
    if kind_of(found) == "other":
        raise Refused(
            f"{shown(path)} is neither file, folder nor link (a socket, say): it cannot be moved to another disk"
        )
    if found.st_dev != device:
        raise Refused(f"{shown(path)} is on another volume than the folder it is in: hfdoctor does not move it")
    if os.name == "posix" and os.geteuid() not in (0, found.st_uid):
        raise Refused(f"{shown(path)} belongs to another user, so that it could not be put back as it was")


def looks_of(folder: Folder, name: str) -> str:
    """A short text that differs if a type, size, time, name or link text in the tree does. Raises OSError, Refused."""
    looks = _Looks()
    for met in walk(folder, name):
        kind = kind_of(met.found)
        text = met.folder.readlink(met.name) if kind == "link" else ""
        looks.add(met.path, kind, met.found.st_size, met.found.st_mtime_ns, text)
    return looks.text


class _Looks:
    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, path: str, kind: Kind, size: int, mtime_ns: int, text: str) -> None:
        size = size if kind == "file" else 0
        one = f"{path}\0{kind}\0{size}\0{mtime_ns}\0{text}\0"
        self._digest.update(one.encode("utf-8", "surrogatepass"))

    @property
    def text(self) -> str:
        return self._digest.hexdigest()


def _differs(entry: Copied, found: os.stat_result, folder: Folder, name: str) -> str:
    if kind_of(found) != entry.kind:
        return "type"
    if entry.kind == "file" and found.st_size != entry.size:
        return "size"
    if entry.kind == "link":
        return "" if folder.readlink(name) == entry.text else "link"
    kept = 0o7777 if os.name == "posix" else stat.S_IWRITE
    if stat.S_IMODE(found.st_mode) & kept != entry.mode & kept:
        return "rights"
    return "time" if abs(found.st_mtime_ns - entry.mtime_ns) >= _COARSE else ""


def _dress(into: Folder, new: str, found: os.stat_result) -> None:
    """Give the copy the owner, rights and times that the original has."""
    if is_folder(found):
        with into.enter(new) as made:
            made.sync()
    into.set_owner(new, found)
    into.set_time(new, found)
    if kind_of(found) != "link":
        into.set_mode(new, stat.S_IMODE(found.st_mode))


@contextlib.contextmanager
def _closing(handle: int) -> Iterator[int]:
    try:
        yield handle
    finally:
        os.close(handle)
