"""The tables are asked for what is not installed; a table that is old, or silent, accuses nobody."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding
from hfdoctor.facts.fact import known
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.knowledge import wheels
from tests import recorded

IDS = ("python-too-new", "python-too-old", "python-32bit", "platform-no-wheel")


def row(package: str, requires: str, *tags: str, sdist: bool = False) -> wheels.WheelTags:
    return msgspec.convert(
        {
            "as_of": "2026-11-22",
            "source": "the test",
            "package": package,
            "release": "2.0",
            "uploaded": "2026-11-01",
            "requires_python": requires,
            "sdist": sdist,
            "wheels": tags,
        },
        wheels.WheelTags,
    )


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[wheels.WheelTags]]:
    """torch for Python 3.11 and 3.12 on x86_64 Linux, transformers for all."""
    rows = [
        row("torch", ">=3.11", "cp311-cp311 manylinux_2_28_x86_64", "cp312-cp312 manylinux_2_28_x86_64"),
        row("transformers", ">=3.10", "py3-none any"),
        row("numpy", ">=3.10", "cp313-cp313 manylinux_2_28_x86_64", "cp311-abi3 manylinux_2_28_x86_64"),
    ]
    monkeypatch.setattr(wheels, "load_wheel_tags", lambda: rows)
    wheels.newest_known_python.cache_clear()
    yield rows
    wheels.newest_known_python.cache_clear()


def judged(version: str, taken_at: str = "2026-11-23T10:00:00Z", installed: bool = False) -> dict[str, Finding]:
    snapshot: Snapshot = recorded.build("linux")
    snapshot.taken_at = taken_at
    told = snapshot.target.interpreter.need()
    told.version, told.version_info = version, [int(part) for part in version.split(".")]
    snapshot.target.pyvenv_cfg = known({"home": "/usr/bin", "version": version})
    if not installed:
        snapshot.packages.distributions = known([])
    return {finding.condition: finding for finding in diagnose(snapshot).findings if finding.condition in IDS}


def test_too_new(tables: list[wheels.WheelTags]) -> None:
    finding = judged("3.13.0")["python-too-new"]
    assert (finding.outcome, finding.severity, finding.basis) == ("fail", "warning", "table")
    assert "3.13" in finding.summary and "torch" in finding.summary and "transformers" not in finding.summary
    assert "3.11, 3.12" in finding.evidence[1].text and "2026-11-22" in finding.evidence[1].text
    assert finding.remedy is not None and finding.remedy.steps[0].argv == ["uv", "venv", "--python", "3.11", ".venv"]
    assert {identity: each.outcome for identity, each in judged("3.13.0").items()} == {
        "python-too-new": "fail",
        "python-too-old": "pass",
        "python-32bit": "pass",
        "platform-no-wheel": "pass",
    }


def test_what_is_installed_has_answered(tables: list[wheels.WheelTags]) -> None:
    assert {finding.outcome for finding in judged("3.13.0", installed=True).values()} == {"pass"}


def test_an_old_table_does_not_deny_wheels(tables: list[wheels.WheelTags]) -> None:
    assert judged("3.13.0", taken_at="2027-06-01T10:00:00Z")["python-too-new"].outcome == "unknown"


def test_newer_than_the_table_is_unknown(tables: list[wheels.WheelTags]) -> None:
    findings = judged("3.14.0")
    assert findings["python-too-new"].outcome == findings["platform-no-wheel"].outcome == "unknown"
    assert findings["python-too-old"].outcome == findings["python-32bit"].outcome == "pass"


def test_building_from_source_is_no_wheel(tables: list[wheels.WheelTags]) -> None:
    tables[0] = msgspec.structs.replace(tables[0], sdist=True)
    finding = judged("3.13.0")["python-too-new"]
    assert finding.outcome == "fail" and "build it from source" in finding.evidence[1].text


def test_served_is_silent(tables: list[wheels.WheelTags]) -> None:
    assert {finding.outcome for finding in judged("3.12.1").values()} == {"pass"}


def test_another_implementation_is_unknown(tables: list[wheels.WheelTags]) -> None:
    snapshot = recorded.build("linux")
    snapshot.packages.distributions = known([])
    snapshot.target.interpreter.need().implementation = "pypy"
    outcomes = {f.condition: f.outcome for f in diagnose(snapshot).findings if f.condition in IDS}
    assert outcomes["platform-no-wheel"] == "unknown"
