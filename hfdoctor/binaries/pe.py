"""What a Windows library (PE) says in its headers: the DLLs that it needs, at once or only later, and its linker.

A reader of its own: pefile builds an object for each imported function, of which torch_python.dll has thousands, where
only the names of the DLLs are asked for. The tests hold it against pefile on real libraries.
"""

from __future__ import annotations

import struct

import msgspec

from .elf import Malformed
from .files import File

#: Machine -> name
MACHINES = {0x14C: "x86", 0x1C4: "arm", 0x8664: "x86_64", 0xAA64: "arm64", 0xA641: "arm64ec"}

_MOST_SECTIONS = 512
_MOST_DLLS = 2048
_LONGEST_NAME = 512


class Pe(msgspec.Struct):
    """One DLL, extension module or program. Names of DLLs are as written; Windows compares them without case."""

    machine: int
    bits: int
    #: bytes of the file, and those that its sections take
    size: int
    length: int
    #: version of the linker: (14, 40) is that of Visual Studio 2022 17.10
    linker: tuple[int, int]
    imports: list[str] = []
    #: loaded when a function is first called, which may be never
    delayed: list[str] = []

    @property
    def truncated(self) -> bool:
        """Whether the file ends before its sections do."""
        return self.size < self.length


def read_pe(file: File) -> Pe:
    """Read the headers of ``file``. Raises Malformed, OSError."""
    try:
        return _read(file)
    except struct.error as error:
        raise Malformed("truncated" if file.size < 4096 else "malformed", str(error)) from error


def _read(file: File) -> Pe:
    head = file.read(0, 64)
    if not head:
        raise Malformed("empty", "the file is empty")
    if head[:2] != b"MZ":
        raise Malformed("foreign", f"it begins with {head[:4]!r}, which no Windows library does")
    start = struct.unpack_from("<I", head, 60)[0]
    header = file.read(start, 24)
    if len(header) < 24:
        raise Malformed("truncated", "it ends before its headers")
    if header[:4] != b"PE\0\0":
        raise Malformed("malformed", "it has no PE header")
    machine, sections = struct.unpack_from("<HH", header, 4)
    optional_size = struct.unpack_from("<H", header, 20)[0]
    if sections > _MOST_SECTIONS:
        raise Malformed("malformed", f"{sections} sections")
    optional = file.read(start + 24, optional_size)
    magic, major, minor = struct.unpack_from("<HBB", optional)
    if magic not in (0x10B, 0x20B):
        raise Malformed("malformed", "its optional header is of no known kind")
    wide = magic == 0x20B
    base = struct.unpack_from("<Q" if wide else "<I", optional, 24 if wide else 28)[0]
    count = min(struct.unpack_from("<I", optional, 108 if wide else 92)[0], 16)
    directories = list(struct.iter_unpack("<II", optional[112 if wide else 96 :][: 8 * count]))
    table = file.read(start + 24 + optional_size, 40 * sections)
    rows = [struct.unpack_from("<IIII", table, 40 * index + 8) for index in range(sections)]
    result = Pe(
        machine=machine,
        bits=64 if wide else 32,
        size=file.size,
        length=max((at + raw for _, _, raw, at in rows if at), default=0),
        linker=(major, minor),
    )
    places = [(address, max(virtual, raw), raw, at) for virtual, address, raw, at in rows]
    try:
        if len(directories) > 1 and directories[1][0]:
            result.imports = _names(file, places, directories[1][0], 20, 12, 0)
        if len(directories) > 13 and directories[13][0]:
            result.delayed = _names(file, places, directories[13][0], 32, 4, base)
    except Malformed:
        if not result.truncated:
            raise
    return result


def _names(
    file: File, places: list[tuple[int, int, int, int]], address: int, size: int, name_at: int, base: int
) -> list[str]:
    """The names in a table of descriptors of ``size`` bytes that ends with an empty one."""
    names: list[str] = []
    at = _place(places, address)
    for index in range(_MOST_DLLS):
        row = file.read(at + index * size, size)
        if len(row) < size:
            raise Malformed("truncated", "it ends within its table of DLLs")
        name = struct.unpack_from("<I", row, name_at)[0]
        if not name:
            return names
        if base and not row[0] & 1:
            name -= base  # written by a linker older than Visual C++ 7: an address, not a distance
        data = file.read(_place(places, name), _LONGEST_NAME)
        end = data.find(b"\0")
        if end < 0:
            raise Malformed("malformed", "a DLL's name without an end")
        names.append(data[:end].decode("latin-1"))
    raise Malformed("malformed", "an endless table of DLLs")


def _place(places: list[tuple[int, int, int, int]], address: int) -> int:
    for start, length, raw, at in places:
        if start <= address < start + length:
            if address - start >= raw:
                raise Malformed("malformed", f"the address {address:#x} is not in the file")
            return at + address - start
    raise Malformed("malformed", f"no section holds the address {address:#x}")
