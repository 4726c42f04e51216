"""Libraries made byte by byte, for machines and damages that no compiler here would make."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path


def elf(
    path: Path,
    needed: Sequence[str] = (),
    soname: str = "",
    rpath: str = "",
    runpath: str = "",
    *,
    machine: int = 62,
    bits: int = 64,
    order: str = "<",
    interpreter: str = "",
    fill: int = 0,
) -> Path:
    """A library with a dynamic segment and nothing else; ``fill`` bytes follow, which belong to it."""
    wide = bits == 64
    strings = b"\0"
    tags: list[tuple[int, int]] = []
    for tag, texts in ((1, needed), (14, [soname]), (15, [rpath]), (29, [runpath])):
        for text in texts:
            if text:
                tags.append((tag, len(strings)))
                strings += text.encode() + b"\0"
    loader = interpreter.encode() + b"\0" if interpreter else b""
    segments = 3 if interpreter else 2
    head, entry, dyn = (64, 56, "qQ") if wide else (52, 32, "iI")
    strings_at = head + entry * segments
    loader_at = strings_at + len(strings)
    dynamic_at = loader_at + len(loader)
    tags += [(5, strings_at), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack(order + dyn, *tag) for tag in tags)
    total = dynamic_at + len(dynamic) + fill
    rows = [(1, 0, total), (2, dynamic_at, len(dynamic))]
    if interpreter:
        rows.append((3, loader_at, len(loader)))
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    if wide:
        start = ident + struct.pack(
            order + "HHIQQQIHHHHHH", 3, machine, 1, 0, head, 0, 0, head, entry, segments, 0, 0, 0
        )
        table = b"".join(struct.pack(order + "IIQQQQQQ", k, 5, at, at, at, n, n, 4096) for k, at, n in rows)
    else:
        start = ident + struct.pack(
            order + "HHIIIIIHHHHHH", 3, machine, 1, 0, head, 0, 0, head, entry, segments, 0, 0, 0
        )
        table = b"".join(struct.pack(order + "IIIIIIII", k, at, at, at, n, n, 5, 4096) for k, at, n in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(start + table + strings + loader + dynamic + bytes(fill))
    return path


def dll(
    path: Path,
    imports: Sequence[str] = (),
    delayed: Sequence[str] = (),
    *,
    machine: int = 0x8664,
    linker: tuple[int, int] = (14, 29),
    old_delay: bool = False,
) -> Path:
    """A DLL of one section that holds its tables of imports; ``old_delay`` writes addresses, as Visual C++ 6 did."""
    base, address, raw = 0x180000000, 0x1000, 0x400
    wide = machine != 0x14C
    if not wide:
        base = 0x10000000
    tables = 20 * (len(imports) + 1) + 32 * (len(delayed) + 1)
    names, places = b"", []
    for name in (*imports, *delayed):
        places.append(address + tables + len(names))
        names += name.encode() + b"\0"
    content = b"".join(struct.pack("<IIIII", 0, 0, 0, place, 0) for place in places[: len(imports)]) + bytes(20)
    delay_at = address + len(content)
    for place in places[len(imports) :]:
        content += struct.pack("<IIIIIIII", 0 if old_delay else 1, place + (base if old_delay else 0), *[0] * 6)
    content += bytes(32) + names
    content += bytes(-len(content) % 512)
    directories = [(0, 0)] * 16
    if imports:
        directories[1] = (address, 20 * (len(imports) + 1))
    if delayed:
        directories[13] = (delay_at, 32 * (len(delayed) + 1))
    optional = struct.pack("<HBBIIIII", 0x20B if wide else 0x10B, *linker, 0, len(content), 0, 0, address)
    optional += struct.pack("<Q", base) if wide else struct.pack("<II", address, base)
    optional += struct.pack("<IIHHHHHHIIIIHH", 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0, 0x3000, raw, 0, 3, 0)
    optional += struct.pack("<QQQQ" if wide else "<IIII", 0x100000, 0x1000, 0x100000, 0x1000)
    optional += struct.pack("<II", 0, 16) + b"".join(struct.pack("<II", *row) for row in directories)
    header = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0"
    header += struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, len(optional), 0x2022)
    section = struct.pack("<8sIIIIIIHHI", b".rdata", len(content), address, len(content), raw, 0, 0, 0, 0, 0x40000040)
    start = header + optional + section
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(start + bytes(raw - len(start)) + content)
    return path
