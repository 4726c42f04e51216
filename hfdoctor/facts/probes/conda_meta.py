"""Reads conda's own list of a package's files: conda-meta/<name>-<version>-<build>.json of the environment.

conda rewrites files after RECORD was made (prefixes, run paths), so RECORD says nothing there. Its own list has size
and hash of each file as it was packed, and marks those that the installation rewrites (``prefix_placeholder``): these
are left out, as are links. Files outside site-packages (libtorch of conda-forge, scripts) are not looked at.
"""

from __future__ import annotations

import os
import re

import msgspec

from ..sections.packages import Distribution
from .record import Record

#: bytes; that of pytorch has six million
LARGEST_META = 64 * 1024 * 1024

#: conda's names of packages that are called otherwise on PyPI; with others only "-" and "_" differ
ALIASES = {"torch": ("pytorch", "pytorch-cpu", "pytorch-gpu"), "opencv-python": ("py-opencv",)}

_SITE = re.compile(r"(?:lib/python3\.\d+t?/|lib/)?site-packages/", re.IGNORECASE)


class _Path(msgspec.Struct):
    path: str = msgspec.field(name="_path", default="")
    path_type: str = "hardlink"
    sha256: str | None = None
    size_in_bytes: int | None = None
    prefix_placeholder: str | None = None


class _Paths(msgspec.Struct):
    paths: list[_Path] = []


class _Meta(msgspec.Struct):
    paths_data: _Paths = msgspec.field(default_factory=_Paths)


def read_conda_record(entry: Distribution) -> Record | None:
    """conda's list as RECORD would have it: paths below site-packages, sizes and hashes where they hold.

    None where ``entry`` has no such list, or it cannot be read. Never raises.
    """
    folder = meta_folder(entry.path)
    for path in _named(folder, entry) if folder else ():
        paths = _paths_in(path)
        info = f"/{os.path.basename(entry.path)}/"
        if paths is not None and any(info in f"/{one.path}" for one in paths):
            return _record(paths)
    return None


def meta_folder(path: str) -> str:
    """The conda-meta folder of the environment in which a .dist-info stands; "" if it is in none."""
    parent = os.path.dirname(path)
    for _ in range(4):
        parent = os.path.dirname(parent)
        folder = os.path.join(parent, "conda-meta")
        if os.path.isdir(folder):
            return folder
    return ""


def _named(folder: str, entry: Distribution) -> list[str]:
    """The files in conda-meta that may be about a distribution: of its name and version, whatever the build."""
    wanted = {entry.name, *ALIASES.get(entry.name, ())}
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    found = []
    for name in names:
        parts = name.removesuffix(".json").rsplit("-", 2)
        if name.endswith(".json") and len(parts) == 3 and parts[0].replace("_", "-").lower() in wanted:
            found.append(os.path.join(folder, name))
    return found


def _paths_in(path: str) -> list[_Path] | None:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_META + 1)
        if len(data) > LARGEST_META:
            return None
        return msgspec.json.decode(data, type=_Meta).paths_data.paths
    except (OSError, ValueError):
        return None


def _record(paths: list[_Path]) -> Record:
    record = Record([], [], [])
    for one in paths:
        match = _SITE.match(one.path.replace("\\", "/"))
        if match is None or one.path_type == "directory":
            continue
        # a link's size is that of what it leads to; whatever is rewritten has another one than was packed
        as_packed = one.path_type == "hardlink" and not one.prefix_placeholder
        size, digest = (one.size_in_bytes, one.sha256) if as_packed else (None, None)
        record.paths.append(one.path.replace("\\", "/")[match.end() :])
        record.sizes.append("" if size is None or size < 0 else str(size))
        record.hashes.append(_as_in_record(digest))
    return record


def _as_in_record(digest: str | None) -> str:
    """``sha256=`` and base64 instead of hexadecimal digits; "" without."""
    import base64

    try:
        raw = bytes.fromhex(digest or "")
    except ValueError:
        return ""
    return "sha256=" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii") if len(raw) == 32 else ""
