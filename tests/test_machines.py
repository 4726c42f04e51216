"""Every recorded machine gets exactly the findings it should; and no failed fact makes an error or a crash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from hfdoctor.conditions.catalogue import CATALOGUE
from hfdoctor.conditions.engine import Paths, diagnose, examine, fold
from hfdoctor.conditions.model import Condition, Finding, Goal
from hfdoctor.facts.fact import Fact, failed
from hfdoctor.facts.snapshot import SECTIONS, Snapshot
from hfdoctor.facts.walk import walk_facts
from tests import recorded
from tests.fact_reads import noting_reads


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


def folded(answers: Mapping[str, list[Finding]]) -> list[Finding]:
    """The fails among the answers of the conditions, folded; the answers stay as they are."""
    fails = [msgspec.structs.replace(f) for found in answers.values() for f in found if f.outcome == "fail"]
    fold(fails, CATALOGUE)
    return fails


def without_each_fact(snapshot: Snapshot) -> Iterator[tuple[str, Fact[Any]]]:
    """Set one fact after the other to ``failed``; yields it with its path while it is, then puts it back."""
    for path, fact in list(walk_facts(snapshot)):
        before = {field: getattr(fact, field) for field in fact.__struct_fields__}
        replacement = failed("set to failed by the test")
        for field in before:
            setattr(fact, field, getattr(replacement, field))
        yield path, fact
        for field, value in before.items():
            setattr(fact, field, value)


@pytest.mark.parametrize("name", recorded.names())
def test_any_fact_failed(name: str) -> None:
    """With any one fact failed nothing crashes and no condition becomes an error that was none.

    Conditions are pure: only those that read the fact are asked again.
    """
    snapshot = recorded.load(name)
    paths = Paths(snapshot)
    answers: dict[str, list[Finding]] = {}
    readers: dict[int, set[str]] = {}
    with noting_reads() as read:
        for condition in CATALOGUE:
            read.clear()
            answers[condition.id] = examine(condition, snapshot, Goal(), paths)
            for fact in read:
                readers.setdefault(fact, set()).add(condition.id)
    found = folded(answers)
    before = errors(found)
    # what failed is told by these where what explains it is lost: a stage, an import that misses a module, a write
    residue = {"smoke-failed", "missing-optional-dependency"} if before else set()
    residue |= {f.condition for f in found if f.explained_by == "controlled-folder-access"}
    for path, fact in without_each_fact(snapshot):
        asked = [c for c in CATALOGUE if c.id in readers.get(id(fact), ())]
        again = {c.id: examine(c, snapshot, Goal(), paths) for c in asked}
        assert not [f.evidence for found in again.values() for f in found if f.outcome == "crash"], path
        assert not errors(folded({**answers, **again})) - before - residue, path


@pytest.mark.parametrize("base", ["linux", "windows", "cuda"])
def test_any_fact_failed_leaves_a_healthy_machine_without_findings(base: str) -> None:
    snapshot = recorded.build(base)
    for path, _ in without_each_fact(snapshot):
        report = diagnose(snapshot)
        assert not [f.condition for f in report.findings if f.outcome in ("fail", "crash")], path


def test_conditions_name_every_section_that_they_read() -> None:
    """Emptying the sections that a condition does not name changes nothing in its answer."""
    by_reads: dict[frozenset[str], list[Condition]] = {}
    for condition in CATALOGUE:
        by_reads.setdefault(frozenset(condition.reads), []).append(condition)
    for name in recorded.names():
        snapshot = recorded.load(name)
        paths = Paths(snapshot)
        empty = {s: type(getattr(snapshot, s))() for s in SECTIONS if getattr(snapshot, s) is not None}
        for reads, conditions in by_reads.items():
            bare = msgspec.structs.replace(snapshot, **{s: bare for s, bare in empty.items() if s not in reads})
            for condition in conditions:
                answer, again = (examine(condition, s, Goal(), paths) for s in (snapshot, bare))
                assert [(f.outcome, f.summary) for f in again] == [(f.outcome, f.summary) for f in answer], (
                    name,
                    condition.id,
                )


def test_snapshots_survive_json() -> None:
    for name in recorded.names():
        snapshot = recorded.load(name)
        assert msgspec.json.decode(msgspec.json.encode(snapshot), type=type(snapshot)) == snapshot
