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
from ..reports import fixes as words
from ..version import __version__
from .asking import confirmed
from .progress import Progress
from .telling import Teller


@click.command(name="undo", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("fix", metavar="[FIX]", required=False)
@click.option("--list", "listed", is_flag=True, help="Show what was fixed, and what can be taken back.")
@click.option("--to", type=click.IntRange(min=0), metavar="N", help="Take all fixes after fix N back (0: all).")
@click.option("--forget", type=click.IntRange(min=1), metavar="N", help="Give up what is kept for undoing fix N.")
@click.option("--dry-run", is_flag=True, help="Show what would be taken back, and do nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--force",
    is_flag=True,
    help="Also where somebody else has changed the same thing since, or (--forget) of a fix that was cut short.",
)
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
    tell = _Tells(Teller(form, no_unicode))
    journal = Journal(state_folder())
    try:
        if listed:
            return tell.the_list(journal.read())
        if dry_run:
            return _undo(journal.read(), tell, fix, to, forget, dry_run=True, yes=False, force=force)
        if not yes and (form == "json" or not sys.stdin.isatty() or not sys.stdout.isatty()):
            raise click.UsageError("nobody is there to be asked: add --yes to do it, or --dry-run to see it")
        if not journal.read().runs:
            return tell.end([], "hfdoctor has fixed nothing here yet")
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
    tell: _Tells,
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
        run = undoing.fix_to_forget(journal, forget, force=force)
        cut_short = " It was cut short: what it began stays as it is, and nothing is removed." if run.open else ""
        tell.teller.say(f"Fix {run.number} ({run.begin.condition}) cannot be undone after this.{cut_short}")
        if dry_run or not (yes or confirmed("Leave it so?" if cut_short else "Give up what is kept for undoing it?")):
            return tell.end([Undone.of(run, "planned" if dry_run else "declined", [])], dry_run=dry_run)
        undoing.forget(journal, run)
        return tell.end([Undone.of(run, "forgotten", [])])
    if to is not None:
        runs = undoing.fixes_since(journal, to)
    else:
        runs = [undoing.last_fix(journal) if fix is None else undoing.named_fix(journal, fix)]
    undoing.check_free(journal, runs)
    lines = [Undone.of(run, "planned", undoing.differences(run)) for run in runs]
    for line in lines:
        tell.teller.say(*words.undo_lines(line, tell.teller.width))
    if dry_run:
        return tell.end(lines, dry_run=True)
    agreed = yes or confirmed("Take this back?")
    for line in lines:
        line.outcome = "undone" if agreed else "declined"
    if not agreed:
        return tell.end(lines)
    with Progress() as shown:
        stays = undoing.undo(journal, runs, shown.says, force=force)
    return tell.end(lines, stays=stays, still_to_do=undoing.still_to_do(runs))


class _Tells:
    """Says what is undone."""

    def __init__(self, teller: Teller) -> None:
        self.teller = teller

    def the_list(self, journal: Journal) -> int:
        """All fixes, the newest first."""
        lines = [Undone.of(run, run.state, undoing.differences(run)) for run in reversed(journal.runs.values())]
        for line in lines:
            self.teller.say(*words.listed_lines(line, self.teller.width))
        return self.end(lines, "" if lines else "hfdoctor has fixed nothing here yet", dry_run=True)

    def end(
        self,
        lines: Sequence[Undone],
        nothing: str = "",
        *,
        dry_run: bool = False,
        stays: Sequence[str] = (),
        still_to_do: Sequence[str] = (),
    ) -> int:
        """The end: 0 if what was asked for is so now, 1 if it was declined."""
        code = 1 if any(line.outcome == "declined" for line in lines) else 0
        if self.teller.document(
            UndoReport(UNDO_SCHEMA, __version__, dry_run, list(lines), list(stays), list(still_to_do), nothing, code)
        ):
            return code
        if nothing:
            self.teller.say(f"Nothing to undo: {nothing}.")
        done = {"undone": "is undone", "forgotten": "cannot be undone any more", "declined": "is left as it is"}
        if not dry_run:
            self.teller.say(*(f"Fix {one.fix} ({one.condition}) {done[one.outcome]}." for one in lines))
        self.teller.say(*(f"What stays: {one}" for one in stays), *(f"You: {one}" for one in still_to_do))
        return code
