"""What is still to be installed for the goal, where it goes, and how much room it takes."""

from __future__ import annotations

import msgspec

from ..facts.sections.storage import Place
from ..facts.snapshot import Snapshot
from ..knowledge.paths import load_closures
from ..knowledge.sizes import InstallSize, WheelSize, install_size
from .model import Goal

#: what only the builds for NVIDIA cards bring
_CUDA = ("nvidia-", "cuda-", "triton")


class Room(msgspec.Struct, frozen=True):
    """Bytes and files of an install. ``least_unpacked``: of the smallest build there is (on Linux without CUDA)."""

    download: int
    unpacked: int
    files: int
    #: what pip compiles on top: one file a module
    compiled: int
    compiled_files: int
    least_unpacked: int
    least_files: int
    #: where and when it was measured
    source: str
    as_of: str


def missing(s: Snapshot, goal: Goal) -> list[str]:
    """The goal's packages that are not installed. Raises FactMissing if that is not known."""
    installed = s.packages.installed()
    return [name for name in goal.packages if name not in installed]


def install_place(s: Snapshot) -> Place | None:
    """Where pip installs for this target: site-packages, or the user's own where a shared one may not be written.

    None if the places are known but the target's folders are not. Raises FactMissing where it cannot be told.
    """
    site = s.storage.place("site-packages")
    if site is None or s.target.isolated.need():
        return site
    user = s.storage.place("user-site")
    return user if user is not None and not site.writable.need().ok else site


def room_needed(s: Snapshot, names: list[str]) -> Room | None:
    """What installing ``names`` with all that they bring takes, less what is installed already.

    None where the tables have nothing measured for this platform, or for one of the names.
    """
    interpreter = s.target.interpreter.need()
    system = s.machine.os.need().system
    machine = interpreter.platform.rpartition("-")[2]
    if machine == "universal2":
        machine = s.machine.architecture.need()
    libc = s.machine.libc.or_absent()
    if libc is not None and libc.family == "musl":
        return None
    row = install_size(system, machine)
    if row is None or not set(names) <= set(row.roots):
        return None
    installed = s.packages.installed()
    parts = [part for part in _parts_of(row, names) if part.package not in installed]
    least = _least(parts, row)
    return Room(
        download=sum(part.download for part in parts),
        unpacked=sum(part.unpacked for part in parts),
        files=sum(part.files for part in parts),
        # compiled modules of a whole install were measured to be 1.3 times as large as their sources
        compiled=sum(part.python_bytes for part in parts) * 4 // 3,
        compiled_files=sum(part.python_files for part in parts),
        least_unpacked=sum(part.unpacked for part in least),
        least_files=sum(part.files for part in least),
        source=row.source,
        as_of=row.as_of.isoformat(),
    )


def _parts_of(row: InstallSize, names: list[str]) -> list[WheelSize]:
    """The wheels that the roots ``names`` bring. Whatever transformers does not bring, torch does."""
    closures: dict[str, set[str]] = {}
    for closure in load_closures():
        if len(closure.roots) == 1:
            closures.setdefault(closure.roots[0], set()).update(closure.wheels)
    wanted: set[str] = set()
    for name in names:
        wanted |= closures.get(name, set())
    if "torch" in names:
        wanted |= {part.package for part in row.parts} - closures.get("transformers", set())
    return [part for part in row.parts if part.package in wanted]


def _least(parts: list[WheelSize], row: InstallSize) -> list[WheelSize]:
    """The same install with a torch for the processor alone: nothing that is smaller would do.

    Of that torch's size only a lower bound is known here, the one for Windows, which has no other.
    """
    if not any(part.package.startswith(_CUDA) for part in row.parts):
        return parts
    least = [part for part in parts if not part.package.startswith(_CUDA) and part.package != "torch"]
    if any(part.package == "torch" for part in parts):
        plain = install_size("windows", "x86_64")
        least += [part for part in plain.parts if part.package == "torch"] if plain else []
    return least
