"""The table wheel_tags.json: for which interpreters a release was published as a wheel.

A package has hundreds of releases, and only few of them matter: the newest one, and each older one that was the last
to support something (a Python, a platform, a glibc). A release is kept when it supports a combination that no newer
release does, so that "the newest release for this interpreter" can be told exactly from the rows alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from registry_tables.index import PROJECT_PAGE, Index, PublishedFile

PACKAGES = (
    "hf-xet",
    "huggingface-hub",
    "markupsafe",
    "numpy",
    "pydantic-core",
    "pyyaml",
    "regex",
    "safetensors",
    "tensorflow",
    "tokenizers",
    "torch",
    "transformers",
    "triton",
)
OLDEST_PYTHON = 8  # 3.8 is the oldest interpreter that is inspected
EVERY_MINOR_OF = {"torch": Version("2.1")}  # kept besides, because companions and drivers are told from them

JsonRow = dict[str, Any]


def tag_rows(index: Index, as_of: str, packages: Iterable[str] = PACKAGES) -> list[JsonRow]:
    """Rows for each package, newest release first."""
    newest_python = max(
        (minor for package in packages for file in index.files(package) for minor in _tagged_minors(file)),
        default=OLDEST_PYTHON,
    )
    return [row for package in sorted(packages) for row in _package_rows(index, package, newest_python, as_of)]


def _package_rows(index: Index, package: str, newest_python: int, as_of: str) -> list[JsonRow]:
    releases: dict[Version, list[PublishedFile]] = defaultdict(list)
    for file in index.files(package):
        if not file.version.is_prerelease and not file.yanked:
            releases[file.version].append(file)
    minors_kept: set[tuple[int, ...]] = set()
    seen: set[tuple[object, ...]] = set()
    rows: list[JsonRow] = []
    for release in sorted(releases, reverse=True):
        files = releases[release]
        supported = {entry for file in files for entry in _supports(file, newest_python)}
        minor = release.release[:2]
        wanted = package in EVERY_MINOR_OF and release >= EVERY_MINOR_OF[package] and minor not in minors_kept
        if not rows or wanted or not supported <= seen:
            rows.append(_row(package, release, files, as_of))
            minors_kept.add(minor)
        seen |= supported
    return rows


def _row(package: str, release: Version, files: list[PublishedFile], as_of: str) -> JsonRow:
    platforms: dict[str, set[str]] = defaultdict(set)
    for file in files:
        for tag in _tags(file):
            if _minors(tag, 99):
                platforms[f"{tag.interpreter}-{tag.abi}"].add(tag.platform)
    return {
        "as_of": as_of,
        "source": f"{PROJECT_PAGE}/{package}/{release}/#files",
        "package": package,
        "release": str(release),
        "uploaded": min(file.uploaded for file in files)[:10],
        "requires_python": next((file.requires_python for file in files if file.requires_python), None),
        "sdist": any(not file.is_wheel for file in files),
        "wheels": [" ".join([pair, *sorted(platforms[pair])]) for pair in sorted(platforms, key=_natural)],
    }


def _supports(file: PublishedFile, newest_python: int) -> Iterable[tuple[object, ...]]:
    """What this file alone lets someone install: (minor, ABI, platform), or (minor, "source") for an sdist."""
    admitted = [minor for minor in range(OLDEST_PYTHON, newest_python + 1) if _admits(file, minor)]
    if not file.is_wheel:
        yield from ((minor, "source") for minor in admitted)
        return
    for tag in _tags(file):
        for minor in set(_minors(tag, newest_python)) & set(admitted):
            threaded = tag.abi.endswith("t") and tag.abi != "abi3t"
            builds = (True,) if threaded else (False, True) if tag.abi in ("none", "abi3t") else (False,)
            yield from ((minor, free_threaded, tag.platform) for free_threaded in builds)


def _minors(tag: Tag, newest_python: int) -> range:
    """The CPython 3 minors that can use a tag."""
    match = re.fullmatch(r"(cp|py)3(\d*)", tag.interpreter)
    if match is None:
        return range(0)
    minor = int(match[2] or 0)
    if tag.abi in ("abi3", "abi3t") or match[1] == "py":
        return range(max(minor, OLDEST_PYTHON), newest_python + 1)
    return range(minor, minor + 1) if minor >= OLDEST_PYTHON else range(0)


def _tagged_minors(file: PublishedFile) -> Iterable[int]:
    for tag in _tags(file):
        match = re.fullmatch(r"cp3(\d+)", tag.interpreter)
        if match:
            yield int(match[1])


def _admits(file: PublishedFile, minor: int) -> bool:
    # the newest micro release: >=3.11.2 is meant to admit today's 3.11
    return SpecifierSet(file.requires_python or "").contains(f"3.{minor}.99")


def _tags(file: PublishedFile) -> frozenset[Tag]:
    return parse_wheel_filename(file.filename)[3] if file.is_wheel else frozenset()


def _natural(text: str) -> list[object]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]
