"""Every recorded machine gets exactly the findings it should; and no failed fact makes an error or a crash."""

from __future__ import annotations

import msgspec
import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.facts.fact import failed
from hfdoctor.facts.walk import walk_facts
from tests import recorded


@pytest.mark.parametrize("name", recorded.names())
def test_machine(name: str) -> None:
    wanted = recorded.expected(name)
    report = diagnose(recorded.load(name))
    crashes = {f.condition: f.evidence[0].text for f in report.findings if f.outcome == "crash"}
    assert not crashes
    found = {f.condition: [f.severity, f.basis] for f in report.findings if f.outcome == "fail"}
    assert found == wanted.get("fail", {}), [f.summary for f in report.failed()]
    unknown = {f.condition for f in report.findings if f.outcome == "unknown"}
    assert set(wanted.get("unknown", [])) <= unknown


@pytest.mark.parametrize("base", ["linux", "windows"])
def test_base_machine_is_healthy(base: str) -> None:
    report = diagnose(recorded.build(base))
    wrong = {f.condition: f.summary for f in report.findings if f.outcome in ("fail", "crash")}
    assert not wrong


@pytest.mark.parametrize("name", recorded.names())
def test_any_fact_failed(name: str) -> None:
    """With any one fact failed nothing crashes and no condition becomes an error that was none."""
    before = {f.condition for f in diagnose(recorded.load(name)).findings if f.severity == "error"}
    for path, _ in walk_facts(recorded.load(name)):
        snapshot = recorded.load(name)
        fact = dict(walk_facts(snapshot)).get(path)
        if fact is None:
            continue
        replacement = failed("set to failed by the test")
        for field in fact.__struct_fields__:
            setattr(fact, field, getattr(replacement, field))
        report = diagnose(snapshot)
        assert not [f.evidence for f in report.findings if f.outcome == "crash"], path
        new = {f.condition for f in report.findings if f.severity == "error" and f.outcome == "fail"} - before
        assert not new, (path, new)


def test_snapshots_survive_json() -> None:
    for name in recorded.names():
        snapshot = recorded.load(name)
        assert msgspec.json.decode(msgspec.json.encode(snapshot), type=type(snapshot)) == snapshot
