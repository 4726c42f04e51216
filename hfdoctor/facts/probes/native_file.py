"""What the header of a native library says of the file itself: is it all there?

RECORD says how long a file was when it was packed; programs such as strip, patchelf and codesign shorten or lengthen
it and it still works. Whether one of another length is cut off is written in its own header.
"""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

#: bytes; headers and load commands of the largest libraries fit
HEAD = 4096

_MACHO_64 = b"\xcf\xfa\xed\xfe"
_MACHO_FAT = b"\xca\xfe\xba\xbe"

#: static archives, and Mach-O for 32 bits and of the other byte order: nothing more is read of them
_OTHER_LIBRARIES = (b"!<ar", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbf")


def native_problem(path: str) -> str:
    """What is wrong with the native library at ``path``: "", ``empty``, ``zeroed``, ``truncated`` or ``unreadable``.

    ``foreign`` for what has not the beginning of a library: a linker script may be meant. Never raises.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            size = file.seek(0, io.SEEK_END)
            head = read_at(file, 0, HEAD)
            if not head:
                return "empty"
            if not head.strip(b"\0"):
                return "zeroed"
            try:
                return _problem(file, head, size)
            except struct.error:
                return "truncated"  # a header that breaks off
    except (OSError, ValueError):
        return "unreadable"


def _problem(file: BinaryIO, head: bytes, size: int) -> str:
    if head[:4] == b"\x7fELF":
        return _elf(file, head, size)
    if head[:2] == b"MZ":
        return "truncated" if size < _pe_length(file, head) else ""
    if head[:4] == _MACHO_64:
        return "truncated" if size < _macho_length(file, 0) else ""
    if head[:4] == _MACHO_FAT:
        count = struct.unpack_from(">I", head, 4)[0]
        parts = [struct.unpack_from(">IIIII", head, 8 + 20 * index) for index in range(min(count, 16))]
        return "truncated" if any(size < part[2] + part[3] for part in parts) else ""
    return "" if head[:4] in _OTHER_LIBRARIES else "foreign"


def _elf(file: BinaryIO, head: bytes, size: int) -> str:
    if len(head) < 6:
        return "truncated"  # ends before it says of which width and byte order it is
    order = ">" if head[5] == 2 else "<"
    if head[4] == 2:
        segments_at, table_at = struct.unpack_from(f"{order}QQ", head, 32)
        segment_size, segments, entry_size, entries = struct.unpack_from(f"{order}HHHH", head, 54)
    else:
        segments_at, table_at = struct.unpack_from(f"{order}II", head, 28)
        segment_size, segments, entry_size, entries = struct.unpack_from(f"{order}HHHH", head, 42)
    if table_at and size < table_at + entry_size * entries:
        return "truncated"
    table = read_at(file, segments_at, segment_size * segments)
    for index in range(segments):
        if head[4] == 2:
            kind, _, start, _, _, length = struct.unpack_from(f"{order}IIQQQQ", table, index * segment_size)
        else:
            kind, start, _, _, length = struct.unpack_from(f"{order}IIIII", table, index * segment_size)
        if kind == 1 and size < start + length:  # PT_LOAD: a part that is mapped into memory
            return "truncated"
    # The table of sections usually ends the file: where the last blocks never reached the disk it is all zero.
    if table_at and entries > 1 and not read_at(file, table_at, entry_size * entries).strip(b"\0"):
        return "zeroed"
    return ""


def _pe_length(file: BinaryIO, head: bytes) -> int:
    """The bytes that a PE file must have for its sections."""
    start = struct.unpack_from("<I", head, 60)[0]
    header = read_at(file, start, HEAD)
    if header[:4] != b"PE\0\0":
        return 0  # a DOS program: nothing is known about it
    sections, optional = struct.unpack_from("<H", header, 6)[0], struct.unpack_from("<H", header, 20)[0]
    table = read_at(file, start + 24 + optional, 40 * sections)
    ends = [0]
    for index in range(sections):
        length, begin = struct.unpack_from("<II", table, 40 * index + 16)
        ends.append(begin + length if begin else 0)
    return max(ends)


def _macho_length(file: BinaryIO, start: int) -> int:
    """The bytes that a 64-bit Mach-O file must have for its segments."""
    count, commands_size = struct.unpack_from("<II", read_at(file, start, 32), 16)
    commands = read_at(file, start + 32, min(commands_size, 1 << 20))
    at, ends = 0, [0]
    for _ in range(count):
        command, length = struct.unpack_from("<II", commands, at)
        if command == 0x19:  # LC_SEGMENT_64
            begin, filled = struct.unpack_from("<QQ", commands, at + 40)
            ends.append(begin + filled)
        at += max(length, 8)
    return max(ends)


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """At most ``length`` bytes (and never over 64 MiB) from ``offset``; fewer where the file ends. Raises OSError."""
    if offset < 0 or offset > 1 << 62:
        return b""
    file.seek(offset)
    return file.read(min(length, 1 << 26)) or b""


def read_only_data(file: BinaryIO) -> tuple[int, int] | None:
    """Offset and length of the part with the constant strings (.rodata, .rdata, __cstring).

    None if that cannot be told. Raises OSError, struct.error.
    """
    head = read_at(file, 0, HEAD)
    if head[:4] == b"\x7fELF" and head[4:6] == b"\x02\x01":
        table_at = struct.unpack_from("<Q", head, 40)[0]
        entry_size, entries, names_index = struct.unpack_from("<HHH", head, 58)
        table = read_at(file, table_at, entry_size * entries)
        names_at, names_length = struct.unpack_from("<QQ", table, entry_size * names_index + 24)
        names = read_at(file, names_at, names_length)
        for index in range(entries):
            name = struct.unpack_from("<I", table, entry_size * index)[0]
            if names[name : name + 8] == b".rodata\0":
                at, length = struct.unpack_from("<QQ", table, entry_size * index + 24)
                return at, length
    elif head[:2] == b"MZ":
        start = struct.unpack_from("<I", head, 60)[0]
        header = read_at(file, start, 24)
        sections, optional = struct.unpack_from("<H", header, 6)[0], struct.unpack_from("<H", header, 20)[0]
        table = read_at(file, start + 24 + optional, 40 * sections)
        for index in range(sections):
            if table[40 * index : 40 * index + 7] == b".rdata\0":
                length, at = struct.unpack_from("<II", table, 40 * index + 16)
                return at, length
    elif head[:4] == _MACHO_64:
        return _macho_strings(file)
    return None


def _macho_strings(file: BinaryIO) -> tuple[int, int] | None:
    count, commands_size = struct.unpack_from("<II", read_at(file, 0, 32), 16)
    commands = read_at(file, 32, min(commands_size, 1 << 20))
    at = 0
    for _ in range(count):
        command, length = struct.unpack_from("<II", commands, at)
        if command == 0x19:
            sections = struct.unpack_from("<I", commands, at + 64)[0]
            for index in range(sections):
                entry = at + 72 + 80 * index
                if commands[entry : entry + 16].rstrip(b"\0") == b"__cstring":
                    size = struct.unpack_from("<Q", commands, entry + 40)[0]
                    return struct.unpack_from("<I", commands, entry + 48)[0], size
        at += max(length, 8)
    return None
