"""Limits of the system: what is enough, and what is said where it is not."""

from __future__ import annotations

import sys

import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding
from tests import recorded


def finding(condition: str, changes: dict[str, object], base: str = "linux") -> Finding:
    report = diagnose(recorded.build(base, changes))
    return next(found for found in report.findings if found.condition == condition)


def limit(soft: int, hard: int) -> dict[str, object]:
    return {"machine.open_files": {"status": "known", "value": {"soft": soft, "hard": hard}, "source": "getrlimit"}}


@pytest.mark.parametrize(
    ("soft", "hard", "outcome"),
    [(1024, 1048576, "pass"), (256, -1, "pass"), (-1, -1, "pass"), (255, 255, "fail"), (64, 4096, "fail")],
)
def test_open_files(soft: int, hard: int, outcome: str) -> None:
    assert finding("too-many-open-files", limit(soft, hard)).outcome == outcome


def test_open_files_says_what_the_shell_can_do() -> None:
    free = finding("too-many-open-files", limit(64, -1)).remedy
    assert free and "ulimit -n 4096" in free.steps[0].text and not free.steps[0].administrator
    half = finding("too-many-open-files", limit(64, 512)).remedy
    assert half and "ulimit -n 512" in half.steps[0].text
    bound = finding("too-many-open-files", limit(64, 64)).remedy
    assert bound and bound.steps[0].administrator


def test_windows_has_neither_limit() -> None:
    for condition in ("too-many-open-files", "shared-memory"):
        assert finding(condition, {}, "windows").outcome == "skip"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_the_shell_of_these_tests_is_not_accused() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = finding("too-many-open-files", limit(soft, hard))
    assert (found.outcome == "pass") == (soft == -1 or soft >= 256)


@pytest.mark.parametrize(
    ("total", "free", "says"),
    [(64 << 20, 64 << 20, "64 MiB"), (4 << 30, 4 << 20, "is full (4 MiB left)"), (128 << 20, 128 << 20, "")],
)
def test_shared_memory(total: int, free: int, says: str) -> None:
    shm = {"machine.shm": {"status": "known", "value": {"total": total, "free": free}, "source": "statvfs /dev/shm"}}
    found = finding("shared-memory", shm)
    assert (found.outcome == "fail") == bool(says)
    assert says in found.summary
