"""A library of which only the recorded pieces are there: its headers as they were published, the rest zero.

A fixture holds, zlib-compressed, a msgpack map: ``source`` (wheel and member), ``size`` (bytes of the whole library)
and ``pieces`` (offset and bytes). scripts/registry_tables/record_headers.py writes it.
"""

from __future__ import annotations

import bisect
import io
import zlib
from pathlib import Path

import msgspec

FIXTURES = Path(__file__).parent / "fixtures"


class Recorded(msgspec.Struct):
    """What the fixture holds."""

    source: str
    size: int
    pieces: list[tuple[int, bytes]]


def load(name: str) -> Recorded:
    """The fixture ``name``."""
    return msgspec.msgpack.decode(zlib.decompress((FIXTURES / f"{name}.headers").read_bytes()), type=Recorded)


class SparseFile(io.RawIOBase):
    """Reads as the library would; ``changed`` lays bytes over it, ``size`` cuts it off."""

    def __init__(self, recorded: Recorded, changed: dict[int, int] | None = None, size: int | None = None) -> None:
        self.recorded = recorded
        self.starts = [offset for offset, _ in recorded.pieces]
        self.changed = changed or {}
        self.size = recorded.size if size is None else size
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (self.size if whence == 2 else self.at if whence == 1 else 0)
        return self.at

    def read(self, size: int = -1) -> bytes:
        end = self.size if size < 0 else min(self.at + size, self.size)
        out = bytearray(max(end - self.at, 0))
        index = max(bisect.bisect_right(self.starts, self.at) - 1, 0)
        while index < len(self.starts) and self.starts[index] < end:
            offset, data = self.recorded.pieces[index]
            begin, stop = max(offset, self.at), min(offset + len(data), end)
            if begin < stop:
                out[begin - self.at : stop - self.at] = data[begin - offset : stop - offset]
            index += 1
        for place, value in self.changed.items():
            if self.at <= place < end:
                out[place - self.at] = value
        self.at = max(end, self.at)
        return bytes(out)
