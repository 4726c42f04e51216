"""What a condition is and what it may answer. Nothing here touches the machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from ..facts.fact import Fact
from ..facts.sections.smoke import StageRun
from ..facts.snapshot import Snapshot
from .changes import Change

Outcome = Literal["pass", "fail", "skip", "unknown", "crash"]
Severity = Literal["error", "warning", "note"]
Basis = Literal["observed", "derived", "table"]
FixClass = Literal["safe", "confirm", "print-only"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

#: a value that a template may name or an evidence may show
Plain = str | int | float | bool | None | list[str]


class Goal(msgspec.Struct, frozen=True):
    """What the person wants to work; severities follow from it."""

    packages: tuple[str, ...] = ("transformers", "torch")
    #: what torch must be able to compute on: cuda, rocm, mps, xpu, gpu (any of them), cpu; "" asks for nothing
    require: str = ""
    #: bytes that one GPU must have; 0 asks for nothing
    min_vram: int = 0


class Clue(msgspec.Struct):
    """A fact that a verdict rests on; the engine adds its path and source.

    ``value`` replaces the fact's own value where a part of it says more. ``says`` names a template of the
    condition's words (``fields`` fills it) for the line a person reads; without it only -v and JSON show the clue.
    """

    fact: Fact[Any]
    value: Plain = None
    says: str = ""
    fields: Mapping[str, Plain] = {}


class Step(msgspec.Struct, omit_defaults=True):
    """One step of a remedy: a command (``argv``) or something a person does (``says`` names the template)."""

    argv: list[str] = []
    says: str = ""
    fields: Mapping[str, Plain] = {}
    administrator: bool = False
    network: bool = False
    #: what `hfdoctor fix` does for this step; pip's and uv's commands in ``argv`` need none
    change: Change | None = None


class Treatment(msgspec.Struct):
    """What to do about a fail. ``print-only`` steps are shown and never run by hfdoctor."""

    fix_class: FixClass
    steps: Sequence[Step]


class Pass(msgspec.Struct):
    """Examined ``examined`` things (at least one) and found nothing wrong."""

    examined: int
    clues: Sequence[Clue] = ()


class Skip(msgspec.Struct):
    """Does not apply here; ``says`` names the template of the reason."""

    says: str
    fields: Mapping[str, Plain] = {}


class Unknown(msgspec.Struct):
    """Cannot be told although the facts are there (say, newer than the tables); ``says`` names the reason."""

    says: str
    fields: Mapping[str, Plain] = {}
    clues: Sequence[Clue] = ()


class Fail(msgspec.Struct):
    """Something is wrong; ``says`` names the template of the one-line summary."""

    says: str
    severity: Severity
    basis: Basis
    clues: Sequence[Clue]
    fields: Mapping[str, Plain] = {}
    treatment: Treatment | None = None
    examined: int = 1


Verdict = Pass | Skip | Unknown | Fail | Sequence[Fail]


class Condition(msgspec.Struct, frozen=True):
    """One thing that can be wrong, under one permanent id.

    ``words`` holds every sentence as a ``str.format`` template with named fields and no logic. ``reads`` names the
    snapshot's sections that it consults. A fail of a condition in ``explained_by`` folds this one's fail under it.
    """

    id: str
    family: str
    title: str
    reads: tuple[str, ...]
    detect: Callable[[Snapshot, Goal], Verdict]
    words: Mapping[str, str]
    explained_by: tuple[str, ...] = ()


class Evidence(msgspec.Struct):
    """A fact under a finding: its path in the snapshot, the value, where it was read, and the line for a person."""

    fact: str
    value: Any
    source: str
    text: str = ""


class RemedyStep(msgspec.Struct):
    """One step, rendered: ``argv`` is empty for what a person does by hand."""

    text: str
    argv: list[str]
    administrator: bool
    network: bool
    #: what `hfdoctor fix` changes for this step, where that is not the command in ``argv``
    change: Change | msgspec.UnsetType = msgspec.UNSET


class Remedy(msgspec.Struct):
    """The steps that cure a finding."""

    fix_class: FixClass
    steps: list[RemedyStep]


class Finding(msgspec.Struct):
    """A condition held against one snapshot.

    ``examined`` counts the things looked at; ``elapsed_s`` is the seconds that observing the facts it reads took.
    ``explained_by`` is the id of the finding that this one is folded under (its outcome is then ``skip``).
    """

    condition: str
    title: str
    outcome: Outcome
    severity: Severity | None
    basis: Basis | None
    summary: str
    examined: int
    evidence: list[Evidence]
    remedy: Remedy | None
    explained_by: str | None
    elapsed_s: float


class TargetLine(msgspec.Struct):
    """The patient, for the first line of a report."""

    python: str | None
    version: str | None
    environment: str | None
    chosen_because: str | None


class State(msgspec.Struct):
    """Where the goal's packages stand: version by name (None: not installed), and whether nothing stands in the way.

    ``ready`` is None where that cannot be told; ``because`` holds the ids of the errors that stand in the way.
    """

    installed: dict[str, str | None] | None
    ready: bool | None
    because: list[str]


class Report(msgspec.Struct):
    """The findings about one snapshot, every condition that was considered among them."""

    schema: str
    hfdoctor: str
    target: TargetLine
    goal: Goal
    state: State
    findings: list[Finding]
    counts: dict[str, int]
    exit_code: int
    elapsed_s: float
    #: how the stages of a smoke run went, where there was one
    stages: list[StageRun] | msgspec.UnsetType = msgspec.UNSET
    #: section of the snapshot -> why it was not, or not wholly, observed (a deadline, a crash), where there is one
    given_up: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    snapshot: Snapshot | msgspec.UnsetType = msgspec.UNSET

    def failed(self) -> list[Finding]:
        """The findings that say something is wrong, worst first, otherwise in the catalogue's order."""
        wrong = [finding for finding in self.findings if finding.outcome == "fail"]
        return sorted(wrong, key=lambda finding: SEVERITIES.index(finding.severity or "note"))
