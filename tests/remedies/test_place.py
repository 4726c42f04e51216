"""The state folder: made for one person alone, refused in one line where it cannot be trusted or written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hfdoctor.remedies.action import Refused
from hfdoctor.remedies.journal import Journal, Record
from hfdoctor.remedies.place import own_folder, state_folder

from .forked import NOBODY, as_nobody
from .volumes_made import mounted

posix = pytest.mark.skipif(os.name != "posix", reason="owners and modes of POSIX")


def refusal(folder: Path) -> str:
    with pytest.raises(Refused) as refused:
        own_folder(folder)
    words = str(refused.value)
    assert "\n" not in words
    assert "chmod" in words or "journal" in words
    return words


@pytest.fixture
def open_room() -> Iterator[Path]:
    """A folder that a person without rights can reach; pytest's own ones are root's alone."""
    with tempfile.TemporaryDirectory() as other:
        assert (
            tried(Path(other) / "state")() == "written"
        )  # all modules are loaded: root's own Python is closed to them
    room = Path(tempfile.mkdtemp()).resolve()
    try:
        yield room
    finally:
        shutil.rmtree(room)


def tried(folder: Path) -> Callable[[], str]:
    def work() -> str:
        try:
            with Journal(folder).locked() as journal:
                journal.write(Record("begin", run=journal.next_number()))
            return "written"
        except Refused as refused:
            return str(refused)

    return work


def test_it_follows_the_persons_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        assert state_folder() == Path.home() / ".local" / "state" / "hfdoctor"
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        assert state_folder() == tmp_path / "hfdoctor"
        monkeypatch.setenv("XDG_STATE_HOME", "relative/folder")
        assert state_folder() == Path.home() / ".local" / "state" / "hfdoctor"
    assert state_folder().is_absolute()


@posix
def test_what_is_missing_is_made_for_one_person(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    folder = tmp_path / "home" / ".local" / "state" / "hfdoctor"
    assert own_folder(folder) == folder
    assert own_folder(folder) == folder
    assert [path.stat().st_mode & 0o777 for path in (folder, *folder.parents[:2])] == [0o700] * 3


@posix
def test_what_others_can_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    for mode in (0o770, 0o707, 0o777, 0o1777):
        folder.chmod(mode)
        assert refusal(folder).startswith(f"others can write in {folder}")
    folder.chmod(0o755)
    own_folder(folder)


@posix
def test_what_stands_in_a_folder_of_everybody_is_refused(tmp_path: Path) -> None:
    above = tmp_path / "shared"
    above.mkdir()
    above.chmod(0o777)
    assert refusal(above / "state").startswith(f"everybody can write in {above}")
    above.chmod(0o1777)  # as /tmp: there nobody can put another in its place
    own_folder(above / "state")


@posix
def test_a_home_of_everybody_is_the_persons_own_affair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As containers have it; but nothing inside it may be everybody's."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    refusal(home / ".local" / "state")
    monkeypatch.setenv("HOME", str(home))
    own_folder(home / ".local" / "state")
    (home / ".local").chmod(0o777)
    assert refusal(home / ".local" / "state").startswith(f"everybody can write in {home / '.local'}")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "is not a folder" in refusal(tmp_path / "file")
    refusal(tmp_path / "file" / "state")
    assert (tmp_path / "file").read_text() == "mine"


@posix
def test_links(tmp_path: Path) -> None:
    """One that leads to a folder of one's own is the person's way to keep it elsewhere."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to(tmp_path / "real")
    own_folder(tmp_path / "state")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    refusal(tmp_path / "dangling")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "round").symlink_to(tmp_path / "round")
    refusal(tmp_path / "round")


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give folders away")
def test_what_belongs_to_another_is_refused(open_room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = open_room / "state"
    state.mkdir(mode=0o700)
    os.chown(state, NOBODY, NOBODY)
    assert "belongs to another user" in refusal(state)
    os.chown(open_room, NOBODY, NOBODY)
    assert as_nobody(tried(state)) == "written"
    # what root wrote there once (an old sudo) is not trusted
    os.chown(state / "journal.jsonl", 0, 0)
    (state / "journal.jsonl").chmod(0o644)
    assert "belongs to another user" in as_nobody(tried(state))
    (state / "journal.jsonl").chmod(0o600)
    assert as_nobody(tried(state)).endswith("cannot be read: Permission denied")
    # and sudo makes no folder there that the person cannot use afterwards
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    assert refusal(open_room / "new" / "state").endswith("run hfdoctor without sudo")
    assert not (open_room / "new").exists()


@posix
def test_what_may_not_be_written_is_refused(open_room: Path) -> None:
    if os.geteuid() == 0:
        os.chown(open_room, NOBODY, NOBODY)
    state = open_room / "state"
    assert as_nobody(tried(state)) == "written"
    state.chmod(0o500)
    words = as_nobody(tried(state))
    assert words == f"hfdoctor cannot keep its journal in {state}: it may not be written"
    state.chmod(0o700)
    (state / "lock").chmod(0o400)
    assert as_nobody(tried(state)).startswith(f"hfdoctor cannot keep its journal in {state}")
    (state / "lock").chmod(0o600)
    (state / "journal.jsonl").chmod(0o400)
    assert as_nobody(tried(state)).endswith("cannot be written: Permission denied")
    (state / "journal.jsonl").chmod(0o600)
    shutil.rmtree(state)
    open_room.chmod(0o500)
    assert "Permission denied" in as_nobody(tried(state))
    open_room.chmod(0o700)
    assert as_nobody(tried(state)) == "written"


@posix
@pytest.mark.parametrize("what", ["lock", "journal.jsonl"])
def test_a_folder_in_a_files_place(tmp_path: Path, what: str) -> None:
    (tmp_path / what).mkdir()
    assert "journal" in tried(tmp_path)()


@posix
def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lock").symlink_to(tmp_path / "elsewhere")
    assert tried(tmp_path / "state")().startswith("hfdoctor cannot keep its journal in")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.allow_subprocess
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system of its own")
def test_a_file_system_that_is_only_read(open_room: Path) -> None:
    with mounted(open_room / "volume") as volume:
        assert tried(volume / "state")() == "written"
        subprocess.run(["mount", "-o", "remount,ro", str(volume)], check=True)
        assert tried(volume / "state")().endswith("it may not be written")
        assert tried(volume / "new")() == (
            f"hfdoctor cannot keep its journal in {volume / 'new'}: {volume / 'new'}: Read-only file system"
        )
        assert len(Journal(volume / "state").read().runs) == 1  # undo --list still tells
