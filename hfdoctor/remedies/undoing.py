"""What ``hfdoctor undo`` means: which fixes, whether they may go now, what that changes; and giving them up."""

from __future__ import annotations

from collections.abc import Sequence

from .action import Difference, NothingToDo, Progress, Refused, quiet
from .engine import name, take_back_all, words_of
from .journal import Journal, Record, Run
from .standing import shared


class NoSuchFix(Refused):
    """Nothing in the journal is called so."""


def last_fix(journal: Journal) -> Run:
    """The fix that ``undo`` without a name means: the newest that is done or was cut short, and not undone.

    Raises NothingToDo, with words, if there is none.
    """
    for run in reversed(journal.runs.values()):
        if run.can_be_undone and (run.open or not _stays_whole(run)):
            return run
    raise NothingToDo("no fix stands any more" if journal.runs else "hfdoctor has fixed nothing here yet")


def named_fix(journal: Journal, named: str) -> Run:
    """The fix that a number means, or a condition: its newest that can be undone.

    Raises NoSuchFix for what the journal does not know, NothingToDo (with words) for what is undone already, Refused
    for what cannot be undone.
    """
    if named.isascii() and named.isdigit():
        run = journal.runs.get(int(named))
        if run is None:
            raise NoSuchFix(f"there is no fix {named} (hfdoctor undo --list shows them)")
        return _undoable(run)
    runs = [run for run in reversed(journal.runs.values()) if run.begin.condition == named]
    if not runs:
        raise NoSuchFix(f"hfdoctor has not fixed {named} here (hfdoctor undo --list shows what it did)")
    return next((run for run in runs if run.can_be_undone), None) or _undoable(runs[0])


def fixes_since(journal: Journal, number: int) -> list[Run]:
    """All fixes after fix ``number`` (0: all there are) that can be undone, the newest first.

    Raises NoSuchFix for a number that there is not, NothingToDo (with words) if there is none after it.
    """
    if number and number not in journal.runs:
        raise NoSuchFix(f"there is no fix {number} (hfdoctor undo --list shows them)")
    runs = [run for run in reversed(journal.runs.values()) if run.number > number and run.can_be_undone]
    runs = [run for run in runs if run.open or not _stays_whole(run)]
    if not runs:
        raise NothingToDo(f"no fix after fix {number} stands any more" if number else "no fix stands any more")
    return runs


def check_free(journal: Journal, runs: Sequence[Run]) -> None:
    """Raises Refused if a newer fix that is not among ``runs`` stands on the same things as one of them."""
    chosen = {run.number for run in runs}
    for run in runs:
        actions = [run.begin.actions[number] for number in run.standing]
        for newer in reversed(journal.runs.values()):
            if newer.number <= run.number:
                break
            if newer.number in chosen or newer.how in ("undone", "rolled-back"):
                continue
            theirs = [newer.begin.actions[number] for number in newer.standing]
            theirs = [action for action in theirs if not action.needs().for_good]
            if what := shared(theirs, actions):
                raise Refused(
                    f"{name(run)} cannot be undone before {name(newer)}, which changed {what} after it: "
                    + (
                        "and that one cannot be undone any more"
                        if newer.forgotten
                        else f"hfdoctor undo --to {run.number - 1} undoes both"
                    )
                )


def differences(run: Run) -> list[Difference]:
    """What undoing ``run`` changes: old and new value, the last action first."""
    return [
        Difference(one.what, one.new, one.old)
        for number in run.standing
        if not run.begin.actions[number].needs().for_good
        for one in run.begin.actions[number].describe()
    ]


def undo(journal: Journal, runs: Sequence[Run], progress: Progress = quiet, *, force: bool = False) -> list[str]:
    """Undo ``runs`` (newest first) of the locked ``journal``; returns in words what cannot be taken back and stays.

    Raises Refused, before anything is touched, where a newer fix stands on one of them or somebody else changed what
    they had set (``force`` insists on the latter), or where an action refuses.
    """
    check_free(journal, runs)
    return take_back_all(journal, runs, progress, force=force)


def still_to_do(runs: Sequence[Run]) -> list[str]:
    """What the person has to do now that ``runs`` are taken back, as sentences."""
    actions = (action for run in runs for action in run.begin.actions)
    return list(dict.fromkeys(words for action in actions for words in action.still_to_do(undone=True)))


def fix_to_forget(journal: Journal, number: int, *, force: bool = False) -> Run:
    """The fix that ``undo --forget`` means: one that can be undone, or whose giving up was broken off.

    Raises as ``named_fix``; Refused also for one that was cut short, unless ``force`` insists: its disk may be gone.
    """
    run = journal.runs.get(number)
    if run is None or not run.forgotten:
        run = named_fix(journal, str(number))
    if run.open and not force:
        raise Refused(
            f"{name(run)} was cut short: hfdoctor undo {number} first (where that can never be, because a disk is gone "
            f"for good, hfdoctor undo --forget {number} --force leaves what it began as it is)"
        )
    return run


def forget(journal: Journal, run: Run) -> None:
    """Give up what is kept only to undo ``run`` (quarantine, copies); it cannot be undone afterwards.

    Of a run that was cut short nothing is removed, for its copies may be all there is: it only stays as it is. May be
    called again after a kill. Raises Refused where not all could be removed.
    """
    if not run.forgotten:
        journal.write(Record("forgotten", run=run.number))  # first: what has no copies must never be undone
    for number in run.standing if not run.open else ():
        try:
            run.begin.actions[number].forget()
        except (Refused, OSError) as error:
            raise Refused(
                f"what {name(run)} keeps could not all be given up: {words_of(error)} "
                f"(hfdoctor undo --forget {run.number} tries it again)"
            ) from None


def _undoable(run: Run) -> Run:
    """``run`` if it can be undone. Raises NothingToDo or Refused with the reason."""
    if run.forgotten:
        raise Refused(f"{name(run)} cannot be undone: {'it' if run.open else 'what was kept for that'} was given up")
    if run.how in ("undone", "rolled-back"):
        raise NothingToDo(f"{name(run)} is {'undone' if run.how == 'undone' else 'taken back'} already")
    if not run.can_be_undone:
        raise NothingToDo(f"{name(run)} has changed nothing")
    if run.how == "done" and _stays_whole(run):
        reasons = dict.fromkeys(run.begin.actions[number].needs().for_good for number in run.standing)
        raise Refused(f"{name(run)} cannot be undone: {'; '.join(reasons)}")
    return run


def _stays_whole(run: Run) -> bool:
    return all(run.begin.actions[number].needs().for_good for number in run.standing)
