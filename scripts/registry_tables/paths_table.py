"""The tables closures.json and wheel_paths.json: what an install on Windows writes, and how long the names are."""

from __future__ import annotations

from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from registry_tables.closure import Unresolvable, resolve, uv_version, wheel_for
from registry_tables.contents import Contents, Named, measure
from registry_tables.index import PROJECT_PAGE, Index, PublishedFile, source_of

WINDOWS = "win_amd64"
WINDOWS_PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
ROOTS = ("transformers", "torch", "tensorflow")
# a release whose names are longer than those of the newest one, and which people still pin
ALSO_MEASURED = (("torch", "2.13.0"),)

JsonRow = dict[str, Any]


def newest_for(index: Index, root: str, platform: str, python: str) -> Version | None:
    """The newest final release of ``root`` with a wheel for this interpreter, by tags and by requires-python."""
    major_minor = f"{python}.99"  # a requirement such as >=3.11.2 is meant to admit the current 3.11
    candidates = sorted({file.version for file in index.files(root) if not file.yanked}, reverse=True)
    for release in candidates:
        if release.is_prerelease:
            continue
        wheel = wheel_for(index, root, release, platform, python)
        if wheel is not None and SpecifierSet(wheel.requires_python or "").contains(major_minor):
            return release
    return None


def closure_row(index: Index, roots: tuple[str, ...], platform: str, python: str, as_of: str) -> JsonRow:
    """One row of closures.json. Raises Unresolvable when the newest release of a root cannot be installed there."""
    pins = []
    for root in roots:
        release = newest_for(index, root, platform, python)
        if release is None:
            raise Unresolvable(f"{root} has no wheel for Python {python} on {platform}")
        pins.append(f"{root}=={release}")
    wheels: dict[str, str] = {}
    for package, release in sorted(resolve(pins, platform, python, index).items()):
        wheel = wheel_for(index, package, release, platform, python)
        if wheel is None:
            raise Unresolvable(f"{package} {release} has no wheel for Python {python} on {platform}")
        wheels[package] = wheel.filename
    source = " ".join(f"{PROJECT_PAGE}/{pin.replace('==', '/')}/" for pin in pins)
    return {
        "as_of": as_of,
        "source": f"{source} resolved with uv {uv_version()}",
        "roots": list(roots),
        "platform": platform,
        "python": python,
        "wheels": wheels,
    }


def windows_closures(index: Index, as_of: str) -> tuple[list[JsonRow], list[str]]:
    """Rows for every root and Python, and a line for each that could not be had."""
    rows, gaps = [], []
    for root in ROOTS:
        for python in WINDOWS_PYTHONS:
            try:
                rows.append(closure_row(index, (root,), WINDOWS, python, as_of))
            except Unresolvable as reason:
                gaps.append(f"closure of {root} on Windows, Python {python}: {reason}")
    return rows, gaps


def path_rows(
    index: Index, closures: list[JsonRow], as_of: str, also: tuple[tuple[str, str], ...] = ALSO_MEASURED
) -> list[JsonRow]:
    """One row per release; its wheels for other Pythons share the row where their names have the same lengths."""
    wanted: dict[tuple[str, Version], list[PublishedFile]] = {}
    for closure in closures:
        for package, filename in closure["wheels"].items():
            _want(wanted, package, index.wheel_named(package, filename))
    for package, version in also:
        for file in index.files(package):
            if file.version == Version(version) and file.filename.endswith("-win_amd64.whl"):
                _want(wanted, package, file)
    rows = []
    for (package, _), files in sorted(wanted.items()):
        groups: list[tuple[Contents, PublishedFile, list[PublishedFile]]] = []
        for file in sorted(files, key=lambda file: file.filename):
            contents = measure(member.name for member in index.members(file))
            for measured, first, others in groups:
                if _neutral(measured, first) == _neutral(contents, file):
                    others.append(file)
                    break
            else:
                groups.append((contents, file, []))
        rows += [_row(package, *group, as_of=as_of) for group in groups]
    return rows


def _want(wanted: dict[tuple[str, Version], list[PublishedFile]], package: str, file: PublishedFile) -> None:
    files = wanted.setdefault((package, file.version), [])
    if file not in files:
        files.append(file)


def _neutral(contents: Contents, file: PublishedFile) -> str:
    """The measured names without the interpreter's tag, so that ``_C.cp311-win_amd64.pyd`` equals its cp312 twin."""
    interpreter = file.filename.split("-")[-3]
    return repr(contents).replace(f".{interpreter}-", ".{interpreter}-")


def _row(package: str, contents: Contents, wheel: PublishedFile, others: list[PublishedFile], *, as_of: str) -> JsonRow:
    return {
        "as_of": as_of,
        "source": source_of(package, wheel),
        "package": package,
        "release": str(parse_wheel_filename(wheel.filename)[1]),
        "wheel": wheel.filename,
        "same_lengths": [file.filename for file in others],
        "files": _entries(contents.files),
        "directories": _entries(contents.directories),
        "bytecode": _entries(contents.bytecode),
        "libraries": _entries(contents.libraries),
        "outside": [
            {"scheme": scheme, "path": named.path, "length": named.length} for scheme, named in contents.outside
        ],
    }


def _entries(names: list[Named]) -> list[JsonRow]:
    return [{"path": named.path, "length": named.length} for named in names]
