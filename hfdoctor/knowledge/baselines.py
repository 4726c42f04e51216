"""Which Pythons exist, and which processors the published wheels ask for."""

from __future__ import annotations

import datetime

from hfdoctor.knowledge.loader import Row, load_table
from hfdoctor.knowledge.versions import is_older, reaches


class PythonRelease(Row, frozen=True, kw_only=True):
    """One minor version of CPython, such as ``3.11``. Where only a month is published, its last day stands here."""

    python: str
    first_release: datetime.date
    end_of_life: datetime.date
    verified: bool


class CpuBaseline(Row, frozen=True, kw_only=True):
    """Processor features that a package's wheels cannot run without, from release ``since`` on and before ``before``.

    ``machine`` is ``x86_64``; ``features`` are named as Linux names them in /proc/cpuinfo, except ``sse3``, which it
    calls ``pni``; ``symptoms`` are what is said where they are missing. ``verified`` is False where it is not known
    whether every release of the range needs them: such a row never makes a finding by itself.
    """

    package: str
    machine: str
    since: str
    before: str | None
    features: tuple[str, ...]
    symptoms: tuple[str, ...]
    verified: bool


def load_python_releases() -> tuple[PythonRelease, ...]:
    """Rows, oldest Python first; KnowledgeError when the table is damaged."""
    return load_table("python_releases", PythonRelease)


def load_cpu_baseline() -> tuple[CpuBaseline, ...]:
    """All rows; KnowledgeError when the table is damaged."""
    return load_table("cpu_baseline", CpuBaseline)


def cpu_baseline(package: str, release: str, machine: str) -> CpuBaseline | None:
    """Return what this release of ``package`` needs of an ``x86_64`` processor, or None where the table is silent."""
    return next(
        (
            row
            for row in load_cpu_baseline()
            if row.package == package
            and row.machine == machine
            and reaches(release, row.since)
            and (row.before is None or is_older(release, row.before))
        ),
        None,
    )
