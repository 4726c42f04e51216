"""Moves to other volumes that go wrong in the middle: all is as before, said in one line."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hfdoctor.remedies import engine
from hfdoctor.remedies.action import Refused, quiet
from hfdoctor.remedies.journal import Journal

from .moves_made import once, planned, refused_and_back
from .tree_states import make_tree, tree_state

pytestmark = pytest.mark.skipif(os.name != "posix", reason="volumes of POSIX")


def occupy(folder: Path) -> None:
    """Make a folder with something of somebody else's in it."""
    folder.mkdir()
    (folder / "theirs").write_text("theirs")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda source: (source / "blobs" / "bbbb").write_bytes(b"other"), "blobs/bbbb changed while it was copied"),
        (lambda source: (source / "blobs" / "new").mkdir(), "blobs changed while it was copied"),
        (lambda source: (source / "blobs" / "aaaa").unlink(), "blobs changed while it was copied"),
    ],
)
@pytest.mark.parametrize("when", ["copying", "checking"])
def test_the_cache_is_in_use(
    tmp_path: Path, other: Path, when: str, change: Callable[[Path], object], words: str
) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    action = planned(source, other / "hub", tmp_path)
    # of what is read after the change, the copy has the later state, which is as good
    moment = f"copying {source / 'holes'}" if when == "copying" else "checking"
    with pytest.raises(Refused, match=words):
        action.apply(once(moment, lambda: change(source)))
    grown = tree_state(source, folder_times=True)
    action.undo(quiet)
    assert tree_state(source, folder_times=True) == grown
    assert not list(other.iterdir())
    assert action.look().state == "before"


def test_it_changes_right_before_it_goes(tmp_path: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    action = planned(source, other / "hub", tmp_path)
    from hfdoctor.remedies.transfer import Transfer

    real = Transfer._switch

    def late(self: Transfer, mark: object) -> None:
        real(self, mark)  # type: ignore[arg-type]
        (source / "blobs" / "late").write_text("late")

    monkeypatch.setattr(Transfer, "_switch", late)
    with pytest.raises(Refused, match="changed while it was moved"):
        action.apply(quiet)
    action.undo(quiet)
    assert (source / "blobs" / "late").read_text() == "late"
    assert not list(other.iterdir())


def test_a_copy_that_is_not_what_was_written(tmp_path: Path, other: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    action = planned(source, other / "hub", tmp_path)

    def damage() -> None:
        (blob,) = other.rglob("aaaa")
        info = blob.stat()
        blob.chmod(0o600)
        with open(blob, "r+b") as stream:
            stream.seek(1000)
            stream.write(b"damage")
        os.utime(blob, ns=(info.st_atime_ns, info.st_mtime_ns))
        blob.chmod(0o444)

    refused_and_back(action, once("copying " + str(source / "holes"), damage), "not what was written", source, other)


def test_somebody_takes_the_destination_first(tmp_path: Path, other: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    action = planned(source, other / "hub", tmp_path)
    before = tree_state(source)
    with pytest.raises(Refused, match="something new stands"):
        action.apply(once("checking", lambda: occupy(other / "hub")))
    action.undo(quiet)
    assert tree_state(source) == before
    assert [path.name for path in other.rglob("*")] == ["hub", "theirs"]


def test_an_interrupted_copy_that_somebody_used_stays(tmp_path: Path, other: Path) -> None:
    """Cut short between the switch and the leaving; then a program writes into the new place."""
    source = tmp_path / "hub"
    make_tree(source)
    before = tree_state(source)
    action = planned(source, other / "hub", tmp_path)
    there = action._transfer("there")
    there.run_until_leaving(quiet, action.size)
    assert action.look().state == "between"
    (other / "hub" / "used").write_text("used")
    assert action.look().state == "other"
    with pytest.raises(Refused, match="changed since it was copied"):
        action.undo(quiet)
    action.undo(quiet, force=True)
    assert tree_state(source) == before
    assert (other / "hub" / "used").read_text() == "used"
    assert action.look().state == "before"


def test_the_original_is_deleted_after_the_copy_was_cut_short(tmp_path: Path, other: Path) -> None:
    """Nothing can be brought back then; who insists is rid of what was begun."""
    source = tmp_path / "hub"
    make_tree(source)
    action = planned(source, other / "new" / "hub", tmp_path)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        action.apply(once("copying", interrupt))
    shutil.rmtree(source)
    (shown,) = action.look().shows
    assert (shown.what, shown.new) == (str(source), "gone")
    with pytest.raises(Refused, match=f"^{source} is gone$"):
        action.undo(quiet)
    action.undo(quiet, force=True)
    assert list(other.iterdir()) == []


def test_what_no_copy_can_be_made_of(tmp_path: Path, other: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    os.mkfifo(source / "pipe")
    with pytest.raises(Refused, match="pipe is neither file, folder nor link"):
        planned(source, other / "hub", tmp_path)
    (source / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "blobs" / "s"))
        with pytest.raises(Refused, match="neither file, folder nor link"):
            planned(source, other / "hub", tmp_path)
        (source / "blobs" / "s").unlink()
        action = planned(source, other / "hub", tmp_path)
        os.mkfifo(source / "late")  # a pipe that comes between the plan and the act keeps nobody waiting
        refused_and_back(action, quiet, "neither file, folder nor link", source, other)


def test_through_the_engine(tmp_path: Path, other: Path) -> None:
    source = tmp_path / "hub"
    make_tree(source)
    before = tree_state(source)
    (tmp_path / "state").mkdir(mode=0o700)
    bad = planned(source, other / "hub", tmp_path)
    with Journal(tmp_path / "state").locked() as journal:
        run = engine.begin(journal, "disk-full", "move it", [bad], token="1a2b3c4d")
        ended = engine.carry_out(journal, run, once("checking", lambda: occupy(other / "hub")))
        assert not ended.done
        assert "something new stands" in ended.reason
        assert tree_state(source) == before
        (other / "hub" / "theirs").unlink()
        run = engine.begin(
            journal, "disk-full", "move it", [planned(source, other / "hub", tmp_path)], token="1a2b3c4d"
        )
        assert engine.carry_out(journal, run).done
    with Journal(tmp_path / "state").locked() as journal:
        assert tree_state(other / "hub") == before
        engine.take_back(journal, journal.runs[run.number])
    assert tree_state(source) == before
    assert [path.name for path in other.rglob("*")] == ["hub"]
