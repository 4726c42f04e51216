"""Where the system's loader would find a library of a GPU driver, on Linux."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

#: the loader's own folders, after its cache
DEFAULT = (
    *("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu"),
    *("lib64", "usr/lib64", "lib", "usr/lib"),
)
#: where drivers lie that the loader is told of in other ways: WSL, container platforms, NixOS, Jetson
ELSEWHERE = (
    *("usr/lib/wsl/lib", "usr/local/nvidia/lib64", "usr/local/nvidia/lib", "run/opengl-driver/lib"),
    *(".singularity.d/libs", "usr/lib/aarch64-linux-gnu/nvidia", "usr/lib/aarch64-linux-gnu/tegra"),
)
CACHE_MAGIC = b"glibc-ld.so.cache1.1"
#: bits of an entry that name its processor: 0 is 32-bit x86, this one x32; neither runs torch
PROCESSOR_BITS, X32 = 0xFF00, 0x0800


class Library(msgspec.Struct, frozen=True):
    """A library file: ``path`` as a program would see it (never with the root in front), ``real`` behind all links."""

    path: str
    real: str
    #: LD_LIBRARY_PATH, ld.so.cache, default; elsewhere: not where the loader looks
    by: str


def find_library(name: str, environ: Mapping[str, str], root: str = "/") -> Library | None:
    """The library ``name`` (libcuda.so.1) that a program would get; one with ``by`` elsewhere is no loader's."""
    for folder in environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":"):
        if folder.startswith("/"):
            library = _there(root, f"{folder.rstrip('/')}/{name}", "LD_LIBRARY_PATH")
            if library:
                return library
    for path in cached(name, root):
        library = _there(root, path, "ld.so.cache")
        if library:
            return library
    for folders, by in ((DEFAULT, "default"), (ELSEWHERE, "elsewhere")):
        for folder in folders:
            library = _there(root, f"/{folder}/{name}", by)
            if library:
                return library
    return None


def cached(name: str, root: str = "/") -> list[str]:
    """The paths of ``name`` in /etc/ld.so.cache, in its order; empty where there is no such cache."""
    try:
        with open(os.path.join(root, "etc/ld.so.cache"), "rb") as stream:
            data = stream.read(64 << 20)
    except OSError:
        return []
    wanted = name.encode() + b"\0"
    if wanted not in data:
        return []
    import struct

    start = data.find(CACHE_MAGIC)  # the old form may come before it
    if start < 0 or start + 48 > len(data):
        return []
    (count,) = struct.unpack_from("=I", data, start + len(CACHE_MAGIC))
    count = min(count, (len(data) - start - 48) // 24)
    found = []
    entries = data[start + 48 : start + 48 + 24 * count]
    for flags, key, value, _, _ in struct.iter_unpack("=iIIIQ", entries):
        if data.startswith(wanted, start + key) and flags & PROCESSOR_BITS not in (0, X32):
            end = data.find(b"\0", start + value)
            found.append(os.fsdecode(data[start + value : end]))
    return found


def version_of(library: Library | None) -> str:
    """The driver's version that the file's own name carries: 595.58.03 of libcuda.so.595.58.03; "" for other names."""
    if library is None:
        return ""
    version = os.path.basename(library.real).partition(".so.")[2]
    parts = version.split(".")
    numbers = len(parts) >= 2 and all(part.isdigit() for part in parts)
    return version if numbers and len(parts[0]) >= 3 else ""  # libcuda.so.1.1 of a Jetson carries none


def _there(root: str, path: str, by: str) -> Library | None:
    """The library if the file is there; links are followed within ``root``."""
    at = root.rstrip("/") + path
    for _ in range(16):
        try:
            target = os.readlink(at)
        except OSError:
            break
        folder = at.rpartition("/")[0]
        at = root.rstrip("/") + target if target.startswith("/") else os.path.normpath(f"{folder}/{target}")
    if not os.path.isfile(at):
        return None
    real = os.path.realpath(at)
    return Library(path, real if root == "/" else "/" + os.path.relpath(real, os.path.realpath(root)), by)
