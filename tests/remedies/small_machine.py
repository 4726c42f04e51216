"""A home with real things to fix in it, for tests of the engine and the journal: a git setting, a variable, a cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from hfdoctor.conditions.changes import Change, GitChange, PutAway, VariableChange
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.action import Workplace
from hfdoctor.remedies.engine import begin, carry_out
from hfdoctor.remedies.journal import Journal, Run
from hfdoctor.remedies.kinds.registered import Kind, prepare

from .tree_states import tree_state

CONDITION = "windows-long-path"


class SmallMachine(msgspec.Struct):
    """``home`` and everything in it belong to the test; the state folder is below it."""

    home: Path
    token: str = "1a2b3c4d"

    @property
    def state(self) -> Path:
        return self.home / ".state"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    def make(self) -> None:
        """Make it, or make it anew."""
        shutil.rmtree(self.home, ignore_errors=True)
        (self.cache / "blobs").mkdir(parents=True)
        (self.cache / "blobs" / "a").write_bytes(b"a" * 5000)
        (self.cache / "link").symlink_to("blobs/a")
        (self.home / ".gitconfig").write_text("[core]\n\tlongpaths = false\n[user]\n\tname = Ana\n")
        (self.home / ".bashrc").write_text("# mine\nexport EDITOR=vi\n")

    @property
    def place(self) -> Workplace:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.home), "SHELL": "/bin/bash"}
        folder = self.state / "runs" / self.token
        return Workplace(self.state, folder, self.token, environ, self.home, self.home, Snapshot())

    @property
    def changes(self) -> list[Change]:
        return [
            GitChange("core.longpaths", "true"),
            PutAway(str(self.cache)),
            VariableChange("HF_HUB_DISABLE_XET", "1"),
        ]

    def actions(self) -> list[Kind]:
        return [prepare(change, self.place) for change in self.changes]

    def begin(self, journal: Journal) -> Run:
        """One fix of the three changes."""
        return begin(journal, CONDITION, "all three", self.actions(), token=self.token)

    def fixed(self) -> None:
        """The whole fix, as ``hfdoctor fix`` makes it."""
        journal = Journal(self.state)
        with journal.locked():
            ended = carry_out(journal, self.begin(journal))
        assert ended.done, ended.reason

    def looks(self) -> dict[str, tuple[Any, ...]]:
        """All that is in the home, whenever it was written (git writes anew); but not hfdoctor's own folder."""
        return tree_state(self.home, besides={self.state.name}, times=False)

    def journal(self) -> Journal:
        return Journal(self.state).read()
