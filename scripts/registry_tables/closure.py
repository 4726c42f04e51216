"""What an install brings: the dependencies of a requirement on one platform and Python, resolved with uv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from registry_tables.index import Index, PublishedFile

# the name used in the tables, and uv's name
UV_PLATFORMS = {
    "win_amd64": "x86_64-pc-windows-msvc",
    "linux_x86_64": "x86_64-manylinux_2_34",
    "linux_aarch64": "aarch64-manylinux_2_34",
    "macosx_arm64": "aarch64-apple-darwin",
}


class Unresolvable(Exception):
    """No set of wheels satisfies the requirements there; the text is the resolver's own first line."""


def find_uv() -> str:
    """The uv beside the running interpreter, else the one on PATH."""
    beside = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise SystemExit("uv is needed to resolve dependencies for another platform: pip install uv")
    return found


def uv_version() -> str:
    return subprocess.run([find_uv(), "--version"], capture_output=True, text=True, check=True).stdout.split()[1]


def resolve(requirements: list[str], platform: str, python: str, index: Index) -> dict[str, Version]:
    """Return the releases (by normalised name) that installing ``requirements`` brings, wheels only."""
    command = [find_uv(), "pip", "compile", "--quiet", "--no-config", "--no-header", "--no-annotate"]
    command += ["--default-index", index.base, "--only-binary", ":all:"]
    command += ["--python-platform", UV_PLATFORMS[platform], "--python-version", python, "-"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    environment["MACOSX_DEPLOYMENT_TARGET"] = "15.0"  # uv's own default is older than torch's wheels ask for
    done = subprocess.run(
        command, input="\n".join(requirements), capture_output=True, text=True, env=environment, timeout=600
    )
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "cause:" in line), done.stderr.strip())
        raise Unresolvable(reason.strip().removeprefix("cause:").strip())
    pinned: dict[str, Version] = {}
    for line in done.stdout.splitlines():
        if line.strip():
            requirement = Requirement(line)
            pinned[canonicalize_name(requirement.name)] = Version(str(requirement.specifier).removeprefix("=="))
    return pinned


def wheel_for(index: Index, package: str, release: Version, platform: str, python: str) -> PublishedFile | None:
    """The wheel an installer takes: the best match for this interpreter among the release's wheels."""
    ranked = []
    order = {str(tag): rank for rank, tag in enumerate(_tags(platform, python))}
    for file in index.files(package):
        if file.is_wheel and file.version == release:
            ranks = [order[str(tag)] for tag in parse_wheel_filename(file.filename)[3] if str(tag) in order]
            if ranks:
                ranked.append((min(ranks), file.filename, file))
    return min(ranked)[2] if ranked else None


def _tags(platform: str, python: str) -> list[object]:
    from packaging.tags import compatible_tags, cpython_tags, mac_platforms

    major, minor = (int(part) for part in python.split("."))
    if platform == "win_amd64":
        platforms = ["win_amd64"]
    elif platform == "macosx_arm64":
        platforms = list(mac_platforms((26, 0), "arm64"))
    else:
        machine = platform.removeprefix("linux_")
        platforms = [f"manylinux_2_{glibc}_{machine}" for glibc in range(34, 4, -1)]
        platforms += [f"{name}_{machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux")]
    interpreter = f"cp{major}{minor}"
    return [
        *cpython_tags((major, minor), [interpreter], platforms),
        *compatible_tags((major, minor), interpreter, platforms),
    ]
