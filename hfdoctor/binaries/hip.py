"""For which AMD GPUs a library was built: the clang offload bundles in its section ``.hip_fatbin``.

A bundle begins with ``__CLANG_OFFLOAD_BUNDLE__``, a u64 count, and for each entry u64 offset, u64 size, u64 length of
its id, and the id: ``hipv4-amdgcn-amd-amdhsa--gfx942:sramecc+:xnack-``. A compressed bundle begins with ``CCOB``, u16
version, u16 method (0 zlib, 1 zstd), its whole size (u32 in version 2, u64 in version 3, not told in version 1), the
unpacked size (u32, u64 in version 3), u64 hash, and what unpacks to a bundle. Bundles begin at multiples of 4096.
https://clang.llvm.org/docs/ClangOffloadBundler.html
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import NamedTuple

from .sections import NotReadable, Reader, Section, named_sections
from .zstd_head import Incomplete, unpack_head

SECTION = ".hip_fatbin"
PLAIN, COMPRESSED = b"__CLANG_OFFLOAD_BUNDLE__", b"CCOB"
ALIGNMENT = 4096

#: bundles in a library; entries in a bundle; bytes of one id; bytes that a bundle's own table may take; steps of
#: ALIGNMENT without a bundle
MAX_BUNDLES, MAX_ENTRIES, MAX_ID, MAX_TABLE, MAX_GAP = 20_000, 512, 256, 64 << 10, 4096
#: bytes of a compressed bundle that are read to unpack its table: two whole blocks of zstd at the most
PACKED_HEAD = 2 * (128 << 10)
#: compressed bundles of which the table is unpacked, evenly over the library: each takes a millisecond or two
MAX_UNPACKED = 32


class HipBundles(NamedTuple):
    """The targets of a library, as AMD spells them. ``few``: those of a part of the bundles, which are no support."""

    code: list[str]
    few: list[str]
    bundles: int


def read_hip_bundles(reader: Reader) -> HipBundles | None:
    """The targets of the HIP code in a library; None where it has none. Raises NotReadable, OSError."""
    bundles: list[frozenset[str]] = []
    total = 0
    for section in named_sections(reader, frozenset({SECTION})):
        found, number_of_all = _bundles(reader, section)
        bundles += found
        total += number_of_all
    # an object file without a kernel leaves a bundle that has no entry but the host's, which is empty
    number = Counter(target for bundle in bundles for target in bundle)
    if not number:
        return None
    commonest = max(number.values())
    code = sorted(target for target in number if 2 * number[target] > commonest)
    return HipBundles(code, sorted(number.keys() - set(code)), total)


def _bundles(reader: Reader, section: Section) -> tuple[list[frozenset[str]], int]:
    """The targets of the bundles in a section, and how many bundles it has: of many compressed ones a part is read."""
    at, end = section.offset, section.offset + section.size
    plain: list[frozenset[str]] = []
    packed: list[_Packed] = []
    empty = 0
    while at + len(COMPRESSED) <= end:
        begin = reader.read(at, min(32, end - at))
        if begin.startswith(PLAIN):
            targets, size = _plain(reader, at, end)
            plain.append(targets)
        elif begin.startswith(COMPRESSED):
            packed.append(_compressed(reader, at, end, begin))
            size = packed[-1].size
        elif (plain or packed) and empty < MAX_GAP:
            # what version 1 does not tell is found by looking where a bundle may begin
            empty += 1
            at += ALIGNMENT
            continue
        else:
            raise NotReadable(f"at byte {at} of it stands {begin[:4].hex(' ')} where GPU code of HIP should begin")
        if len(plain) + len(packed) > MAX_BUNDLES:
            raise NotReadable(f"it has more than {MAX_BUNDLES} bundles of GPU code")
        empty = 0
        at += max(size, 1)
        at += -(at - section.offset) % ALIGNMENT
    step = -(-len(packed) // MAX_UNPACKED) or 1
    return plain + [_unpacked_table(reader, bundle) for bundle in packed[::step]], len(plain) + len(packed)


def _plain(reader: Reader, at: int, end: int) -> tuple[frozenset[str], int]:
    """The targets of a bundle, and its size."""
    table = reader.read(at, min(ALIGNMENT, end - at))
    while True:
        try:
            return _table(table, end - at)
        except _TooShort:
            if len(table) >= min(MAX_TABLE, end - at):
                raise NotReadable(f"the table of the bundle at byte {at} of it breaks off") from None
            table = reader.read(at, min(2 * len(table), MAX_TABLE, end - at))


class _Packed(NamedTuple):
    """A compressed bundle: where its packed bytes begin and end, and what its header says. ``size`` 0: not told."""

    begin: int
    end: int
    size: int
    unpacked: int
    method: int


class _TooShort(Exception):
    """More of the table has to be read."""


def _table(data: bytes, room: int) -> tuple[frozenset[str], int]:
    """The targets in a bundle's table and the bundle's size, which may not pass ``room``. Raises _TooShort."""
    try:
        (count,) = struct.unpack_from("<Q", data, len(PLAIN))
        if count > MAX_ENTRIES:
            raise NotReadable(f"a bundle in it claims {count} entries")
        at, size, targets = len(PLAIN) + 8, len(PLAIN) + 8, set()
        for _ in range(count):
            offset, length, id_length = struct.unpack_from("<QQQ", data, at)
            if id_length > MAX_ID or offset + length > room:
                raise NotReadable("a bundle in it is longer than the section it is in")
            at += 24 + id_length
            if at > len(data):
                raise _TooShort
            size = max(size, at, offset + length)
            target = _target_of(data[at - id_length : at].decode("ascii", "replace"))
            if target and length:
                targets.add(target)
    except struct.error:
        raise _TooShort from None
    return frozenset(targets), size


def _target_of(entry_id: str) -> str:
    """``gfx942:xnack-`` of ``hipv4-amdgcn-amd-amdhsa--gfx942:xnack-``; "" for the host's part.

    >>> _target_of("hip-amdgcn-amd-amdhsa-gfx906"), _target_of("hipv4-spirv64-amd-amdhsa--amdgcnspirv")
    ('gfx906', 'amdgcnspirv')
    >>> _target_of("hipv4-amdgcn-amd-amdhsa--gfx11-generic"), _target_of("host-x86_64-unknown-linux--")
    ('gfx11-generic', '')
    """
    kind, _, rest = entry_id.partition("-")
    if not kind.startswith("hip"):
        return ""
    # architecture, vendor, system, an environment that may be left out or empty, the target (which may have a hyphen)
    for begin in ("-gfx", "-amdgcnspirv"):
        at = rest.find(begin)
        if at >= 0:
            return rest[at + 1 :]
    return ""


def _compressed(reader: Reader, at: int, end: int, begin: bytes) -> _Packed:
    """What the header of a compressed bundle says."""
    version, method = struct.unpack_from("<HH", begin.ljust(32, b"\0"), 4)
    if version == 1:
        size, unpacked, header = 0, *struct.unpack_from("<I", begin.ljust(32, b"\0"), 8), 20
    elif version == 2:
        size, unpacked, header = *struct.unpack_from("<II", begin.ljust(32, b"\0"), 8), 24
    elif version == 3:
        size, unpacked, header = *struct.unpack_from("<QQ", begin.ljust(32, b"\0"), 8), 32
    else:
        raise NotReadable(f"its GPU code is compressed in a way that is not known here: version {version}")
    if at + max(size, header) > end or (size and size < header):
        raise NotReadable(f"the bundle at byte {at} of it is longer than the section it is in")
    return _Packed(at + header, at + size if size else end, size, unpacked, method)


def _unpacked_table(reader: Reader, bundle: _Packed) -> frozenset[str]:
    """The targets of a compressed bundle: its first block is read and its table unpacked."""
    room = min(bundle.end - bundle.begin, PACKED_HEAD)
    packed, wanted = reader.read(bundle.begin, min(ALIGNMENT, room)), ALIGNMENT
    while True:
        try:
            data = _unpack(packed, bundle.method, min(wanted, bundle.unpacked))
            if not data or not data.startswith(PLAIN[: len(data)]):
                raise NotReadable("its compressed GPU code unpacks to something else than a bundle")
            return _table(data, bundle.unpacked)[0]
        except Incomplete as error:
            if error.needed > room:
                raise
            packed = reader.read(bundle.begin, min(max(error.needed, 2 * len(packed)), room))
        except _TooShort:
            if wanted >= min(MAX_TABLE, bundle.unpacked):
                raise NotReadable(f"the table of the bundle before byte {bundle.begin} of it breaks off") from None
            wanted *= 4


def _unpack(packed: bytes, method: int, length: int) -> bytes:
    """The first ``length`` bytes of what ``packed`` begins to hold; fewer where it ends. Raises NotReadable."""
    if method == 0:
        import zlib

        try:
            data = zlib.decompressobj().decompress(packed, length)
        except zlib.error as error:
            raise NotReadable(f"its compressed GPU code is damaged: {error}") from error
        if len(data) < length:
            raise Incomplete(len(packed) + 1)
        return data
    if method == 1:
        return unpack_head(packed, length)
    raise NotReadable(f"its GPU code is compressed in a way that is not known here: method {method}")
