"""What an ELF library says in its dynamic segment: what it needs, where from, and in which versions.

A reader of its own: pyelftools takes 70 ms to be imported and 3 to 40 ms for a library of torch, this one under half a
millisecond. It follows the program headers as the system's loader does (section headers may be stripped), reads
a few blocks of 16 KiB and no symbol tables (see elf_symbols). The tests hold it against pyelftools on real libraries.
"""

from __future__ import annotations

import struct

import msgspec

from .files import File

#: e_machine -> how Debian, and the folders of the others, name it
MACHINES = {
    3: "i386",
    21: "powerpc64le",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}

#: bounds: no real library comes near
_MOST_SEGMENTS = 512
_MOST_DYNAMIC = 4096
_MOST_VERSIONS = 16384
_LONGEST_STRING = 64 * 1024

#: bytes; a table of strings up to this size is read at once: that of libtorch_cpu has 20 MB
_SMALL_TABLE = 512 * 1024


class Malformed(Exception):
    """The file is no whole library: ``kind`` is empty, foreign (no ELF or PE), truncated or malformed."""

    def __init__(self, kind: str, says: str) -> None:
        super().__init__(says)
        self.kind = kind


class Elf(msgspec.Struct):
    """One library or program. ``needed`` in its order; ``rpath`` and ``runpath`` as written, None where not there."""

    #: 32 or 64, "<" or ">", e_machine
    bits: int
    order: str
    machine: int
    #: bytes of the file, and those that its loaded segments take
    size: int
    length: int
    soname: str = ""
    needed: list[str] = []
    rpath: str | None = None
    runpath: str | None = None
    #: linked with -z nodefaultlib: neither the loader's cache nor its default folders
    no_default: bool = False
    #: the loader that a program asks for
    interpreter: str = ""
    #: file -> versions that it must have; those it may lack are left out
    versions_needed: dict[str, list[str]] = {}
    #: the versions that this file has; None where it has no versions at all
    versions: frozenset[str] | None = None
    #: .note.gnu.build-id in hexadecimal; "" without
    build_id: str = ""
    is_dynamic: bool = True

    @property
    def kind(self) -> tuple[int, str, int]:
        """What must be the same in all libraries of a process."""
        return self.bits, self.order, self.machine

    @property
    def truncated(self) -> bool:
        """Whether the file ends before what it would load."""
        return self.size < self.length


def read_elf(file: File) -> Elf:
    """Read the headers of ``file``. Raises Malformed, OSError; never reads symbol tables."""
    return ElfReader(file).read()


def kind_of(file: File, bits: int) -> tuple[int, str, int] | None:
    """``Elf.kind`` by the first header alone, whatever follows it; None where there is none. Raises OSError.

    ``bits`` are those of the process: its loader wants as many bytes as a header of its own has.
    """
    length = 64 if bits == 64 else 52
    head = file.read(0, length)
    if len(head) < length or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    order = "<" if head[5] == 1 else ">"
    return 32 * head[4], order, int(struct.unpack_from(f"{order}H", head, 18)[0])


class ElfReader:
    """The places of things in one file. Raises Malformed, OSError; struct.error for tables that break off."""

    def __init__(self, file: File) -> None:
        self.file = file
        head = file.read(0, 64)
        if not head:
            raise Malformed("empty", "the file is empty")
        if head[:4] != b"\x7fELF":
            raise Malformed("foreign", f"it begins with {head[:4]!r}, which no ELF library does")
        if len(head) < 64 and not (len(head) >= 52 and head[4] == 1):
            raise Malformed("truncated", "it ends within its first header")
        if head[4] not in (1, 2) or head[5] not in (1, 2):
            raise Malformed("malformed", "its header names no width or byte order")
        self.wide = head[4] == 2
        self.order = "<" if head[5] == 1 else ">"
        self.machine = int(self.unpack("H", head, 18)[0])
        if self.wide:
            table_at, _, _, _, entry_size, entries = self.unpack("QQIHHH", head, 32)
        else:
            table_at, _, _, _, entry_size, entries = self.unpack("IIIHHH", head, 28)
        if entries > _MOST_SEGMENTS or entry_size != (56 if self.wide else 32):
            raise Malformed("malformed", f"{entries} segments of {entry_size} bytes")
        table = file.read(table_at, entry_size * entries)
        if len(table) < entry_size * entries:
            raise Malformed("truncated", "it ends before its table of segments")
        #: address, length in the file, offset
        self.loads: list[tuple[int, int, int]] = []
        self.dynamic_at: tuple[int, int] | None = None
        self.interpreter_at: tuple[int, int] | None = None
        self.notes: list[tuple[int, int]] = []
        for index in range(entries):
            at = index * entry_size
            if self.wide:
                kind, _, offset, address, _, length = self.unpack("IIQQQQ", table, at)
            else:
                kind, offset, address, _, length = self.unpack("IIIII", table, at)
            if kind == 1:
                self.loads.append((address, length, offset))
            elif kind == 2:
                self.dynamic_at = (offset, length)
            elif kind == 3:
                self.interpreter_at = (offset, length)
            elif kind == 4:
                self.notes.append((offset, length))
        self.tags: dict[int, list[int]] = {}
        self.strings_at = self.strings_length = 0
        self.strings: bytes | None = None

    def unpack(self, form: str, data: bytes, at: int = 0) -> tuple[int, ...]:
        return struct.unpack_from(self.order + form, data, at)

    def whole(self, offset: int, length: int) -> bytes:
        data = self.file.read(offset, length)
        if len(data) < length:
            raise Malformed("truncated", f"it ends before {offset + length} bytes, which its headers name")
        return data

    def place(self, address: int) -> int:
        """Where in the file that lies which is loaded to ``address``."""
        for start, length, offset in self.loads:
            if start <= address < start + length:
                return offset + address - start
        raise Malformed("malformed", f"no segment holds the address {address:#x}")

    def string(self, at: int) -> str:
        """The string at ``at`` in the table of strings."""
        if at < 0 or at >= self.strings_length:
            raise Malformed("malformed", "a string outside the table of strings")
        if self.strings_length <= _SMALL_TABLE:
            if self.strings is None:
                self.strings = self.whole(self.strings_at, self.strings_length)
            end = self.strings.find(b"\0", at, at + _LONGEST_STRING)
            if end < 0:
                raise Malformed("malformed", "an endless string")
            return self.strings[at:end].decode("utf-8", "surrogateescape")
        start = self.strings_at + at
        data, wanted = b"", 256
        while True:
            data = self.file.read(start, min(wanted, self.strings_length - at))
            end = data.find(b"\0")
            if end >= 0:
                return data[:end].decode("utf-8", "surrogateescape")
            if len(data) < wanted:
                raise Malformed(
                    "truncated" if start + len(data) >= self.file.size else "malformed", "an endless string"
                )
            if wanted >= _LONGEST_STRING:
                raise Malformed("malformed", "an endless string")
            wanted *= 16

    def load_tags(self) -> None:
        """Read the dynamic segment."""
        if self.dynamic_at is None:
            return
        offset, length = self.dynamic_at
        size = 16 if self.wide else 8
        data = self.whole(offset, min(length, _MOST_DYNAMIC * size))
        for at in range(0, len(data) - size + 1, size):
            tag, value = self.unpack("qQ" if self.wide else "iI", data, at)
            if tag == 0:
                break
            self.tags.setdefault(tag, []).append(value)
        self.strings_length = self.one(10) or 0
        strings = self.one(5)
        self.strings_at = self.place(strings) if strings is not None else 0

    def one(self, tag: int) -> int | None:
        values = self.tags.get(tag)
        return values[-1] if values else None

    def read(self) -> Elf:
        result = Elf(
            bits=64 if self.wide else 32,
            order=self.order,
            machine=self.machine,
            size=self.file.size,
            length=max((offset + length for _, length, offset in self.loads), default=0),
            is_dynamic=self.dynamic_at is not None,
        )
        try:
            if self.interpreter_at is not None:
                data = self.whole(self.interpreter_at[0], min(self.interpreter_at[1], 4096))
                result.interpreter = data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            self.load_tags()
            self._fill(result)
        except Malformed:
            if not result.truncated:
                raise
            # what the file would have said lies behind its end
        except struct.error as error:
            raise Malformed("malformed", str(error)) from error
        return result

    def _fill(self, result: Elf) -> None:
        result.needed = [self.string(value) for value in self.tags.get(1, ())]
        soname, rpath, runpath = self.one(14), self.one(15), self.one(29)
        result.soname = self.string(soname) if soname is not None else ""
        result.rpath = self.string(rpath) if rpath is not None else None
        result.runpath = self.string(runpath) if runpath is not None else None
        result.no_default = bool((self.one(0x6FFFFFFB) or 0) & 0x800)
        result.versions_needed = {}
        for name, versions in self.needed_versions():
            result.versions_needed.setdefault(name, []).extend(version for version, _, weak in versions if not weak)
        result.versions = self.provided_versions()
        result.build_id = self.build_id()

    def needed_versions(self) -> list[tuple[str, list[tuple[str, int, bool]]]]:
        """File -> name, index and whether it may be lacking, of each version wanted of it (DT_VERNEED)."""
        start, count = self.one(0x6FFFFFFE), self.one(0x6FFFFFFF) or 0
        if start is None:
            return []
        at, steps, found = self.place(start), 0, []
        for _ in range(count):
            _, auxes, file, aux, following = self.unpack("HHIII", self.whole(at, 16))
            versions, place = [], at + aux
            for _ in range(auxes):
                steps += 1
                if steps > _MOST_VERSIONS:
                    raise Malformed("malformed", "an endless table of versions")
                _, flags, index, name, step = self.unpack("IHHII", self.whole(place, 16))
                versions.append((self.string(name), index & 0x7FFF, bool(flags & 2)))
                if not step:
                    break
                place += step
            found.append((self.string(file), versions))
            steps += 1
            if steps > _MOST_VERSIONS:
                raise Malformed("malformed", "an endless table of versions")
            if not following:
                break
            at += following
        return found

    def provided_versions(self) -> frozenset[str] | None:
        """The names in DT_VERDEF, the file's own name among them."""
        start, count = self.one(0x6FFFFFFC), self.one(0x6FFFFFFD) or 0
        if start is None:
            return None
        place, at, found = self.place(start), 0, set()
        data = self.file.read(place, min(count, _MOST_VERSIONS) * 64)
        form = struct.Struct(f"{self.order}HHHHIII")
        for _ in range(min(count, _MOST_VERSIONS)):
            _, _, _, auxes, _, aux, following = form.unpack_from(data, at)
            if auxes:  # the first one is its name, the others those it came from
                found.add(self.string(self.unpack("I", data, at + aux)[0]))
            if not following:
                break
            at += following
        return frozenset(found)

    def build_id(self) -> str:
        for offset, length in self.notes[:16]:
            data = self.file.read(offset, min(length, 4096))
            at = 0
            while at + 12 <= len(data):
                name, content, kind = self.unpack("III", data, at)
                begin = at + 12 + (name + 3 & ~3)
                if kind == 3 and data[at + 12 : at + 16] == b"GNU\0":
                    return data[begin : begin + min(content, 64)].hex()
                at = begin + (content + 3 & ~3)
        return ""
