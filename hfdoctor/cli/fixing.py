"""The course of ``hfdoctor fix``: look, plan, show, ask, do, look again, tell."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import msgspec

from ..conditions.engine import diagnose
from ..conditions.model import SEVERITIES, Finding, Report
from ..facts.snapshot import Snapshot
from ..remedies.action import Refused
from ..remedies.afresh import observe_afresh
from ..remedies.engine import name, recover_all
from ..remedies.journal import Journal
from ..remedies.mending import Mending, Patient, Wanted, wanted
from ..remedies.outcome import FIX_SCHEMA, Fixed, FixReport, choice_line, exit_code, fixed
from ..remedies.place import state_folder
from ..remedies.plan import Appetite, Choice, Fix, Person, plan_finding
from ..reports import fixes as words
from ..reports import terminal
from ..reports.text import first_line
from ..version import __version__
from .asking import Quit, ask_choice, ask_done, confirmed
from .observe import observe
from .progress import Progress


class Session(msgspec.Struct):
    """One call of the command: what was asked for, and where it is told."""

    python: str | None
    deep: bool
    online: bool
    timeout: float
    form: str
    no_unicode: bool
    administrator: bool

    def run(self, named: frozenset[str], *, dry_run: bool, yes: bool, number: int | None) -> int:
        """Do it; returns the exit code. Raises Refused where not even a journal can be kept, click.UsageError."""
        self._recover(dry_run)
        snapshot = observe(
            python=self.python, deep=self.deep, online=self.online, timeout=self.timeout, anonymise=False
        )
        report = diagnose(snapshot)
        self.tell(first_line(report.target), "")
        lines, findings = self._asked_for(report, named, yes)
        if number is not None:
            self._check_number(findings, number)
        person = Person(os.environ, Path.home(), Path.cwd())
        appetite = Appetite(first=yes, number=number, administrator=self.administrator)
        if yes or dry_run:
            fixes = [self._plan(finding, snapshot, person, appetite) for finding in findings]
            chosen = [self._first(fix, lines, dry_run, number) for fix in fixes]
            pairs = [(fix, choice) for fix, choice in zip(fixes, chosen, strict=True) if choice is not None]
        else:
            pairs = self._ask(findings, snapshot, person, appetite, lines)
        if dry_run:
            lines += [fixed(fix, "planned", "", choice) for fix, choice in pairs]
        elif pairs:
            done = self._do(pairs, report, person, yes)
            lines += done if yes else self._offer_without(done, pairs, report, snapshot, person)
        if not dry_run and not yes:
            lines += self._guided(person, lines, report)
        left_out = [one.condition for one in report.failed() if one.severity == "note"] if yes and not named else []
        return self._end(report, lines, dry_run, left_out)

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

    # -- what is to be fixed ----------------------------------------------------------------------------------------

    def _asked_for(self, report: Report, named: frozenset[str], yes: bool) -> tuple[list[Fixed], list[Finding]]:
        """The lines of what was named and is not there, and the findings to fix, worst first."""
        failed = report.failed()
        lines: list[Fixed] = []
        if named:
            there = {finding.condition for finding in failed}
            for finding in report.findings:
                if finding.condition in named and finding.condition not in there:
                    there.add(finding.condition)
                    lines.append(_not_there(finding))
            return lines, [finding for finding in failed if finding.condition in named]
        if yes:  # what merely is good to know changes nothing that nobody named
            failed = [finding for finding in failed if finding.severity in SEVERITIES[:2]]
        return lines, failed

    def _check_number(self, findings: Sequence[Finding], number: int) -> None:
        from ..conditions.ways import ways

        for finding in findings:
            count = len(ways(finding.remedy.steps)) if finding.remedy and finding.remedy.steps else 0
            if number > count:
                raise click.UsageError(f"--choice: {finding.condition} has {count} ways here")

    def _plan(self, finding: Finding, snapshot: Snapshot, person: Person, appetite: Appetite) -> Fix:
        with Progress() as shown:
            shown.says(f"working out what fixes {finding.condition}", 0, 0)
            return plan_finding(finding, snapshot, person, appetite)

    def _first(self, fix: Fix, lines: list[Fixed], dry_run: bool, number: int | None) -> Choice | None:
        """The way that --yes takes, shown; None (and a line that says why) where there is none."""
        line = fixed(fix, "planned")
        self.tell(*words.finding_lines(line, self.width))
        candidates = list(enumerate(fix.choices, 1))
        if number is not None:
            candidates = candidates[number - 1 : number]
        taken = next((choice for _, choice in candidates if choice.actions), None)
        for place, choice in candidates if dry_run or taken is None else [(1, taken)]:
            at = next((n for n, one in candidates if one is choice), place)
            self.tell(*words.choice_lines(at, choice_line(choice), self.width, windows=self.windows))
        if not fix.choices:
            self.tell(f"{words.PAD}what a person can do: hfdoctor conditions {fix.finding.condition}")
        self.tell("")
        if taken is None:
            refused = next((choice.refused for _, choice in candidates if choice.refused), "")
            outcome = "refused" if refused else "by-hand"
            lines.append(fixed(fix, outcome, refused))  # type: ignore[arg-type]
        return taken

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
            line = fixed(fix, "declined")
            self.tell(*words.finding_lines(line, self.width))
            for at, choice in enumerate(line.choices, 1):
                self.tell(*words.choice_lines(at, choice, self.width, windows=self.windows))
            if not fix.choices:
                self.tell(f"{words.PAD}what a person can do: hfdoctor conditions {finding.condition}", "")
                lines.append(fixed(fix, "by-hand"))
                continue
            try:
                choice_taken = ask_choice(fix)
            except Quit:
                self.tell("", "Nothing more is asked.")
                lines += [fixed(Fix(left, []), "declined") for left in findings[place:]]
                break
            self.tell("")
            if choice_taken is None:
                lines.append(line)
            elif choice_taken.actions:
                pairs.append((fix, choice_taken))
            else:
                lines.append(fixed(fix, "by-hand", "", choice_taken))
        return pairs

    # -- doing it ---------------------------------------------------------------------------------------------------

    def _do(self, pairs: Sequence[tuple[Fix, Choice]], report: Report, person: Person, yes: bool) -> list[Fixed]:
        """Do what was chosen under the lock, and look again."""
        everything: list[Wanted] = [wanted(fix, choice) for fix, choice in pairs]
        journal = Journal(state_folder())
        with journal.locked(), Progress() as shown:

            def confirm(fix: Fix, choice: Choice) -> bool:
                shown.pause()
                self.tell(f"{fix.finding.condition} needs other changes now:")
                self.tell(*words.choice_lines(1, choice_line(choice), self.width, windows=self.windows))
                return yes or confirmed("Do this?")

            patient = Patient(self._look_afresh, self.python or "")
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
            self.tell(*words.outcome_lines(line, self.width))
        self.tell("", "Without an administrator there is:", "")
        lines: list[Fixed] = [line for line in done if all(line is not one for one, _ in refused)]
        without = Appetite(administrator=False)
        again = self._ask([finding for _, finding in refused], snapshot, person, without, lines)
        return lines + (self._do(again, report, person, False) if again else [])

    def _look_afresh(self, environ: Mapping[str, str], target: str) -> tuple[Snapshot, Report]:
        snapshot = observe_afresh(
            target or self.python,
            deep=self.deep,
            online=self.online,
            timeout_s=self.timeout,
            environ=environ,
            cwd=Path.cwd(),
        )
        return snapshot, diagnose(snapshot)

    def _guided(self, person: Person, lines: Sequence[Fixed], before: Report) -> list[Fixed]:
        """For what the person does by hand: wait until they say that it is done, and look again."""
        theirs = [line for line in lines if line.outcome == "by-hand" and line.chosen is not None]
        for line in theirs:
            self.tell(*words.finding_lines(line, self.width), *self._chosen_steps(line))
            if not ask_done():
                continue
            try:
                _, report = self._look_afresh(person.environ, "")
            except Refused as refused:
                line.reason = str(refused)
                continue
            again = [one for one in report.findings if one.condition == line.condition]
            bad = next((one for one in again if one.outcome in ("fail", "unknown", "crash")), None)
            if bad is None:
                line.outcome = "fixed"
            else:
                line.reason = f"a second look says: {bad.summary}"
        return []

    def _chosen_steps(self, line: Fixed) -> list[str]:
        choice = line.choices[(line.chosen or 1) - 1]
        return words.hand_lines(choice.by_hand, self.width, windows=self.windows)

    # -- telling ----------------------------------------------------------------------------------------------------

    @property
    def windows(self) -> bool:
        """Whether commands are quoted for Windows."""
        return sys.platform == "win32"

    @property
    def width(self) -> int:
        """Columns to fill."""
        return terminal.columns(sys.stdout)

    def tell(self, *lines: str) -> None:
        """Write ``lines`` for a person; a machine gets one document at the end."""
        if self.form == "text":
            for line in lines:
                click.echo(terminal.to_ascii(line) if self.no_unicode else line)

    def _end(self, report: Report, lines: list[Fixed], dry_run: bool, left_out: Sequence[str]) -> int:
        code = exit_code(lines)
        if any(line.outcome == "nothing" and line.reason.startswith("could not be told") for line in lines):
            code = max(code, 3)
        if self.form == "json":
            import json

            document = FixReport(FIX_SCHEMA, __version__, report.target, dry_run, lines, code)
            click.echo(json.dumps(msgspec.to_builtins(document), indent=1))
            return code
        if not lines:
            self.tell("Nothing to fix.")
        if left_out:
            self.tell(f"Only noted, and fixed if you name it: {', '.join(dict.fromkeys(left_out))}.")
        for line in lines:
            if line.outcome != "planned":
                self.tell(*words.outcome_lines(line, self.width))
        if dry_run and any(line.outcome == "planned" for line in lines):
            self.tell("Nothing was changed. Without --dry-run hfdoctor asks and does it.")
        return code


def _not_there(finding: Finding) -> Fixed:
    """The line for an id that was named and does not fail here, with the reason."""
    why = {"pass": "is not found here", "skip": f"does not apply here: {finding.summary}"}
    why |= {"unknown": f"could not be told: {finding.summary}", "crash": f"could not be told: {finding.summary}"}
    reason = why.get(finding.outcome, "is not found here")
    if finding.explained_by:
        reason = f"explained by {finding.explained_by}: fix that first"
    outcome = "by-hand" if finding.explained_by else "nothing"
    return Fixed(finding.condition, finding.severity, finding.summary, outcome, [], reason)  # type: ignore[arg-type]
