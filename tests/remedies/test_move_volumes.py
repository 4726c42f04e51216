"""Moves to small, full and read-only volumes, and to such as go away."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from hfdoctor.conditions.changes import PutAway
from hfdoctor.remedies.action import Refused, quiet
from hfdoctor.remedies.kinds.quarantine import prepare_quarantine

from .made import workplace
from .moves_made import once, planned, refused_and_back
from .tree_states import make_tree, tree_state
from .volumes_made import mounted, second_volume, unmount

pytestmark = [pytest.mark.allow_subprocess, pytest.mark.skipif(os.name != "posix", reason="volumes of POSIX")]


def fill(volume: Path) -> None:
    """Until nothing goes in any more."""
    with open(volume / "filler", "wb", buffering=0) as stream, contextlib.suppress(OSError):
        for _ in range(60):
            stream.write(b"x" * 2**20)


def test_too_small(tmp_path: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source, large=30_000_000)
    with (
        mounted(tmp_path / "small", "size=20m") as small,
        pytest.raises(Refused, match=r"needs 4\d MB on the volume of .*/small, which has 2\d MB left"),
    ):
        planned(source, small / "hub", tmp_path)


def test_too_few_inodes(tmp_path: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    with (
        mounted(tmp_path / "few", "nr_inodes=20") as few,
        pytest.raises(Refused, match=r"needs 1\d\d inodes .* which has 1\d left"),
    ):
        planned(source, few / "hub", tmp_path)


def test_it_becomes_full_in_the_middle(tmp_path: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source, large=30_000_000)
    with mounted(tmp_path / "there", "size=60m") as there:
        action = planned(source, there / "hub", tmp_path)
        before = tree_state(source)
        with pytest.raises(Refused, match="became full while the copy was made"):
            action.apply(once("copying", lambda: fill(there)))
        action.undo(quiet)
        assert [path.name for path in there.iterdir()] == ["filler"]
        assert tree_state(source) == before


def test_no_room_to_come_back(tmp_path: Path) -> None:
    with mounted(tmp_path / "home", "size=60m") as home, second_volume(tmp_path) as other:
        make_tree(home / "hub", large=30_000_000)
        before = tree_state(home / "hub")
        action = planned(home / "hub", other / "hub", tmp_path)
        action.apply(quiet)
        (home / "filler").write_bytes(bytes(30_000_000))
        for force in (False, True):
            with pytest.raises(Refused, match=r"which has 3\d MB left"):
                action.undo(quiet, force=force)
            assert action.look().state == "after"
        assert tree_state(other / "hub") == before
        (home / "filler").unlink()
        action.undo(once("copying", lambda: None))
        assert tree_state(home / "hub") == before

        # and full in the middle of coming back
        action = planned(home / "hub", other / "hub", tmp_path)
        action.apply(quiet)
        with pytest.raises(Refused, match="became full"):
            action.undo(once("copying", lambda: fill(home)))
        assert action.look().state == "after"
        assert tree_state(other / "hub") == before
        assert [path.name for path in home.iterdir()] == ["filler"]
        (home / "filler").unlink()
        action.undo(quiet)
        assert tree_state(home / "hub") == before


def test_read_only_and_no_programs(tmp_path: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    with (
        mounted(tmp_path / "fixed", "ro") as fixed,
        pytest.raises(Refused, match=r"the volume of .*/fixed is read-only"),
    ):
        planned(source, fixed / "hub", tmp_path)
    with mounted(tmp_path / "noexec", "noexec") as noexec:
        with pytest.raises(Refused, match="programs cannot be run"):
            planned(source, noexec / "hub", tmp_path)
        (source / "run.sh").chmod(0o640)
        planned(source, noexec / "hub", tmp_path).apply(quiet)
        assert (noexec / "hub" / "run.sh").exists()


@pytest.mark.parametrize("when", ["copying", "checking"])
def test_the_target_goes_away(tmp_path: Path, when: str) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    before = tree_state(source, folder_times=True)
    with mounted(tmp_path / "there") as there:
        action = planned(source, there / "new" / "hub", tmp_path)
        with pytest.raises((Refused, OSError)):
            action.apply(once(when, lambda: unmount(there)))
        assert action.look().state in ("before", "between")
        action.undo(quiet)
        assert action.look().state == "before"
        assert tree_state(source, folder_times=True) == before
        assert not list(there.iterdir())


def test_the_target_is_away_when_it_is_undone(tmp_path: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    with mounted(tmp_path / "there") as there:
        action = planned(source, there / "hub", tmp_path)
        action.apply(quiet)
        unmount(there)
        seen = action.look()
        assert seen.state == "other"
        assert "disk is not attached" in seen.shows[0].new
        with pytest.raises(Refused, match="disk is not attached"):
            action.undo(quiet, force=True)
        assert not source.exists()


def test_volumes_in_the_tree(tmp_path: Path, other: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    with mounted(source / "mounted") as inner:
        (inner / "theirs").touch()
        for path in (source, inner):
            with pytest.raises(Refused, match="volume of its own"):
                planned(path, other / "hub", tmp_path)
            with pytest.raises(Refused, match="volume of its own"):
                prepare_quarantine(PutAway(str(path)), workplace(tmp_path))
        with pytest.raises(Refused, match="whole volume"):
            planned(source / "blobs", inner, tmp_path)


def test_folders_of_a_container_image(tmp_path: Path) -> None:
    """An overlay does not rename a folder that came with the image, though it is on the same volume."""
    with mounted(tmp_path / "base") as base:
        for name in ("lower/hub", "upper", "work"):
            (base / name).mkdir(parents=True)
        (base / "lower" / "hub" / "file").write_text("x")
        options = [f"{one}dir={base / one}" for one in ("lower", "upper", "work")]
        with mounted(base / "merged", *options, "redirect_dir=off", kind="overlay") as merged:
            for destination in (merged / "new", tmp_path / "new"):
                action = planned(merged / "hub", destination, tmp_path)
                refused_and_back(action, quiet, "container", merged)
            away = prepare_quarantine(PutAway(str(merged / "hub")), workplace(tmp_path))
            with pytest.raises(Refused, match="container"):
                away.apply(quiet)
            away.undo(quiet)
            assert [path.name for path in merged.iterdir()] == ["hub"]
