"""Packages of a machine that is known from a text only: names and versions, no metadata and no files.

What would be derived from metadata is looked up in tables of published releases here, so it is never more than a
warning. A text may speak of two environments at once: where it names two versions of torch nothing is concluded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from ..facts.sections.packages import Distribution
from ..facts.snapshot import Snapshot
from .model import Plain
from .requirement_lines import fits

if TYPE_CHECKING:
    from packaging.version import Version

    from ..knowledge.companions import Companion

#: local parts that PyTorch's own builds carry; anything else was built from source or by another maker
_BUILD = r"(cpu|xpu|cu\d+|rocm[\d.]+)(?:\.with\.pypi\.cudnn)?\Z"
#: companions whose releases belong to one torch each, with a row for each
_PAIRED = ("torchvision", "torchaudio")
#: nightly builds of one day are made from each other; a companion's build may be some days late
_DAYS = 3


class Told(msgspec.Struct, frozen=True):
    """One companion that does not fit, in words that a condition has."""

    name: str
    version: str
    says: str
    fields: Mapping[str, Plain]
    #: another build of the same release is needed
    rebuild: bool = False
    pinned: str | None = None


def known_from_text(s: Snapshot) -> bool:
    """Whether the packages are those that a text lists: no folder, no metadata."""
    entries = s.packages.distributions.maybe()
    return bool(entries) and all(not entry.path and not entry.requires for entry in entries or ())


def torch_told(s: Snapshot) -> str | None:
    """The one version of torch that the text names, with its build if it says so; "" for none, None for two."""
    listed = s.packages.installed().get("torch")
    build = s.packages.torch_build.maybe()
    versions = [version for version in (build.version if build else "", listed.version if listed else "") if version]
    if not versions:
        return ""
    read = [_read(version) for version in versions]
    if None in read or len({version.public for version in read if version}) > 1:
        return None
    return max(versions, key=lambda version: "+" in version)


def pairs_told(s: Snapshot, torch: str, present: Iterable[Distribution]) -> list[Told]:
    """The companions among ``present`` that were not published for this torch, or for another kind of build."""
    ours = _read(torch)
    found: list[Told] = []
    if ours is None:
        return found
    for entry in present:
        theirs = _read(entry.version)
        if entry.name in _PAIRED and theirs is not None:
            one = _wrong_release(entry, theirs, ours) or _wrong_build(s, entry, theirs, ours)
            found += [one] if one else []
    return found


def _wrong_release(entry: Distribution, theirs: Version, ours: Version) -> Told | None:
    fields: dict[str, Plain] = {"by": entry.name, "by_version": entry.version}
    if theirs.dev is not None and ours.dev is not None:
        if abs(_day(theirs.dev) - _day(ours.dev)) <= _DAYS:
            return None
        return Told(
            entry.name, entry.version, "nightly", {**fields, "day": str(theirs.dev), "torch_day": str(ours.dev)}
        )
    if theirs.local and not re.match(_BUILD, theirs.local):
        return None  # built from source, perhaps against this very torch
    row, rows = _row(entry.name, theirs)
    if row is None:
        oldest = rows[-1] if rows else None
        if oldest is None or oldest.torch is None or not _older(theirs, oldest.release):
            return None
        first = oldest.torch.lstrip("=")
        if _older(ours, first):
            return None
        fields |= {"oldest": oldest.release, "first": first, "source": oldest.source, "as_of": oldest.as_of.isoformat()}
        return Told(entry.name, entry.version, "row_older", fields)
    if row.torch is None or fits(ours.base_version, row.torch) is not False:
        return None
    pinned = row.torch.removeprefix("==") if row.torch.startswith("==") else None
    # what is no release proper may have been built from any commit of its series
    if not (_released(theirs) and _released(ours)) and (pinned is None or _series(pinned) == ours.release[:2]):
        return None
    if _released(ours) is False and not _released(theirs):
        return None
    fields |= {"asked": "torch" + row.torch, "source": row.source, "as_of": row.as_of.isoformat()}
    return Told(entry.name, entry.version, "row", fields, pinned=pinned)


def _wrong_build(s: Snapshot, entry: Distribution, theirs: Version, ours: Version) -> Told | None:
    match = re.match(_BUILD, theirs.local or "")
    own = torch_kind(s, ours)
    if not own:
        return None
    if match is None:
        return _default_build(s, entry, theirs, own)
    other = match[1]
    if own == other or (own[:4] == other[:4] and own.startswith(("cu1", "rocm"))):
        return None
    word = s.gpu.torch.maybe()
    if other == "cpu" and not (word and word.cuda):
        return None  # it loads, and lacks its operators for a GPU only
    fields: dict[str, Plain] = {"by": entry.name, "stated": entry.version, "build": other, "torch_build": own}
    return Told(entry.name, entry.version, "built_cpu" if other == "cpu" else "built", fields, rebuild=True)


def _default_build(s: Snapshot, entry: Distribution, theirs: Version, own: str) -> Told | None:
    """A companion without a tag is PyPI's build, beside a torch with one that came from elsewhere."""
    listed = s.packages.installed().get("torch")
    os, machine = s.machine.os.maybe(), s.machine.architecture.maybe()
    if listed is None or f"+{own}" not in listed.version or theirs.local or os is None or machine is None:
        return None
    if not _released(theirs) or entry.installer.lower().startswith("conda") or not own.startswith("cu"):
        return None
    from ..knowledge.torch_builds import load_torch_releases

    public = listed.version.partition("+")[0]
    row = next((row for row in load_torch_releases() if row.release == public), None)
    default = row.defaults.get(f"{os.system}_{machine}", "") if row else ""
    word = s.gpu.torch.maybe()
    if not row or not default or default[:4] == own[:4] or (default == "cpu" and not (word and word.cuda)):
        return None
    fields: dict[str, Plain] = {"by": entry.name, "stated": entry.version, "build": default, "torch_build": own}
    fields |= {"source": row.source, "as_of": row.as_of.isoformat()}
    return Told(entry.name, entry.version, "built_pypi", fields, rebuild=True)


def torch_kind(s: Snapshot, ours: Version) -> str:
    """cpu, xpu, cu126, rocm6.1; "" where the text does not say."""
    match = re.match(_BUILD, ours.local or "")
    if match:
        return match[1]
    build = s.packages.torch_build.maybe()
    return "cu" + "".join(build.cuda.split(".")[:2]) if build and build.cuda else ""


def _row(package: str, version: Version) -> tuple[Companion | None, Sequence[Companion]]:
    from ..knowledge.companions import load_companions

    rows = [row for row in load_companions() if row.package == package]
    wanted = (version.public, version.base_version)
    return next((row for row in rows if row.release in wanted), None), rows


def _read(version: str) -> Version | None:
    from packaging.version import Version

    try:
        return Version(version)
    except ValueError:
        return None


def _released(version: Version) -> bool:
    return not version.is_prerelease and (not version.local or bool(re.match(_BUILD, version.local)))


def _older(version: Version, than: str) -> bool:
    other = _read(than)
    return other is not None and version < other


def _series(version: str) -> tuple[int, ...]:
    read = _read(version)
    return read.release[:2] if read else ()


def _day(number: int) -> int:
    """The number of the day of a nightly build, from 20240726; the number itself where it is no date."""
    import datetime

    try:
        return datetime.datetime.strptime(str(number), "%Y%m%d").toordinal()
    except ValueError:
        return number
