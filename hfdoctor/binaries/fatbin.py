"""For which NVIDIA GPUs a library was built: the headers in its CUDA fat binaries.

A section ``.nv_fatbin`` (PE: ``.nv_fatb``) is a run of containers, one a compiled source file, padded with zeros to a
multiple of eight bytes. A container has a header (u32 magic, u16 version, u16 header size, u64 payload size) and
entries; an entry has a header and a payload, which is never read here:

=======  ====  ================================================================
 offset  type  meaning
=======  ====  ================================================================
      0  u16   kind: 1 PTX, 2 machine code
      4  u32   size of this header
      8  u64   size of the payload
     24  u16   minor and (at 26) major version: for PTX that of its language
     28  u32   architecture: 90, 120
     40  u64   flags: bit 20 for one chip only (sm_90a), bit 21 for its family (sm_120f); the lower ones tell how the
               payload is compressed
=======  ====  ================================================================

Which of the targets are support is judged by ``judge_targets``.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import NamedTuple

from .sections import NotReadable, Reader, Section, named_sections

MAGIC = 0xBA55ED50
#: what it is called in ELF files; PE files keep eight characters. ``__nv_relfatbin`` has the parts of a library that
#: was linked for the device too (-rdc): its machine code stands linked in ``.nv_fatbin``, its PTX stays where it was
SECTION, PARTS_SECTION = ".nv_fatbin", "__nv_relfatbin"

PTX, MACHINE_CODE = 1, 2
ONE_CHIP, FAMILY = 1 << 20, 1 << 21

#: containers in one library, entries in one container, zero bytes between two containers
MAX_CONTAINERS, MAX_ENTRIES, MAX_GAP = 200_000, 512, 1 << 20

#: containers whose entries are read: each header lies on a page of its own, which a disk has to fetch
LOOKED_INTO = 128

_CONTAINER = struct.Struct("<IHHQ")
_ENTRY = struct.Struct("<HHIQIIHHIIIQ")


class Target(NamedTuple):
    """What an entry was built for: architecture 90, suffix "a", "f" or "", PTX or machine code."""

    architecture: int
    suffix: str
    ptx: bool

    def __str__(self) -> str:
        return f"{'compute' if self.ptx else 'sm'}_{self.architecture}{self.suffix}"


class Container(NamedTuple):
    """The entries of one container: target -> bytes of its payload, and the newest version of its PTX."""

    targets: dict[Target, int]
    ptx_version: tuple[int, int]


class Place(NamedTuple):
    """Where the entries of a container begin and end, in bytes of the file."""

    begin: int
    end: int


class FatBinary(NamedTuple):
    """What a library was built for. ``few``: targets of a part of the kernels only, which are no support."""

    code: list[str]
    ptx: list[str]
    few: list[str]
    containers: int
    #: version of the PTX in ``ptx`` ("8.7"), "" without
    ptx_isa: str = ""


def read_fat_binary(reader: Reader, whole: bool = False) -> FatBinary | None:
    """The targets of the CUDA code in a library; None where it has none.

    Of a library with many containers the entries of a part are looked at, evenly over it, unless ``whole``: ``few``
    may then lack a target, the judgement stays. Raises NotReadable for what is no library, is cut off, or holds
    something else than a fat binary, and OSError.
    """
    sections = named_sections(reader, frozenset({SECTION, PARTS_SECTION}))
    linked, linked_count = _read_all(reader, [found for found in sections if found.name == SECTION], whole)
    parts, parts_count = _read_all(reader, [found for found in sections if found.name == PARTS_SECTION], whole)
    if not linked and not parts:
        return None
    judged = judge_targets(linked or parts)._replace(containers=linked_count or parts_count)
    if parts and linked and not judged.ptx and linked_count <= parts_count:
        # linked for the device as a whole: for a newer GPU the driver links the PTX of the parts anew
        of_parts = judge_targets(parts)
        few = [name for name in judged.few if name not in of_parts.ptx]
        return judged._replace(ptx=of_parts.ptx, ptx_isa=of_parts.ptx_isa, few=few)
    return judged


def _read_all(reader: Reader, sections: list[Section], whole: bool) -> tuple[list[Container], int]:
    """The containers that were looked into, and how many there are."""
    places = [place for section in sections for place in places_of(reader, section)]
    step = 1 if whole else -(-len(places) // LOOKED_INTO) or 1
    return [read_container(reader, place) for place in places[::step]], len(places)


def judge_targets(containers: list[Container]) -> FatBinary:
    """Which targets are support: those that more than half as many containers have as have the commonest one.

    A build compiles every source for its list, so that each of the list is in nearly every container; sources with
    kernels for some chips alone bring along more. Half is far from both: of torch's own builds a target of the list is
    in every container, any other in fewer than one of six. A library made of several parts (onnxruntime-gpu) leaves
    old GPUs out of a third of its containers.
    Containers for one target alone hold kernels for that chip: where two fifths of the containers are for more than
    one, these decide. A target whose payloads together are below a hundredth of the largest target's is no support
    either: such containers are empty.
    """
    several = [container for container in containers if len(container.targets) > 1]
    deciding = several if 5 * len(several) > 2 * len(containers) else containers
    number = Counter(target for container in deciding for target in container.targets)
    volume: Counter[Target] = Counter()
    for container in containers:
        volume.update(container.targets)
    most = {ptx: max((volume[target] for target in volume if target.ptx == ptx), default=0) for ptx in (True, False)}
    commonest = max(number.values(), default=0)
    code: list[str] = []
    ptx: list[str] = []
    few: list[str] = []
    for target in sorted(volume):
        if 2 * number[target] <= commonest or 100 * volume[target] < most[target.ptx]:
            few.append(str(target))
        else:
            (ptx if target.ptx else code).append(str(target))
    newest = max((container.ptx_version for container in containers), default=(0, 0))
    return FatBinary(code, ptx, few, len(containers), f"{newest[0]}.{newest[1]}" if ptx else "")


def places_of(reader: Reader, section: Section) -> list[Place]:
    """Where the entries of each container of a section are, from header to header. Raises NotReadable, OSError."""
    at, end = section.offset, section.offset + section.size
    found: list[Place] = []
    while at < end:
        header = reader.read(at, min(_CONTAINER.size, end - at))
        if not header[:8].strip(b"\0"):
            at = _next_container(reader, at, section)
            continue
        if len(header) < _CONTAINER.size:
            raise NotReadable(f"the fat binary at byte {at} of it is longer than the section it is in")
        magic, _, header_size, payload = _CONTAINER.unpack(header)
        if magic != MAGIC:
            raise NotReadable(f"at byte {at} of it stands {magic:08x} where a fat binary should begin")
        if header_size < _CONTAINER.size or at + header_size + payload > end:
            raise NotReadable(f"the fat binary at byte {at} of it is longer than the section it is in")
        found.append(Place(at + header_size, at + header_size + payload))
        if len(found) > MAX_CONTAINERS:
            raise NotReadable(f"it has more than {MAX_CONTAINERS} fat binaries")
        at += header_size + payload
        at += -(at - section.offset) % 8
    return found


def read_container(reader: Reader, place: Place) -> Container:
    """The entries of one container. Raises NotReadable, OSError."""
    at, end = place
    targets: dict[Target, int] = {}
    version, count = (0, 0), 0
    while at < end:
        if end - at < _ENTRY.size:
            raise NotReadable(f"the piece of GPU code at byte {at} of it is longer than the fat binary it is in")
        kind, _, header_size, payload, _, _, minor, major, architecture, _, _, flags = _ENTRY.unpack(
            reader.read(at, _ENTRY.size)
        )
        if header_size < _ENTRY.size or at + header_size + payload > end:
            raise NotReadable(f"the piece of GPU code at byte {at} of it is longer than the fat binary it is in")
        count += 1
        if count > MAX_ENTRIES:
            raise NotReadable(f"one of its fat binaries has more than {MAX_ENTRIES} pieces")
        if kind in (PTX, MACHINE_CODE):
            if not 10 <= architecture < 10_000:
                raise NotReadable(f"the piece of GPU code at byte {at} of it is for architecture {architecture}")
            suffix = "a" if flags & ONE_CHIP else "f" if flags & FAMILY else ""
            target = Target(architecture, suffix, kind == PTX)
            targets[target] = targets.get(target, 0) + payload
            if kind == PTX:
                version = max(version, (major, minor))
        at += header_size + payload
    return Container(targets, version)


def _next_container(reader: Reader, at: int, section: Section) -> int:
    """The first place from ``at`` on that is not zero, in steps of eight; the section's end where there is none."""
    begin, end = at, section.offset + section.size
    length = 16  # there is often no gap at all, and seldom one of more than eight bytes
    while at < end:
        piece = reader.read(at, min(length, end - at))
        rest = piece.lstrip(b"\0")
        if rest:
            return at + (len(piece) - len(rest)) // 8 * 8
        at += len(piece)
        length = min(2 * length, 4096)
        if at - begin > MAX_GAP:
            raise NotReadable(f"it holds only zero bytes around byte {begin} where GPU code should be")
    return end
