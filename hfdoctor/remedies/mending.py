"""Does the chosen fixes in order, looks again, and says what became of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..conditions.byte_count import size
from ..conditions.model import Finding, Report
from ..facts.snapshot import Snapshot
from .action import Action, Progress, Refused
from .engine import administer, begin, carry_out
from .journal import Journal, Run
from .outcome import Fixed, Outcome, fixed
from .plan import Appetite, Choice, Fix, Person, plan_finding

#: bytes; less room than this is nobody's trouble
WORTH_TELLING = 50 * 10**6


class Wanted(msgspec.Struct):
    """A finding that is to be fixed, the way that was chosen, and what became of it (None: nothing yet)."""

    fix: Fix
    choice: Choice
    told: Fixed | None = None
    run: Run | None = None

    @property
    def line(self) -> Fixed:
        """What became of it, once it is mended or not."""
        assert self.told is not None, f"nothing has become of {self.fix.finding.condition} yet"
        return self.told

    def ends(self, outcome: Outcome, reason: str = "") -> None:
        """Note what became of it."""
        self.told = fixed(self.fix, outcome, reason, self.choice)


class Patient(msgspec.Struct, frozen=True):
    """How to look again: by a new process with the given environment variables, at the given target ("": the same)."""

    look: Callable[[Mapping[str, str], str], tuple[Snapshot, Report]]
    python: str = ""


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
            if one.told is not None:
                continue  # it was refused with the elevation
            try:
                if done and one.run is None and not self._still_as_planned(one, done):
                    continue
                if one.run is None:
                    one.run = self._begin(one)
            except Refused as refused:  # nothing of it was begun; what was done before is still to be told
                one.ends("refused", str(refused))
                continue
            ended = carry_out(self.journal, one.run, self.progress)
            if ended.done:
                done.append(one)
            else:
                one.ends("failed", ended.reason)
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
                one.ends("refused", str(stuck))
        theirs = [one for one in theirs if one.run is not None]
        refused = administer(self.journal, [one.run for one in theirs if one.run is not None], self.progress)
        if refused is not None:
            for one in theirs:
                other_ways = f"hfdoctor fix {one.fix.finding.condition} --no-admin: other ways"
                one.ends("refused" if refused.clean else "failed", f"{refused.reason} ({other_ways})")

    def _still_as_planned(self, one: Wanted, done: Sequence[Wanted]) -> bool:
        """Whether the plan of ``one`` still holds after what was done; plans it anew where it does not."""
        if all(action.look().state == "before" for action in one.choice.actions):
            return True
        snapshot, report = self.patient.look(self._environ(done), self._target(done))
        finding = _same(one.fix.finding, report)
        if finding is None:
            one.ends("cured")
            return False
        number = one.fix.choices.index(one.choice) + 1
        fix = plan_finding(finding, snapshot, self.person, Appetite(number=number))
        choice = next((way for way in fix.choices if way.text == one.choice.text and way.actions), None)
        if choice is None:
            one.told = fixed(fix, "refused", "what was fixed before it left no such way")
            return False
        if not self.confirm(fix, choice):
            one.told = fixed(fix, "declined", "", choice)
            return False
        one.fix, one.choice = fix, choice
        return True

    def _look_again(self, done: Sequence[Wanted], before: Report) -> None:
        """The same detectors on a fresh observation decide whether what was done has helped."""
        looks: dict[str, Report | str] = {}
        for one in done:
            target = self._target([one])
            if target not in looks:
                try:
                    looks[target] = self.patient.look(self._environ(done), target)[1]
                except Refused as refused:
                    looks[target] = str(refused)
            after = looks[target]
            condition = one.fix.finding.condition
            mended = sum(1 for other in done if other.fix.finding.condition == condition)
            trouble = after if isinstance(after, str) else trouble_left(condition, before, after, mended)
            one.ends("not-held" if trouble else "fixed", trouble)
            assert one.run is not None
            one.line.undo = one.run.number
            one.line.still_to_do = self._still_to_do(one, one.run.number)

    def _still_to_do(self, one: Wanted, number: int) -> list[str]:
        words = [words for action in one.choice.actions for words in action.still_to_do()]
        kept = sum(action.keeps() for action in one.choice.actions)
        if kept >= WORTH_TELLING:
            words.append(f"{size(kept)} are kept for undoing this; hfdoctor undo --forget {number} frees them for good")
        return list(dict.fromkeys(words))

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


def trouble_left(condition: str, before: Report, after: Report, mended: int = 1) -> str:
    """Why ``mended`` findings of ``condition`` are not cured in ``after``; "" if they are. Unknown is no pass."""
    found = [one for one in after.findings if one.condition == condition]
    unknown = next((one for one in found if one.outcome in ("unknown", "crash")), None)
    if unknown is not None:
        return f"whether it helped could not be told: {unknown.summary}"
    wrong = [one for one in found if one.outcome == "fail" or one.explained_by]
    were = sum(1 for one in before.findings if one.condition == condition and one.outcome == "fail")
    return f"a second look still says: {wrong[0].summary}" if len(wrong) > max(0, were - mended) else ""
