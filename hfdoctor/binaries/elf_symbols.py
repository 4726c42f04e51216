"""The few symbols of an ELF library that matter here: those it wants of another library, and whether that one has them.

Undefined symbols stand before all others in the table, and the loader's own hash tables answer whether a symbol is
defined: so nothing is read of the hundred thousand that a library of torch has.
"""

from __future__ import annotations

import struct

from .elf import ElfReader, Malformed
from .files import File

#: a bound that no library comes near: libtorch_cuda has 3000 undefined ones
_MOST_UNDEFINED = 200_000
_LONGEST_CHAIN = 10_000

_GNU_HASH = 0x6FFFFEF5
_OLD_HASH = 4
_VERSION_INDEXES = 0x6FFFFFF0


def needed_symbols(file: File, provider: str, prefix: str = "") -> list[str]:
    """The names of the symbols that ``file`` wants in a version of the library ``provider`` (its SONAME).

    With ``provider`` "" those that it wants in no version and that begin with ``prefix``. Weak ones are left out.
    Raises Malformed, OSError.
    """
    try:
        reader = ElfReader(file)
        reader.load_tags()
        wanted = {index for name, versions in reader.needed_versions() if name == provider for _, index, _ in versions}
        if not provider:
            wanted = {0, 1}
        count = _undefined_count(reader)
        table = reader.one(_VERSION_INDEXES)
        if not count or not wanted or (table is None and provider):
            return []
        indexes = [1] * count
        if table is not None:
            data = reader.whole(reader.place(table), 2 * count)
            indexes = [row[0] & 0x7FFF for row in struct.iter_unpack(f"{reader.order}H", data)]
        names = (
            reader.string(name)
            for (name, binding, section), index in zip(_symbols(reader, 0, count), indexes, strict=True)
            if index in wanted and section == 0 and binding == 1 and name
        )
        return [name for name in names if name.startswith(prefix)]
    except struct.error as error:
        raise Malformed("malformed", str(error)) from error


def lacks(file: File, names: list[str]) -> list[str]:
    """Those of ``names`` that ``file`` does not define for others. Raises Malformed, OSError."""
    try:
        reader = ElfReader(file)
        reader.load_tags()
        return [name for name in names if not _defines(reader, name)]
    except struct.error as error:
        raise Malformed("malformed", str(error)) from error


def _symbols(reader: ElfReader, first: int, count: int) -> list[tuple[int, int, int]]:
    """Name, binding and section of ``count`` symbols from number ``first``."""
    table = reader.one(6)
    if table is None:
        raise Malformed("malformed", "it has no table of symbols")
    size = 24 if reader.wide else 16
    data = reader.whole(reader.place(table) + first * size, count * size)
    if reader.wide:
        rows = struct.iter_unpack(f"{reader.order}IBBHQQ", data)
        return [(name, info >> 4, section) for name, info, _, section, _, _ in rows]
    rows = struct.iter_unpack(f"{reader.order}IIIBBH", data)
    return [(name, info >> 4, section) for name, _, _, info, _, section in rows]


def _undefined_count(reader: ElfReader) -> int:
    """How many symbols stand before the first that the file defines for others; all, where that is not said."""
    table = reader.one(_GNU_HASH)
    if table is None:
        table = reader.one(_OLD_HASH)
    if table is None:
        return 0
    count = int(reader.unpack("II", reader.whole(reader.place(table), 8))[1])
    if count > _MOST_UNDEFINED:
        raise Malformed("malformed", f"{count} undefined symbols")
    return count


def _defines(reader: ElfReader, name: str) -> bool:
    raw = name.encode("utf-8", "surrogateescape")
    table = reader.one(_GNU_HASH)
    if table is not None:
        return _in_gnu_hash(reader, reader.place(table), name, raw)
    table = reader.one(_OLD_HASH)
    return table is not None and _in_old_hash(reader, reader.place(table), name, raw)


def _in_gnu_hash(reader: ElfReader, start: int, name: str, raw: bytes) -> bool:
    buckets, first, words, _ = reader.unpack("IIII", reader.whole(start, 16))
    if not buckets:
        return False
    value = 5381
    for byte in raw:
        value = (value * 33 + byte) & 0xFFFFFFFF
    heads = start + 16 + words * (8 if reader.wide else 4)
    index = int(reader.unpack("I", reader.whole(heads + 4 * (value % buckets), 4))[0])
    chains = heads + 4 * buckets
    for _ in range(_LONGEST_CHAIN):
        if index < first:
            return False
        entry = reader.unpack("I", reader.whole(chains + 4 * (index - first), 4))[0]
        if entry | 1 == value | 1 and _is(reader, index, name):
            return True
        if entry & 1:
            return False
        index += 1
    return False


def _in_old_hash(reader: ElfReader, start: int, name: str, raw: bytes) -> bool:
    buckets = int(reader.unpack("I", reader.whole(start, 4))[0])
    if not buckets:
        return False
    value = 0
    for byte in raw:
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    index = int(reader.unpack("I", reader.whole(start + 8 + 4 * (value % buckets), 4))[0])
    for _ in range(_LONGEST_CHAIN):
        if not index:
            return False
        if _is(reader, index, name):
            return True
        index = int(reader.unpack("I", reader.whole(start + 8 + 4 * (buckets + index), 4))[0])
    return False


def _is(reader: ElfReader, index: int, name: str) -> bool:
    at, _, section = _symbols(reader, index, 1)[0]
    return section != 0 and reader.string(at) == name
