"""Trees that move, on one volume and to another, and back."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from hfdoctor.remedies.action import NothingToDo, Refused, quiet

from .moves_made import planned, through_json
from .tree_states import make_tree, tree_state


@pytest.fixture(params=["same volume", "other volume"])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where things move to."""
    if request.param == "same volume":
        folder = tmp_path / "there"
        folder.mkdir()
        return folder
    found: Path = request.getfixturevalue("other")
    return found


def private(*folders: Path) -> list[Path]:
    """What a move leaves under its own names, or under its marks."""
    return [path for folder in folders for path in folder.rglob("*hfdoctor-*") if ".hfdoctor-" in path.name]


def test_there_and_back(tmp_path: Path, there: Path) -> None:
    source, destination = tmp_path / "cache" / "hub", there / "new" / "parents" / "hub"
    make_tree(source)
    before = tree_state(source, folder_times=True)
    told: list[tuple[str, int, int]] = []
    action = planned(source, destination, tmp_path)
    assert action.look().state == "before"
    assert not list(there.iterdir())
    assert action.across == (there.parent != tmp_path)
    assert (action.needs().disk_bytes > 300_000) == action.across
    action.apply(lambda *words: told.append(words))
    assert action.look().state == "after"
    assert not os.path.lexists(source)
    assert tree_state(destination, folder_times=True) == before
    assert not private(tmp_path, there)
    if action.across:
        assert any(done == total > 300_000 for _, done, total in told)
    action.apply(quiet)
    action = through_json(action)
    action.undo(quiet)
    assert action.look().state == "before"
    assert tree_state(source, folder_times=True) == before
    assert not list(there.iterdir())
    assert not private(tmp_path, there)
    action.undo(quiet)
    assert tree_state(source, folder_times=True) == before


def test_a_file_onto_another_volume(tmp_path: Path, there: Path) -> None:
    source = tmp_path / "empty-file"
    source.touch()
    action = planned(source, there / "moved", tmp_path)
    action.apply(quiet)
    assert (there / "moved").exists()
    assert not source.exists()
    action.undo(quiet)
    assert source.exists()
    assert not list(there.iterdir())


def test_what_came_later_comes_back_too(tmp_path: Path, there: Path) -> None:
    source, destination = tmp_path / "hub", there / "hub"
    make_tree(source)
    action = planned(source, destination, tmp_path)
    action.apply(quiet)
    (destination / "models--new").mkdir()
    (destination / "models--new" / "weights").write_bytes(b"new")
    grown = tree_state(destination, folder_times=True)
    assert action.look().state == "after"
    action.undo(quiet)
    assert tree_state(source, folder_times=True) == grown
    assert not list(there.iterdir())


def test_an_empty_folder_at_the_destination_is_put_back(tmp_path: Path, there: Path) -> None:
    source, destination = tmp_path / "hub", there / "hub"
    make_tree(source)
    destination.mkdir(mode=0o750)
    destination.chmod(0o750)
    before = tree_state(source, folder_times=True)
    action = planned(source, destination, tmp_path)
    action.apply(quiet)
    assert tree_state(destination, folder_times=True) == before
    action.undo(quiet)
    assert tree_state(source, folder_times=True) == before
    assert not list(destination.iterdir())
    assert stat.S_IMODE(destination.stat().st_mode) == 0o750


def test_the_old_place_is_taken_again(tmp_path: Path, there: Path) -> None:
    source, destination = tmp_path / "hub", there / "hub"
    make_tree(source)
    before = tree_state(source, folder_times=True)
    action = planned(source, destination, tmp_path)
    action.apply(quiet)
    source.mkdir()
    (source / "new").write_text("new")
    assert action.look().state == "other"
    with pytest.raises(Refused, match="something new"):
        action.undo(quiet)
    assert (source / "new").exists()
    action.undo(quiet, force=True)
    assert tree_state(source, folder_times=True) == before
    (kept,) = (tmp_path / "state").rglob("new")
    assert kept.read_text() == "new"
    assert action.look().state == "before"


def test_the_new_place_is_gone(tmp_path: Path, there: Path) -> None:
    source, destination = tmp_path / "hub", there / "hub"
    make_tree(source)
    action = planned(source, destination, tmp_path)
    action.apply(quiet)
    shutil.rmtree(destination)
    assert action.look().state == "other"
    for force in (False, True):
        with pytest.raises(Refused, match="gone"):
            action.undo(quiet, force=force)
    assert not source.exists()


def test_refused_before_anything_is_touched(tmp_path: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    (tmp_path / "link").symlink_to(source)
    (tmp_path / "dangling").symlink_to("nowhere")
    before = tree_state(tmp_path)
    for start, end, words in (
        (source, taken, "exists already"),
        (source, source / "blobs" / "hub", "in one another"),
        (source, tmp_path / "dangling", "exists already"),
        (source, source / ".." / "else", "not a plain path"),
        (source / "blobs", source, "in one another"),
        (source, source / "deep", "in one another"),
        (tmp_path / "link", tmp_path / "new", "is a link to another place"),
        (tmp_path, tmp_path.parent / "new", "your home folder"),
        (source, Path("/"), "whole volume"),
        (Path("hub"), tmp_path / "new", "not a plain path"),
    ):
        with pytest.raises(Refused, match=words):
            planned(start, end, tmp_path)
    for start, end in ((source, source), (tmp_path / "nothing", tmp_path / "new")):
        with pytest.raises(NothingToDo):
            planned(start, end, tmp_path)
    assert tree_state(tmp_path) == before
