"""Moves and putting away on Windows, from drive C: to drive Z: and on C:; see inside.py."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hfdoctor.conditions.changes import PutAway, TreeMove
from hfdoctor.remedies.action import Refused, quiet
from hfdoctor.remedies.kinds.move import MoveAction, prepare_move
from hfdoctor.remedies.kinds.quarantine import QuarantineAction, prepare_quarantine
from hfdoctor.remedies.path_text import long_path
from tests.remedies.killed import every_moment
from tests.remedies.made import workplace
from tests.remedies.tree_states import make_tree, tree_state
from tests.thorough import THOROUGH


@contextlib.contextmanager
def home(name: str = "집 home") -> Iterator[Path]:
    """A folder on drive C: that is the person's home."""
    folder = Path(os.environ["TEMP"]) / name
    _clear(folder)
    folder.mkdir()
    try:
        yield folder
    finally:
        _clear(folder)


@contextlib.contextmanager
def drive_z() -> Iterator[Path]:
    """A folder on another drive."""
    folder = Path(tempfile.mkdtemp(prefix="hfdoctor-test-", dir="Z:\\tmp"))
    try:
        yield folder
    finally:
        _clear(folder)


def _clear(folder: Path) -> None:
    def writable(function: object, path: str, error: object) -> None:
        Path(path).chmod(stat.S_IWRITE)
        Path(path).unlink()

    if folder.exists():
        shutil.rmtree(long_path(str(folder)), onerror=writable)


def moved(source: Path, destination: Path, place: Path) -> MoveAction:
    """Applied, undone and applied again, each as another process would, and looked at."""
    before = tree_state(source, folder_times=True)
    first = prepare_move(TreeMove(str(source), str(destination)), workplace(place))
    action = msgspec.json.decode(msgspec.json.encode(first), type=MoveAction)
    assert action.look().state == "before"
    action.apply(quiet)
    assert action.look().state == "after"
    assert not source.exists()
    assert tree_state(destination, folder_times=True) == before
    action.undo(quiet)
    assert action.look().state == "before"
    assert tree_state(source, folder_times=True) == before
    assert not destination.exists()
    return action


def put_away(path: Path, place: Path) -> QuarantineAction:
    first = prepare_quarantine(PutAway(str(path)), workplace(place))
    action = msgspec.json.decode(msgspec.json.encode(first), type=QuarantineAction)
    assert action.look().state == "before"
    action.apply(quiet)
    assert action.look().state == "after"
    assert not os.path.lexists(long_path(str(path)))
    return action


def refused(words: str, change: PutAway | TreeMove, place: Path) -> None:
    try:
        if isinstance(change, PutAway):
            prepare_quarantine(change, workplace(place))
        else:
            prepare_move(change, workplace(place))
    except Refused as error:
        assert words in str(error), str(error)
    else:
        raise AssertionError(f"{change} was not refused")


def case_put_away_and_back() -> None:
    with home() as place:
        make_tree(place / "캐시" / "hub")
        (place / "캐시" / "hub" / "blobs" / "aaaa").chmod(stat.S_IREAD)
        before = tree_state(place / "캐시")
        for path in (
            place / "캐시" / "hub",
            place / "캐시" / "hub" / "모델",
            place / "캐시" / "hub" / "blobs" / "aaaa",
        ):
            action = put_away(path, place)
            action.undo(quiet)
            assert action.look().state == "before"
            assert tree_state(place / "캐시") == before
            assert not (place / "state" / "runs" / "1a2b3c4d" / "quarantine").exists()


def case_given_up_with_read_only_files() -> None:
    with home() as place:
        make_tree(place / "hub")
        (place / "hub" / "blobs" / "aaaa").chmod(stat.S_IREAD)
        action = put_away(place / "hub", place)
        action.forget()
        assert not [path for path in place.rglob("*") if not path.is_dir()]


def case_put_away_on_another_drive() -> None:
    with home() as place, drive_z() as other:
        make_tree(other / "hub")
        action = put_away(other / "hub", place)
        assert not any(spot.start.startswith("C:") for spot in action.spots)
        action.undo(quiet)
        assert (other / "hub" / "twin.json").exists()
        assert not list(Path("Z:\\").glob(".hfdoctor*")) and not list(Path("Z:\\tmp").glob(".hfdoctor*"))


def case_moved_on_one_drive() -> None:
    with home() as place:
        make_tree(place / "hub")
        action = moved(place / "hub", place / "새 곳" / "deep" / "hub", place)
        assert not action.across
        assert not (place / "새 곳").exists()


def case_moved_to_another_drive() -> None:
    with home() as place, drive_z() as other:
        make_tree(place / "hub")
        (place / "hub" / "blobs" / "aaaa").chmod(stat.S_IREAD)
        action = moved(place / "hub", other / "새 곳" / "hub", place)
        assert action.across
        assert action.needs().disk_bytes > 300_000
        assert not list(other.iterdir())


def case_longer_than_windows_paths_are() -> None:
    with home() as place, drive_z() as other:
        deep = place / "hub" / ("x" * 90) / ("y" * 90) / ("z" * 90)
        Path(long_path(str(deep))).mkdir(parents=True)
        Path(long_path(str(deep / "config.json"))).write_text("{}")
        assert len(str(deep)) > 300
        marked = Path(long_path(str(place / "hub")))
        before = tree_state(marked)
        action = put_away(deep, place)
        action.undo(quiet)
        put_away(place / "hub", place).undo(quiet)
        for destination in (place / "new", other / "new"):
            plan = prepare_move(TreeMove(str(place / "hub"), str(destination)), workplace(place))
            plan.apply(quiet)
            plan.undo(quiet)
        assert tree_state(marked) == before


def case_only_the_spelling() -> None:
    with home() as place:
        make_tree(place / "Cache")
        action = prepare_move(TreeMove(str(place / "Cache"), str(place / "cache")), workplace(place))
        assert action.look().state == "before"
        action.apply(quiet)
        if [path.name for path in place.iterdir() if path.name != "state"] == ["Cache"]:
            assert action.look().state == "before"  # Wine 8 says that it renamed, and did not: that is seen
            return
        assert [path.name for path in place.iterdir() if path.name != "state"] == ["cache"]
        assert action.look().state == "after"
        action.undo(quiet)
        assert [path.name for path in place.iterdir() if path.name != "state"] == ["Cache"]


def case_in_use() -> None:
    """A program holds the file open the way programs do, without leave to rename it."""
    with home() as place, drive_z() as other:
        make_tree(place / "hub")
        before = tree_state(place / "hub")
        path = place / "hub" / "twin.json"
        with open(path, "rb"):
            actions = [
                prepare_quarantine(PutAway(str(path)), workplace(place)),
                prepare_move(TreeMove(str(path), str(place / "new.json")), workplace(place)),
                prepare_move(TreeMove(str(path), str(other / "new.json")), workplace(place)),
            ]
            for action in actions:
                try:
                    action.apply(quiet)
                except Refused as error:
                    assert "in use by a program" in str(error), str(error)
                else:
                    raise AssertionError(f"{action} was applied although the file is in use")
                action.undo(quiet)
                assert action.look().state == "before"
        assert tree_state(place / "hub") == before
        assert not list(other.iterdir())


def case_what_is_refused() -> None:
    with home() as place:
        make_tree(place / "hub")
        (place / "taken").mkdir()
        (place / "taken" / "file").touch()
        for path, words in (
            ("C:\\", "whole drive"),
            ("Z:\\", "whole drive"),
            (str(place), "your home folder"),
            (str(place).upper(), "your home folder"),
            (str(place / "state"), "journal"),
            (f"{place}\\hub\\..\\..\\x", "not a plain path"),
            (f"{place}/hub/../x", "not a plain path"),
            (f"{place}\\hub:stream", "not a plain path"),
            ("hub", "not a plain path"),
            ("\\hub", "not a plain path"),
        ):
            (place / "state").mkdir(exist_ok=True)
            refused(words, PutAway(path), place)
            refused(words, TreeMove(path, str(place / "new")), place)
        for destination, words in (
            (str(place / "taken"), "exists already"),
            (str(place / "HUB" / "in"), "in one another"),
            ("Z:\\", "whole volume"),
            (str(place / "hub" / "blobs" / "aaaa" / "x"), "in one another"),
        ):
            refused(words, TreeMove(str(place / "hub"), destination), place)


_WORK = """
from tests.windows.cases_moves import work
action = work({place!r})
arm()
from hfdoctor.remedies.action import quiet
action.apply(quiet)
"""


def work(place: str) -> MoveAction:
    """The action in a file."""
    return msgspec.json.decode(Path(place, "action.json").read_bytes(), type=MoveAction)


def case_killed_while_it_moves_to_another_drive() -> None:
    with home() as place, drive_z() as other:
        state: dict[str, object] = {}

        def fresh() -> str:
            for folder in (place, other):
                for one in folder.iterdir():
                    _clear(one) if one.is_dir() else one.unlink()
            for name in ("blobs", "snapshots"):
                (place / "hub" / name).mkdir(parents=True)
                (place / "hub" / name / "file").write_text(name)
            state.update(before=tree_state(place / "hub", folder_times=True))
            action = prepare_move(TreeMove(str(place / "hub"), str(other / "new" / "hub")), workplace(place))
            (place / "action.json").write_bytes(msgspec.json.encode(action))
            return _WORK.format(place=str(place))

        for number, moment in enumerate(every_moment(fresh, at_most=10 if THOROUGH else 4)):
            action = work(str(place))
            if number % 2:
                action.apply(quiet)
                assert tree_state(other / "new" / "hub", folder_times=True) == state["before"], moment.what
                assert not (place / "hub").exists(), moment.what
                assert [path.name for path in (other / "new").iterdir()] == ["hub"], moment.what
            else:
                action.undo(quiet)
                assert tree_state(place / "hub", folder_times=True) == state["before"], moment.what
                assert not list(other.iterdir()), moment.what
