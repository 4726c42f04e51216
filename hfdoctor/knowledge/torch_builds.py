"""Which builds of torch there are, for which GPUs they carry code, and which one a plain ``pip install`` brings.

The binaries that are installed are always the better witness. These tables speak where there is none: of a build that
could be installed instead, and of machines known only from a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal

from hfdoctor.knowledge.loader import Row, load_table

#: the answer of a rule of binaries.targets: does machine code for these targets run on this capability
Runs = Callable[[tuple[str, ...], str], bool | None]


class TorchBuild(Row, frozen=True, kw_only=True):
    """One variant on one platform, from release ``since`` to release ``until``, both included.

    ``since`` and ``until`` are minors (``2.4``: every patch release of it) or, where one wheel was measured, that
    release. ``variant``: cpu, cu126, rocm6.4, xpu. ``code`` and ``ptx`` are targets as NVIDIA's tools spell them
    (``sm_90``, ``compute_120``) or gfx names; None where nobody said. ``few``: targets that only single kernels have.
    ``basis``: read in the wheel itself, or in a document.
    """

    since: str
    until: str
    variant: str
    system: Literal["linux", "windows", "macos"]
    machine: str
    code: tuple[str, ...] | None
    ptx: tuple[str, ...] | None
    few: tuple[str, ...]
    basis: Literal["measured", "documented"]


class TorchRelease(Row, frozen=True, kw_only=True):
    """What PyPI has of one release: ``pythons`` with a wheel, and the variant of its wheels by platform.

    ``defaults`` goes from ``linux_x86_64``, ``linux_aarch64``, ``windows_x86_64``, ``macos_aarch64`` or
    ``macos_x86_64`` to ``cpu`` or ``cu126``, as the wheel's own torch/version.py says.
    """

    release: str
    pythons: tuple[str, ...]
    defaults: dict[str, str]


def load_torch_builds() -> tuple[TorchBuild, ...]:
    """All rows; KnowledgeError when the table is damaged."""
    return load_table("torch_builds", TorchBuild)


def load_torch_releases() -> tuple[TorchRelease, ...]:
    """Rows, newest release first; KnowledgeError when the table is damaged."""
    return load_table("torch_releases", TorchRelease)


@cache
def variants_of(release: str, system: str = "", machine: str = "") -> tuple[str, ...]:
    """The variants of a torch release that the table knows, cpu first, then by kind and version; () for an unknown one.

    ``release`` may carry a local part; ``system`` and ``machine`` narrow the answer down. There may be more: a release
    newer than the documents has only those rows that were measured.
    """
    wanted = _machine(machine)
    known: set[tuple[str, str, str]] = {(row.system, row.machine, row.variant) for row in _rows_of(release)}
    published = _release(release)
    for platform, variant in published.defaults.items() if published else ():
        its_system, _, its_machine = platform.partition("_")
        known.add((its_system, its_machine, variant))
    found = {name for its, runs_on, name in known if system in ("", its) and wanted in ("", runs_on)}
    return tuple(sorted(found, key=_variant_order))


def targets_of(release: str, variant: str, system: str, machine: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Machine code and PTX of one build, as ``(("sm_80", "sm_90"), ("compute_90",))``; None where it is not known.

    What was measured in that very release's wheel comes before what a document says of its minor.
    """
    row = build_of(release, variant, system, machine)
    return None if row is None or row.code is None or row.ptx is None else (row.code, row.ptx)


@cache
def build_of(release: str, variant: str, system: str, machine: str) -> TorchBuild | None:
    """The row for one build; None where the table does not have it.

    What was measured comes first: in this release's wheel, or in that of another patch release of its minor, which is
    built by the same list. Then what a document says.
    """
    numbers = _numbers(release)
    rows = [
        row
        for row in load_torch_builds()
        if (row.variant, row.system, row.machine) == (variant, system, _machine(machine)) and _holds(row, numbers[:2])
    ]
    return min(rows, key=lambda row: (row.basis != "measured", _numbers(row.since) != numbers), default=None)


def default_variant(release: str, system: str, machine: str) -> str | None:
    """The variant that ``pip install torch==RELEASE`` brings from PyPI: ``cpu``, ``cu126``; None where not known."""
    row = _release(release)
    return row.defaults.get(f"{system}_{_machine(machine)}") if row else None


def best_variant(
    release: str, driver_cuda: str, capability: str, system: str, machine: str, *, runs: Runs
) -> str | None:
    """The newest CUDA variant of a release that this driver runs and that has machine code for this capability.

    ``driver_cuda`` is the newest CUDA that the driver runs, ``"12.4"``; by NVIDIA's minor-version compatibility it runs
    every 12.x and everything older. ``runs(code, capability)`` is the rule for machine code (the rules of targets live
    beside the reader of binaries). PTX is not counted: compiling it needs a driver of its own CUDA's age. None where no
    variant is known to do.
    """
    driver = _numbers(driver_cuda)
    if not driver:
        return None
    for variant in reversed(variants_of(release, system, machine)):
        cuda = cuda_of_variant(variant)
        if cuda is None or not runs_cuda(driver_cuda, cuda):
            continue
        targets = targets_of(release, variant, system, machine)
        if targets is not None and runs(targets[0], capability):
            return variant
    return None


def runs_cuda(driver_cuda: str, cuda: str) -> bool:
    """Whether a driver that reports ``driver_cuda`` runs programs built with ``cuda``, both like ``"12.4"``."""
    driver, built = _numbers(driver_cuda), _numbers(cuda)
    if built[:1] >= (11,):  # minor-version compatibility begins with CUDA 11
        return driver[:1] >= built[:1]
    return driver >= built


def last_release_with(capability: str, system: str, machine: str, *, runs: Runs) -> tuple[str, str] | None:
    """The newest torch release with machine code for this capability, and its variant: ``("2.7.1", "cu118")``.

    None where no build of the table has any. ``runs`` as in best_variant.
    """
    judged: dict[tuple[str, ...], bool | None] = {}
    for row in load_torch_releases():
        for variant in reversed(variants_of(row.release, system, machine)):
            targets = targets_of(row.release, variant, system, machine)
            if cuda_of_variant(variant) and targets is not None:
                if targets[0] not in judged:
                    judged[targets[0]] = runs(targets[0], capability)
                if judged[targets[0]]:
                    return row.release, variant
    return None


def cuda_of_variant(variant: str) -> str | None:
    """``"12.6"`` of ``cu126``, ``"10.2"`` of ``cu102``; None for a variant without CUDA."""
    digits = variant[2:] if variant.startswith("cu") else ""
    return f"{digits[:-1]}.{digits[-1]}" if len(digits) >= 2 and digits.isdecimal() else None


def _release(release: str) -> TorchRelease | None:
    numbers = _numbers(release)
    return next((row for row in load_torch_releases() if _numbers(row.release) == numbers), None)


def _rows_of(release: str) -> Iterator[TorchBuild]:
    numbers = _numbers(release)
    return (row for row in load_torch_builds() if _holds(row, numbers))


def _holds(row: TorchBuild, numbers: tuple[int, ...]) -> bool:
    """Whether a row is about a release, or about any patch release of a minor where ``numbers`` is one."""
    since, until = _numbers(row.since)[: len(numbers)], _numbers(row.until)[: len(numbers)]
    return bool(numbers) and since <= numbers[: len(since)] and numbers[: len(until)] <= until


@cache
def _numbers(release: str) -> tuple[int, ...]:
    """``(2, 7, 1)`` of ``2.7.1+cu126``; () for what is no final release: of a nightly nothing is known."""
    parts = release.partition("+")[0].split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()


def _variant_order(variant: str) -> tuple[int, tuple[int, ...], str]:
    cuda = cuda_of_variant(variant)
    if cuda is not None:
        return 3, _numbers(cuda), variant
    if variant.startswith("rocm"):
        return 1, _numbers(variant.removeprefix("rocm")), variant
    return (0 if variant == "cpu" else 2), (), variant


def _machine(machine: str) -> str:
    name = machine.lower()
    return {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}.get(name, name)
