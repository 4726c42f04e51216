"""The table torch_releases.json: what PyPI has of each torch release, by the wheels' own torch/version.py."""

from __future__ import annotations

import re
import sys
from typing import Any

from packaging.utils import parse_wheel_filename
from packaging.version import Version

from registry_tables.index import Index, PublishedFile, source_of

#: the first release with wheels for Python 3.8 that are still met
OLDEST = Version("1.10")

JsonRow = dict[str, Any]


def torch_release_rows(index: Index, as_of: str) -> tuple[list[JsonRow], list[str]]:
    """A row for each final release, newest first, and what could not be told."""
    releases: dict[Version, list[PublishedFile]] = {}
    for file in index.files("torch"):
        if file.is_wheel and not file.yanked and not file.version.is_prerelease and file.version >= OLDEST:
            releases.setdefault(file.version, []).append(file)
    rows, gaps = [], []
    for release in sorted(releases, reverse=True):
        print(f"torch {release}: which build PyPI has", file=sys.stderr)
        wheels: dict[str, PublishedFile] = {}
        for file in releases[release]:
            wheels.setdefault(platform_of(file), file)
        defaults = {}
        for platform, wheel in sorted(wheels.items()):
            variant = variant_of(index.text_of(wheel, "torch/version.py"))
            if variant is None:
                gaps.append(f"the build of {wheel.filename}: its torch/version.py does not say")
            else:
                defaults[platform] = variant
        wheel = wheels.get("linux_x86_64", releases[release][0])
        rows.append(
            {
                "as_of": as_of,
                "source": source_of("torch", wheel),
                "release": str(release),
                "pythons": sorted({python for file in releases[release] for python in _pythons(file)}, key=_natural),
                "defaults": defaults,
            }
        )
    return rows, gaps


def platform_of(file: PublishedFile) -> str:
    """``linux_x86_64``, ``windows_x86_64``, ``macos_aarch64`` and so on."""
    tag = file.filename.removesuffix(".whl").rpartition("-")[2]
    system = "windows" if tag.startswith("win") else "macos" if tag.startswith("macosx") else "linux"
    machines = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
    return f"{system}_{next((name for ending, name in machines.items() if tag.endswith(ending)), '')}"


def variant_of(text: str) -> str | None:
    """The variant by the text of torch/version.py; None where it names neither CUDA nor its absence.

    The first releases with a CPU build named nothing there, and their number carries it instead: ``1.13.1+cpu``.
    """
    version = re.search(r"^__version__ *= *['\"]([^'\"]+)", text, re.MULTILINE)
    local = version[1].partition("+")[2] if version else ""
    if re.fullmatch(r"cpu|cu\d+|rocm[\d.]+|xpu", local):
        return local
    cuda = re.search(r"^cuda(?:: *[^=\n]+)? *= *(None|['\"]([\d.]+)['\"])", text, re.MULTILINE)
    if cuda is None:
        return None
    return "cpu" if cuda[1] == "None" else "cu" + "".join(cuda[2].split(".")[:2])


def _pythons(file: PublishedFile) -> set[str]:
    found = set()
    for tag in parse_wheel_filename(file.filename)[3]:
        match = re.fullmatch(r"cp(\d)(\d+)", tag.interpreter)
        if match:
            found.add(f"{match[1]}.{match[2]}{'t' if tag.abi == tag.interpreter + 't' else ''}")
    return found


def _natural(text: str) -> list[object]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]
