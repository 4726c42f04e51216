"""``hfdoctor fix``."""

from __future__ import annotations

import sys

import click

from .options import (
    SMOKE_TIMEOUT_S,
    known_ids,
    observing,
    refuse_model_without_run,
    running,
    timeout_or_default,
)


@click.command(name="fix", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("ids", metavar="[ID]...", nargs=-1)
@observing
@running
@click.option("--dry-run", is_flag=True, help="Show every change and make none.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask: take the first way of each finding that can be gone here.")
@click.option("--no-admin", is_flag=True, help="Only what needs no administrator.")
@click.option(
    "--choice", type=click.IntRange(min=1), metavar="N", help="Take way N, as --dry-run numbers them (with one ID)."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--no-unicode", is_flag=True, help="Write ASCII only.")
def command(
    ids: tuple[str, ...],
    python: str | None,
    deep: bool,
    online: bool,
    timeout: float | None,
    smoke: str | None,
    local_model: str,
    dry_run: bool,
    yes: bool,
    no_admin: bool,
    choice: int | None,
    form: str,
    no_unicode: bool,
) -> int:
    """Put right what `hfdoctor check` finds: shown before, verified after, undone at will.

    Without an ID it goes through all findings that it can fix, worst first (with --yes: errors and warnings; a note
    is only fixed when it is named). What it does is kept in a journal: `hfdoctor undo` takes it back.
    """
    named = known_ids("fix", ids)
    if choice is not None and len(named) != 1:
        raise click.UsageError("--choice takes a way of one finding: name one ID")
    refuse_model_without_run(local_model, smoke)
    if yes and dry_run:
        raise click.UsageError("--yes does it, --dry-run only shows it: give one of them")
    asks = not yes and not dry_run
    if asks and (form == "json" or not sys.stdin.isatty() or not sys.stdout.isatty()):
        raise click.UsageError("nobody is there to be asked: add --yes to do it, or --dry-run to see what it would do")
    from ..remedies.action import Refused
    from ..remedies.afresh import Look
    from .fixing import Session
    from .telling import Teller

    seconds = SMOKE_TIMEOUT_S if smoke and timeout is None else timeout_or_default(timeout, deep)
    look = Look(python, deep, online, seconds, smoke or "", local_model)
    session = Session(look, Teller(form, no_unicode), administrator=not no_admin)
    try:
        return session.run(named, dry_run=dry_run, yes=yes, number=choice)
    except Refused as refused:
        click.echo(f"hfdoctor: {refused}", err=True)
        return 3
