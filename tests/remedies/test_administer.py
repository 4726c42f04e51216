"""One question of Windows for all fixes: a yes counts for all of them, a no leaves everything as it was.

Windows' own question is tested where there is a Windows; here the answer is given in its place, and git's settings
stand for what only an administrator may change.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.conditions.changes import GitChange
from hfdoctor.remedies import elevation, undoing
from hfdoctor.remedies.action import Action, Needs, Refused
from hfdoctor.remedies.engine import administer, begin, carry_out, recover_all
from hfdoctor.remedies.journal import Journal, Run
from hfdoctor.remedies.kinds.git import GitAction
from hfdoctor.remedies.kinds.registered import prepare

from .small_machine import SmallMachine

pytestmark = pytest.mark.allow_subprocess

CANCELLED = "Windows asked for an administrator and the answer was no: nothing was changed"


class Answer:
    """What stands for Windows: ``says`` yes, no, or dies after the first action; ``asked`` counts the questions."""

    def __init__(self, says: str) -> None:
        self.says = says
        self.asked: list[tuple[str, int]] = []

    def __call__(self, actions: Sequence[Action], direction: str, state: Path, *, force: bool = False) -> None:
        self.asked.append((direction, len(actions)))
        if self.says == "no":
            raise Refused(CANCELLED)
        for action in actions:
            if direction == "apply":
                action.apply(lambda *_: None)
            else:
                action.undo(lambda *_: None, force=force)
            if self.says == "dies":
                raise Refused("the part of hfdoctor that ran as administrator died")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallMachine:
    found = SmallMachine(tmp_path / "home")
    found.make()
    monkeypatch.setattr(GitAction, "needs", lambda self: Needs(administrator=True))
    return found


def answering(monkeypatch: pytest.MonkeyPatch, says: str) -> Answer:
    answer = Answer(says)
    monkeypatch.setattr(elevation, "together", answer)
    return answer


def two_fixes(machine: SmallMachine, journal: Journal) -> list[Run]:
    first = machine.begin(journal)
    actions: list[Any] = [prepare(GitChange("core.symlinks", "true"), machine.place)]
    return [first, begin(journal, "cache-symlink", "", actions)]


def test_one_question_for_all(machine: SmallMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.looks()
    answer = answering(monkeypatch, "yes")
    with machine.journal().locked() as journal:
        runs = two_fixes(machine, journal)
        assert administer(journal, runs) is None
        assert answer.asked == [("apply", 2)]
        assert (runs[0].done, runs[0].how, runs[1].done, runs[1].how) == ({0}, "", {0}, "done")
        assert all(carry_out(journal, run).done for run in runs)
        assert administer(journal, runs) is None
        assert answer.asked == [("apply", 2)]
        undoing.undo(journal, undoing.fixes_since(journal, 0))
        assert answer.asked == [("apply", 2), ("undo", 2)]
    assert machine.looks() == before
    assert {run.how for run in machine.journal().runs.values()} == {"undone"}


@pytest.mark.parametrize("says", ["no", "dies"])
def test_a_no_leaves_everything_as_it_was(machine: SmallMachine, monkeypatch: pytest.MonkeyPatch, says: str) -> None:
    before = machine.looks()
    answering(monkeypatch, says)
    with machine.journal().locked() as journal:
        runs = two_fixes(machine, journal)
        if says == "no":
            ended = administer(journal, runs)
            assert ended is not None
            assert (ended.done, ended.reason, ended.clean) == (False, CANCELLED, True)
            assert [run.how for run in runs] == ["rolled-back", "rolled-back"]
        else:  # it cannot be taken back without an administrator either: that stays open until one is there
            ended = administer(journal, runs)
            assert ended is not None
            assert not ended.done
    if says == "dies":
        answering(monkeypatch, "yes")
        with machine.journal().locked() as journal:
            assert [why for _, why in recover_all(journal) if why] == []
    assert machine.looks() == before
    assert not machine.journal().open_runs()


def test_a_no_to_an_undo_leaves_the_fixes_done(machine: SmallMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.looks()
    answering(monkeypatch, "yes")
    with machine.journal().locked() as journal:
        runs = two_fixes(machine, journal)
        administer(journal, runs)
        assert all(carry_out(journal, run).done for run in runs)
    after = machine.looks()
    answering(monkeypatch, "no")
    with machine.journal().locked() as journal:
        with pytest.raises(Refused, match="the answer was no"):
            undoing.undo(journal, undoing.fixes_since(journal, 0))
        assert [run.how for run in journal.runs.values()] == ["done", "done"]
    assert machine.looks() == after
    assert [run.how for run in machine.journal().runs.values()] == ["done", "done"]
    answering(monkeypatch, "yes")
    with machine.journal().locked() as journal:
        undoing.undo(journal, undoing.fixes_since(journal, 0))
    assert machine.looks() == before


def test_an_undo_that_dies_half_way_goes_on_later(machine: SmallMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.looks()
    answering(monkeypatch, "yes")
    with machine.journal().locked() as journal:
        runs = two_fixes(machine, journal)
        administer(journal, runs)
        assert all(carry_out(journal, run).done for run in runs)
    answering(monkeypatch, "dies")
    with machine.journal().locked() as journal, pytest.raises(Refused, match="died"):
        undoing.undo(journal, undoing.fixes_since(journal, 0))
    answering(monkeypatch, "yes")
    with machine.journal().locked() as journal:
        recover_all(journal)
        assert not journal.open_runs()
        runs = [run for run in undoing.fixes_since(journal, 0) if run.can_be_undone]
        undoing.undo(journal, runs)
    assert machine.looks() == before
