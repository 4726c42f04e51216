"""New environments: made, taken away, and left alone where somebody put something into them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from hfdoctor.conditions.changes import NewEnvironment
from hfdoctor.remedies.action import Difference, Refused, quiet
from hfdoctor.remedies.kinds.environment import EnvironmentAction, prepare_environment
from hfdoctor.remedies.kinds.registered import Kind
from hfdoctor.remedies.packages.stage import end_orphans
from tests.thorough import MOMENTS

from .index import Index
from .killed import every_moment
from .made import workplace
from .package_room import Room, room
from .tree_states import tree_state
from .wheels import make_wheel

__all__ = ["room"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="tests/windows has its own"),
]


def prepare(room: Room, folder: str, *packages: str, extra_index: str = "") -> EnvironmentAction:
    place = workplace(room.folder, environ=room.environ)
    change = NewEnvironment(str(room.python), folder, packages, extra_index)
    action = msgspec.json.decode(msgspec.json.encode(prepare_environment(change, place)), type=Kind)
    assert isinstance(action, EnvironmentAction)
    action.__dict__["environ"] = dict(room.environ)
    return action


def with_wheels(room: Room) -> None:
    room.wheel("needed", "1.0")
    room.wheel("hub", "1.0", requires=["needed"], scripts={"hub": "hub:__version__"})
    room.create()


def test_it_is_made_and_taken_away(room: Room) -> None:
    with_wheels(room)
    action = prepare(room, "far/away/new", "hub")
    folder = room.folder / "far" / "away" / "new"
    assert not (room.folder / "far").exists()
    shown = action.describe()
    assert shown[0].what == str(folder)
    assert shown[1:] == [
        Difference("hub", "not installed there", "1.0"),
        Difference("packages that these need", "not installed there", "1 package"),
    ]
    action.apply(quiet)
    assert action.look().state == "after"
    code = "import hub, needed, sys; print(sys.prefix)"
    said = subprocess.run([action.interpreter, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(folder)
    assert action.look().state == "after"
    action.apply(quiet)
    action.undo(quiet)
    assert action.look().state == "before"
    assert not (room.folder / "far").exists()
    action.undo(quiet)


def test_another_index_is_asked_beside_the_persons_own(room: Room, tmp_path: Path) -> None:
    with_wheels(room)
    room.wheel("torchy", "2.0")
    with Index(tmp_path / "pytorch") as pytorch:
        make_wheel(pytorch.folder, "torchy", "2.0+cpu")
        action = prepare(room, "new", "hub", "torchy==2.0+cpu", extra_index=pytorch.url)
        assert action.describe()[1:3] == [
            Difference("hub", "not installed there", "1.0"),
            Difference("torchy", "not installed there", "2.0+cpu"),
        ]
        action.apply(quiet)
    code = "import hub, torchy; print(torchy.__version__)"
    said = subprocess.run([action.interpreter, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "2.0+cpu"


def test_a_folder_that_is_there_is_left_alone(room: Room) -> None:
    with_wheels(room)
    (room.folder / "there").mkdir()
    with pytest.raises(Refused, match="is there already"):
        prepare(room, "there")
    action = prepare(room, "later")
    (room.folder / "later").mkdir()
    (room.folder / "later" / "mine").touch()
    assert action.look().state == "other"
    with pytest.raises(Refused):
        action.apply(quiet)
    with pytest.raises(Refused):
        action.undo(quiet)
    assert (room.folder / "later" / "mine").exists()


def test_what_somebody_put_into_it_is_kept(room: Room) -> None:
    with_wheels(room)
    action = prepare(room, "new", "hub")
    action.apply(quiet)
    (room.folder / "new" / "work.txt").write_text("mine")
    seen = action.look()
    assert seen.state == "other"
    assert seen.shows == [Difference(str(room.folder / "new" / "work.txt"), "not there", "added since")]
    with pytest.raises(Refused):
        action.undo(quiet)
    action.undo(quiet, force=True)
    assert not (room.folder / "new").exists()
    assert [path.read_text() for path in room.folder.glob("new.hfdoctor-*/work.txt")] == ["mine"]
    action.undo(quiet, force=True)
    assert list(room.folder.glob("new.hfdoctor-*/work.txt"))
    action.forget()
    assert not list(room.folder.glob("new.*"))


def test_what_cannot_be_had_leaves_nothing(room: Room) -> None:
    with_wheels(room)
    with pytest.raises(Refused, match=r"^uv finds no packages that fit: .*no-such-thing"):
        prepare(room, "new", "no-such-thing")
    with pytest.raises(Refused, match=r"^uv cannot tell what to install: .*127\.0\.0\.1:9"):
        prepare(room, "new", "hub", extra_index="http://127.0.0.1:9/whl/cpu")
    action = prepare(room, "deep/new", "hub")
    (room.index.folder / "needed-1.0-py3-none-any.whl").unlink()
    action.__dict__["environ"]["UV_CACHE_DIR"] = str(room.folder / "another-cache")
    before = tree_state(room.folder, besides={"another-cache"})
    with pytest.raises(Refused, match="needed"):
        action.apply(quiet)
    action.undo(quiet)
    assert tree_state(room.folder, besides={"another-cache"}) == before


def test_a_damaged_cache_of_uv_does_no_harm(room: Room) -> None:
    with_wheels(room)
    room.install("hub")
    os.truncate(room.library / "hub" / "__init__.py", 2)  # uv links files from its cache: that one is cut, too
    action = prepare(room, "new", "hub")
    action.apply(quiet)
    code = "import hub; print(hub.__version__)"
    said = subprocess.run([action.interpreter, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "1.0"
    assert not (room.folder / "new" / ".cache").exists()


def test_a_wheel_that_is_wrong_itself_makes_no_environment(room: Room) -> None:
    room.wheel("broken", "1.0", {"broken/__init__.py": "x = 1\n"}, wrong="broken/__init__.py")
    room.create()
    action = prepare(room, "new", "broken")
    with pytest.raises(Refused, match="broken"):
        action.apply(quiet)
    action.undo(quiet)
    assert not (room.folder / "new").exists()


def test_only_an_uv_that_writes_into_the_folder_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\nread nothing\n")
    program.chmod(0o755)
    ours, beside = str(tmp_path / ".venv"), str(tmp_path / ".venv2")
    words = [["pip", "install", "--python", f"{one}/bin/python"] for one in (ours, beside)]
    words += [["venv", "--", ours], ["run", "--python", f"{ours}/bin/python"]]
    started = [subprocess.Popen([program, *each], stdin=subprocess.PIPE) for each in words]
    try:
        while any(psutil.Process(one.pid).name() != "uv" for one in started):
            time.sleep(0.01)  # it is this process's copy until it has become the program
        end_orphans(ours)
        assert [one.poll() is None for one in started] == [False, True, False, True]
    finally:
        for one in started:
            one.kill()
            one.communicate()


@pytest.mark.slow
def test_killed_at_every_moment(room: Room) -> None:
    with_wheels(room)
    action = prepare(room, "deep/new", "hub")
    (room.folder / "action.json").write_bytes(msgspec.json.encode(action))
    before = tree_state(room.folder, besides={"state", "home"})
    code = "import msgspec, psutil, uv\nfrom pathlib import Path\nfrom hfdoctor.remedies.action import quiet\n"
    code += "from hfdoctor.remedies.kinds.registered import Kind\nimport hfdoctor.remedies.packages.index\n"
    code += f"action = msgspec.json.decode(Path({str(room.folder / 'action.json')!r}).read_bytes(), type=Kind)\narm()\n"
    for call in ("action.apply(quiet)", "action.undo(quiet)"):

        def fresh(call: str = call) -> str:
            (action.undo if call.startswith("action.apply") else action.apply)(quiet)
            return code + call

        for moment in every_moment(fresh, environ=room.environ, at_most=MOMENTS and MOMENTS // 2):
            if call.startswith("action.undo") or moment % 2:
                action.apply(quiet)
                assert action.look().state == "after"
            if call.startswith("action.apply"):
                action.undo(quiet)
                assert tree_state(room.folder, besides={"state", "home"}) == before, moment.what
        if call.startswith("action.undo"):
            action.undo(quiet)
            assert action.look().state == "before"
    assert not list(Path(room.folder).glob("deep*"))
