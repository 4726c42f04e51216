"""The engine: outcomes, evidence, folding, exit codes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hfdoctor.conditions import catalogue, engine
from hfdoctor.conditions.engine import Policy, diagnose
from hfdoctor.conditions.model import (
    Basis,
    Clue,
    Condition,
    Fail,
    Goal,
    Pass,
    Severity,
    Skip,
    Step,
    Treatment,
    Unknown,
    Verdict,
)
from hfdoctor.facts.fact import denied, known
from hfdoctor.facts.snapshot import ProbeRun, Snapshot

Detect = Callable[[Snapshot, Goal], Verdict]


def condition(name: str, detect: Detect, explained_by: tuple[str, ...] = ()) -> Condition:
    words = {
        "bad": "{what} is bad",
        "line": "the arch is {value}",
        "no": "not here",
        "new": "newer than known",
        "do": "do it",
    }
    return Condition(name, "test", name.title(), ("machine",), detect, words, explained_by)


def fails(severity: Severity = "error", basis: Basis = "derived") -> Detect:
    def detect(s: Snapshot, goal: Goal) -> Verdict:
        clue = Clue(s.machine.architecture, says="line", fields={"value": s.machine.architecture.need()})
        steps = Treatment("confirm", [Step(["pip", "install", "x"], "do")])
        return Fail("bad", severity, basis, [clue], {"what": "it"}, steps)

    return detect


@pytest.fixture
def snapshot() -> Snapshot:
    snapshot = Snapshot()
    snapshot.machine.architecture = known("x86_64", "uname")
    snapshot.probes["machine"] = ProbeRun(0.25)
    return snapshot


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def replace(*conditions: Condition) -> None:
        monkeypatch.setattr(catalogue, "CATALOGUE", conditions)

    return replace


def test_fail_carries_evidence_and_remedy(snapshot: Snapshot, use: Callable[..., None]) -> None:
    use(condition("a", fails()))
    report = diagnose(snapshot)
    (finding,) = report.findings
    assert (finding.outcome, finding.severity, finding.basis) == ("fail", "error", "derived")
    assert finding.summary == "it is bad"
    (evidence,) = finding.evidence
    assert (evidence.fact, evidence.value, evidence.source) == ("machine.architecture", "x86_64", "uname")
    assert evidence.text == "the arch is x86_64"
    assert finding.remedy is not None
    assert finding.remedy.steps[0].argv == ["pip", "install", "x"]
    assert finding.elapsed_s == 0.25
    assert report.exit_code == 1


def test_missing_fact_is_unknown_and_named(snapshot: Snapshot, use: Callable[..., None]) -> None:
    snapshot.machine.architecture = denied("PermissionError: no", "uname")
    use(condition("a", fails()))
    report = diagnose(snapshot)
    assert report.findings[0].outcome == "unknown"
    assert "machine.architecture" in report.findings[0].summary
    assert "denied" in report.findings[0].summary
    assert report.exit_code == 0
    assert diagnose(snapshot, policy=Policy(strict=True)).exit_code == 3


def test_crash_is_its_own_outcome(snapshot: Snapshot, use: Callable[..., None]) -> None:
    def boom(s: Snapshot, goal: Goal) -> Verdict:
        raise RuntimeError("boom")

    use(condition("a", boom), condition("b", fails()))
    report = diagnose(snapshot)
    assert [f.outcome for f in report.findings] == ["crash", "fail"]
    assert "boom" in report.findings[0].evidence[0].text
    assert report.exit_code == 3


@pytest.mark.parametrize(
    ("severity", "fail_on", "code"),
    [
        ("error", "error", 1),
        ("warning", "error", 0),
        ("warning", "warning", 1),
        ("note", "warning", 0),
        ("note", "note", 1),
    ],
)
def test_exit_code_follows_fail_on(
    snapshot: Snapshot, use: Callable[..., None], severity: Severity, fail_on: Severity, code: int
) -> None:
    use(condition("a", fails(severity)))
    assert diagnose(snapshot, policy=Policy(fail_on=fail_on)).exit_code == code


def test_a_deadline_is_exit_3(snapshot: Snapshot, use: Callable[..., None]) -> None:
    use(condition("a", lambda s, g: Pass(1)))
    snapshot.probes["machine"] = ProbeRun(5, "deadline")
    assert diagnose(snapshot).exit_code == 3


def test_a_table_never_makes_an_error(snapshot: Snapshot, use: Callable[..., None]) -> None:
    use(condition("a", fails("error", "table")))
    assert diagnose(snapshot).findings[0].outcome == "crash"
    use(condition("a", fails("warning", "table")))
    assert diagnose(snapshot).findings[0].outcome == "fail"


def test_one_cause_one_finding(snapshot: Snapshot, use: Callable[..., None]) -> None:
    use(condition("effect", fails(), explained_by=("cause",)), condition("cause", fails()))
    report = diagnose(snapshot)
    assert [(f.condition, f.outcome, f.explained_by) for f in report.findings] == [
        ("effect", "skip", "cause"),
        ("cause", "fail", None),
    ]
    assert report.counts["error"] == 1


def test_an_error_does_not_vanish_under_a_warning(snapshot: Snapshot, use: Callable[..., None]) -> None:
    use(condition("effect", fails(), explained_by=("cause",)), condition("cause", fails("warning")))
    assert [finding.outcome for finding in diagnose(snapshot).findings] == ["fail", "fail"]


def test_several_troubles_of_one_condition(snapshot: Snapshot, use: Callable[..., None]) -> None:
    one = fails()
    use(condition("a", lambda s, g: [one(s, g), one(s, g)]))  # type: ignore[list-item]
    assert diagnose(snapshot).counts["fail"] == 2


def test_pass_must_have_examined_something(snapshot: Snapshot, use: Callable[..., None]) -> None:
    use(condition("a", lambda s, g: Pass(0)))
    assert diagnose(snapshot).findings[0].outcome == "crash"


def test_skip_and_unknown_say_why(snapshot: Snapshot, use: Callable[..., None]) -> None:
    use(condition("a", lambda s, g: Skip("no")), condition("b", lambda s, g: Unknown("new")))
    report = diagnose(snapshot)
    assert [(f.outcome, f.summary) for f in report.findings] == [("skip", "not here"), ("unknown", "newer than known")]
    assert all(f.severity is None for f in report.findings)


def test_select_and_ignore(snapshot: Snapshot, use: Callable[..., None]) -> None:
    use(condition("a", fails()), condition("b", fails()))
    assert [f.condition for f in diagnose(snapshot, policy=Policy(select=frozenset({"b"}))).findings] == ["b"]
    assert [f.condition for f in diagnose(snapshot, policy=Policy(ignore=frozenset({"b"}))).findings] == ["a"]


def test_worst_first(snapshot: Snapshot, use: Callable[..., None]) -> None:
    use(condition("n", fails("note")), condition("e", fails("error")), condition("w", fails("warning")))
    assert [f.condition for f in diagnose(snapshot).failed()] == ["e", "w", "n"]


def test_public_names() -> None:
    import hfdoctor

    assert hfdoctor.diagnose is engine.diagnose
    assert hfdoctor.Report.__name__ == "Report"
    with pytest.raises(AttributeError):
        _ = hfdoctor.nothing_of_that_name
