"""``hfdoctor undo``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ..remedies import undoing
from ..remedies.action import NothingToDo, Refused
from ..remedies.journal import Journal
from ..remedies.outcome import UNDO_SCHEMA, Undone, UndoReport
from ..remedies.place import state_folder
from ..remedies.records import Run
from ..reports import fixes as words
from ..reports import terminal
from ..version import __version__
from .asking import confirmed
from .progress import Progress


@click.command(name="undo", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("fix", metavar="[FIX]", required=False)
@click.option("--list", "listed", is_flag=True, help="Show what was fixed, and what can be taken back.")
@click.option("--to", type=click.IntRange(min=0), metavar="N", help="Take all fixes after fix N back (0: all).")
@click.option("--forget", type=click.IntRange(min=1), metavar="N", help="Give up what is kept for undoing fix N.")
@click.option("--dry-run", is_flag=True, help="Show what would be taken back, and do nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also where somebody else has changed the same thing since.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--no-unicode", is_flag=True, help="Write ASCII only.")
def command(
    fix: str | None,
    listed: bool,
    to: int | None,
    forget: int | None,
    dry_run: bool,
    yes: bool,
    force: bool,
    form: str,
    no_unicode: bool,
) -> int:
    """Take a fix back: the last one, or FIX (its number, or the condition it was for).

    Where somebody else has changed the same thing since, it refuses and shows both values.
    """
    if sum((fix is not None, listed, to is not None, forget is not None)) > 1:
        raise click.UsageError("undo takes one of: a fix, --list, --to N, --forget N")
    if yes and dry_run:
        raise click.UsageError("--yes does it, --dry-run only shows it: give one of them")
    tell = Teller(form, no_unicode)
    journal = Journal(state_folder())
    try:
        if listed:
            return tell.the_list(journal.read())
        if dry_run:
            return _undo(journal.read(), tell, fix, to, forget, dry_run=True, yes=False, force=force)
        if not yes and (form == "json" or not sys.stdin.isatty() or not sys.stdout.isatty()):
            raise click.UsageError("nobody is there to be asked: add --yes to do it, or --dry-run to see it")
        if not journal.read().runs:
            return tell.end([], "hfdoctor has fixed nothing here yet", dry_run=False)
        with journal.locked():
            return _undo(journal, tell, fix, to, forget, dry_run=False, yes=yes, force=force)
    except NothingToDo as nothing:
        return tell.end([], str(nothing), dry_run=dry_run)
    except undoing.NoSuchFix as unknown:
        raise click.UsageError(str(unknown)) from None
    except Refused as refused:
        click.echo(f"hfdoctor: {refused}", err=True)
        return 3


def _undo(
    journal: Journal,
    tell: Teller,
    fix: str | None,
    to: int | None,
    forget: int | None,
    *,
    dry_run: bool,
    yes: bool,
    force: bool,
) -> int:
    """Show, ask, do. Raises NothingToDo, Refused."""
    if forget is not None:
        run = undoing.named_fix(journal, str(forget))
        tell.say(f"Fix {run.number} ({run.begin.condition}) cannot be undone after this.")
        if dry_run or not (yes or confirmed("Give up what is kept for undoing it?")):
            return tell.end([Undone.of(run, "planned" if dry_run else "declined", [])], "", dry_run=dry_run)
        undoing.forget(journal, run)
        return tell.end([Undone.of(run, "forgotten", [])], "", dry_run=False)
    if to is not None:
        runs = undoing.fixes_since(journal, to)
    else:
        runs = [undoing.last_fix(journal) if fix is None else undoing.named_fix(journal, fix)]
    undoing.check_free(journal, runs)
    for run in runs:
        tell.the_run(run)
    if dry_run or not (yes or confirmed("Take this back?")):
        outcome = "planned" if dry_run else "declined"
        return tell.end([Undone.of(run, outcome, undoing.differences(run)) for run in runs], "", dry_run=dry_run)
    planned = [(run, undoing.differences(run)) for run in runs]
    with Progress() as shown:
        stays = undoing.undo(journal, runs, shown.says, force=force)
    to_do = [one for run in runs for action in run.begin.actions for one in action.still_to_do()]
    lines = [Undone.of(run, "undone", changes) for run, changes in planned]
    return tell.end(lines, "", dry_run=False, stays=stays, still_to_do=list(dict.fromkeys(to_do)))


class Teller:
    """Says what happens: to a person as it goes, to a machine in one document at the end."""

    def __init__(self, form: str, no_unicode: bool) -> None:
        self._form = form
        self._no_unicode = no_unicode

    def say(self, *lines: str) -> None:
        """Write lines for a person."""
        if self._form == "text":
            for line in lines:
                click.echo(terminal.to_ascii(line) if self._no_unicode else line)

    def the_run(self, run: Run) -> None:
        """What undoing ``run`` changes."""
        self.say(*words.undo_lines(run.number, run.begin.condition, undoing.differences(run), _width()))

    def the_list(self, journal: Journal) -> int:
        """All fixes, the newest first."""
        lines = [Undone.of(run, state_of(run), undoing.differences(run)) for run in reversed(journal.runs.values())]
        if self._form == "json":
            return self.end(lines, "", dry_run=True)
        if not lines:
            self.say("hfdoctor has fixed nothing here yet.")
        for line in lines:
            self.say(*words.listed_lines(line, _width()))
        return 0

    def end(
        self,
        lines: Sequence[Undone],
        nothing: str,
        *,
        dry_run: bool,
        stays: Sequence[str] = (),
        still_to_do: Sequence[str] = (),
    ) -> int:
        """The end: 0 if what was asked for is so now, 1 if it was declined."""
        code = 1 if any(line.outcome == "declined" for line in lines) else 0
        if self._form == "json":
            import json

            import msgspec

            document = UndoReport(
                UNDO_SCHEMA, __version__, dry_run, list(lines), list(stays), list(still_to_do), nothing, code
            )
            click.echo(json.dumps(msgspec.to_builtins(document), indent=1))
            return code
        if nothing:
            self.say(f"Nothing to undo: {nothing}.")
        done = {"undone": "is undone", "forgotten": "cannot be undone any more", "declined": "is left as it is"}
        for line in lines:
            if line.outcome in done:
                self.say(f"Fix {line.fix} ({line.condition}) {done[line.outcome]}.")
        for one in stays:
            self.say(f"What stays: {one}")
        for one in still_to_do:
            self.say(f"You: {one}")
        return code


def state_of(run: Run) -> str:
    """The word for where a fix stands: done, cut-short, undone, rolled-back, forgotten."""
    if run.open:
        return "cut-short"
    if run.forgotten and run.how == "done":
        return "forgotten"
    return run.how


def _width() -> int:
    return terminal.columns(sys.stdout)
