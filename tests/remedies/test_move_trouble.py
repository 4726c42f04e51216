"""Moves to other volumes that cannot be done, or go wrong in the middle: all is as before, said in one line."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.changes import PutAway, TreeMove
from hfdoctor.remedies import engine
from hfdoctor.remedies.action import Progress, Refused, quiet
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.kinds.move import MoveAction, prepare_move
from hfdoctor.remedies.kinds.quarantine import prepare_quarantine

from .made import workplace
from .tree_states import make_tree, tree_state
from .volumes_made import mounted, second_volume, unmount

pytestmark = pytest.mark.skipif(os.name != "posix", reason="volumes of POSIX")


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    with second_volume(tmp_path) as folder:
        yield folder


def planned(source: Path, destination: Path, home: Path) -> MoveAction:
    action = prepare_move(TreeMove(str(source), str(destination)), workplace(home))
    return msgspec.json.decode(msgspec.json.encode(action), type=MoveAction)


def once(words: str, act: Callable[[], object]) -> Progress:
    """Acts when the progress first says something that begins with ``words``."""
    left = [act]

    def progress(what: str, done: int, total: int) -> None:
        if what.startswith(words) and left:
            left.pop()()

    return progress


def fill(volume: Path) -> None:
    """Until nothing goes in any more."""
    with open(volume / "filler", "wb", buffering=0) as stream, contextlib.suppress(OSError):
        for _ in range(60):
            stream.write(b"x" * 2**20)


def occupy(folder: Path) -> None:
    """Make a folder with something of somebody else's in it."""
    folder.mkdir()
    (folder / "theirs").write_text("theirs")


def refused_and_back(action: MoveAction, progress: Progress, words: str, *places: Path) -> None:
    """Applying is Refused with ``words``; taken back, ``places`` are as before."""
    before = [tree_state(place, besides={"state"}) for place in places]
    with pytest.raises(Refused, match=words):
        action.apply(progress)
    assert action.look().state in ("before", "between")
    action.undo(quiet)
    assert action.look().state == "before"
    assert [tree_state(place, besides={"state"}) for place in places] == before


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
    there.run_until("leaving", quiet, action.size)
    assert action.look().state == "between"
    (other / "hub" / "used").write_text("used")
    assert action.look().state == "other"
    with pytest.raises(Refused, match="changed since it was copied"):
        action.undo(quiet)
    action.undo(quiet, force=True)
    assert tree_state(source) == before
    assert (other / "hub" / "used").read_text() == "used"
    assert action.look().state == "before"


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


@pytest.mark.allow_subprocess
class TestOnVolumesOfOnesOwn:
    """Small, full, read-only volumes, and such as go away."""

    def test_too_small(self, tmp_path: Path) -> None:
        source = tmp_path / "hub"
        make_tree(source, large=30_000_000)
        with (
            mounted(tmp_path / "small", "size=20m") as small,
            pytest.raises(Refused, match=r"needs 4\d MB on the volume of .*/small, which has 2\d MB left"),
        ):
            planned(source, small / "hub", tmp_path)

    def test_too_few_inodes(self, tmp_path: Path) -> None:
        source = tmp_path / "hub"
        make_tree(source)
        with (
            mounted(tmp_path / "few", "nr_inodes=20") as few,
            pytest.raises(Refused, match=r"needs 1\d\d inodes .* which has 1\d left"),
        ):
            planned(source, few / "hub", tmp_path)

    def test_it_becomes_full_in_the_middle(self, tmp_path: Path) -> None:
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

    def test_no_room_to_come_back(self, tmp_path: Path) -> None:
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

    def test_read_only_and_no_programs(self, tmp_path: Path) -> None:
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
    def test_the_target_goes_away(self, tmp_path: Path, when: str) -> None:
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

    def test_the_target_is_away_when_it_is_undone(self, tmp_path: Path) -> None:
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

    def test_volumes_in_the_tree(self, tmp_path: Path, other: Path) -> None:
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

    def test_folders_of_a_container_image(self, tmp_path: Path) -> None:
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


#: as a person who is not root; argv: source, destination, home
AS_NOBODY = """
import ctypes, os, sys
from pathlib import Path
from hfdoctor.conditions.changes import PutAway, TreeMove
from hfdoctor.remedies.action import Refused, quiet
from hfdoctor.remedies.kinds.registered import prepare
from tests.remedies.made import workplace
os.setgid(65534); os.setgroups([]); os.setuid(65534)  # only now: it may not be allowed to read these modules
source, destination, home = sys.argv[1:]
change = TreeMove(source, destination) if destination else PutAway(source)
try:
    action = prepare(change, workplace(Path(home)))
    action.apply(quiet)
    if destination:
        assert os.path.exists(destination)
    action.undo(quiet)
    print("moved and back")
except Refused as refused:
    print("refused:", refused)
"""


def as_nobody(source: Path, destination: Path | str, home: Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    command = [sys.executable, "-c", AS_NOBODY, str(source), str(destination), str(home)]
    root = Path(__file__).parent.parent.parent
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@pytest.mark.allow_subprocess
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
                assert as_nobody(source, destination, home) == "moved and back"
                assert tree_state(source, folder_times=True) == before
            assert as_nobody(source, "", home) == "moved and back"
            (source / "blobs" / "bbbb").chmod(0)
            assert "bbbb, so that it cannot be moved" in as_nobody(source, other_volume / "hub", home)
            (source / "blobs" / "bbbb").chmod(0o644)
            os.chown(source / "blobs" / "bbbb", 0, 0)
            assert "belongs to another user" in as_nobody(source, other_volume / "hub", home)
            os.chown(source, 0, 0)
            assert "belongs to another user" in as_nobody(source, "", home)
            os.chown(other_volume, 0, 0)
            os.chown(source, 65534, 65534)
            os.chown(source / "blobs" / "bbbb", 65534, 65534)
            assert "you may not make anything in" in as_nobody(source, other_volume / "hub", home)
            assert not list(other_volume.iterdir())
        finally:
            other_volume.rmdir()
