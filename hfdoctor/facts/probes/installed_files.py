"""Holds the files of the packages that matter against their RECORD: presence and size, with ``--deep`` hashes.

Only what the installers themselves keep true is compared. Compiled .pyc files come and go, scripts outside
site-packages are rewritten, the files in .dist-info are the installer's own; none of them counts. Nothing is called
damaged before it was looked at once more by itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from operator import itemgetter

from ..sections.packages import Damage, Distribution, PackageFiles
from .closure import COMPANIONS, closure
from .distributions import SAME_NAME
from .file_state import NATIVE, PYTHON, FileJudge, is_native
from .record import Record, read_record

#: damages that are listed for one package; the counts are whole
MOST_LISTED = 20

#: every how many Python modules one is opened to see whether it holds zero bytes instead of text
SAMPLE = 64

CODE = (".py", ".pyd", ".dll")

#: installers whose files another tool rewrites after RECORD was made (prefixes, run paths, signatures)
_MANAGERS = ("conda", "debian", "apt", "dpkg", "rpm", "dnf", "portage", "nix", "guix", "brew")
#: st_mode, st_uid, st_gid
_MODE_AND_OWNER = itemgetter(0, 4, 5)

#: enough to look for a file in a folder: it need not be one that may be listed
_SEARCH = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0)

_MANAGED_PLACES = ("/usr/lib/", "/usr/lib64/", "/nix/store/", "/gnu/store/")

#: the modules right below these are all opened to see that they hold text
_FIRST = ("torch/", "transformers/")


def hold_files(
    distributions: Sequence[Distribution],
    judge: FileJudge,
    deep: bool = False,
    ready: Mapping[str, PackageFiles] | None = None,
) -> list[PackageFiles]:
    """The files of the packages that matter, against RECORD; by name. ``deep`` compares hashes too.

    ``ready`` holds what was found a moment ago, by the path of the .dist-info.
    Raises TimeoutError if ``judge`` says that the time is over.
    """
    visible = [entry for entry in distributions if not entry.shadowed]
    installed: dict[str, Distribution] = {}
    for entry in visible:
        held = installed.get(entry.name)
        if held is None or (held.problem and not entry.problem):
            installed[entry.name] = entry
    required = closure(installed)
    wanted = required.union(name for name in COMPANIONS if name in installed)
    owners = _Owners(visible)
    results = []
    for entry in sorted(visible, key=lambda entry: entry.name):
        if entry.name in wanted:
            result = (ready or {}).get(entry.path) or _hold(entry, judge, owners, deep)
            result.required = entry.name in required
            results.append(result)
    return results


class _Owners:
    """Which sizes other distributions of the folder record for a path: two may own one file."""

    def __init__(self, visible: Sequence[Distribution]) -> None:
        self.visible = visible
        self._sizes: dict[str, dict[str, set[str]]] = {}

    def of(self, folder: str, path: str, size: int | None, but: str) -> bool:
        """Whether another distribution than ``but`` (its path) recorded ``path`` with this size."""
        if size is None:
            return False
        if folder not in self._sizes:
            found: dict[str, set[str]] = {}
            for entry in self.visible:
                if folder_of(entry) == folder:
                    record, _ = read_record(record_path(entry))
                    for name, recorded in zip(record.paths, record.sizes, strict=True):
                        found.setdefault(name, set()).add(f"{recorded} {entry.path}")
            self._sizes[folder] = found
        claims = self._sizes[folder].get(path, ())
        return any(claim.partition(" ")[0] == str(size) and claim.partition(" ")[2] != but for claim in claims)


def folder_of(entry: Distribution) -> str:
    return entry.path[: -len(entry.path.replace("\\", "/").rpartition("/")[2])]


def record_path(entry: Distribution) -> str:
    return f"{entry.path}{os.sep}RECORD"


def _hold(entry: Distribution, judge: FileJudge, owners: _Owners, deep: bool) -> PackageFiles:
    result = PackageFiles(entry.name, entry.version, 0, 0, path=entry.path)
    folder = folder_of(entry)
    if entry.editable:
        result.problem = "editable"
        return result
    if entry.problem == "not-a-folder":
        result.problem = "no-record"
        return result
    record, result.problem = read_record(record_path(entry), sampled=not deep)
    if is_managed(entry):
        listed = _managers_list(entry)
        if listed is not None:
            record, result.problem = listed, ""
        elif not result.problem:
            result.problem = "managed"
    if result.problem:
        if entry.name in SAME_NAME:
            _look_without_record(entry.name, folder, judge, result)
        return result
    rows = own_rows(record, entry.path[len(folder) :])
    result.files = len(rows) + record.left_out
    if os.name == "nt":  # what Python and Windows' loader open, against the limit on the length of a path
        result.longest_code = max((path for path in rows if path.endswith(CODE)), key=len, default="")
    suspects = _suspects(folder, rows, judge)
    if record.left_out and any("/include/" in path for path in suspects):
        record, _ = read_record(record_path(entry))  # one of the sample is not right: look at them all
        rows = own_rows(record, entry.path[len(folder) :])
        suspects = _suspects(folder, rows, judge)
    result.checked = len(rows)
    damages: dict[str, Damage] = {}
    for path in suspects:
        damage = judge.judge(f"{folder}{path}", path, rows[path])
        if damage is not None and not owners.of(folder, path, damage.actual_bytes, entry.path):
            damages[path] = damage
    if any(damage.kind == "zeroed" for damage in damages.values()):
        # a power cut seldom costs one file: look into all of them now
        for path in rows:
            if path.endswith(PYTHON) and path not in damages and judge.starts_zeroed(f"{folder}{path}"):
                damages[path] = judge.damage(path, "zeroed", rows[path], rows[path])
    if deep:
        _hash_all(result, folder, record, rows, judge, damages, owners)
    _count(result, damages.values())
    return result


def _managers_list(entry: Distribution) -> Record | None:
    """The other package manager's own list of the files, where it has one that can be read: conda's."""
    if not entry.installer.lower().startswith("conda"):
        return None
    from .conda_meta import read_conda_record

    return read_conda_record(entry)


def own_rows(record: Record, info: str) -> dict[str, int | None]:
    """Path -> size (None where RECORD has none) of the rows that can be held against the disk.

    ``info`` is the name of the .dist-info folder. Left out are compiled files, what lies outside site-packages, and
    the .dist-info folder.
    """
    paths, hashes, sizes = record.paths, record.hashes, record.sizes
    foreign = (f"{info}/", "../", "/")
    # one look through all names at once shows whether there is anything unusual to look for in each
    everything = "\n".join(paths)
    usual = not (".data/" in everything or "\\" in everything or ":" in everything)
    if usual and sizes.count("") == hashes.count(""):
        rows: dict[str, int | None] = dict(zip(compress(paths, sizes), map(int, filter(None, sizes)), strict=True))
        for path in [path for path in rows if path.startswith(foreign)]:
            del rows[path]
    else:
        cells = zip(paths, hashes, sizes, strict=True)
        # backslashes were written by old Windows tools, and are part of no name in a wheel
        cleaned = (
            (path.replace("\\", "/"), int(size) if size else None) for path, digest, size in cells if size or digest
        )
        rows = {
            path: size
            for path, size in cleaned
            if not path.startswith(foreign) and ".data/" not in path and path[1:2] != ":"
        }
    if ".pyc\n" in everything:
        rows = {path: size for path, size in rows.items() if not path.endswith(".pyc")}
    return rows


def _suspects(folder: str, rows: Mapping[str, int | None], judge: FileJudge) -> list[str]:
    """The paths that are not there in the recorded size, or hold zero bytes. Quick: one question for each file."""
    paths = list(rows)
    sizes = SIZES(folder, paths)
    judge.check_time()
    if sizes == list(rows.values()):
        suspects = []
    else:
        suspects = [path for path, size in zip(paths, sizes, strict=True) if size != rows[path]]
    known = set(suspects)
    python = [path for path in paths if path.endswith(PYTHON)]
    natives = [path for path in paths if not path.endswith(PYTHON) and is_native(path)]
    suspects += [path for path in natives if path not in known and judge.native(f"{folder}{path}")]
    sample = [path for path in python if path.count("/") == 1 and (path.startswith(_FIRST) or "/__init__" in path)]
    sample += python[::SAMPLE]
    suspects += [path for path in sample if path not in known and judge.starts_zeroed(f"{folder}{path}")]
    judge.check_time()
    return sorted(set(suspects))


def _sizes_one_by_one(folder: str, paths: Sequence[str]) -> list[int | None]:
    """The size of each file; -1 for what is not there, cannot be read, is no regular file, or has no block on disk."""
    ask = os.stat
    try:
        # from the folder on: walking down to it from the root again for each file takes a fifth of the time
        at = os.open(folder or os.curdir, _SEARCH)
        try:
            found = [ask(path, dir_fd=at) for path in paths]
        finally:
            os.close(at)
    except (OSError, ValueError):
        return [_size(folder + path) for path in paths]
    # a handful of combinations of mode and owner stand for all files: ask for one of each whether it can be read
    kinds = dict(zip(map(_MODE_AND_OWNER, found), paths, strict=True))
    barred = {kind for kind, path in kinds.items() if not (stat.S_ISREG(kind[0]) and os.access(folder + path, os.R_OK))}
    if barred:
        return [-1 if _MODE_AND_OWNER(state) in barred else state.st_size for state in found]
    return [state.st_size if state.st_blocks or not state.st_size else -1 for state in found]


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return -1


def _sizes_by_folder(folder: str, paths: Sequence[str]) -> list[int | None]:
    """The same where listing a folder gives the sizes too: Windows, which takes long over each single file."""
    listings: dict[str, dict[str, int]] = {}
    sizes: list[int | None] = []
    for path in paths:
        head, _, name = path.rpartition("/")
        listing = listings.get(head)
        if listing is None:
            listing = listings[head] = {}
            try:
                with os.scandir(f"{folder}{head}") as entries:
                    for entry in entries:
                        if entry.is_file(follow_symlinks=False):
                            listing[entry.name.lower()] = entry.stat(follow_symlinks=False).st_size
            except OSError:
                pass
        sizes.append(listing.get(name.lower(), -1))
    return sizes


SIZES: Callable[[str, Sequence[str]], list[int | None]] = _sizes_by_folder if os.name == "nt" else _sizes_one_by_one


def _hash_all(
    result: PackageFiles,
    folder: str,
    record: Record,
    rows: Mapping[str, int | None],
    judge: FileJudge,
    damages: dict[str, Damage],
    owners: _Owners,
) -> None:
    """Compare the hashes of all files not yet called damaged, as far as the time goes; count them in ``result``."""
    for path, digest in zip(record.paths, record.hashes, strict=True):
        name = path.replace("\\", "/")
        if name not in rows or name in damages or not digest:
            continue
        try:
            same = judge.same_hash(f"{folder}{name}", digest)
        except TimeoutError:
            return
        if same is None:
            continue
        result.hashed += 1
        if not same and not _claimed_with(owners.visible, folder, path, digest, result.path):
            damages[name] = judge.judge_content(f"{folder}{name}", name, rows[name])


def _claimed_with(visible: Iterable[Distribution], folder: str, path: str, digest: str, but: str) -> bool:
    """Whether another distribution of the folder has another hash for the same file: then it is that one's file."""
    for entry in visible:
        if entry.path != but and folder_of(entry) == folder:
            record, _ = read_record(record_path(entry))
            for other, recorded in zip(record.paths, record.hashes, strict=True):
                if other == path and recorded and recorded != digest:
                    return True
    return False


def _look_without_record(name: str, folder: str, judge: FileJudge, result: PackageFiles) -> None:
    """What can be said without a list of files: that the package is there, and that its libraries are whole."""
    package = name.replace("-", "_")
    root = f"{folder}{package}"
    damages: list[Damage] = []
    files: list[str] = []
    for part in (package, f"{package}/lib"):
        try:
            with os.scandir(f"{folder}{part}") as entries:
                files += [f"{part}/{entry.name}" for entry in entries if entry.name.endswith((PYTHON, *NATIVE))]
        except OSError:
            continue
    result.checked = len(files)
    for path in sorted(files):
        problem = judge.native(f"{folder}{path}") if path.endswith(NATIVE) else ""
        if not problem and path.endswith(PYTHON) and judge.starts_zeroed(f"{folder}{path}"):
            problem = "zeroed"
        if problem not in ("", "foreign"):
            damages.append(judge.damage(path, problem, None, None))
    if f"{package}/__init__.py" not in files:
        state = judge.judge(f"{root}{os.sep}__init__.py", f"{package}/__init__.py", None)
        if state is not None:
            damages.append(state)
            result.checked += 1
    _count(result, damages)


def _count(result: PackageFiles, damages: Iterable[Damage]) -> None:
    order = ("code", "data", "headers", "extra")
    listed = sorted(damages, key=lambda damage: (damage.kind == "altered", order.index(damage.part), damage.path))
    result.altered = sum(damage.kind == "altered" for damage in listed)
    result.damaged = len(listed) - result.altered
    for damage in listed[: result.damaged]:
        result.damaged_parts[damage.part] = result.damaged_parts.get(damage.part, 0) + 1
    result.damages = listed[:MOST_LISTED]


def is_managed(entry: Distribution) -> bool:
    """Whether another package manager than pip, uv and their kind put the files there."""
    return entry.installer.lower().startswith(_MANAGERS) or entry.path.startswith(_MANAGED_PLACES)
