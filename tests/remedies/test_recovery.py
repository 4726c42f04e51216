"""Killed at any moment of a fix and of its undo: hfdoctor undo, or the same fix again, reaches a clean state."""

from __future__ import annotations

import random

import pytest

from hfdoctor.remedies.action import NothingToDo
from hfdoctor.remedies.engine import recover_all, take_back
from hfdoctor.remedies.journal import Record
from hfdoctor.remedies.undoing import last_fix, undo
from tests.thorough import MOMENTS

from .killed import every_moment, killed_after
from .small_machine import SmallMachine

pytestmark = pytest.mark.allow_subprocess

_HEAD = """
from pathlib import Path
from hfdoctor.remedies.engine import recover_all, take_back
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.undoing import last_fix, undo
from tests.remedies.small_machine import SmallMachine
machine = SmallMachine(Path({home!r}))
journal = Journal(machine.state)
arm()
"""
_FIX = _HEAD + "machine.fixed()\n"
_UNDO = _HEAD + "with journal.locked():\n    undo(journal, [last_fix(journal)])\n"
_RECOVER = _HEAD + "with journal.locked():\n    recover_all(journal)\n"


def fixed_again(machine: SmallMachine) -> None:
    """What ``hfdoctor fix`` does: it brings back what was cut short, and plans anew."""
    with machine.journal().locked() as journal:
        assert [why for _, why in recover_all(journal)] in ([], [""])
        assert not journal.open_runs()
        done = any(run.how == "done" for run in journal.runs.values())
    if not done:
        machine.token = "5e6f7a8b"
        machine.fixed()


def undone(machine: SmallMachine) -> None:
    """What ``hfdoctor undo`` does."""
    with machine.journal().locked() as journal:
        try:
            undo(journal, [last_fix(journal)])
        except NothingToDo:
            assert all(run.how in ("undone", "rolled-back") for run in journal.runs.values())


def leftovers(machine: SmallMachine) -> list[str]:
    """What a clean state does not have: open fixes, and anything in the state folder beside journal and lock."""
    journal = machine.journal()
    left = [str(path.relative_to(machine.state)) for path in machine.state.rglob("*")]
    return [f"open: {run.number}" for run in journal.open_runs()] + [
        path for path in left if path not in (journal.path.name, "lock")
    ]


@pytest.mark.slow
def test_a_fix_killed_at_every_moment_is_undone(machine: SmallMachine) -> None:
    before = machine.looks()

    def fresh() -> str:
        machine.make()
        return _FIX.format(home=str(machine.home))

    seen = 0
    for moment in every_moment(fresh, at_most=MOMENTS and 4 * MOMENTS):
        undone(machine)
        assert machine.looks() == before, moment.what
        assert not leftovers(machine), moment.what
        seen += 1
    assert seen >= 16
    undone(machine)
    assert machine.looks() == before


@pytest.mark.slow
def test_a_fix_killed_at_many_moments_is_done_again(machine: SmallMachine) -> None:
    before = machine.looks()
    machine.fixed()
    after = machine.looks()

    def fresh() -> str:
        machine.make()
        return _FIX.format(home=str(machine.home))

    for moment in every_moment(fresh, at_most=MOMENTS):
        machine.token = "1a2b3c4d"
        fixed_again(machine)
        assert machine.looks() == after, moment.what
        undone(machine)
        assert machine.looks() == before, moment.what
        assert not leftovers(machine), moment.what


@pytest.mark.slow
def test_an_undo_killed_at_many_moments_is_finished(machine: SmallMachine) -> None:
    before = machine.looks()

    def fresh() -> str:
        machine.make()
        machine.fixed()
        return _UNDO.format(home=str(machine.home))

    for moment in every_moment(fresh, at_most=MOMENTS):
        if not machine.journal().open_runs():  # nothing of it was begun: the fix stands, as it did
            assert machine.journal().runs[1].how in ("done", "undone"), moment.what
        with machine.journal().locked() as journal:
            recover_all(journal)
        if machine.journal().runs[1].how == "done":
            undone(machine)
        assert machine.looks() == before, moment.what
        assert machine.journal().runs[1].how == "undone", moment.what
        assert not leftovers(machine), moment.what


@pytest.mark.slow
def test_a_recovery_killed_at_many_moments_is_recovered(machine: SmallMachine) -> None:
    before = machine.looks()

    def fresh() -> str:
        """Everything is done, but nobody heard it: the last word in the journal is a start."""
        machine.make()
        with machine.journal().locked() as journal:
            run = machine.begin(journal)
            for number, action in enumerate(run.begin.actions):
                journal.write(start(run.number, number))
                action.apply(lambda *_: None)
        return _RECOVER.format(home=str(machine.home))

    for moment in every_moment(fresh, at_most=MOMENTS):
        undone(machine)
        assert machine.looks() == before, moment.what
        assert machine.journal().runs[1].how in ("rolled-back", "undone"), moment.what
        assert not leftovers(machine), moment.what


def test_killed_at_random_times(machine: SmallMachine) -> None:
    before = machine.looks()
    chance = random.Random(5)
    for _ in range(8):
        machine.make()
        killed_after(_FIX.format(home=str(machine.home)), at_most_s=0.25, chance=chance)
        undone(machine)
        assert machine.looks() == before
        assert not leftovers(machine)


def test_what_was_cut_short_is_brought_back_by_hand_of_the_engine(machine: SmallMachine) -> None:
    """Without the recovery: take_back itself knows what may have been begun."""
    before = machine.looks()
    with machine.journal().locked() as journal:
        run = machine.begin(journal)
        journal.write(start(1, 0))
        run.begin.actions[0].apply(lambda *_: None)
        journal.write(start(1, 1))  # and here it died
    with machine.journal().locked() as journal:
        assert journal.runs[1].open
        assert last_fix(journal).number == 1
        take_back(journal, journal.runs[1], how="rolled-back")
    assert machine.looks() == before
    assert machine.journal().runs[1].how == "rolled-back"


def start(run: int, action: int) -> Record:
    return Record("start", run=run, action=action)
