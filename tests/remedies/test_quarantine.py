"""Things that are put away, put back, and given up."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.changes import PutAway
from hfdoctor.remedies.action import NothingToDo, Refused, quiet
from hfdoctor.remedies.kinds.quarantine import QuarantineAction, prepare_quarantine

from .made import workplace
from .tree_states import make_tree, tree_state


def through_json(action: QuarantineAction) -> QuarantineAction:
    """As another process reads it from the journal."""
    return msgspec.json.decode(msgspec.json.encode(action), type=QuarantineAction)


@pytest.mark.parametrize("what", ["folder", "file", "link", "dangling", "unreadable"])
def test_away_and_back(tmp_path: Path, what: str) -> None:
    make_tree(tmp_path / "cache" / "thing")
    path = tmp_path / "cache" / "thing"
    if what == "file":
        path = path / "모델" / "config.json"
    elif what == "link":
        path = path / "snapshots" / "rev" / "config.json"
    elif what == "dangling":
        path = path / "dangling"
    elif what == "unreadable":
        (path / "모델").chmod(0)
    before = tree_state(tmp_path)
    place = workplace(tmp_path)
    action = through_json(prepare_quarantine(PutAway(str(path)), place))
    assert tree_state(tmp_path) == before, "preparing changes nothing"
    assert action.look().state == "before"
    action.apply(quiet)
    assert not os.path.lexists(path)
    assert action.look().state == "after"
    action.apply(quiet)
    action = through_json(action)
    action.undo(quiet)
    assert action.look().state == "before"
    assert tree_state(tmp_path, besides={"state"}) == before
    action.undo(quiet)
    assert tree_state(tmp_path, besides={"state"}) == before


def test_nothing_to_put_away(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo):
        prepare_quarantine(PutAway(str(tmp_path / "no" / "such")), workplace(tmp_path))


def test_forgotten_for_good(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    tree = tmp_path / "cache"
    make_tree(tree)
    (tree / "out").symlink_to(outside)
    (tree / "모델").chmod(0o500)
    action = prepare_quarantine(PutAway(str(tree)), workplace(tmp_path))
    action.apply(quiet)
    action.forget()
    action.forget()
    assert sorted(tree_state(tmp_path)) == ["", "outside", "outside/kept"]
    with pytest.raises(Refused, match="not in the quarantine"):
        action.undo(quiet, force=True)


def test_parents_that_are_gone_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "thing"
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o750)
    path.write_text("x")
    action = prepare_quarantine(PutAway(str(path)), workplace(tmp_path))
    action.apply(quiet)
    path.parent.rmdir()
    path.parent.parent.rmdir()
    action.undo(quiet)
    assert path.read_text() == "x"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


def test_something_new_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    make_tree(path)
    before = tree_state(path)
    action = prepare_quarantine(PutAway(str(path)), workplace(tmp_path))
    action.apply(quiet)
    path.mkdir()
    (path / "new").write_text("new")
    seen = action.look()
    assert seen.state == "other"
    assert (seen.shows[0].old, seen.shows[0].new) == ("nothing (it was put away)", "something new")
    with pytest.raises(Refused, match="something new"):
        action.undo(quiet)
    action.undo(quiet, force=True)
    assert tree_state(path) == before
    (kept,) = (tmp_path / "state").rglob("new")
    assert kept.read_text() == "new"
