"""Carries fixes out, rolls them back where they fail, and takes them back later.

Every step is announced in the journal before it is taken and confirmed after, so that whoever comes after a kill
knows what may have been begun. Going back does not depend on it: an action says itself what there is to take back,
so that a rollback also works where a full disk leaves no room for another word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import msgspec

from ..version import __version__
from .action import Action, Progress, Refused, State, quiet
from .journal import How, Journal, Record, Run, Unwritten
from .kinds.registered import Kind
from .standing import shared


class Ended(msgspec.Struct, omit_defaults=True):
    """How a fix ended: its number in the journal, ``done`` or why not.

    ``clean``: what is not done has left nothing behind; else the fix stays open, and ``reason`` says so.
    """

    run: int
    done: bool
    reason: str = ""
    clean: bool = True


def begin(
    journal: Journal, condition: str, choice: str, actions: Sequence[Kind], *, python: str = "", token: str = ""
) -> Run:
    """Write a fix with all its actions into the locked ``journal`` before any of them is begun.

    Raises Refused, also where a fix that was cut short and could not be brought back stands on the same things.
    """
    for run in journal.open_runs():
        if what := shared([run.begin.actions[number] for number in run.standing], actions):
            raise Refused(
                f"{what} is also changed by {name(run)}, which was cut short: hfdoctor undo {run.number} takes it back"
            )
    number = journal.next_number()
    journal.write(
        Record(
            "begin",
            run=number,
            condition=condition,
            choice=_unicode(choice),
            python=_unicode(python),
            hfdoctor=__version__,
            token=token,
            actions=list(actions),
        )
    )
    return journal.runs[number]


def carry_out(journal: Journal, run: Run, progress: Progress = quiet) -> Ended:
    """Do the actions of ``run`` that are not done yet, each announced before and confirmed after.

    If one fails, those before it are taken back, and the reason is in the answer. An interrupt (Ctrl-C) rolls back,
    too, and goes on its way; it becomes Refused if not everything could be brought back.
    """
    try:
        for number, action in enumerate(run.begin.actions):
            if number in run.done:
                continue
            if number not in run.started:
                _check_planned(action)
            journal.write(Record("start", run=run.number, action=number))
            action.apply(progress)
            _check_held(action)
            journal.write(Record("done", run=run.number, action=number))
    except (Refused, OSError) as error:
        return _rolled_back(journal, run, progress, words_of(error))
    except KeyboardInterrupt:
        ended = _rolled_back(journal, run, progress, "interrupted")
        if not ended.clean:
            raise Refused(ended.reason) from None
        raise
    except BaseException:
        _rolled_back(journal, run, progress, "hfdoctor failed")
        raise
    try:
        journal.write(Record("end", run=run.number, how="done"))
    except Unwritten:
        if run.open:  # else its last action is confirmed, which says the same
            raise
    return Ended(run.number, True)


def administer(journal: Journal, runs: Sequence[Run], progress: Progress = quiet) -> Ended | None:
    """Do the actions of all ``runs`` that need an administrator, with one question of Windows; then None.

    If it cannot be done (the person says no), all ``runs`` are rolled back, and the answer says why.
    """
    theirs = [
        (run, number)
        for run in runs
        for number, action in enumerate(run.begin.actions)
        if number not in run.done and action.needs().administrator
    ]
    if not theirs:
        return None
    try:
        for run, number in theirs:
            _check_planned(run.begin.actions[number])
            journal.write(Record("start", run=run.number, action=number))
        _ask([run.begin.actions[number] for run, number in theirs], "apply", journal, force=False)
        for run, number in theirs:
            _check_held(run.begin.actions[number])
            journal.write(Record("done", run=run.number, action=number))
        return None
    except (Refused, OSError) as error:
        reason = words_of(error)
    except BaseException:
        for run in reversed(runs):
            _rolled_back(journal, run, progress, "interrupted")
        raise
    ends = [_rolled_back(journal, run, progress, reason) for run in reversed(runs)]
    return next((ended for ended in ends if not ended.clean), ends[-1])


def take_back(
    journal: Journal,
    run: Run,
    progress: Progress = quiet,
    *,
    how: How = "undone",
    reason: str = "",
    force: bool = False,
) -> list[str]:
    """``take_back_all`` for one fix."""
    return take_back_all(journal, [run], progress, how=how, reason=reason, force=force)


def take_back_all(
    journal: Journal,
    runs: Sequence[Run],
    progress: Progress = quiet,
    *,
    how: How = "undone",
    reason: str = "",
    force: bool = False,
) -> list[str]:
    """Undo what stands of ``runs``, which come newest first, the last action first; safe to repeat after a kill.

    Returns what cannot be taken back and stays, in words. Raises Refused before anything is touched where something
    was changed by somebody else since (``force`` insists) or an administrator said no; later only where an action
    refuses, and that run stays open then.
    """
    doubtful = [] if force else _check_unchanged(runs)
    _administer_back(journal, runs, force)
    stays: list[str] = []
    for run in runs:
        stays += _take_back_one(journal, run, progress, how, reason, force, doubtful)
    return stays


def recover(journal: Journal, run: Run, progress: Progress = quiet) -> list[str]:
    """Bring an open run back to its beginning: its process ended in the middle. Answers as ``take_back`` does."""
    how: How = "undone" if run.going_back else "rolled-back"
    return take_back(journal, run, progress, how=how, reason="" if run.going_back else "it was cut short")


def recover_all(journal: Journal, progress: Progress = quiet) -> list[tuple[Run, str]]:
    """Recover every open run, the newest first: each with "", or with why it could not be brought back.

    Nothing may be planned or observed for a fix before this: what was cut short would look like the machine's own.
    """
    found = []
    for run in reversed(journal.open_runs()):
        try:
            recover(journal, run, progress)
            found.append((run, ""))
        except Refused as refused:
            found.append((run, str(refused)))
    return found


def words_of(error: Exception) -> str:
    """One line that says what went wrong: a Refused's own words, or the system's with the path that it names."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return _unicode(f"{where}{error.strerror or error}")
    return _unicode(str(error))


def _rolled_back(journal: Journal, run: Run, progress: Progress, reason: str) -> Ended:
    try:
        take_back(journal, run, progress, how="rolled-back", reason=reason)
    except Unwritten as unwritten:
        but = "" if str(unwritten) == reason else f", but {unwritten}"
        return Ended(run.number, False, f"{reason}; what was begun is brought back{but}", clean=False)
    except Refused as refused:
        return Ended(run.number, False, f"{reason}; and then {refused}", clean=False)
    return Ended(run.number, False, reason)


def _take_back_one(
    journal: Journal,
    run: Run,
    progress: Progress,
    how: How,
    reason: str,
    force: bool,
    doubtful: Sequence[Action],
) -> list[str]:
    stays: list[str] = []
    silent: Unwritten | None = None
    was_closed = not run.open

    def tell(record: Record) -> None:
        nonlocal silent
        try:
            journal.write(record)
        except Unwritten as unwritten:
            if was_closed and not run.going_back:
                raise  # nobody would know that it was begun to be undone
            silent = unwritten

    for number in run.standing:
        action = run.begin.actions[number]
        tell(Record("undo", run=run.number, action=number))
        try:
            if (for_good := action.needs().for_good) and action.look().state != "before":
                stays.append(for_good)
            if any(action is one for one in doubtful):
                _check_not_others(action)
            action.undo(progress, force=force)
        except (Refused, OSError) as error:
            if was_closed and not run.undone and _is(action, "after"):
                tell(Record("end", run=run.number, how="done"))  # nothing of it was taken back
            raise Refused(
                f"{name(run)} could not be taken back: {words_of(error)} (hfdoctor undo {run.number} tries it again)"
            ) from None
        tell(Record("undone", run=run.number, action=number))
    _tidy(journal, run)  # before its end is told: who is killed here comes back to it
    tell(Record("end", run=run.number, how=how, reason=reason))
    if silent is not None:
        raise silent
    return stays


def _is(action: Action, state: State) -> bool:
    """Whether it is known to be in ``state``."""
    try:
        return action.look().state == state
    except (Refused, OSError):
        return False


def _tidy(journal: Journal, run: Run) -> None:
    """Take away the run's own folder where nothing is left in it."""
    for folder in (journal.state / "runs" / (run.begin.token or "-"), journal.state / "runs"):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _check_unchanged(runs: Sequence[Run]) -> list[Action]:
    """Raises Refused where somebody else changed what is to be taken back.

    Returns the actions that can only be looked at when what was done after them on the same things is gone.
    """
    later: list[Action] = []
    doubtful: list[Action] = []
    for run in runs:
        for number in run.standing:
            action = run.begin.actions[number]
            if action.needs().for_good:
                continue
            if shared([action], later):
                doubtful.append(action)
            else:
                try:
                    _check_not_others(action)
                except (Refused, OSError) as error:
                    raise Refused(f"{name(run)} cannot be taken back: {words_of(error)}") from None
            later.append(action)
    return doubtful


def _check_not_others(action: Action) -> None:
    seen = action.look()
    if seen.state == "other":
        shown = [f"{one.what} is now {one.new}, hfdoctor had set it to {one.old}" for one in seen.shows]
        raise Refused(f"it was changed by somebody else since{_listed(shown)} (--force insists)")


def _check_planned(action: Action) -> None:
    seen = action.look()
    if seen.state == "other":
        shown = [f"{one.what} is now {one.new}" for one in seen.shows]
        raise Refused(f"it was changed by somebody else since it was planned{_listed(shown)} (run hfdoctor fix again)")


def _check_held(action: Action) -> None:
    seen = action.look()
    if seen.state == "after":
        return
    if seen.state == "other":
        shown = [f"{one.what} is {one.new} afterwards, not {one.old}" for one in seen.shows]
    else:
        shown = [f"{one.what} did not become {one.new}" for one in action.describe()]
    raise Refused(f"it did not hold{_listed(shown)}")


def _listed(shown: Sequence[str]) -> str:
    return f": {'; '.join(shown)}" if shown else ""


def _administer_back(journal: Journal, runs: Sequence[Run], force: bool) -> None:
    """Take back all that needs an administrator, with one question; a no leaves everything as it was."""
    theirs = [
        (run, number)
        for run in runs
        for number in run.standing
        if (action := run.begin.actions[number]).needs().administrator and not _is(action, "before")
    ]
    if not theirs:
        return
    closed = [run for run in {run.number: run for run, _ in theirs}.values() if run.how == "done"]
    for run, number in theirs:
        if run in closed:
            journal.write(Record("undo", run=run.number, action=number))
    try:
        _ask([run.begin.actions[number] for run, number in theirs], "undo", journal, force=force)
    except Refused:
        for run in closed:
            if all(_is(run.begin.actions[n], "after") for at, n in theirs if at is run):
                journal.write(Record("end", run=run.number, how="done"))
        raise


def _ask(actions: Sequence[Action], direction: str, journal: Journal, *, force: bool) -> None:
    from .elevation import together

    together(actions, "undo" if direction == "undo" else "apply", journal.state, force=force)


def name(run: Run) -> str:
    """How a fix is called in a sentence."""
    return f"fix {run.number} ({run.begin.condition})"


def _unicode(text: str) -> str:
    """``text`` as JSON can hold it: file names may have bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()
