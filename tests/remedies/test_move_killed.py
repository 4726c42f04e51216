"""Moves and putting away, killed at every change they make and at random: nothing is ever lost or left about."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hfdoctor.conditions.changes import PutAway, TreeMove
from hfdoctor.remedies.action import Refused, quiet
from hfdoctor.remedies.kinds.registered import Kind, prepare
from tests.thorough import KILLS, MOMENTS, THOROUGH

from .killed import every_moment, killed_after
from .made import workplace
from .tree_states import make_tree, tree_state
from .volumes_made import second_volume

pytestmark = [pytest.mark.allow_subprocess, pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="SIGKILL")]

#: runs one method of the action in a file
WORK = """
import sys, msgspec
from hfdoctor.remedies.action import quiet
from hfdoctor.remedies.kinds.registered import Kind
with open({file!r}, "rb") as stream:
    action = msgspec.json.decode(stream.read(), type=Kind)
arm()
action.{method}(quiet)
"""


class Room:
    """A fresh tree, where it is to go, and the action in a file, as the journal has it."""

    def __init__(self, folder: Path, other: Path | None, large: int = 300_000) -> None:
        self.folder, self.large = folder, large
        #: None: nothing moves, the tree is put away
        self.other = other
        self.source = folder / "home" / "cache"
        self.destination = other / "new" / "cache" if other else None
        self.file = folder / "action.json"
        self.before: dict[str, Any] = {}

    def fresh(self) -> None:
        """Make everything anew."""
        for path in (self.folder, *([self.other] if self.other else [])):
            for one in path.iterdir():
                if one.is_dir():
                    shutil.rmtree(one)
                else:
                    one.unlink()
        self.source.parent.mkdir()
        make_tree(self.source, large=self.large)
        self.before = tree_state(self.source, folder_times=True)
        home = self.source.parent
        if self.destination is not None:
            action = prepare(TreeMove(str(self.source), str(self.destination)), workplace(home))
        else:
            action = prepare(PutAway(str(self.source)), workplace(home))
        self.file.write_bytes(msgspec.json.encode(action))

    @property
    def action(self) -> Kind:
        """As another process reads it from the journal."""
        action: Kind = msgspec.json.decode(self.file.read_bytes(), type=Kind)
        return action

    def applied(self) -> str:
        """Everything anew, and the code that applies the action."""
        self.fresh()
        return WORK.format(file=str(self.file), method="apply")

    def undone(self) -> str:
        """Everything anew and applied, and the code that undoes the action."""
        self.fresh()
        self.action.apply(quiet)
        return WORK.format(file=str(self.file), method="undo")

    def is_back(self) -> None:
        """Nothing moved and nothing is left of the attempt."""
        assert self.action.look().state == "before"
        assert tree_state(self.source, folder_times=True) == self.before
        assert not self.other or not list(self.other.iterdir())
        assert [one.name for one in self.source.parent.iterdir() if one.name != "state"] == ["cache"]
        assert not [path for path in (self.source.parent / "state").rglob("*") if not path.is_dir()]

    def is_moved(self) -> None:
        """All of it is there, and nothing else anywhere."""
        assert self.action.look().state == "after"
        assert not os.path.lexists(self.source)
        assert [one.name for one in self.source.parent.iterdir() if one.name != "state"] == []
        if self.destination is not None and self.other is not None:
            assert tree_state(self.destination, folder_times=True) == self.before
            assert [str(path.relative_to(self.other)) for path in sorted(self.other.glob("*/*"))] == ["new/cache"]
        else:
            (kept,) = self.source.parent.glob("state/runs/*/quarantine/*/cache")
            assert tree_state(kept, folder_times=True) == self.before

    def recover(self, again: bool) -> None:
        """What the next hfdoctor does: takes it back, or goes on."""
        action = self.action
        assert action.look().state in ("before", "between", "after")
        if again:
            try:
                action.apply(quiet)
            except Refused:  # it was being taken back: then the engine takes back what is left, and it is planned anew
                action.undo(quiet)
                self.is_back()
            else:
                self.is_moved()
        else:
            action.undo(quiet)
            self.is_back()


@pytest.fixture(params=["put away", "same volume", "other volume"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    """Each of the ways in which a tree goes."""
    work = tmp_path / "work"
    work.mkdir()
    if request.param == "put away":
        yield Room(work, None)
    elif request.param == "same volume":
        (tmp_path / "there").mkdir()
        yield Room(work, tmp_path / "there")
    else:
        with second_volume(tmp_path) as other:
            yield Room(work, other)


@pytest.mark.parametrize("work", [Room.applied, Room.undone], ids=["apply", "undo"])
@pytest.mark.parametrize("again", [False, True], ids=["then taken back", "then applied"])
def test_every_moment(room: Room, work: Callable[[Room], str], again: bool) -> None:
    """Right before each change that is made; ``at_most`` keeps the time for it within bounds."""
    for _ in every_moment(lambda: work(room), at_most=MOMENTS):
        room.recover(again)


def test_a_hundred_times_at_random(tmp_path: Path) -> None:
    """A move of many and large files to another volume and back, killed at any time."""
    work = tmp_path / "work"
    work.mkdir()
    chance = random.Random(5)
    killed = 0
    with second_volume(tmp_path) as other:
        room = Room(work, other, large=6_000_000)
        room.fresh()
        started = time.perf_counter()
        room.action.apply(quiet)
        within = time.perf_counter() - started
        for number in range(KILLS):
            text = (room.applied if number % 3 else room.undone)()
            killed += not killed_after(text, at_most_s=within, chance=chance)
            room.recover(again=number % 2 == 0)
    assert killed > KILLS / 2 or not THOROUGH  # of a few, chance may spare all
