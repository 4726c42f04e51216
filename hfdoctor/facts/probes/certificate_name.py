"""Reads who signed an X.509 certificate: just enough DER for that, since Python decodes only what it has verified."""

from __future__ import annotations

from collections.abc import Iterator

_COMMON_NAME = bytes((0x55, 0x04, 0x03))
_ORGANISATION = bytes((0x55, 0x04, 0x0A))


def issuer_of(der: bytes) -> str:
    """The issuer's common name and organisation; "" if the bytes are no certificate."""
    try:
        to_be_signed = next(_items(_content(der)))[1]
        fields = [item for item in _items(to_be_signed) if item[0] != 0xA0]  # [0] is the version, which may be missing
        names = {}
        for _, relative in _items(fields[2][1]):  # serial number, algorithm, issuer
            for _, pair in _items(relative):
                (_, kind), (tag, value) = list(_items(pair))[:2]
                names[kind] = value.decode("utf-16-be" if tag == 0x1E else "utf-8", "replace")
    except (IndexError, StopIteration, ValueError):
        return ""
    found = [names[kind] for kind in (_COMMON_NAME, _ORGANISATION) if names.get(kind)]
    return ", ".join(dict.fromkeys(found))


def _content(der: bytes) -> bytes:
    return next(_items(der))[1]


def _items(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The tags and contents of a sequence. Raises IndexError where it ends too early."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(der[at : at + octets], "big")
            at += octets
        if at + length > len(der):
            raise IndexError("cut short")
        yield tag, der[at : at + length]
        at += length
