"""Moves for tests: planned as another process reads them, disturbed while they work, refused and brought back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.changes import TreeMove
from hfdoctor.remedies.action import Progress, Refused, quiet
from hfdoctor.remedies.kinds.move import MoveAction, prepare_move

from .made import workplace
from .tree_states import tree_state


def planned(source: Path, destination: Path, home: Path) -> MoveAction:
    """The move, gone through the journal's JSON once."""
    return through_json(prepare_move(TreeMove(str(source), str(destination)), workplace(home)))


def through_json(action: MoveAction) -> MoveAction:
    """As another process reads it from the journal."""
    return msgspec.json.decode(msgspec.json.encode(action), type=MoveAction)


def once(words: str, act: Callable[[], object]) -> Progress:
    """Acts when the progress first says something that begins with ``words``."""
    left = [act]

    def progress(what: str, done: int, total: int) -> None:
        if what.startswith(words) and left:
            left.pop()()

    return progress


def refused_and_back(action: MoveAction, progress: Progress, words: str, *places: Path) -> None:
    """Applying is Refused with ``words``; taken back, ``places`` are as before."""
    before = [tree_state(place, besides={"state"}) for place in places]
    with pytest.raises(Refused, match=words):
        action.apply(progress)
    assert action.look().state in ("before", "between")
    action.undo(quiet)
    assert action.look().state == "before"
    assert [tree_state(place, besides={"state"}) for place in places] == before
