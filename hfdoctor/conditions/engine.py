"""Holds the catalogue against a snapshot: facts in, findings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..facts.fact import Fact, FactMissing
from ..facts.snapshot import Snapshot
from ..version import __version__
from .model import (
    SEVERITIES,
    Clue,
    Condition,
    Evidence,
    Fail,
    Finding,
    Goal,
    Pass,
    Plain,
    Remedy,
    RemedyStep,
    Report,
    Severity,
    Skip,
    State,
    TargetLine,
    Treatment,
    Unknown,
)
from .ways import automatic, ways

REPORT_SCHEMA = "hfdoctor.report/1"


class Policy(msgspec.Struct, frozen=True):
    """When a report is bad news: what ``--fail-on``, ``--strict``, ``--select`` and ``--ignore`` say."""

    fail_on: Severity = "error"
    strict: bool = False
    select: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()


def diagnose(snapshot: Snapshot, goal: Goal | None = None, policy: Policy | None = None) -> Report:
    """Hold every condition of the catalogue against ``snapshot``. Pure: the same input gives the same report."""
    from .catalogue import CATALOGUE

    goal = goal or Goal()
    policy = policy or Policy()
    chosen = [
        condition
        for condition in CATALOGUE
        if (not policy.select or condition.id in policy.select) and condition.id not in policy.ignore
    ]
    paths = Paths(snapshot)
    findings = [finding for condition in chosen for finding in examine(condition, snapshot, goal, paths)]
    fold(findings, chosen)
    counts = dict.fromkeys(("fail", "pass", "skip", "unknown", "crash"), 0)
    counts |= dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        counts[finding.outcome] += 1
        if finding.outcome == "fail" and finding.severity:
            counts[finding.severity] += 1
    return Report(
        schema=REPORT_SCHEMA,
        hfdoctor=__version__,
        target=target_line(snapshot),
        goal=goal,
        state=_state(snapshot, goal, findings),
        findings=findings,
        counts=counts,
        exit_code=exit_code(findings, snapshot, policy),
        elapsed_s=round(snapshot.elapsed_s, 3),
        stages=snapshot.smoke.stages.maybe() or msgspec.UNSET,
        given_up=_given_up(snapshot) or msgspec.UNSET,
    )


def exit_code(findings: Sequence[Finding], snapshot: Snapshot, policy: Policy) -> int:
    """0 clean, 1 findings at or above ``fail_on``, 3 the doctor could not do its job.

    3 wins over 1: a doctor that crashed or ran out of time has not looked at everything, and whoever reads only
    the number must not take the list for complete.
    """
    outcomes = {finding.outcome for finding in findings}
    if "crash" in outcomes or any(run.outcome != "done" for run in snapshot.probes.values()):
        return 3
    if policy.strict and "unknown" in outcomes:
        return 3
    bad = SEVERITIES[: SEVERITIES.index(policy.fail_on) + 1]
    return 1 if any(f.outcome == "fail" and f.severity in bad for f in findings) else 0


def _given_up(snapshot: Snapshot) -> dict[str, str]:
    """The probes that were cut short, with the reason: without a word about it exit code 3 is a riddle."""
    runs = {name: run for name, run in snapshot.probes.items() if run.outcome != "done"}
    return {
        name: run.detail or (f"no answer within {run.seconds:.0f} s" if run.outcome == "deadline" else run.outcome)
        for name, run in runs.items()
    }


class Paths:
    """The path of each fact of a snapshot, by the fact itself; built once, since every clue asks."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._paths = {id(fact): path for path, fact in snapshot.facts()}

    def of(self, fact: Fact[Any]) -> str:
        """The path of ``fact``; "" if it is not one of the snapshot's own."""
        return self._paths.get(id(fact), "")


def examine(condition: Condition, snapshot: Snapshot, goal: Goal, paths: Paths | None = None) -> list[Finding]:
    """The findings of one condition: one, or several where it found several separate troubles."""
    paths = paths or Paths(snapshot)
    try:
        verdict = condition.detect(snapshot, goal)
        if isinstance(verdict, (Pass, Skip, Unknown, Fail)):
            return [_finding(condition, snapshot, verdict, paths)]
        return [_finding(condition, snapshot, fail, paths) for fail in verdict]
    except FactMissing as missing:
        fact = missing.fact
        path = paths.of(fact) or "a fact"
        finding = _blank(condition, snapshot)
        finding.outcome = "unknown"
        finding.summary = f"{path} is not known ({fact.status}{': ' + fact.reason if fact.reason else ''})"
        finding.evidence = [Evidence(fact=path, value=None, source=fact.source, text=fact.reason)]
        return [finding]
    except Exception:  # a bug of ours must not cost the person the rest of the report
        import traceback

        finding = _blank(condition, snapshot)
        finding.outcome = "crash"
        finding.summary = "hfdoctor's own check crashed; please report this"
        finding.evidence = [Evidence(fact="", value=None, source="hfdoctor", text=traceback.format_exc(limit=-4))]
        return [finding]


def fold(findings: list[Finding], conditions: Sequence[Condition]) -> None:
    """Fold each fail under the failed condition that explains it: one cause, one finding.

    An error is only explained by an error: it must not vanish under a note.
    """
    failed = {(finding.condition, finding.severity) for finding in findings if finding.outcome == "fail"}
    explained_by = {condition.id: condition.explained_by for condition in conditions}
    for finding in findings:
        if finding.outcome != "fail" or finding.severity is None:
            continue
        as_grave = SEVERITIES[: SEVERITIES.index(finding.severity) + 1]
        for cause in explained_by[finding.condition]:
            if any((cause, severity) in failed for severity in as_grave):
                finding.outcome = "skip"
                finding.explained_by = cause
                break


def _finding(condition: Condition, snapshot: Snapshot, verdict: Pass | Skip | Unknown | Fail, paths: Paths) -> Finding:
    finding = _blank(condition, snapshot)
    if isinstance(verdict, Pass):
        if verdict.examined < 1:
            raise ValueError(f"{condition.id}: a pass must have examined something")
        finding.outcome = "pass"
        finding.examined = verdict.examined
        finding.evidence = _evidence(condition, verdict.clues, paths)
        return finding
    finding.summary = say(condition, verdict.says, verdict.fields)
    if isinstance(verdict, Skip):
        finding.outcome = "skip"
        return finding
    finding.evidence = _evidence(condition, verdict.clues, paths)
    if isinstance(verdict, Unknown):
        finding.outcome = "unknown"
        return finding
    if verdict.basis == "table" and verdict.severity == "error":
        raise ValueError(f"{condition.id}: a table row alone never makes an error")
    if not finding.evidence:
        raise ValueError(f"{condition.id}: a fail needs evidence")
    finding.outcome = "fail"
    finding.severity = verdict.severity
    finding.basis = verdict.basis
    finding.examined = verdict.examined
    finding.remedy = _remedy(condition, verdict.treatment)
    return finding


def say(condition: Condition, key: str, fields: Mapping[str, Plain]) -> str:
    """Fill the template ``key`` of the condition's words. Raises KeyError for an unknown key or field."""
    return condition.words[key].format_map(fields)


def _blank(condition: Condition, snapshot: Snapshot) -> Finding:
    elapsed = sum(snapshot.probes[name].seconds for name in condition.reads if name in snapshot.probes)
    return Finding(
        condition=condition.id,
        title=condition.title,
        outcome="pass",
        severity=None,
        basis=None,
        summary="",
        examined=0,
        evidence=[],
        remedy=None,
        explained_by=None,
        elapsed_s=round(elapsed, 4),
    )


def _evidence(condition: Condition, clues: Sequence[Clue], paths: Paths) -> list[Evidence]:
    found = []
    for clue in clues:
        path = paths.of(clue.fact)
        if not path:
            raise ValueError(f"{condition.id}: evidence must be a fact of the snapshot")
        value: Any = clue.value
        if value is None:
            value = clue.fact.value if clue.fact.known else clue.fact.status
        text = say(condition, clue.says, clue.fields) if clue.says else ""
        found.append(Evidence(fact=path, value=value, source=clue.fact.source, text=text))
    return found


def _remedy(condition: Condition, treatment: Treatment | None) -> Remedy | None:
    if treatment is None:
        return None
    steps = [
        RemedyStep(
            text=say(condition, step.says, step.fields) if step.says else "",
            argv=list(step.argv),
            administrator=step.administrator,
            network=step.network,
            change=msgspec.UNSET if step.change is None else step.change,
        )
        for step in treatment.steps
    ]
    # what comes out without a way that hfdoctor can go by itself is for a person, whatever was meant
    by_itself = any(automatic(way) for way in ways(steps))
    return Remedy(fix_class=treatment.fix_class if by_itself else "print-only", steps=steps)


def target_line(snapshot: Snapshot) -> TargetLine:
    """Who was inspected, and why that one."""
    chosen = snapshot.target.chosen.maybe()
    interpreter = snapshot.target.interpreter.maybe()
    if snapshot.described:  # a text that somebody pasted: it has no path of an interpreter
        because = f"a description of another machine ({', '.join(snapshot.described)})"
        return TargetLine(None, interpreter.version if interpreter else None, None, because)
    return TargetLine(
        python=chosen.python if chosen else None,
        version=interpreter.version if interpreter else None,
        environment=snapshot.target.kind.maybe(),
        chosen_because=chosen.because if chosen else None,
    )


def _state(snapshot: Snapshot, goal: Goal, findings: Sequence[Finding]) -> State:
    """Which of the goal's packages are installed, and which errors stand in the way of the goal."""
    because = [f.condition for f in findings if f.outcome == "fail" and f.severity == "error"]
    distributions = snapshot.packages.distributions.maybe()
    if distributions is None:
        return State(installed=None, ready=False if because else None, because=because)
    # what could not be told may stand in the way: an unknown is never a pass
    ready = False if because else None if any(f.outcome in ("unknown", "crash") for f in findings) else True
    versions = {distribution.name.lower(): distribution.version for distribution in reversed(distributions)}
    if snapshot.described:  # what a text does not list may be installed all the same
        named = {name: versions[name] for name in goal.packages if name in versions}
        return State(installed=dict(named) or None, ready=ready, because=because)
    return State(
        installed={name: versions.get(name) for name in goal.packages},
        ready=ready,
        because=because,
    )
