"""Package changes that are refused, each for a reason in one line, and the environment stays as it is."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hfdoctor.knowledge.sizes import InstallSize, load_install_sizes
from hfdoctor.remedies.action import Refused, quiet
from hfdoctor.remedies.packages.price import disk_bytes
from hfdoctor.remedies.packages.resolve import Package, Plan

from .managed_python import managed_python
from .package_room import Room, room
from .tree_states import tree_state

__all__ = ["room"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="tests/windows has its own"),
]


def refused(room: Room, *install: str, **options: object) -> str:
    """Why a change is refused, at once or when it is tried; the environment stays as it is."""
    before = room.state()
    with pytest.raises(Refused) as caught:
        action = room.prepare(*install, **options)
        try:
            action.apply(quiet)
        except BaseException:
            action.undo(quiet)
            raise
    assert room.state() == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_had_is_refused_with_its_reason(room: Room) -> None:
    room.two_versions()
    room.create("hub==1.0")
    reason = refused(room, "hub==9")
    assert reason.startswith("uv finds no packages that fit") and "hub==9" in reason
    assert "nothing-like-it" in refused(room, "nothing-like-it")
    room.wheel("former", "1.0", requires=["hub>5"])
    assert "former" in refused(room, "former")
    room.wheel("broken", "1.0", {"broken/__init__.py": "x = 1\n"}, wrong="broken/__init__.py")
    assert "broken" in refused(room, "broken")
    (room.index.folder / "source-1.0.tar.gz").write_bytes(b"never built")
    assert "wheel" in refused(room, "source")
    (room.index.folder / "hub-2.0-py3-none-any.whl").write_bytes(b"PK\x03\x04 cut off")
    refused(room, "hub==2.0", no_deps=True)
    room.index.broken.append("/hub/")
    room.environ["UV_CACHE_DIR"] = str(room.folder / "other-cache")
    assert "500" in refused(room, "hub==2.0")


def test_an_index_that_is_away_is_refused(room: Room) -> None:
    room.create()
    room.environ["UV_DEFAULT_INDEX"] = "http://someone:hunter2@127.0.0.1:9/simple"
    reason = refused(room, "hub")
    assert reason.startswith("uv cannot tell what to install") and "127.0.0.1:9" in reason
    assert "hunter2" not in reason


def test_other_peoples_packages_are_left_alone(room: Room) -> None:
    room.two_versions()
    room.create("hub==1.0")
    info = room.library / "hub-1.0.dist-info"
    (info / "INSTALLER").unlink()
    (info / "INSTALLER").write_text("conda\n")
    assert f"conda install --prefix {room.env} hub" in refused(room, "hub==2.0")
    (info / "INSTALLER").write_text("pip\n")
    (info / "direct_url.json").write_text('{"url": "file:///src", "dir_info": {"editable": true}}')
    assert "editable" in refused(room, "hub==2.0")
    (info / "direct_url.json").write_text('{"url": "https://x/y", "vcs_info": {"vcs": "git", "commit_id": "1"}}')
    assert "https://x/y" in refused(room, remove=("hub",))


def test_a_link_on_the_way_is_refused(room: Room, tmp_path: Path) -> None:
    room.two_versions()
    room.create("hub==1.0")
    away = tmp_path / "away"
    (room.library / "hub").rename(away)
    (room.library / "hub").symlink_to(away)
    kept = tree_state(away, folder_times=True)
    assert "link" in refused(room, "hub==2.0")
    assert tree_state(away, folder_times=True) == kept


def test_a_folder_that_was_swapped_is_refused(room: Room, tmp_path: Path) -> None:
    room.two_versions()
    room.create("hub==1.0")
    action = room.prepare("hub==2.0")
    room.library.rename(tmp_path / "away")
    shutil.copytree(tmp_path / "away", room.library)
    with pytest.raises(Refused, match="is not the folder that it was"):
        action.apply(quiet)
    action.undo(quiet)
    assert not list(room.env.glob(".hfdoctor*"))


def test_a_file_list_that_names_strange_places_moves_nothing_there(room: Room, tmp_path: Path) -> None:
    room.two_versions()
    room.create("hub==1.0")
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    record = room.library / "hub-1.0.dist-info" / "RECORD"
    text = record.read_text()
    record.unlink()
    record.write_text(text + f"{os.path.relpath(victim, room.library)},,\n{victim},,\n../../../../../etc/passwd,,\n")
    action = room.prepare("hub==2.0")
    action.apply(quiet)
    assert victim.read_text() == "precious"
    assert Path("/etc/passwd").exists()


def test_the_systems_python_is_refused(room: Room) -> None:
    python = managed_python(room.folder / "usr")
    with pytest.raises(Refused, match="belongs to the operating system"):
        room.prepare("hub", python=python)


def test_a_python_that_does_not_start_is_refused(room: Room) -> None:
    room.create()
    room.python.unlink()
    room.python.symlink_to("/nowhere/python")
    with pytest.raises(Refused, match="cannot be started"):
        room.prepare("hub")


def test_a_damaged_list_of_what_was_changed_is_refused(room: Room) -> None:
    room.two_versions()
    room.create("hub==1.0")
    action = room.prepare("hub==2.0")
    action.apply(quiet)
    path = Path(action.manifest)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"hub/old_part.py", b"hub/../../../x.py"))
    with pytest.raises(Refused, match="is damaged"):
        action.undo(quiet)
    path.write_bytes(data)
    action.undo(quiet)


def test_a_file_name_that_cannot_be_written_down_is_refused(room: Room) -> None:
    room.two_versions()
    room.create("hub==1.0")
    (room.library / "hub-1.0.dist-info" / "RECORD").unlink()  # all that is in its folder leaves with it then
    with open(os.fsencode(room.library / "hub") + b"/\xff.txt", "wb"):
        pass
    assert "hub/\N{REPLACEMENT CHARACTER}.txt is no name in Unicode" in refused(room, "hub==2.0")


def test_a_volume_without_room_for_what_comes_is_refused(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.wheel("large", "1.0", {"large/data.bin": "x" * 1_000_000})
    room.wheel("large", "2.0")
    room.create("large==1.0")
    needed = room.prepare("large==2.0").needs().disk_bytes  # the index says no sizes: the old one's counts
    assert needed > 1_000_000
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=needed - 1))
    assert f"are needed in {room.env}" in refused(room, "large==2.0")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=needed))
    assert room.prepare("large==2.0")


@pytest.mark.parametrize("row", load_install_sizes(), ids=lambda row: row.platform)
def test_what_comes_is_as_large_as_was_measured_once_it_is_unpacked(row: InstallSize) -> None:
    fresh, again = Package("torch", [], "2.15.0"), Package("torch", ["2.15.0"], "2.15.0")
    assert disk_bytes([], Plan([fresh], [], row.download)) == row.unpacked
    assert disk_bytes([], Plan([fresh], [], 0)) == 0
    assert disk_bytes([], Plan([again], [], row.download)) == row.download
