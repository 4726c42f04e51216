"""For which GPUs a library inside a published wheel was built, without keeping the wheel.

    python -m scripts.registry_tables.stream torch 2.15.0 manylinux_2_28_x86_64

The library's compressed bytes are asked for by range and unpacked while they arrive, into a temporary file that is gone
afterwards: hfdoctor's own reader then reads it as it reads an installed one. A connection that breaks is taken up
where it broke off.
"""

from __future__ import annotations

import argparse
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from typing import IO

import requests

from hfdoctor.binaries.gpu_code import LibraryCode, read_library
from hfdoctor.binaries.sections import Reader

from .index import Index, PublishedFile

#: bytes asked for at a time, and how often a broken connection is taken up again
PIECE, TRIES = 1 << 20, 6

#: torch's library with its GPU code
OF_TORCH = ("libtorch_cuda.so", "torch_cuda.dll", "libtorch_hip.so", "torch_hip.dll")


class NotThere(Exception):
    """The wheel has no such member, or its bytes are not what the wheel's directory says. One line."""


def gpu_targets_of(index: Index, wheel: PublishedFile, member: str) -> LibraryCode | None:
    """For which GPUs the library ``member`` of ``wheel`` was built; None where it has no GPU code.

    Downloads the member's compressed bytes (hundreds of megabytes for torch) and needs its unpacked size on the disk
    of the temporary folder while it runs. Raises NotThere, requests.RequestException, OSError, and
    hfdoctor.binaries.sections.NotReadable for a library that cannot be read.
    """
    with unpacked(index, wheel, member) as file:
        return read_library(Reader(file), whole=True)  # type: ignore[arg-type]


def unpacked(index: Index, wheel: PublishedFile, member: str) -> IO[bytes]:
    """The member as a temporary file that is gone when it is closed. Raises as gpu_targets_of."""
    with index.open_wheel(wheel) as archive:
        try:
            info = archive.getinfo(member)
        except KeyError:
            raise NotThere(f"{wheel.filename} holds no {member}") from None
    if info.compress_type not in (0, 8):
        raise NotThere(f"{member} in {wheel.filename} is packed by method {info.compress_type}")
    begin = _data_begin(index, wheel, info.header_offset)
    file = tempfile.TemporaryFile(prefix="hfdoctor-wheel-")  # noqa: SIM115  the caller closes it
    try:
        check = 0
        for data in _inflated(_stream(index, wheel, begin, info.compress_size), packed=info.compress_type == 8):
            check = zlib.crc32(data, check)
            file.write(data)
        if file.tell() != info.file_size or check != info.CRC:
            raise NotThere(
                f"{member} in {wheel.filename} did not arrive whole: {file.tell()} of {info.file_size} bytes"
            )
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


def _data_begin(index: Index, wheel: PublishedFile, header_offset: int) -> int:
    """Where the member's data begin: behind its own header, whose name and extra field may differ in length."""
    header = b"".join(_stream(index, wheel, header_offset, 30))
    if header[:4] != b"PK\3\4":
        raise NotThere(f"{wheel.filename} has no member where its directory says")
    name_length, extra_length = struct.unpack_from("<HH", header, 26)
    return header_offset + 30 + int(name_length) + int(extra_length)


def _stream(index: Index, wheel: PublishedFile, begin: int, length: int) -> Iterator[bytes]:
    """``length`` bytes of the wheel's file from ``begin``."""
    done, failures = 0, 0
    while done < length:
        index.requests_made += 1
        try:
            asked = {"Range": f"bytes={begin + done}-{begin + length - 1}"}
            with index.session.get(wheel.url, headers=asked, stream=True, timeout=index.timeout) as answer:
                answer.raise_for_status()
                if answer.status_code != 206:
                    raise NotThere(f"the server of {wheel.filename} answers no range requests")
                for data in answer.iter_content(PIECE):
                    yield data
                    done += len(data)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
            failures += 1
            if failures >= TRIES:
                raise
            time.sleep(min(2.0**failures, 30.0))


def _inflated(pieces: Iterator[bytes], packed: bool) -> Iterator[bytes]:
    if not packed:
        yield from pieces
        return
    inflater = zlib.decompressobj(-15)
    try:
        for data in pieces:
            yield inflater.decompress(data)
        yield inflater.flush()
    except zlib.error as error:
        raise NotThere(f"its packed bytes are damaged: {error}") from error


def wheel_of(index: Index, project: str, version: str, tag: str) -> PublishedFile:
    """The first wheel of a release that has ``tag`` in its file name. Raises NotThere without one."""
    for file in index.files(project):
        if file.is_wheel and str(file.version) == version and tag in file.filename:
            return file
    raise NotThere(f"there is no wheel of {project} {version} with {tag} in its name")


def gpu_library(index: Index, wheel: PublishedFile) -> str:
    """The library of a wheel that would hold its GPU code: torch's own, or the largest. Raises NotThere without any."""
    libraries = [entry for entry in index.members(wheel) if entry.name.endswith((".so", ".dll", ".pyd"))]
    own = [entry for entry in libraries if entry.name.endswith(OF_TORCH)]
    if not libraries:
        raise NotThere(f"{wheel.filename} holds no library")
    return max(own or libraries, key=lambda entry: entry.size).name


def main() -> int:
    """Print what a wheel's largest library (or ``--member``) was built for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project")
    parser.add_argument("version")
    parser.add_argument("tag", help="part of the wheel's file name: manylinux_2_28_x86_64, win_amd64")
    parser.add_argument("--member", help="the library; without it torch's own, or the largest")
    arguments = parser.parse_args()
    index = Index()
    wheel = wheel_of(index, arguments.project, arguments.version, arguments.tag)
    member = arguments.member or gpu_library(index, wheel)
    print(f"{wheel.filename} {member}")
    print(gpu_targets_of(index, wheel, member) or "no GPU code")
    return 0


if __name__ == "__main__":
    sys.exit(main())
