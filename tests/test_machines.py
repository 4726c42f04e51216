"""Every recorded machine gets exactly the findings it should; and no failed fact makes an error or a crash."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from hfdoctor.conditions.catalogue import CATALOGUE
from hfdoctor.conditions.engine import Paths, diagnose, examine, fold
from hfdoctor.conditions.model import Finding, Goal
from hfdoctor.facts.fact import failed
from hfdoctor.facts.snapshot import SECTIONS, Snapshot
from hfdoctor.facts.walk import walk_facts
from tests import recorded
from tests.thorough import THOROUGH


@pytest.mark.parametrize("name", recorded.names())
def test_machine(name: str) -> None:
    wanted = recorded.expected(name)
    report = diagnose(recorded.load(name), Goal(**wanted.get("goal", {})))
    crashes = {f.condition: f.evidence[0].text for f in report.findings if f.outcome == "crash"}
    assert not crashes
    found = {f.condition: [f.severity, f.basis] for f in report.findings if f.outcome == "fail"}
    assert found == wanted.get("fail", {}), [f.summary for f in report.failed()]
    unknown = {f.condition for f in report.findings if f.outcome == "unknown"}
    assert set(wanted.get("unknown", [])) <= unknown


@pytest.mark.parametrize("base", ["linux", "windows", "cuda"])
def test_base_machine_is_healthy(base: str) -> None:
    report = diagnose(recorded.build(base))
    wrong = {f.condition: f.summary for f in report.findings if f.outcome in ("fail", "crash")}
    assert not wrong


def errors(findings: list[Finding]) -> set[str]:
    return {f.condition for f in findings if f.outcome == "fail" and f.severity == "error"}


def without_each_fact(snapshot: Snapshot) -> Iterator[str]:
    """Set one fact after the other to ``failed``; yields its path while it is, then puts it back."""
    for path, fact in list(walk_facts(snapshot)):
        before = {field: getattr(fact, field) for field in fact.__struct_fields__}
        replacement = failed("set to failed by the test")
        for field in before:
            setattr(fact, field, getattr(replacement, field))
        yield path
        for field, value in before.items():
            setattr(fact, field, value)


@pytest.mark.parametrize("name", recorded.names()[:: 1 if THOROUGH else 2])
def test_any_fact_failed(name: str) -> None:
    """With any one fact failed nothing crashes and no condition becomes an error that was none.

    Only the conditions that read the fact's section are asked again: that ``reads`` is whole has its own test.
    """
    snapshot = recorded.load(name)
    before = errors(diagnose(snapshot).findings)
    paths = Paths(snapshot)
    for path in without_each_fact(snapshot):
        section = path.split(".")[0]
        causes = {cause for c in CATALOGUE if section in c.reads for cause in c.explained_by}
        readers = [c for c in CATALOGUE if section in c.reads or c.id in causes]
        findings = [finding for c in readers for finding in examine(c, snapshot, Goal(), paths)]
        fold(findings, readers)
        assert not [f.evidence for f in findings if f.outcome == "crash"], path
        # what failed is told by these where what explains it is lost: a stage, an import that misses a module
        residue = {"smoke-failed", "missing-optional-dependency"} if before else set()
        assert not errors(findings) - before - residue, path


@pytest.mark.parametrize("base", ["linux", "windows", "cuda"])
def test_any_fact_failed_leaves_a_healthy_machine_without_findings(base: str) -> None:
    snapshot = recorded.build(base)
    for path in without_each_fact(snapshot):
        report = diagnose(snapshot)
        assert not [f.condition for f in report.findings if f.outcome in ("fail", "crash")], path


def test_conditions_name_every_section_that_they_read() -> None:
    """Emptying the sections that a condition does not name changes nothing in its answer."""
    for name in recorded.names()[:: 1 if THOROUGH else 4]:
        snapshot = recorded.load(name)
        for condition in CATALOGUE:
            bare = msgspec.structs.replace(snapshot)
            for section in SECTIONS:
                if section not in condition.reads and getattr(bare, section) is not None:
                    setattr(bare, section, type(getattr(bare, section))())
            answer, again = (examine(condition, s, Goal()) for s in (snapshot, bare))
            assert [(f.outcome, f.summary) for f in again] == [(f.outcome, f.summary) for f in answer], (
                name,
                condition.id,
            )


def test_snapshots_survive_json() -> None:
    for name in recorded.names():
        snapshot = recorded.load(name)
        assert msgspec.json.decode(msgspec.json.encode(snapshot), type=type(snapshot)) == snapshot
