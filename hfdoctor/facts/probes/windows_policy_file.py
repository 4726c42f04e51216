"""Reads Registry.pol, the file in which Windows keeps the registry values that Group Policy sets.

Its format is published: a signature and a version, then ``[key;value;type;size;data]`` in UTF-16, where type and size
are 32-bit numbers and data has ``size`` bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

SIGNATURE = b"PReg"
OPEN, SEPARATOR, CLOSE = (letter.encode("utf-16-le") for letter in "[;]")

#: bytes; a policy file is some kilobytes
LARGEST = 16 * 1024 * 1024


class NotAPolicyFile(ValueError):
    """The bytes are not in the format; the message says where they leave it."""


def entries(data: bytes) -> Iterator[tuple[str, str, int, bytes]]:
    """Every ``(key, value name, type, data)`` of a policy file. Raises NotAPolicyFile where it leaves the format."""
    if data[:4] != SIGNATURE:
        raise NotAPolicyFile(f"the file does not begin with PReg but with {data[:8]!r}")
    at = 8
    while at < len(data):
        at = _skip(data, at, OPEN)
        key, at = _text(data, at)
        name, at = _text(data, at)
        kind, at = _number(data, at)
        size, at = _number(data, at)
        if at + size > len(data):
            raise NotAPolicyFile(f"an entry of {size} bytes at {at} passes the end of the file")
        value = data[at : at + size]
        at = _skip(data, at + size, CLOSE)
        yield key, name, kind, value


def _skip(data: bytes, at: int, sign: bytes) -> int:
    if data[at : at + 2] != sign:
        raise NotAPolicyFile(f"{sign.decode('utf-16-le')} is missing at {at}")
    return at + 2


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = at
    while data[end : end + 2] not in (b"\0\0", b""):
        end += 2
    return data[at:end].decode("utf-16-le", "replace"), _skip(data, end + 2, SEPARATOR)


def _number(data: bytes, at: int) -> tuple[int, int]:
    if at + 4 > len(data):
        raise NotAPolicyFile(f"a number is cut short at {at}")
    return struct.unpack_from("<I", data, at)[0], _skip(data, at + 4, SEPARATOR)
