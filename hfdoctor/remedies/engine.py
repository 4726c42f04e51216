"""Carries fixes out, rolls them back where they fail, and undoes them later."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..version import __version__
from .action import Action, Progress, Refused, quiet
from .journal import Journal, Record, Run
from .kinds.registered import Kind


class Ended(msgspec.Struct, omit_defaults=True):
    """How a fix ended: its number in the journal, ``done`` or why not."""

    run: int
    done: bool
    reason: str = ""


def begin(
    journal: Journal, condition: str, choice: str, actions: Sequence[Kind], *, python: str = "", token: str = ""
) -> Run:
    """Write a fix with all its actions into the locked ``journal`` before any of them is begun. Raises Refused."""
    number = journal.next_number()
    journal.write(
        Record(
            "begin",
            run=number,
            condition=condition,
            choice=choice,
            python=python,
            hfdoctor=__version__,
            token=token,
            actions=list(actions),
        )
    )
    return journal.runs[number]


def carry_out(journal: Journal, run: Run, progress: Progress = quiet) -> Ended:
    """Do the actions of ``run`` that are not done yet, each announced before and confirmed after.

    If one fails, those before it are taken back, and the reason is in the answer. An interrupt (Ctrl-C) rolls back,
    too, and goes on its way. Raises Refused only if not even the journal can be written.
    """
    try:
        for number, action in enumerate(run.begin.actions):
            if number in run.done:
                continue
            journal.write(Record("start", run=run.number, action=number))
            action.apply(progress)
            seen = action.look()
            if seen.state != "after":
                raise Refused(
                    "; ".join(f"{one.what} is {one.old} afterwards" for one in seen.shows) or "it did not hold"
                )
            journal.write(Record("done", run=run.number, action=number))
    except (Refused, OSError) as error:
        reason = str(error) if isinstance(error, Refused) else _os_words(error)
        take_back(journal, run, progress, how="rolled-back", reason=reason)
        return Ended(run.number, False, reason)
    except BaseException:
        take_back(journal, run, progress, how="rolled-back", reason="interrupted")
        raise
    journal.write(Record("end", run=run.number, how="done"))
    return Ended(run.number, True)


def take_back(
    journal: Journal,
    run: Run,
    progress: Progress = quiet,
    *,
    how: str = "undone",
    reason: str = "",
    force: bool = False,
) -> None:
    """Undo what was begun of ``run``, last action first. Safe to repeat after a kill in the middle of it.

    Raises Refused where something was changed by somebody else since (``force`` insists), before anything is touched.
    """
    begun = [number for number in sorted(run.started, reverse=True) if number not in run.undone]
    actions = run.begin.actions
    if not force:
        refuse_what_others_changed([actions[number] for number in begun])
    if begun or run.open:
        for number in begun:
            journal.write(Record("undo", run=run.number, action=number))
            try:
                actions[number].undo(progress, force=force)
            except OSError as error:
                raise Refused(f"run {run.number} could not be undone: {_os_words(error)}") from None
            journal.write(Record("undone", run=run.number, action=number))
        journal.write(Record("end", run=run.number, how=how, reason=reason))  # type: ignore[arg-type]


def refuse_what_others_changed(actions: Sequence[Action]) -> None:
    """Raises Refused, with the value expected and the one found, if one of ``actions`` was overtaken by somebody."""
    for action in actions:
        seen = action.look()
        if seen.state == "other":
            shown = "; ".join(f"{one.what} is now {one.new}, it was set to {one.old}" for one in seen.shows)
            raise Refused(f"changed by somebody else since: {shown} (--force undoes it all the same)")


def _os_words(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
