"""Record what hfdoctor reads of a published library, as a fixture for the tests: its headers, and nothing else.

    python -m scripts.registry_tables.record_headers torch 2.15.0 manylinux_2_28_x86_64 OUT.headers [--member NAME]

Prints what the reader makes of the library and, for torch, the list that its own build wrote into it.
"""

from __future__ import annotations

import argparse
import re
import sys
import zlib
from pathlib import Path
from typing import IO, Any

import msgspec

from hfdoctor.binaries.gpu_code import read_library
from hfdoctor.binaries.sections import Reader

from .index import Index
from .stream import gpu_library, unpacked, wheel_of

#: torch writes the flags of its build into libtorch_cuda (torch.cuda.get_arch_list reads them); older ones a bare list
FLAGS = re.compile(rb"(?:-gencode[;=]arch=[a-z0-9_,=]+;?)+")
BARE = re.compile(rb"sm_\d\d+[af]?(?: (?:sm|compute)_\d\d+[af]?){2,}")


class Recording(Reader):
    """A Reader that keeps what it read, each piece with what follows it up to 64 bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)  # type: ignore[arg-type]
        self.kept: dict[int, bytes] = {}

    def read(self, offset: int, length: int) -> bytes:
        data = super().read(offset, length)
        self.file.seek(offset)
        piece = self.file.read(max(length, 64))
        if len(piece) > len(self.kept.get(offset, b"")):
            self.kept[offset] = piece
        return data

    def pieces(self) -> list[tuple[int, bytes]]:
        """What was read, in order, overlaps joined."""
        joined: list[tuple[int, bytes]] = []
        for offset, data in sorted(self.kept.items()):
            if joined and offset <= joined[-1][0] + len(joined[-1][1]):
                begin, before = joined[-1]
                if offset + len(data) > begin + len(before):
                    joined[-1] = (begin, before[: offset - begin] + data)
            else:
                joined.append((offset, data))
        return joined


def own_words(file: IO[bytes]) -> set[str]:
    """The lists of architectures that a build wrote into its library."""
    file.seek(0)
    found: set[str] = set()
    before = b""
    while piece := file.read(8 << 20):
        for pattern in (FLAGS, BARE):
            found |= {match.decode() for match in pattern.findall(before[-4096:] + piece)}
        before = piece
    return found


def main() -> int:
    """Record one library."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project")
    parser.add_argument("version")
    parser.add_argument("tag", help="part of the wheel's file name: manylinux_2_28_x86_64, win_amd64")
    parser.add_argument("out", type=Path)
    parser.add_argument("--member", help="the library; without it torch's own, or the largest")
    arguments = parser.parse_args()
    index = Index()
    wheel = wheel_of(index, arguments.project, arguments.version, arguments.tag)
    member = arguments.member or gpu_library(index, wheel)
    with unpacked(index, wheel, member) as file:
        recording = Recording(file)
        code = read_library(recording, whole=True)
        content: dict[str, Any] = {"source": f"{wheel.filename} {member}", "size": recording.size}
        content["pieces"] = recording.pieces()
        arguments.out.write_bytes(zlib.compress(msgspec.msgpack.encode(content), 9))
        print(f"{wheel.filename} {member}: {recording.reads} reads, {recording.bytes_read} of {recording.size} bytes")
        print(code)
        if code is not None and arguments.project == "torch":
            print("its own words:", *sorted(own_words(file)), sep="\n  ")
    return 0


if __name__ == "__main__":
    sys.exit(main())
