"""A whole fix (packages, a cache that moves to another volume, a variable) killed again and again.

After each kill either ``undo`` or the same fix again, as the commands do it: nothing is lost, and nothing left about.
tests/thorough.py says how often; what is there at the end of a round is what the next one begins with.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.remedies.action import NothingToDo
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.undoing import last_fix, undo
from tests.thorough import KILLS

from .killed import killed_after
from .package_room import Room, room
from .tree_states import make_tree, tree_state
from .volumes_made import second_volume

__all__ = ["room"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL, and a second volume"),
]

#: what ``hfdoctor fix`` does: it brings back what was cut short, plans on what is there, and does it
CODE = """
import hfdoctor.remedies.packages.gather, psutil, uv
from pathlib import Path
from hfdoctor.conditions.changes import PackageChange, TreeMove, VariableChange
from hfdoctor.remedies.engine import begin, carry_out, recover_all
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.kinds.registered import prepare
from tests.remedies.made import workplace
place = workplace(Path({home!r}), environ={environ!r}, token={token!r})
journal = Journal(place.state)
with journal.locked():
    assert [why for _, why in recover_all(journal) if why] == []
planned = [
    prepare(PackageChange({python!r}, ("hub==2.0",)), place),
    prepare(TreeMove({source!r}, {destination!r}), place),
    prepare(VariableChange("HF_HOME", {destination!r}), place),
]
arm()
with journal.locked():
    ended = carry_out(journal, begin(journal, "disk-full", "", planned, token={token!r}))
assert ended.done, ended.reason
"""


class WholeFix:
    """An environment with an old package and a cache, in a home of its own."""

    def __init__(self, room: Room, other: Path) -> None:
        self.room, self.other = room, other
        self.home = room.folder / "home"
        self.cache = self.home / "hub-cache"
        self.rounds = 0

    def make(self) -> None:
        self.room.wheel("hub", "1.0", {"hub/__init__.py": "v = 1\n", **_modules("old", 300)})
        self.room.wheel("hub", "2.0", {"hub/__init__.py": "v = 2\n", **_modules("new", 300)})
        self.room.create("hub==1.0")
        self.home.mkdir()
        make_tree(self.cache, large=3_000_000)
        (self.home / ".bashrc").write_text("# mine\n")

    def looks(self) -> object:
        names = sorted(path.name for path in self.home.iterdir() if path.name != "state")
        cache = tree_state(self.cache) if self.cache.exists() else {}
        return names, cache, (self.home / ".bashrc").read_text(), tree_state(self.other), self.room.state()

    def is_there(self, moved: object) -> bool:
        """Whether all three are done: nothing but the quarantine of the old packages is left besides."""
        hub = sorted(path.name for path in (self.room.library / "hub").iterdir())
        return (
            hub == ["__init__.py", *sorted(f"new{n}.py" for n in range(300))]
            and (self.room.library / "hub" / "__init__.py").read_text() == "v = 2\n"
            and not self.cache.exists()
            and tree_state(self.destination) == moved
            and f"HF_HOME='{self.destination}'" in (self.home / ".bashrc").read_text()
        )

    @property
    def destination(self) -> Path:
        return self.other / "new" / "hub-cache"

    def code(self) -> str:
        self.rounds += 1
        return CODE.format(
            home=str(self.home),
            environ={**self.room.environ, "HOME": str(self.home), "SHELL": "/bin/bash"},
            token=f"{self.rounds:08x}",
            python=str(self.room.python),
            source=str(self.cache),
            destination=str(self.destination),
        )

    @property
    def journal(self) -> Journal:
        return Journal(self.home / "state").read()

    def undone(self) -> None:
        with self.journal.locked() as journal:
            try:
                undo(journal, [last_fix(journal)])
            except NothingToDo:
                assert not journal.open_runs()

    def leftovers(self) -> list[str]:
        state = self.home / "state"
        left = [str(path.relative_to(state)) for path in state.rglob("*")]
        return [path for path in left if path not in ("journal.jsonl", "lock")]


def _modules(name: str, count: int) -> dict[str, str]:
    return {f"hub/{name}{n}.py": f"number = {n}\n" for n in range(count)}


def test_killed_again_and_again(room: Room, tmp_path: Path) -> None:
    with second_volume(tmp_path) as other:
        fix = WholeFix(room, other)
        fix.make()
        before = fix.looks()
        moved = tree_state(fix.cache)
        began = time.monotonic()
        assert killed_after(fix.code(), 120.0)
        whole = time.monotonic() - began
        assert fix.is_there(moved)
        fix.undone()
        assert fix.looks() == before
        chance = random.Random(20261122)
        killed = 0
        for turn in range(KILLS):
            within = min(whole, 2.0)
            killed += not killed_after(fix.code(), at_most_s=within, chance=chance, family=turn % 3 > 0)
            if turn % 2:
                if not _done(fix):
                    assert killed_after(fix.code(), 120.0)
                assert fix.is_there(moved), turn
            fix.undone()
            assert fix.looks() == before, turn
            assert not fix.leftovers(), turn
            assert not fix.journal.open_runs(), turn
        assert killed >= KILLS // 6


def _done(fix: WholeFix) -> bool:
    return any(run.how == "done" for run in fix.journal.runs.values())
