"""What became of each finding that was to be fixed: the document that ``hfdoctor fix`` prints."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..conditions.model import RemedyStep, Severity, TargetLine
from .action import Difference, Needs
from .plan import Choice, Fix
from .records import Run

FIX_SCHEMA = "hfdoctor.fix/1"
UNDO_SCHEMA = "hfdoctor.undo/1"

Outcome = Literal[
    "planned",  # shown, not done (--dry-run)
    "fixed",  # done, and a second look finds nothing wrong any more
    "cured",  # not needed any more: another fix of this run cured it, too
    "failed",  # tried and taken back: everything is as it was
    "not-held",  # done, but a second look still finds it, or cannot tell
    "refused",  # cannot be done here
    "declined",  # the person did not want it
    "by-hand",  # hfdoctor cannot do it: a person has to
    "nothing",  # was named and is not found on this machine
    "unknown",  # was named, and whether it is there could not be told
]


class ChoiceLine(msgspec.Struct, omit_defaults=True):
    """One way to cure a finding, with its price and every change."""

    text: str
    #: hfdoctor does it; else a person does
    automatic: bool
    #: what it changes was worked out (with --yes only for the way that is taken)
    worked_out: bool = True
    needs: Needs = msgspec.field(default_factory=Needs)
    changes: list[Difference] = []
    by_hand: list[RemedyStep] = []
    #: why it cannot be gone here
    refused: str = ""


class Fixed(msgspec.Struct, omit_defaults=True):
    """One finding and what became of it.

    ``chosen`` counts ``choices`` from 1; ``undo`` is the number of the fix in the journal.
    """

    condition: str
    severity: Severity | None
    summary: str
    outcome: Outcome
    choices: list[ChoiceLine]
    reason: str = ""
    chosen: int | None = None
    undo: int | None = None
    still_to_do: list[str] = []


class FixReport(msgspec.Struct):
    """The document."""

    schema: str
    hfdoctor: str
    target: TargetLine
    dry_run: bool
    fixes: list[Fixed]
    exit_code: int


class Undone(msgspec.Struct, omit_defaults=True):
    """One fix of the journal: when it was made, what undoing it changes, and where it stands or what became of it.

    ``outcome``: a state of ``records.Run``, planned (--dry-run) or declined.
    """

    fix: int
    condition: str
    choice: str
    at: str
    outcome: str
    changes: list[Difference] = []
    reason: str = ""

    @classmethod
    def of(cls, run: Run, outcome: str, changes: list[Difference]) -> Undone:
        """The line of ``run``."""
        begin = run.begin
        return cls(run.number, begin.condition, begin.choice, begin.at, outcome, changes, run.reason)


class UndoReport(msgspec.Struct):
    """The document of ``hfdoctor undo``. ``stays`` is what cannot be taken back; ``nothing`` why there was nothing."""

    schema: str
    hfdoctor: str
    dry_run: bool
    fixes: list[Undone]
    stays: list[str]
    still_to_do: list[str]
    nothing: str
    exit_code: int


def choice_line(choice: Choice) -> ChoiceLine:
    """What a choice would do, in plain data."""
    return ChoiceLine(
        text=choice.text,
        automatic=choice.automatic,
        worked_out=choice.worked_out,
        needs=choice.needs(),
        changes=[difference for action in choice.actions for difference in action.describe()],
        by_hand=choice.by_hand,
        refused=choice.refused,
    )


def fixed(fix: Fix, outcome: Outcome, reason: str = "", chosen: Choice | None = None) -> Fixed:
    """The line of ``fix``."""
    return Fixed(
        condition=fix.finding.condition,
        severity=fix.finding.severity,
        summary=fix.finding.summary,
        outcome=outcome,
        choices=[choice_line(choice) for choice in fix.choices],
        reason=reason,
        chosen=None if chosen is None else next(n for n, one in enumerate(fix.choices, 1) if one is chosen),
    )


def exit_code(lines: list[Fixed]) -> int:
    """0 all is well, 1 something that was asked for remains, 3 a fix failed, did not hold, or nobody can tell."""
    outcomes = {line.outcome for line in lines}
    if outcomes & {"failed", "not-held", "unknown"}:
        return 3
    return 1 if outcomes & {"planned", "refused", "declined", "by-hand"} else 0
