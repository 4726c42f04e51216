"""Reads /etc/ld.so.cache: both formats of glibc, the old one alone or with the new one behind it."""

from __future__ import annotations

import struct

_OLD = b"ld.so-1.7.0\0"
_NEW = b"glibc-ld.so.cache1.1"

#: bytes; caches of large machines have a few hundred thousand
LARGEST_CACHE = 32 * 1024 * 1024


class Cache:
    """Names of libraries and the files that the cache has for each.

    What is made for better processors only (glibc-hwcaps) is left out where there is a general file too: the same
    library, as far as anything here asks. Never raises for what the bytes hold: of a broken cache nothing is found, as
    the loader does.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._strings = 0
        #: where a name stands -> where its files stand; those for better processors in the second
        self._general: dict[int, list[int]] = {}
        self._special: dict[int, list[int]] = {}
        try:
            self._load()
        except struct.error:
            self._general, self._special = {}, {}

    def _load(self) -> None:
        data, start = self._data, 0
        if data.startswith(_OLD):
            for order in "<>":
                count = struct.unpack_from(f"{order}I", data, 12)[0]
                end = 16 + 12 * count
                if end <= len(data):
                    start = (end + 7) & ~7
                    if not data.startswith(_NEW, start):
                        start = (end + 3) & ~3
                    if data.startswith(_NEW, start):
                        break
                    self._strings = end
                    self._take(struct.iter_unpack(f"{order}iII", data[16:end]))
                    return
            else:
                return
        if not data.startswith(_NEW, start):
            return
        order = ">" if data[start + 28 : start + 29] == b"\3" else "<"
        count = struct.unpack_from(f"{order}I", data, start + 20)[0]
        if count > len(data) // 24:
            return
        self._strings = start
        self._take(struct.iter_unpack(f"{order}iIIIQ", data[start + 48 : start + 48 + 24 * count]))

    def _take(self, entries: struct._unpack_iterator) -> None:  # type: ignore[name-defined]
        for entry in entries:
            flags, key, value = entry[:3]
            if flags & 0xFF in (1, 3):  # a library of ELF
                special = len(entry) == 5 and entry[4] != 0
                (self._special if special else self._general).setdefault(key, []).append(value)

    def files(self, name: str) -> list[str]:
        """The files for ``name``, in the cache's order."""
        raw = name.encode("utf-8", "surrogateescape") + b"\0"
        general: list[int] = []
        special: list[int] = []
        # the end of a longer string may serve as a name: look at each place where it stands
        at = self._data.find(raw)
        while at >= 0 and raw != b"\0":
            general += self._general.get(at - self._strings, ())
            special += self._special.get(at - self._strings, ())
            at = self._data.find(raw, at + 1)
        return [path for path in map(self._string, general or special) if path]

    def _string(self, offset: int) -> str:
        start = self._strings + offset
        end = self._data.find(b"\0", start, start + 4096)
        return self._data[start:end].decode("utf-8", "surrogateescape") if end >= 0 else ""
