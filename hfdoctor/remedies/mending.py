"""Does the chosen fixes in order, looks again, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..conditions.model import Finding, Report
from ..conditions.room import size
from ..facts.snapshot import Snapshot
from .action import Action, Progress, Refused
from .engine import administer, begin, carry_out
from .journal import Journal, Run
from .outcome import Fixed, fixed
from .plan import Appetite, Choice, Fix, Person, plan_finding

#: bytes; less room than this is nobody's trouble
WORTH_TELLING = 50 * 10**6


class Wanted(msgspec.Struct):
    """A finding that is to be fixed, the way that was chosen, and what became of it so far."""

    fix: Fix
    choice: Choice
    line: Fixed
    run: Run | None = None


class Patient(msgspec.Struct, frozen=True):
    """How to look again: by a new process with the given environment variables, at the given target ("": the same)."""

    look: Callable[[Mapping[str, str], str], tuple[Snapshot, Report]]
    python: str = ""


def wanted(fix: Fix, choice: Choice) -> Wanted:
    """``fix`` by way of ``choice``, not begun yet."""
    return Wanted(fix, choice, fixed(fix, "failed", "it was not begun", choice))


class Mending:
    """The run of several fixes under one lock on the journal.

    ``confirm`` is asked again where a fix before it changed what a later one would do.
    """

    def __init__(
        self,
        journal: Journal,
        person: Person,
        patient: Patient,
        progress: Progress,
        confirm: Callable[[Fix, Choice], bool],
    ) -> None:
        self.journal = journal
        self.person = person
        self.patient = patient
        self.progress = progress
        self.confirm = confirm

    def mend(self, all_wanted: Sequence[Wanted], before: Report) -> None:
        """Do them; each ``line`` says what became of it. Raises Refused if the journal cannot be written."""
        self._elevated(all_wanted)
        done: list[Wanted] = []
        for one in all_wanted:
            if one.line.outcome != "failed" or one.line.reason != "it was not begun":
                continue  # it was refused with the elevation
            try:
                if done and one.run is None and not self._still_as_planned(one, done):
                    continue
                if one.run is None:
                    one.run = self._begin(one)
            except Refused as refused:  # nothing of it was begun; what was done before is still to be told
                one.line.outcome, one.line.reason = "refused", str(refused)
                continue
            ended = carry_out(self.journal, one.run, self.progress)
            if ended.done:
                done.append(one)
            else:
                one.line.reason = ended.reason
        self._look_again(done, before)

    def _begin(self, one: Wanted) -> Run:
        condition = one.fix.finding.condition
        return begin(
            self.journal,
            condition,
            one.choice.text,
            one.choice.actions,
            python=self.patient.python,
            token=one.choice.token,
        )

    def _elevated(self, all_wanted: Sequence[Wanted]) -> None:
        """All actions that need an administrator, of all fixes, in one go before anything else."""
        theirs = [one for one in all_wanted if one.choice.needs().administrator]
        for one in theirs:
            try:
                one.run = self._begin(one)
            except Refused as stuck:
                one.line.outcome, one.line.reason = "refused", str(stuck)
        theirs = [one for one in theirs if one.run is not None]
        refused = administer(self.journal, [one.run for one in theirs if one.run is not None], self.progress)
        if refused is not None:
            for one in theirs:
                one.line.outcome = "refused" if refused.clean else "failed"
                one.line.reason = f"{refused.reason} (hfdoctor fix {one.fix.finding.condition} --no-admin: other ways)"

    def _still_as_planned(self, one: Wanted, done: Sequence[Wanted]) -> bool:
        """Whether the plan of ``one`` still holds after what was done; plans it anew where it does not."""
        if all(action.look().state == "before" for action in one.choice.actions):
            return True
        snapshot, report = self.patient.look(self._environ(done), self._target(done))
        finding = _same(one.fix.finding, report)
        if finding is None:
            one.line.outcome, one.line.reason = "cured", ""
            return False
        number = one.fix.choices.index(one.choice) + 1
        fix = plan_finding(finding, snapshot, self.person, Appetite(number=number))
        choice = next((way for way in fix.choices if way.text == one.choice.text and way.actions), None)
        if choice is None:
            one.line = fixed(fix, "refused", "what was fixed before it left no such way")
            return False
        if not self.confirm(fix, choice):
            one.line = fixed(fix, "declined", "", choice)
            return False
        one.fix, one.choice = fix, choice
        one.line = fixed(fix, "failed", "it was not begun", choice)
        return True

    def _look_again(self, done: Sequence[Wanted], before: Report) -> None:
        """The same detectors on a fresh observation decide whether what was done has helped."""
        looks: dict[str, Report] = {}
        for one in done:
            target = self._target([one])
            if target not in looks:
                try:
                    _, looks[target] = self.patient.look(self._environ(done), target)
                except Refused as refused:
                    one.line.outcome, one.line.reason = "not-held", str(refused)
        for one in done:
            assert one.run is not None
            one.line.undo = one.run.number
            one.line.still_to_do = list(
                dict.fromkeys(words for action in one.choice.actions for words in action.still_to_do())
            )
            kept = sum(action.keeps() for action in one.choice.actions)
            if kept >= WORTH_TELLING:
                free = f"hfdoctor undo --forget {one.run.number} frees them for good"
                one.line.still_to_do.append(f"{size(kept)} are kept for undoing this; {free}")
            after = looks.get(self._target([one]))
            if after is None:
                continue
            trouble = _trouble(one.fix.finding.condition, before, after, done)
            one.line.outcome, one.line.reason = ("not-held", trouble) if trouble else ("fixed", "")

    def _environ(self, done: Sequence[Wanted]) -> dict[str, str]:
        environ = dict(self.person.environ)
        for action in _actions(done):
            environ = action.environ_after(environ)
        return environ

    def _target(self, done: Sequence[Wanted]) -> str:
        return next((target for action in reversed(_actions(done)) if (target := action.target_after())), "")


def _actions(done: Sequence[Wanted]) -> list[Action]:
    return [action for one in done for action in one.choice.actions]


def _same(finding: Finding, report: Report) -> Finding | None:
    """The finding of ``report`` that is the old one again: the same words, else the first of that condition."""
    found = [one for one in report.failed() if one.condition == finding.condition]
    return next((one for one in found if one.summary == finding.summary), found[0] if found else None)


def _trouble(condition: str, before: Report, after: Report, done: Sequence[Wanted]) -> str:
    """Why a fix of ``condition`` did not hold; "" if it did. An unknown is never a pass."""
    wrong = [
        one for one in after.findings if one.condition == condition and (one.outcome == "fail" or one.explained_by)
    ]
    unknown = [one for one in after.findings if one.condition == condition and one.outcome in ("unknown", "crash")]
    if unknown:
        return f"whether it helped could not be told: {unknown[0].summary}"
    were = sum(1 for one in before.findings if one.condition == condition and one.outcome == "fail")
    mended = sum(1 for one in done if one.fix.finding.condition == condition)
    if len(wrong) > max(0, were - mended):
        return f"a second look still says: {wrong[0].summary}"
    return ""
