"""Has uv unpack the packages that come into a private folder on the environment's volume, and checks every file.

What is unpacked there is what a plain installation writes into the environment: uv takes the target's own interpreter
for the scripts, and the folder only for where things go.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import io
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from ...conditions.requirement_lines import normalised
from ...facts.probes.record import Record, read_record
from ..action import Refused
from ..path_text import long_path
from .resolve import Package
from .target import Site
from .uv import Failed, run_uv

#: seconds; gigabytes over a slow line (uv itself gives up on one that says nothing)
_TIMEOUT_S = 6 * 3600.0
#: files that a thread checks at a time
_BATCH = 64


class Staged(msgspec.Struct, frozen=True):
    """One file to come: its path in the private folder, its root in the environment and its path there."""

    staged: str
    root: int
    path: str


def unpack(
    room: str, python: str, packages: Sequence[Package], words: Sequence[str], environ: Mapping[str, str], cwd: str
) -> None:
    """Fill ``room``/n with ``packages``. Raises Refused with uv's reason."""
    pins = [f"{package.name}=={package.new}" for package in packages]
    command = ["pip", "install", "--python", python, "--prefix", os.path.join(room, "n"), "--no-deps", "--reinstall"]
    command.append("--no-build")  # building runs what was downloaded
    command += ["--prerelease", "allow", *words, "--", *pins]
    try:
        run_uv(command, environ, cwd, _TIMEOUT_S)
    except Failed as failed:
        raise Refused(f"the packages could not be fetched: {failed}") from None


def libraries_in(start: str) -> list[str]:
    """The folders below ``start`` that hold packages (several where lib and lib64 are two), as whole paths."""
    found = []
    for folder, folders, _ in os.walk(long_path(start)):
        if os.path.basename(folder) in ("site-packages", "dist-packages"):
            found.append(folder)
            folders.clear()
    return sorted(found)


def place(room: str, site: Site) -> list[Staged]:
    """Where each unpacked file goes."""
    start = _unpacked(room)
    libraries = libraries_in(start)
    found = []
    for folder, _, names in os.walk(start):
        inside = folder[len(start) + 1 :].replace(os.sep, "/")
        library = next((one for one in libraries if (folder + os.sep).startswith(one + os.sep)), None)
        if library is not None:
            # lib64 is the second of the target's libraries, where it has two
            root = site.libraries[min(libraries.index(library), len(site.libraries) - 1)]
            below = folder[len(library) + 1 :].replace(os.sep, "/")
        else:
            top, _, rest = f"{inside}/".partition("/")
            root, below = site.place_of_script(rest.rstrip("/")) if top in ("bin", "Scripts") else (site.data, inside)
        for name in names:
            if inside or name != ".lock":  # uv's own
                path = f"{below.rstrip('/')}/{name}".lstrip("/")
                found.append(Staged(f"n/{inside}/{name}" if inside else f"n/{name}", root, path))
    return found


def make_right(room: str, site: Site) -> None:
    """Have the lists of files name what lies beside the packages (scripts) by the way to where it goes.

    It is another way than the one in the private folder for a person's own packages on Windows, say.
    """
    for library in libraries_in(_unpacked(room)):
        for info in sorted(os.listdir(library)):
            if info.endswith(".dist-info"):
                _correct(os.path.join(library, info, "RECORD"), library, room, site)


def _correct(record: str, library: str, room: str, site: Site) -> None:
    text = Path(record).read_bytes().decode("utf-8")
    rows = list(csv.reader(io.StringIO(text)))
    changed = False
    for row in rows:
        if row and row[0].startswith("../") and (right := _way(row[0], library, room, site)) != row[0]:
            row[0], changed = right, True
    if changed:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(rows)
        _write_anew(record, out.getvalue().encode("utf-8"))


def _write_anew(path: str, data: bytes) -> None:
    """Write a file that may share its content with uv's cache: as a new one."""
    partial = path + ".new"
    with open(partial, "wb") as file:
        file.write(data)
    os.replace(partial, path)


def _way(row: str, library: str, room: str, site: Site) -> str:
    """How RECORD names a file outside of the packages' folder, seen from where that folder will be."""
    start = _unpacked(room)
    inside = os.path.relpath(os.path.normpath(os.path.join(library, row)), start).replace(os.sep, "/")
    top, _, rest = inside.partition("/")
    root, path = site.place_of_script(rest) if top in ("bin", "Scripts") and rest else (site.data, inside)
    whole = os.path.join(site.roots[root].path, *path.split("/"))
    return os.path.relpath(whole, site.roots[site.libraries[0]].path).replace(os.sep, "/")


def wrong_file(start: str, packages: Sequence[Package]) -> str:
    """The first file below ``start`` that is not as its RECORD says (a damaged cache or wheel), or ""; checks all.

    Raises Refused where a package is not there at all.
    """
    jobs: list[tuple[str, str, str]] = []
    seen = set()
    for library in libraries_in(start):
        for info in sorted(os.listdir(library)):
            if not info.endswith(".dist-info"):
                continue
            seen.add(normalised(info.partition("-")[0]))
            record, problem = read_record(os.path.join(library, info, "RECORD"))
            if problem:
                return os.path.join(library, info, "RECORD")
            jobs += _jobs(library, record)
    missing = [package.name for package in packages if package.name not in seen]
    if missing:
        raise Refused(f"uv unpacked no {', '.join(missing)}")
    return _first_wrong(jobs)


def wrong_in(library: str, record: Record) -> str:
    """The first file of ``record`` (seen from the folder ``library``) that is not as it says, or ""."""
    return _first_wrong(_jobs(library, record))


def _jobs(library: str, record: Record) -> list[tuple[str, str, str]]:
    paths = (os.path.normpath(os.path.join(library, path)) for path in record.paths)
    return list(zip(paths, record.hashes, record.sizes, strict=True))


def _first_wrong(jobs: list[tuple[str, str, str]]) -> str:
    batches = [jobs[start : start + _BATCH] for start in range(0, len(jobs), _BATCH)]
    with ThreadPoolExecutor(4) as pool:
        return next((path for path in pool.map(_wrong_among, batches) if path), "")


def _wrong_among(jobs: list[tuple[str, str, str]]) -> str:
    return next((path for job in jobs if (path := _wrong(job))), "")


def shown(path: str) -> str:
    """An unpacked file's path for a person: below the packages' folder."""
    for name in ("site-packages", "dist-packages"):
        if os.sep + name + os.sep in path:
            return path.partition(os.sep + name + os.sep)[2]
    return os.path.basename(path)


def _wrong(job: tuple[str, str, str]) -> str:
    path, expected, size = job
    try:
        if size and os.stat(path).st_size != int(size):
            return path
        algorithm, _, value = expected.partition("=")
        if not value:
            return "" if os.path.exists(path) else path
        with open(path, "rb") as file:
            found = hashlib.new(algorithm)
            while chunk := file.read(1 << 20):
                found.update(chunk)
    except (OSError, ValueError):
        return path
    right = base64.urlsafe_b64encode(found.digest()).rstrip(b"=").decode()
    return "" if right == value.rstrip("=") else path


def sync(room: str) -> None:
    """Wait until what was unpacked is on the disk, so that a power cut cannot leave empty files behind (POSIX)."""
    if sys.platform == "linux":
        import ctypes

        handle = os.open(room, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError, AttributeError):
                ctypes.CDLL(None).syncfs(handle)
        finally:
            os.close(handle)
    elif sys.platform != "win32":
        os.sync()


def discard(room: str, *, orphans: bool = False) -> bool:
    """Take the private folder away with all that is in it; False if something of it is in use (Windows).

    ``orphans``: an uv that a killed hfdoctor left behind may still write into it, and is ended first.
    """
    if not os.path.lexists(room):
        return True
    for attempt in range(3):
        if orphans or attempt:
            end_orphans(room)
        with contextlib.suppress(OSError):
            shutil.rmtree(long_path(room))
        if not os.path.lexists(room):
            return True
        time.sleep(0.2 * attempt)
    return False


def end_orphans(room: str) -> None:
    """End an uv that still writes into ``room``, a folder that is ours alone."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline() if process.name().lower() in ("uv", "uv.exe") else []
            writes = "install" in words or "venv" in words
            if writes and any(word == room or word.startswith(room + os.sep) for word in words):
                process.kill()
                process.wait(5)


def tops(room: str, name: str) -> Iterator[str]:
    """What an unpacked package puts at the top of the packages' folder: folder and file names."""
    for library in libraries_in(_unpacked(room)):
        for info in os.listdir(library):
            if info.endswith(".dist-info") and normalised(info.partition("-")[0]) == name:
                record, _ = read_record(os.path.join(library, info, "RECORD"))
                yield from {path.partition("/")[0] for path in record.paths if not path.startswith(("..", info))}


def _unpacked(room: str) -> str:
    """The folder in a private folder into which uv unpacks."""
    return long_path(os.path.join(room, "n"))
