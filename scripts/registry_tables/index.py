"""Reading a package index and the directories of the wheels on it, without downloading the wheels."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import requests
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from remotezip import RemoteZip  # type: ignore[import-untyped]

PUBLIC_INDEX = "https://pypi.org/simple"
PROJECT_PAGE = "https://pypi.org/project"


@dataclass(frozen=True)
class PublishedFile:
    """One file of a project: ``size`` in bytes, ``uploaded`` an ISO 8601 time."""

    filename: str
    url: str
    version: Version
    size: int
    uploaded: str
    requires_python: str | None
    yanked: bool

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")


@dataclass(frozen=True)
class Member:
    """One file in a wheel: its name, and its unpacked size in bytes."""

    name: str
    size: int


@dataclass
class Index:
    """A package index that answers the JSON form of the Simple API (PEP 691, 700)."""

    base: str = PUBLIC_INDEX
    timeout: float = 120.0
    requests_made: int = 0
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        # one answer per question: the index is asked once for a project and once for a wheel's directory
        self.files = cast("Callable[[str], tuple[PublishedFile, ...]]", functools.cache(self._files))
        self.members = cast("Callable[[PublishedFile], tuple[Member, ...]]", functools.cache(self._members))
        self.metadata = cast("Callable[[PublishedFile], str]", functools.cache(self._metadata))

    def _files(self, project: str) -> tuple[PublishedFile, ...]:
        """Every file of a project that a current installer can read, oldest release first."""
        self.requests_made += 1
        answer = self.session.get(
            f"{self.base}/{canonicalize_name(project)}/",
            headers={"Accept": "application/vnd.pypi.simple.v1+json"},
            timeout=self.timeout,
        )
        answer.raise_for_status()
        found = []
        for entry in answer.json()["files"]:
            version = _version_of(entry["filename"])
            if version is None:
                continue
            found.append(
                PublishedFile(
                    filename=entry["filename"],
                    url=entry["url"],
                    version=version,
                    size=entry.get("size") or 0,
                    uploaded=entry.get("upload-time") or "",
                    requires_python=entry.get("requires-python"),
                    yanked=bool(entry.get("yanked")),
                )
            )
        return tuple(sorted(found, key=lambda file: (file.version, file.filename)))

    def open_wheel(self, wheel: PublishedFile) -> Any:
        """The wheel as a ZipFile that reads by range request."""
        self.requests_made += 1
        return RemoteZip(wheel.url, session=self.session, timeout=self.timeout)

    def _members(self, wheel: PublishedFile) -> tuple[Member, ...]:
        """The files in a wheel, from its central directory (a range request, some megabytes for the largest)."""
        with self.open_wheel(wheel) as archive:
            return members_of(archive)

    def _metadata(self, wheel: PublishedFile) -> str:
        with self.open_wheel(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return cast("bytes", archive.read(name)).decode("utf-8", "replace")

    def text_of(self, wheel: PublishedFile, name: str) -> str:
        """One file of a wheel as text; KeyError where the wheel has no such file."""
        with self.open_wheel(wheel) as archive:
            return cast("bytes", archive.read(name)).decode("utf-8", "replace")

    def wheel_named(self, project: str, filename: str) -> PublishedFile:
        return next(file for file in self.files(project) if file.filename == filename)

    def newest(self, project: str, accept: Callable[[PublishedFile], bool] = lambda file: True) -> Version | None:
        """The newest final release with an accepted wheel that was not withdrawn."""
        versions = [
            file.version
            for file in self.files(project)
            if file.is_wheel and not file.yanked and not file.version.is_prerelease and accept(file)
        ]
        return max(versions, default=None)


def members_of(archive: zipfile.ZipFile) -> tuple[Member, ...]:
    return tuple(Member(info.filename, info.file_size) for info in archive.infolist() if not info.is_dir())


def source_of(project: str, wheel: PublishedFile) -> str:
    """Where a figure was read, in words that a person can follow."""
    return f"{PROJECT_PAGE}/{canonicalize_name(project)}/{wheel.version}/ {wheel.filename}"


def _version_of(filename: str) -> Version | None:
    # releases of the first years carry names that today's installers refuse too
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1]
        return parse_sdist_filename(filename)[1]
    except (ValueError, InvalidVersion):
        return None
