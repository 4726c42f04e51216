"""The table torch_builds.json: for which GPUs the CUDA builds on PyPI carry code, read in their own fat binaries.

What the wheels on PyTorch's own index were built for cannot be measured from the package index: those rows come from
documents and are kept. A wheel never changes once it is published, so one that was measured is not read again.
"""

from __future__ import annotations

import re
import sys
import time
from typing import Any

import requests
from packaging.version import Version

from registry_tables.index import Index, PublishedFile, source_of
from registry_tables.torch_releases_table import platform_of

#: libraries of torch that hold the kernels of its own operators
LIBRARIES = ("torch/lib/libtorch_cuda.so", "torch/lib/torch_cuda.dll")
#: builds before this one carry cuDNN and its like in the same library, so that what it holds is not torch's own list
OLDEST = Version("2.0")

JsonRow = dict[str, Any]


def torch_build_rows(
    index: Index, packaged: list[JsonRow], releases: list[JsonRow], as_of: str, most: int | None = None
) -> tuple[list[JsonRow], list[str]]:
    """The packaged rows, with one more for the newest patch release of each minor whose wheel was not measured yet.

    ``releases`` are the rows of torch_releases.json: they say which platforms have a CUDA build on PyPI. At most
    ``most`` wheels are read, newest releases first.
    """
    rows = list(packaged)
    known = {(row["since"], row["system"], row["machine"]) for row in rows if row["basis"] == "measured"}
    gaps = []
    left = len(releases) * 2 if most is None else most
    for release, platform, variant in wanted(releases):
        system, _, machine = platform.partition("_")
        if (release, system, machine) in known:
            continue
        if left <= 0:
            gaps.append(f"torch {release} {variant} {platform}: left for another run")
            continue
        left -= 1
        wheel = wheel_of(index, release, platform)
        if wheel is None:
            gaps.append(f"torch {release} {variant} {platform}: no wheel")
            continue
        began = time.monotonic()
        print(f"torch {release} {variant} {platform}: reading {wheel.filename}", file=sys.stderr, flush=True)
        try:
            targets = targets_in(index, wheel)
        except (requests.RequestException, OSError, ValueError) as error:
            gaps.append(f"torch {release} {variant} {platform}: {error}")
            continue
        if targets is None:
            gaps.append(f"torch {release} {variant} {platform}: no library with GPU code")
            continue
        code, ptx, few = targets
        print(f"  {time.monotonic() - began:.0f} s: {' '.join((*code, *ptx))}", file=sys.stderr, flush=True)
        rows.append(
            {
                "as_of": as_of,
                "source": source_of("torch", wheel),
                "since": release,
                "until": release,
                "variant": variant,
                "system": system,
                "machine": machine,
                "code": code,
                "ptx": ptx,
                "few": few,
                "basis": "measured",
            }
        )
    documented = sum(row["basis"] == "documented" for row in rows)
    gaps.append(f"torch_builds: {documented} rows from documents, of builds that are not on the package index")
    return sorted(rows, key=_order), gaps


def wanted(releases: list[JsonRow]) -> list[tuple[str, str, str]]:
    """Release, platform and variant of the CUDA builds on PyPI, the newest patch release of each minor."""
    newest: dict[tuple[int, ...], JsonRow] = {}
    for row in releases:
        minor = Version(row["release"]).release[:2]
        if Version(row["release"]) < OLDEST:
            continue
        if minor not in newest or Version(row["release"]) > Version(newest[minor]["release"]):
            newest[minor] = row
    return [
        (row["release"], platform, variant)
        for _, row in sorted(newest.items(), reverse=True)
        for platform, variant in sorted(row["defaults"].items())
        if variant.startswith("cu")
    ]


def wheel_of(index: Index, release: str, platform: str) -> PublishedFile | None:
    """The release's wheel for the middle one of its Pythons: they all hold the same kernels."""
    wheels = [
        file
        for file in index.files("torch")
        if file.is_wheel and str(file.version) == release and platform_of(file) == platform
    ]
    return wheels[len(wheels) // 2] if wheels else None


def targets_in(index: Index, wheel: PublishedFile) -> tuple[list[str], list[str], list[str]] | None:
    """Machine code, PTX and the targets of a few kernels, of the wheel's first library of LIBRARIES."""
    from registry_tables.stream import gpu_targets_of

    names = {member.name for member in index.members(wheel)}
    member = next((name for name in LIBRARIES if name in names), None)
    found = gpu_targets_of(index, wheel, member) if member else None
    return (list(found.code), list(found.ptx), list(found.few)) if found else None


def _order(row: JsonRow) -> tuple[object, ...]:
    bounds = tuple(tuple(int(part) for part in row[name].split(".")) for name in ("since", "until"))
    return row["system"], row["machine"], _natural(row["variant"]), *bounds


def _natural(text: str) -> list[object]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]
