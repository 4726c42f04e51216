"""Where a named part of an ELF or PE file lies, from the file's headers alone.

pyelftools and pefile read these formats too; loading one of them takes longer than everything that is done here, and
neither bounds what a damaged file can make it read.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
from typing import BinaryIO, NamedTuple

#: bytes: no table of sections, and no table of their names, is larger in any real library
MAX_TABLE = 4 << 20

#: pieces that are read of one file: a second or two at the most
MAX_READS = 600_000


class NotReadable(Exception):
    """The file is none that can be read here, or is damaged. One line that says how."""


class Section(NamedTuple):
    """A named part of a file: ``offset`` and ``size`` in bytes, wholly inside the file."""

    name: str
    offset: int
    size: int


class Reader:
    """Reads small pieces of a file and keeps count, so that a bound can be held.

    Raises OSError where the file cannot be read, NotReadable past its end or past the bound.
    """

    def __init__(self, file: BinaryIO, at_most: int = 64 << 20) -> None:
        """``at_most``: bytes that may be read in all."""
        self.file = file
        self.size = file.seek(0, io.SEEK_END)
        self.at_most = at_most
        #: bytes that were read, and in how many pieces
        self.bytes_read = 0
        self.reads = 0
        self._descriptor = -1
        if hasattr(os, "pread"):
            with contextlib.suppress(OSError, ValueError):  # a file in memory
                self._descriptor = file.fileno()
        if hasattr(os, "posix_fadvise"):
            # a few bytes here and there: what the system would read ahead is never asked for
            with contextlib.suppress(OSError, ValueError):  # not a file on a disk
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise NotReadable(f"it ends at byte {self.size}, and its headers point at byte {offset + length}")
        self.reads += 1
        if self.reads > MAX_READS:
            raise NotReadable(f"its headers are in more than {MAX_READS} pieces")
        self.bytes_read += length
        if self.bytes_read > self.at_most:
            raise NotReadable(f"its headers ask for more than {self.at_most} bytes")
        if self._descriptor >= 0:
            data = os.pread(self._descriptor, length, offset)
        else:
            self.file.seek(offset)
            data = self.file.read(length)
        if len(data) != length:
            raise NotReadable(f"it ended at byte {offset + len(data)} while it was being read")
        return data


def named_sections(reader: Reader, names: frozenset[str]) -> list[Section]:
    """The sections of a library that bear one of ``names``, in the file's order.

    A PE file keeps eight characters of a name: a longer one of ``names`` finds what begins like it. Raises NotReadable
    for what is neither ELF nor PE, for a header that breaks off, and for a section that reaches past the end of file.
    """
    head = reader.read(0, min(64, reader.size))
    try:
        if head[:4] == b"\x7fELF":
            return _elf(reader, head, names)
        if head[:2] == b"MZ":
            return _pe(reader, head, names)
    except struct.error as error:
        raise NotReadable(f"its header breaks off ({error})") from error
    if not head.strip(b"\0"):
        raise NotReadable("it holds zero bytes where its header should be" if head else "it is empty")
    raise NotReadable(f"it is neither an ELF nor a PE file: it begins with {head[:4].hex(' ')}")


def _elf(reader: Reader, head: bytes, names: frozenset[str]) -> list[Section]:
    if len(head) < 52:
        raise NotReadable(f"its header breaks off after {len(head)} bytes")
    width, order = head[4], {1: "<", 2: ">"}.get(head[5], "")
    if width not in (1, 2) or not order:
        raise NotReadable(f"its ELF header is of a kind that is not known: {head[4:6].hex(' ')}")
    if width == 2:
        (table_at,) = struct.unpack_from(f"{order}Q", head, 40)
        entry_size, count, names_index = struct.unpack_from(f"{order}HHH", head, 58)
        entry = struct.Struct(f"{order}IIQQQQII")  # name, type, flags, address, offset, size, link, info
    else:
        (table_at,) = struct.unpack_from(f"{order}I", head, 32)
        entry_size, count, names_index = struct.unpack_from(f"{order}HHH", head, 46)
        entry = struct.Struct(f"{order}IIIIIIII")
    if not table_at:
        raise NotReadable("it has no table of sections")
    if entry_size < entry.size:
        raise NotReadable(f"its table of sections has entries of {entry_size} bytes")
    if count == 0 or names_index == 0xFFFF:
        # too many for the header's fields: the first entry has them
        _, _, _, _, _, size, link, _ = entry.unpack(reader.read(table_at, entry.size))
        count = count or size
        names_index = link if names_index == 0xFFFF else names_index
    table = _table(reader, table_at, entry_size * count)
    if names_index >= count:
        raise NotReadable(f"the names of its {count} sections are in section {names_index}")
    _, _, _, _, names_at, names_size, _, _ = entry.unpack_from(table, entry_size * names_index)
    strings = _table(reader, names_at, names_size)
    found = []
    for index in range(count):
        name_at, kind, _, _, offset, size, _, _ = entry.unpack_from(table, entry_size * index)
        end = strings.find(b"\0", name_at)
        name = strings[name_at : end if end >= 0 else None].decode("ascii", "replace")
        if name in names and kind != 8:  # 8: takes room in memory alone
            found.append(_inside(reader, Section(name, offset, size)))
    return found


def _pe(reader: Reader, head: bytes, names: frozenset[str]) -> list[Section]:
    (start,) = struct.unpack_from("<I", head, 60)
    header = reader.read(start, 24)
    if header[:4] != b"PE\0\0":
        raise NotReadable("it is a DOS program, not a library of Windows")
    count, optional = struct.unpack_from("<H", header, 6)[0], struct.unpack_from("<H", header, 20)[0]
    table = _table(reader, start + 24 + optional, 40 * count)
    short = {name[:8]: name for name in names}
    found = []
    for index in range(count):
        raw, virtual_size, _, size, offset = struct.unpack_from("<8sIIII", table, 40 * index)
        name = short.get(raw.rstrip(b"\0").decode("ascii", "replace"))
        if name is not None:
            # the size in the file is rounded up to whole blocks, that in memory is the real one
            found.append(_inside(reader, Section(name, offset, min(size, virtual_size) if virtual_size else size)))
    return found


def _table(reader: Reader, offset: int, size: int) -> bytes:
    if size > MAX_TABLE:
        raise NotReadable(f"its table of sections would have {size} bytes")
    return reader.read(offset, size)


def _inside(reader: Reader, section: Section) -> Section:
    if section.offset + section.size > reader.size:
        end = section.offset + section.size
        raise NotReadable(f"it is cut off: {section.name} reaches to byte {end}, the file has {reader.size}")
    return section
