"""The course of ``hfdoctor fix``: look, plan, show, ask, do, look again, tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click
import msgspec

from ..conditions.engine import diagnose
from ..conditions.model import SEVERITIES, Finding, Report
from ..facts.snapshot import Snapshot
from ..remedies.action import Refused
from ..remedies.afresh import Look, observe_afresh
from ..remedies.engine import name, recover_all
from ..remedies.journal import Journal
from ..remedies.mending import Mending, Patient, Wanted, trouble_left
from ..remedies.outcome import FIX_SCHEMA, Fixed, FixReport, choice_line, exit_code, fixed
from ..remedies.place import state_folder
from ..remedies.plan import Appetite, Choice, Fix, Person, plan_finding
from ..reports import fixes as words
from ..reports.text import first_line
from ..version import __version__
from .asking import Quit, ask_choice, ask_done, confirmed
from .observe import observe
from .progress import Progress
from .telling import Teller

#: whether commands are quoted for Windows
WINDOWS = sys.platform == "win32"


class Session(msgspec.Struct):
    """One call of the command: how the machine is looked at, where it is told, and whether UAC may be asked."""

    look: Look
    teller: Teller
    administrator: bool = True

    def run(self, named: frozenset[str], *, dry_run: bool, yes: bool, number: int | None) -> int:
        """Do it; returns the exit code. Raises Refused where not even a journal can be kept, click.UsageError."""
        self._recover(dry_run)
        snapshot = self._observe()
        report = diagnose(snapshot)
        self.teller.say(first_line(report.target), "")
        lines, findings = _asked_for(report, named, yes)
        if number is not None:
            _check_number(findings, number)
        person = Person(os.environ, Path.home(), Path.cwd())
        appetite = Appetite(first=yes, number=number, administrator=self.administrator)
        if yes or dry_run:
            pairs = list(self._unasked(findings, snapshot, person, appetite, lines))
        else:
            pairs = self._ask(findings, snapshot, person, appetite, lines)
        if dry_run:
            lines += [fixed(fix, "planned", "", choice) for fix, choice in pairs]
        elif pairs:
            done = self._do(pairs, report, person, yes)
            lines += done if yes else self._offer_without(done, pairs, report, snapshot, person)
        if not dry_run and not yes:
            self._guided(person, lines, report)
        notes = [one.condition for one in report.failed() if one.severity == "note"] if yes and not named else []
        return self._end(report, lines, dry_run, left_out=notes)

    def _recover(self, dry_run: bool) -> None:
        """Bring back what an earlier hfdoctor was cut short in: it must not be taken for the machine's own state."""
        journal = Journal(state_folder())
        if not journal.read().open_runs():
            return
        if dry_run:
            click.echo("hfdoctor: an earlier fix was cut short; without --dry-run it is brought back first", err=True)
            return
        with journal.locked(), Progress() as shown:
            for run, trouble in recover_all(journal, shown.says):
                brought = (
                    f"could not be brought back: {trouble}" if trouble else "everything it had begun is brought back"
                )
                click.echo(f"hfdoctor: {name(run)} was cut short: {brought}", err=True)

    def _observe(self) -> Snapshot:
        look = self.look
        if not look.smoke:
            return observe(
                python=look.python, deep=look.deep, online=look.online, timeout=look.timeout_s, anonymise=False
            )
        from ..smoke.plan import Ask
        from .run_stages import run_stages

        ask = Ask(look.smoke, online=look.online, local_model=look.local_model)
        return run_stages(ask, python=look.python, deep=look.deep, timeout=look.timeout_s)

    # -- what is to be done -----------------------------------------------------------------------------------------

    def _plan(self, finding: Finding, snapshot: Snapshot, person: Person, appetite: Appetite) -> Fix:
        with Progress() as shown:
            shown.says(f"working out what fixes {finding.condition}", 0, 0)
            return plan_finding(finding, snapshot, person, appetite)

    def _unasked(
        self,
        findings: Sequence[Finding],
        snapshot: Snapshot,
        person: Person,
        appetite: Appetite,
        lines: list[Fixed],
    ) -> Iterator[tuple[Fix, Choice]]:
        """Show each finding with its ways, and give the one that is taken unasked; ``lines`` says where none is."""
        for finding in findings:
            fix = self._plan(finding, snapshot, person, appetite)
            taken = fix.first() if appetite.number is None else fix.choices[appetite.number - 1]
            if taken is not None and not taken.actions:
                taken = None
            self.teller.say(*words.finding_lines(fixed(fix, "planned"), self.teller.width))
            for place, choice in enumerate(fix.choices, 1):
                # of a fix that is done at once, only what is done; of one that is only shown, all that is known
                if (appetite.first and taken not in (None, choice)) or appetite.number not in (None, place):
                    continue
                self._say_choice(place, choice)
            if not fix.choices:
                self._say_page(finding)
            self.teller.say("")
            if taken is not None:
                yield fix, taken
                continue
            why = next((choice.refused for choice in fix.choices if choice.refused), "")
            lines.append(fixed(fix, "refused" if why else "by-hand", why))

    def _ask(
        self,
        findings: Sequence[Finding],
        snapshot: Snapshot,
        person: Person,
        appetite: Appetite,
        lines: list[Fixed],
    ) -> list[tuple[Fix, Choice]]:
        """Ask about each finding; what is chosen is done afterwards, all together."""
        pairs: list[tuple[Fix, Choice]] = []
        for place, finding in enumerate(findings):
            fix = self._plan(finding, snapshot, person, appetite)
            self.teller.say(*words.finding_lines(fixed(fix, "declined"), self.teller.width))
            for number, choice in enumerate(fix.choices, 1):
                self._say_choice(number, choice)
            if not fix.choices:
                self._say_page(finding)
                self.teller.say("")
                lines.append(fixed(fix, "by-hand"))
                continue
            try:
                taken = ask_choice(fix)
            except Quit:
                self.teller.say("", "Nothing more is asked.")
                lines += [fixed(Fix(left, []), "declined") for left in findings[place:]]
                break
            self.teller.say("")
            if taken is None:
                lines.append(fixed(fix, "declined"))
            elif taken.actions:
                pairs.append((fix, taken))
            else:
                lines.append(fixed(fix, "by-hand", "", taken))
        return pairs

    # -- doing it ---------------------------------------------------------------------------------------------------

    def _do(self, pairs: Sequence[tuple[Fix, Choice]], report: Report, person: Person, yes: bool) -> list[Fixed]:
        """Do what was chosen under the lock, and look again."""
        everything = [Wanted(fix, choice) for fix, choice in pairs]
        journal = Journal(state_folder())
        with journal.locked(), Progress() as shown:

            def confirm(fix: Fix, choice: Choice) -> bool:
                shown.pause()
                self.teller.say(f"{fix.finding.condition} needs other changes now:")
                self._say_choice(1, choice)
                return yes or confirmed("Do this?")

            patient = Patient(self._look_afresh, report.target.python or "")
            try:
                Mending(journal, person, patient, shown.says, confirm).mend(everything, report)
            except KeyboardInterrupt:
                click.echo("What was being done is taken back; `hfdoctor undo --list` shows what was done.", err=True)
                raise
        return [one.line for one in everything]

    def _offer_without(
        self,
        done: list[Fixed],
        pairs: Sequence[tuple[Fix, Choice]],
        report: Report,
        snapshot: Snapshot,
        person: Person,
    ) -> list[Fixed]:
        """Where Windows' question was answered with no: the ways without an administrator, asked about again."""
        refused = [
            (line, fix.finding)
            for line, (fix, choice) in zip(done, pairs, strict=True)
            if line.outcome == "refused" and choice.needs().administrator
        ]
        if not refused:
            return done
        for line, _ in refused:
            self.teller.say(*words.outcome_lines(line, self.teller.width))
        self.teller.say("", "Without an administrator there is:", "")
        lines: list[Fixed] = [line for line in done if all(line is not one for one, _ in refused)]
        without = Appetite(administrator=False)
        again = self._ask([finding for _, finding in refused], snapshot, person, without, lines)
        return lines + (self._do(again, report, person, False) if again else [])

    def _look_afresh(self, environ: Mapping[str, str], target: str) -> tuple[Snapshot, Report]:
        look = msgspec.structs.replace(self.look, python=target) if target else self.look
        snapshot = observe_afresh(look, environ, Path.cwd())
        return snapshot, diagnose(snapshot)

    def _guided(self, person: Person, lines: Sequence[Fixed], before: Report) -> None:
        """For what the person does by hand: wait until they say that it is done, and look again."""
        for line in lines:
            if line.outcome != "by-hand" or line.chosen is None:
                continue
            steps = line.choices[line.chosen - 1].by_hand
            width = self.teller.width
            self.teller.say(*words.finding_lines(line, width), *words.hand_lines(steps, width, windows=WINDOWS))
            if not ask_done():
                continue
            try:
                after = self._look_afresh(person.environ, "")[1]
            except Refused as refused:
                line.reason = str(refused)
                continue
            # of several findings of one condition, each that counts as mended leaves one less
            mended = sum(one.condition == line.condition and one.outcome in ("fixed", "cured") for one in lines)
            line.reason = trouble_left(line.condition, before, after, mended + 1)
            line.outcome = "by-hand" if line.reason else "fixed"

    # -- telling ----------------------------------------------------------------------------------------------------

    def _say_choice(self, number: int, choice: Choice) -> None:
        self.teller.say(*words.choice_lines(number, choice_line(choice), self.teller.width, windows=WINDOWS))

    def _say_page(self, finding: Finding) -> None:
        self.teller.say(f"{words.PAD}what a person can do: hfdoctor conditions {finding.condition}")

    def _end(self, report: Report, lines: list[Fixed], dry_run: bool, *, left_out: Sequence[str]) -> int:
        code = exit_code(lines)
        if self.teller.document(FixReport(FIX_SCHEMA, __version__, report.target, dry_run, lines, code)):
            return code
        if not lines:
            untold = sum(one.outcome in ("unknown", "crash") for one in report.findings)
            some = "1 condition" if untold == 1 else f"{untold} conditions"
            more = f" {some} could not be told: hfdoctor check -v" if untold else ""
            self.teller.say(f"Nothing to fix.{more}")
        if left_out:
            self.teller.say(f"Only noted, and fixed if you name it: {', '.join(dict.fromkeys(left_out))}.")
        for line in lines:
            if line.outcome != "planned":
                self.teller.say(*words.outcome_lines(line, self.teller.width))
        if dry_run and any(line.outcome == "planned" for line in lines):
            self.teller.say("Nothing was changed. Without --dry-run hfdoctor asks and does it.")
        return code


def _asked_for(report: Report, named: frozenset[str], yes: bool) -> tuple[list[Fixed], list[Finding]]:
    """The lines of what was named and is not there, and the findings to fix, worst first."""
    failed = report.failed()
    if not named:  # what merely is good to know changes nothing that nobody named
        return [], [finding for finding in failed if not yes or finding.severity in SEVERITIES[:2]]
    there = {finding.condition for finding in failed}
    absent = {one.condition: one for one in report.findings if one.condition in named - there}
    return [_not_there(finding) for finding in absent.values()], [one for one in failed if one.condition in named]


def _not_there(finding: Finding) -> Fixed:
    """The line for an id that was named and does not fail here, with the reason."""
    line = Fixed(finding.condition, finding.severity, finding.summary, "nothing", [], "is not found here")
    if finding.explained_by:
        line.outcome, line.reason = "by-hand", f"explained by {finding.explained_by}: fix that first"
    elif finding.outcome == "skip":
        line.reason = f"does not apply here: {finding.summary}"
    elif finding.outcome in ("unknown", "crash"):
        line.outcome, line.reason = "unknown", f"whether it is here could not be told: {finding.summary}"
    return line


def _check_number(findings: Sequence[Finding], number: int) -> None:
    """Raises click.UsageError if a finding has no way ``number``."""
    from ..conditions.ways import ways

    for finding in findings:
        count = len(ways(finding.remedy.steps)) if finding.remedy and finding.remedy.steps else 0
        if number > count:
            raise click.UsageError(f"--choice: {finding.condition} has {count} ways here")
