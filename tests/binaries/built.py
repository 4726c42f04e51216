"""Small libraries made up byte by byte: ELF of each width and byte order, PE, fat binaries, offload bundles."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

from hfdoctor.binaries.sections import Reader


def reader(data: bytes) -> Reader:
    return Reader(io.BytesIO(data))


def elf(sections: Sequence[tuple[str, bytes]], width: int = 64, order: str = "<", kind: int = 1) -> bytes:
    """An ELF file with these sections, the table of sections at its end."""
    names, offsets = b"\0", []
    for name, _ in sections:
        offsets.append(len(names))
        names += name.encode() + b"\0"
    own = len(names)
    names += b".shstrtab\0"
    head = 64 if width == 64 else 52
    body, rows = b"", [(0, 0, 0, 0)]
    for at, (_, data) in zip(offsets, sections, strict=True):
        rows.append((at, kind, head + len(body), len(data)))
        body += data
    rows.append((own, 3, head + len(body), len(names)))
    body += names
    table_at, count = head + len(body), len(rows)
    ident = b"\x7fELF" + bytes([2 if width == 64 else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    word = "Q" if width == 64 else "I"
    start = ident + struct.pack(
        f"{order}HHI{word}{word}{word}IHHHHHH",
        3,
        62,
        1,
        0,
        0,
        table_at,
        0,
        head,
        0,
        0,
        row_size(width),
        count,
        count - 1,
    )
    table = b"".join(
        struct.pack(f"{order}II{word}{word}{word}{word}II{word}{word}", name, kind, 0, 0, at, size, 0, 0, 1, 0)
        for name, kind, at, size in rows
    )
    return start + body + table


def row_size(width: int) -> int:
    return 64 if width == 64 else 40


def pe(sections: Sequence[tuple[str, bytes]], virtual: int | None = None) -> bytes:
    """A PE file with these sections; names are cut to eight characters, as linkers do."""
    head = b"MZ" + bytes(58) + struct.pack("<I", 64)
    head += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 0, 0)
    at, table, body = 64 + 24 + 40 * len(sections), b"", b""
    for name, data in sections:
        raw = data + bytes(-len(data) % 512)
        shown = len(data) if virtual is None else virtual
        table += struct.pack("<8sIIIIIIHHI", name.encode()[:8], shown, 0x1000, len(raw), at + len(body), 0, 0, 0, 0, 0)
        body += raw
    return head + table + body


def entry(
    architecture: int,
    kind: int = 2,
    flags: int = 0x11,
    payload: bytes = b"\xff" * 64,
    version: tuple[int, int] = (1, 8),
    header: int = 64,
) -> bytes:
    """One entry of a fat binary."""
    major, minor = version
    fields = struct.pack(
        "<HHIQIIHHIIIQ", kind, 257, header, len(payload), 0, 0, minor, major, architecture, 0, 0, flags
    )
    return fields.ljust(header, b"\0")[: max(header, 48)] + payload


def container(*entries: bytes, magic: int = 0xBA55ED50) -> bytes:
    """A container of a fat binary, padded to a multiple of eight bytes."""
    payload = b"".join(entries)
    whole = struct.pack("<IHHQ", magic, 1, 16, len(payload)) + payload
    return whole + bytes(-len(whole) % 8)


def bundle(ids: Sequence[str], size: int = 64) -> bytes:
    """A clang offload bundle, padded to 4096 bytes."""
    table = 32 + sum(24 + len(name) for name in ids)
    at = table + -table % 4096 if ids else table
    head, body = b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", len(ids)), b""
    for name in ids:
        own = 0 if name.startswith("host") else size
        head += struct.pack("<QQQ", at + len(body), own, len(name)) + name.encode()
        body += b"\xee" * own
    whole = head.ljust(at, b"\0") + body
    return whole + bytes(-len(whole) % 4096)
