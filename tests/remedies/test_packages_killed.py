"""A package change killed at every moment: it can be taken back to the very same files, and done again."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from hfdoctor.remedies.action import quiet
from hfdoctor.remedies.kinds.packages import PackagesAction
from tests.thorough import KILLS, MOMENTS

from .killed import ROOT, every_moment, killed_after
from .package_room import Room, room

__all__ = ["room"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="tests/windows has its own"),
]

CODE = """
import msgspec
from pathlib import Path
from hfdoctor.remedies.action import quiet
from hfdoctor.remedies.kinds.registered import Kind
import hfdoctor.remedies.packages.gather, hfdoctor.remedies.packages.index, psutil, uv
action = msgspec.json.decode(Path({path!r}).read_bytes(), type=Kind)
arm()
action.{call}
"""


def code_for(room: Room, action: PackagesAction, call: str) -> str:
    path = room.folder / "action.json"
    path.write_bytes(msgspec.json.encode(action))
    return CODE.format(path=str(path), call=call)


def damaged(room: Room) -> PackagesAction:
    """A small change of all sorts: a file that leaves, one that comes, one in both, a stray one, a compiled one."""
    room.wheel("hub", "1.0", {"hub/__init__.py": "v = 1\n", "hub/gone/a.py": "a = 1\n"})
    room.wheel("hub", "2.0", {"hub/__init__.py": "v = 2\n", "hub/new/b.py": "b = 1\n"})
    room.create("hub==1.0")
    room.says("import hub")
    (room.library / "hub" / "new").mkdir()
    (room.library / "hub" / "new" / "b.py").write_text("left of an interrupted installation\n")
    for left_out in ("REQUESTED", "WHEEL"):  # each file more is a handful of moments more
        (room.library / "hub-1.0.dist-info" / left_out).unlink()
    return room.prepare("hub==2.0")


def test_killed_at_every_moment_of_doing_it(room: Room) -> None:
    action = damaged(room)
    before = room.state()
    seen = set()

    def fresh() -> str:
        action.undo(quiet)
        return code_for(room, action, "apply(quiet)")

    for moment in every_moment(fresh, environ=room.environ, at_most=MOMENTS and 2 * MOMENTS):
        seen.add(action.look().state)
        if moment % 2:  # the same fix again
            action.apply(quiet)
            assert action.look().state == "after", moment.what
        action.undo(quiet)
        assert room.state() == before, moment.what
    assert seen >= {"before", "between"}
    action.apply(quiet)
    assert action.look().state == "after"
    action.undo(quiet)
    assert room.state() == before


def test_killed_while_taking_it_back(room: Room) -> None:
    action = damaged(room)
    before = room.state()

    def again() -> str:
        action.apply(quiet)
        room.says("import hub.new.b")
        return code_for(room, action, "undo(quiet)")

    seen = set()
    for moment in every_moment(again, environ=room.environ, at_most=MOMENTS):
        seen.add(action.look().state)
        action.undo(quiet)
        assert room.state() == before, moment.what
    assert seen == {"before", "between", "after"}
    assert room.state() == before


def test_killed_at_a_hundred_random_moments(room: Room) -> None:
    """A reinstallation of some size; whoever kills it kills uv with it."""
    many = {f"big/part{n // 20}/m{n}.py": f"x = {n}\n" * 50 for n in range(100)}
    room.wheel("big", "1.0", {"big/__init__.py": "", **many})
    room.create("big")
    room.says("import big.part0.m1, big.part3.m61")
    (room.library / "big" / "part1" / "m21.py").unlink()
    action = room.prepare("big==1.0", reinstall=True, no_deps=True)
    before = room.state()
    started = time.monotonic()
    assert killed_after(code_for(room, action, "apply(quiet)"), 60, environ=room.environ)
    takes = time.monotonic() - started
    action.undo(quiet)
    assert room.state() == before
    chance = random.Random(5)
    ended = 0
    for number in range(KILLS):
        if number % 4 == 3:
            action.apply(quiet)
            killed_after(
                code_for(room, action, "undo(quiet)"), at_most_s=takes / 3, environ=room.environ, chance=chance
            )
        else:
            code = code_for(room, action, "apply(quiet)")
            ended += killed_after(code, at_most_s=takes, environ=room.environ, chance=chance)
            if number % 4 == 1:
                action.apply(quiet)
                assert action.look().state == "after"
        assert action.look().state != "other"
        action.undo(quiet)
        assert room.state() == before, number
    assert ended <= 0.9 * KILLS
    assert not list(Path(room.env).glob(".hfdoctor*"))


def test_an_uv_that_outlives_hfdoctor_is_ended_before_its_folder_goes(room: Room) -> None:
    room.wheel("hub", "1.0")
    room.create()
    action = room.prepare("hub")
    before = room.state()
    room.environ["UV_CACHE_DIR"] = str(room.folder / "empty-cache")
    room.index.asked.clear()
    room.index.open.clear()
    code = "arm = lambda: None" + code_for(room, action, "apply(quiet)")
    child = subprocess.Popen([sys.executable, "-B", "-c", code], env={**os.environ, **room.environ}, cwd=ROOT)
    while not any(path.startswith("/files/") for path in room.index.asked):
        assert child.poll() is None
        time.sleep(0.02)
    child.kill()
    child.wait()
    action.undo(quiet)
    assert room.state() == before
    room.index.open.set()
    time.sleep(0.5)  # it would have come to its end
    assert room.state() == before
