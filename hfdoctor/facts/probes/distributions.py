"""Finds the distributions in the folders of the target's sys.path, from their files alone.

An own reader instead of importlib.metadata: that one reads METADATA whole (a damaged one may have gigabytes), needs
the interpreter whose packages they are, and does not tell a missing METADATA from an empty one.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence

from ..legible import legible
from ..sections.packages import Distribution, Leftover, Orphan

#: the most bytes of METADATA that are read; its header must end within them
LARGEST_HEADER = 1024 * 1024

#: most lines and letters that are kept of what a METADATA file says
MOST_REQUIREMENTS = 2000
LONGEST_VALUE = 500

_FIELD = r"^(Name|Version|Requires-Dist|Requires-Python|Tag)[ \t]*:(.*(?:\n[ \t].*)*)"
_FIELDS = re.compile(_FIELD, re.M)


def normalised(name: str) -> str:
    """The name as PEP 503 compares it."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


def _stem(name: str) -> str:
    """``torch-2.15.0`` of ``torch-2.15.0.dist-info``; "" for a name that is none of a description."""
    return name.rpartition(".")[0] if name.lower().endswith((".dist-info", ".egg-info")) else ""


def read_distributions(
    folders: Sequence[str], ready: Mapping[str, list[Distribution]] | None = None
) -> list[Distribution]:
    """The distributions in ``folders`` (those of sys.path, in its order), within a folder by name.

    Of two of one name in one folder the one comes first that the folder's own order has first, as it does for
    importlib.metadata. A folder that is not there holds none. ``ready`` has those of a folder that was read a moment
    ago. Raises OSError if one cannot be listed.
    """
    found: list[Distribution] = []
    seen: set[str] = set()
    for folder in folders:
        here = sorted((ready or {}).get(folder) or _in_folder(folder), key=lambda entry: entry.name)
        for entry in here:
            entry.shadowed = entry.name in seen
        seen.update(entry.name for entry in here)
        found += here
    return found


def _in_folder(folder: str) -> list[Distribution]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []  # sys.path may name zip files and folders that do not exist
    found = []
    if folder.endswith(".egg") and "EGG-INFO" in names:
        found.append(_read(folder, "EGG-INFO", _named(folder.replace("\\", "/").rpartition("/")[2][: -len(".egg")])))
    for name in names:
        if name.endswith(".egg-link"):
            linked = _follow_egg_link(f"{folder}{os.sep}{name}")
            found += [entry for entry in linked if normalised(name[: -len(".egg-link")]) == entry.name]
        elif _stem(name) and not name.startswith("~"):
            found.append(_read(folder, name, _named(_stem(name))))
    return found


def _follow_egg_link(path: str) -> list[Distribution]:
    """The distributions in the folder that a ``setup.py develop`` link names."""
    data = read_small(path) or b""
    target = data.decode("utf-8", "replace").partition("\n")[0].strip()
    if not target or "\0" in target:
        return []
    try:
        found = _in_folder(target)
    except OSError:
        return []
    for entry in found:
        entry.editable = True
    return found


def _named(stem: str) -> tuple[str, str]:
    """Name and version from ``huggingface_hub-0.30.1`` or ``PyGObject-3.42.2-py3.11``; the version may be ""."""
    name, _, rest = stem.partition("-")
    return name, rest.partition("-")[0]


def _read(folder: str, name: str, from_folder_name: tuple[str, str]) -> Distribution:
    path = f"{folder}{os.sep}{name}"
    entry = Distribution(normalised(legible(from_folder_name[0])), legible(from_folder_name[1]), legible(path))
    is_wheel = name.lower().endswith(".dist-info")
    header, entry.problem = read_header(f"{path}{os.sep}{'METADATA' if is_wheel else 'PKG-INFO'}")
    if entry.problem == "no-metadata":
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError:
            is_folder = True
        if not is_folder and is_wheel:
            entry.problem = "not-a-folder"
        elif not is_folder:
            header, entry.problem = read_header(path)  # distutils wrote the description itself as NAME.egg-info
    if entry.problem in ("", "not-utf8"):
        _fill(entry, header)
    if is_wheel and entry.problem not in ("not-a-folder", "unreadable"):
        installer = read_small(f"{path}{os.sep}INSTALLER", 200)
        entry.installer = (installer or b"").decode("utf-8", "replace").strip("\0 \r\n\t")[:50]
        wheel = read_small(f"{path}{os.sep}WHEEL") or b""
        entry.tags = [value for key, value in fields(wheel.decode("utf-8", "replace")) if key == "tag"]
        _fill_origin(entry, read_small(f"{path}{os.sep}direct_url.json"))
    return entry


def _fill(entry: Distribution, header: str) -> None:
    name = version = ""
    requires = []
    for key, value in fields(header):
        if key == "requires-dist":
            requires.append(value)
        elif key == "name":
            name = name or value
        elif key == "version":
            version = version or value
        elif key == "requires-python":
            entry.requires_python = value
    entry.requires = requires[:MOST_REQUIREMENTS]
    if name:
        entry.name = normalised(name)
    if version:
        entry.version = version
    if not (name and version):
        entry.problem = "no-version" if name else "no-name"


def _fill_origin(entry: Distribution, data: bytes | None) -> None:
    if not data:
        return
    import msgspec

    try:
        origin = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if isinstance(origin, dict) and isinstance(origin.get("url"), str):
        entry.direct_url = legible(re.sub(r"//[^/@\s]*@", "//", origin["url"].partition("?")[0]))[:LONGEST_VALUE]
        details = origin.get("dir_info")
        entry.editable = entry.editable or (isinstance(details, dict) and details.get("editable") is True)


def read_header(path: str) -> tuple[str, str]:
    """The header of a METADATA or PKG-INFO file (up to its first blank line), and "" or one of METADATA_PROBLEMS.

    Reads at most LARGEST_HEADER bytes whatever the file's size. Never raises.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            size = min(os.fstat(file.fileno()).st_size, LARGEST_HEADER)
            data = file.read(size)
            while len(data) < size and (more := file.read(size - len(data))):
                data += more
    except IsADirectoryError:
        return "", "not-a-file"
    except (FileNotFoundError, NotADirectoryError):
        return "", "no-metadata"
    except (OSError, ValueError):
        return "", "unreadable" if not _is_folder(path) else "not-a-file"
    if not data:
        return "", "empty"
    end = _end_of_header(data)
    if not data[: end if end >= 0 else None].strip(b"\0"):
        return "", "zeroed" if data[:1] == b"\0" else "empty"
    if end < 0 and len(data) >= LARGEST_HEADER:
        return "", "oversized"
    problem = ""
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            # importlib.metadata reads the description below the header too, and raises for it
            problem = "not-utf8" if error.start < LARGEST_HEADER - 4 else ""
    header = data[: end if end >= 0 else None].decode("utf-8", "replace")
    return header.replace("\r", "").replace("\0", ""), problem


def _is_folder(path: str) -> bool:
    """Windows denies to open a folder: tell that from a file that is denied."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def fields(header: str) -> list[tuple[str, str]]:
    """The fields that matter here of an e-mail-like header as lower-case name and value, continuation lines joined."""
    # a search without regard to case takes five times as long, and every tool writes the usual case
    found = _FIELDS.findall(header)
    if not any(key in ("Name", "Tag") for key, _ in found):
        found = re.findall(_FIELD, header, re.I | re.M)
    return [(key.lower(), " ".join(value.split())[:LONGEST_VALUE]) for key, value in found]


def _end_of_header(data: bytes) -> int:
    """Where the first blank line of ``data`` begins, -1 without one."""
    ends = [end for end in (data.find(b"\n\n"), data.find(b"\n\r\n")) if end >= 0]
    return min(ends, default=-1)


def read_small(path: str, limit: int = 65536) -> bytes | None:
    """The first ``limit`` bytes of a file, or None if there is none or it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(limit)
    except (OSError, ValueError):
        return None


def read_leftovers(folders: Sequence[str], known: Iterable[str]) -> list[Leftover]:
    """The ``~``-folders that pip leaves when a removal is interrupted or a library is in use.

    ``known`` are names of packages from which the original name is guessed. Raises OSError if a folder cannot be
    listed.
    """
    names = sorted({normalised(name) for name in known})
    found = []
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                tildes = sorted(entry.name for entry in entries if entry.name.startswith("~"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        found += [Leftover(legible(f"{folder}{os.sep}{name}"), _guess(legible(name), names)) for name in tildes]
    return found


def _guess(found: str, known: Sequence[str]) -> str:
    """``transformers`` for ``~ransformers-4.57.1.dist-info``: pip replaces letters at the front one by one."""
    bare = found[1:].lstrip("-~.=%0123456789")
    stem = normalised(_named(_stem(bare) or bare)[0])
    lost = len(found) - len(found.lstrip("-~.=%0123456789"))
    fitting = [name for name in known if stem and name.endswith(stem) and len(name) == len(stem) + lost]
    return fitting[0] if len(fitting) == 1 else found


#: packages whose folder in site-packages has the name of the distribution
SAME_NAME = ("transformers", "torch", "tokenizers", "safetensors", "huggingface-hub", "numpy", "regex", "tqdm")


def read_orphans(folders: Sequence[str], known: Iterable[str]) -> list[Orphan]:
    """The folders of packages that matter of which no distribution is among ``known`` (normalised names)."""
    described = set(known)
    found = []
    for folder in folders:
        for name in SAME_NAME:
            path = f"{folder}{os.sep}{name.replace('-', '_')}"
            if name not in described and _is_folder(path):
                importable = os.path.isfile(f"{path}{os.sep}__init__.py")
                if importable or _holds_modules(path):
                    found.append(Orphan(name, legible(path), importable))
    return found


def _holds_modules(path: str) -> bool:
    """Whether anything but compiled leftovers is in the folder: an empty one hides no other package's."""
    try:
        with os.scandir(path) as entries:
            return any(entry.name != "__pycache__" for entry in entries)
    except OSError:
        return False
