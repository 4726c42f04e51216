"""For which AMD GPUs PyTorch's ROCm wheels carry code, by the ROCm they are built with.

The installed binaries are the better witness; the table says which other build would do.
"""

from __future__ import annotations

from hfdoctor.knowledge.loader import Row, load_table


class RocmBuild(Row, frozen=True, kw_only=True):
    """PyTorch's wheels for ROCm ``since`` to ``until`` (minors, both included) and the gfx targets in them."""

    since: str
    until: str
    targets: tuple[str, ...]


def load_rocm_builds() -> tuple[RocmBuild, ...]:
    """Rows, newest ROCm first; KnowledgeError when the table is damaged."""
    return load_table("rocm_builds", RocmBuild)


def targets_of_rocm(version: str) -> tuple[str, ...] | None:
    """The gfx targets in PyTorch's wheels for ROCm ``"6.4"`` or ``"6.4.2"``; None for one that the table lacks."""
    wanted = _numbers(version)
    return next(
        (row.targets for row in load_rocm_builds() if _numbers(row.since) <= wanted <= _numbers(row.until)), None
    )


def newest_for(gfx: str) -> RocmBuild | None:
    """The newest wheels with code for ``gfx`` (``"gfx1100"``); None where no row has any."""
    return next((row for row in load_rocm_builds() if gfx.partition(":")[0] in row.targets), None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
