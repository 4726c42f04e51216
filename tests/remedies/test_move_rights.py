"""Moves of what belongs to others, or may not be read or written: refused before anything is done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hfdoctor.conditions.changes import PutAway, TreeMove
from hfdoctor.remedies.action import Refused, quiet
from hfdoctor.remedies.kinds.registered import prepare

from .forked import as_nobody
from .made import workplace
from .tree_states import make_tree, tree_state
from .volumes_made import second_volume

pytestmark = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become somebody else")


def moved_and_back(source: Path, destination: Path | None, home: Path) -> str:
    """What a person who is not root is told; without ``destination`` it is put away."""

    def work() -> str:
        change = TreeMove(str(source), str(destination)) if destination else PutAway(str(source))
        try:
            action = prepare(change, workplace(home))
            action.apply(quiet)
            assert not os.path.lexists(source)
            assert destination is None or os.path.lexists(destination)
            action.undo(quiet)
        except Refused as refused:
            return f"refused: {refused}"
        return "moved and back"

    return as_nobody(work)


def test_rights_of_others(other: Path) -> None:
    """What belongs to others, or may not be read or written, is refused before anything is done."""
    home = other / "home"
    home.mkdir()
    with second_volume(Path("/tmp")) as there:
        source = home / "hub"
        make_tree(source)
        for path in (home, *home.rglob("*")):
            os.chown(path, 65534, 65534, follow_symlinks=False)
        for path in (other, there):
            path.chmod(0o755)
        os.chown(there, 65534, 65534)
        other_volume = Path("/var/tmp") / there.name
        other_volume.mkdir()
        os.chown(other_volume, 65534, 65534)
        before = tree_state(source, folder_times=True)
        try:
            for destination in (there / "hub", other_volume / "hub"):
                assert moved_and_back(source, destination, home) == "moved and back"
                assert tree_state(source, folder_times=True) == before
            assert moved_and_back(source, None, home) == "moved and back"
            (source / "blobs" / "bbbb").chmod(0)
            assert "bbbb, so that it cannot be moved" in moved_and_back(source, other_volume / "hub", home)
            (source / "blobs" / "bbbb").chmod(0o644)
            os.chown(source / "blobs" / "bbbb", 0, 0)
            assert "belongs to another user" in moved_and_back(source, other_volume / "hub", home)
            os.chown(source, 0, 0)
            assert "belongs to another user" in moved_and_back(source, None, home)
            os.chown(other_volume, 0, 0)
            os.chown(source, 65534, 65534)
            os.chown(source / "blobs" / "bbbb", 65534, 65534)
            assert "you may not make anything in" in moved_and_back(source, other_volume / "hub", home)
            assert not list(other_volume.iterdir())
        finally:
            other_volume.rmdir()


@pytest.mark.parametrize("mode", [0, 0o100, 0o300])
def test_a_folder_that_may_not_be_listed(other: Path, mode: int) -> None:
    """It goes as a whole where nothing has to be read; its path is in the refusal where something has to."""
    home = other / "home"
    shut = home / "hub" / "shut"
    (shut / "inner").mkdir(parents=True)
    for path in (home, *home.rglob("*")):
        os.chown(path, 65534, 65534)
    other.chmod(0o755)
    shut.chmod(mode)
    assert moved_and_back(home / "hub", home / "new", home) == "moved and back"
    assert moved_and_back(home / "hub", None, home) == "moved and back"
    elsewhere = Path("/var/tmp") / "hub"
    assert f"you may not read {shut}, so that it cannot be moved" in moved_and_back(home / "hub", elsewhere, home)

    def given_up() -> str:
        action = prepare(PutAway(str(home / "hub")), workplace(home))
        action.apply(quiet)
        action.forget()
        return "given up"

    assert as_nobody(given_up) == "given up"
    assert sorted(path.name for path in home.rglob("*")) == []
