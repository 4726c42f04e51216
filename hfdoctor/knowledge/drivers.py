"""Which driver CUDA needs, and which CUDA a driver's number stands for.

A driver that answers says itself which CUDA it runs, and its word comes first. The table is for machines whose driver
is known by its number alone. The same driver has other numbers on Windows, and inside WSL 2 it is the Windows one.
"""

from __future__ import annotations

from typing import Literal

from hfdoctor.knowledge.loader import Row, load_table


class DriverMinimum(Row, frozen=True, kw_only=True):
    """The oldest driver that runs programs built with some CUDA.

    ``cuda`` is a major, ``12`` (minor-version compatibility: one driver for the whole major), or before CUDA 11 a full
    version, ``10.2``. None for a system that this CUDA does not exist on.
    """

    cuda: str
    linux: str | None
    windows: str | None


class CudaDriver(Row, frozen=True, kw_only=True):
    """The first driver that reports this CUDA (``12.4``) as the newest that it runs, by system; None: not known."""

    cuda: str
    linux: str | None
    windows: str | None


class CudaGpus(Row, frozen=True, kw_only=True):
    """The oldest GPU, by its compute capability (``5.0``), that a major of CUDA (``12``) has code for.

    NVIDIA's compiler and libraries of that CUDA know no older one, whatever the driver is.
    """

    cuda: str
    oldest: str


System = Literal["linux", "windows"]


def load_drivers() -> tuple[DriverMinimum, ...]:
    """Rows, newest CUDA first; KnowledgeError when the table is damaged."""
    return load_table("drivers", DriverMinimum)


def load_driver_cuda() -> tuple[CudaDriver, ...]:
    """Rows, newest CUDA first; KnowledgeError when the table is damaged."""
    return load_table("driver_cuda", CudaDriver)


def load_cuda_gpus() -> tuple[CudaGpus, ...]:
    """Rows, newest CUDA first; KnowledgeError when the table is damaged."""
    return load_table("cuda_gpus", CudaGpus)


def needs_driver(cuda: str, system: str) -> str | None:
    """The oldest driver for programs built with ``cuda``, such as ``"12.4"``: ``"525.60.13"`` on ``"linux"``.

    ``system`` is ``linux`` or ``windows`` (also for WSL 2). None for a CUDA that the table does not know.
    """
    numbers = dotted(cuda)
    if numbers is None or len(numbers) < 2:
        return None
    wanted = cuda if numbers[0] < 11 else str(numbers[0])
    row = next((row for row in load_drivers() if row.cuda == wanted), None)
    return _column(row, system) if row else None


def oldest_gpu(cuda: str) -> str | None:
    """The oldest compute capability that programs built with ``cuda``, such as ``"12.4"``, can run on: ``"5.0"``.

    None for a CUDA that the table does not know.
    """
    major = cuda.partition(".")[0]
    return next((row.oldest for row in load_cuda_gpus() if row.cuda == major), None)


def driver_is_enough(version: str, cuda: str, system: str) -> bool | None:
    """Whether a driver's number is not older than what ``cuda`` needs; None where the table or the number is silent."""
    needed, found = dotted(needs_driver(cuda, system) or ""), dotted(version)
    return None if needed is None or found is None else found >= needed


def cuda_of_driver(version: str, system: str) -> str | None:
    """The newest CUDA that a driver runs: ``"12.2"`` for ``"535.104.05"`` on ``"linux"``.

    None for a driver of a newer branch than the table's newest (see cuda_at_least), for one older than its oldest, and
    for what is no number.
    """
    rows = [(dotted(_column(row, system) or ""), row.cuda) for row in load_driver_cuda()]
    newest = next((first for first, _ in rows if first is not None), None)
    found = dotted(version)
    if found is None or newest is None or found[:1] >= (_next_branch(newest[0]),):
        return None
    return cuda_at_least(version, system)


def cuda_at_least(version: str, system: str) -> str | None:
    """A CUDA that a driver surely runs, though it may run a newer one; None for a driver older than the table."""
    found = dotted(version)
    if found is None:
        return None
    for row in load_driver_cuda():
        first = dotted(_column(row, system) or "")
        if first is not None and found >= first:
            return row.cuda
    return None


def dotted(version: str) -> tuple[int, ...] | None:
    """``(535, 104, 5)`` of ``"535.104.05"``; None for what is not numbers with dots between."""
    parts = version.strip().split(".")
    return tuple(int(part) for part in parts) if all(part.isascii() and part.isdecimal() for part in parts) else None


def _column(row: DriverMinimum | CudaDriver, system: str) -> str | None:
    return row.linux if system == "linux" else row.windows if system == "windows" else None


def _next_branch(branch: int) -> int:
    """Branches are numbered in fives (595, 610), and a driver of one may count up to four further (596 is of 595)."""
    return branch - branch % 5 + 5
