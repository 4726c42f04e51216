"""A person with a shell: a home with a start-up file, and the environment that a new terminal of theirs has."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.changes import VariableChange
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.engine import begin as begin_run
from hfdoctor.remedies.engine import carry_out, take_back
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.kinds.variable import VariableAction, prepare_variable
from hfdoctor.remedies.plan import Appetite, Choice, Person, plan_finding

from .made import workplace

BASHRC = b"# ~/.bashrc\n[ -z \"$PS1\" ] && return\nalias again='exec bash'\nexport HF_HOME='\"/data/hf\"'\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def shell(name: str) -> str:
    """The path of a shell; the test is skipped where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def fresh(home: Path, program: str, **environ: str) -> dict[str, str]:
    """The variables that a program started from a new interactive shell has; ``environ`` is what it inherits."""
    option = "-lic" if program == "dash" else "-ic"
    ended = subprocess.run(
        [shell(program), option, "env -0"],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PS1": "$ ", "TERM": "dumb", **environ},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        cwd=home,
        timeout=60,
    )
    return dict(entry.split("=", 1) for entry in os.fsdecode(ended.stdout).split("\0") if "=" in entry)


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """All that is in a folder: kind and mode, and what it holds (its time is not: a file that is put back is new)."""
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        holds = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            holds = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = (info.st_mode, holds)
    return found


def prepared(home: Path, name: str, value: str | None, program: str = "bash", **environ: str) -> VariableAction:
    """The change of one variable, worked out for a person with this shell and these variables."""
    place = workplace(home, environ={"SHELL": shell(program), **environ})
    action = prepare_variable(VariableChange(name, value), place)
    assert isinstance(action, VariableAction)
    return action


Look = Callable[[dict[str, str]], Snapshot]


class PersonAtShell(msgspec.Struct):
    """``home`` is theirs alone; the journal is kept in ``state``, beside it. ``look`` observes with an environment."""

    home: Path
    state: Path
    look: Look

    def writes(self, *lines: str) -> None:
        """What they have in ~/.bashrc."""
        (self.home / ".bashrc").write_text("".join(f"{line}\n" for line in ("# mine", *lines)))

    def terminal(self) -> dict[str, str]:
        """The variables in a new terminal: what a program has that a real interactive bash starts."""
        return fresh(self.home, "bash", SHELL=shell("bash"))

    def findings(self, condition: str, environ: dict[str, str]) -> tuple[list[Finding], Snapshot]:
        """What is wrong about ``condition`` for a program with ``environ``; never a crash."""
        snapshot = self.look(environ)
        told = [finding for finding in diagnose(snapshot).findings if finding.condition == condition]
        assert told
        assert not [finding for finding in told if finding.outcome in ("crash", "unknown")], told
        return [finding for finding in told if finding.outcome == "fail"], snapshot

    def choices(self, finding: Finding, snapshot: Snapshot, environ: dict[str, str]) -> list[Choice]:
        """What ``hfdoctor fix --yes`` works out."""
        person = Person(environ, self.home, self.home)
        return plan_finding(finding, snapshot, person, Appetite(first=True)).choices

    def is_cured(self, condition: str, says: str, *, way: int = 1) -> dict[str, str]:
        """The whole of a fix by the first way that can be gone, which is number ``way``; then it is undone.

        Gone afterwards, by the same detector, in a really new terminal; nothing to do a second time, in the old
        terminal and in a new one; undone, every file is as before. Gives the variables of the new terminal.
        """
        before, old = tree(self.home), self.terminal()
        wrong, snapshot = self.findings(condition, old)
        finding = next(one for one in wrong if says in one.summary)
        choices = self.choices(finding, snapshot, old)
        taken = next(choice for choice in choices if choice.actions)
        assert choices.index(taken) + 1 == way, choices
        journal = Journal(self.state)
        with journal.locked():
            run = begin_run(journal, condition, taken.text, taken.actions, token=taken.token)
            ended = carry_out(journal, run)
            assert ended.done, ended.reason
            told = old
            for action in taken.actions:
                told = action.environ_after(told)
                assert action.still_to_do()
            new = self.terminal()
            changed = {name for name in (*old, *new) if old.get(name) != new.get(name)}
            assert {name: new.get(name) for name in changed} == {name: told.get(name) for name in changed}
            assert changed
            assert not [one for one in self.findings(condition, new)[0] if one.summary == finding.summary]
            after = tree(self.home)
            again, snapshot = self.findings(condition, old)
            for one in again:  # a second time in the terminal of the first
                if one.summary == finding.summary:
                    assert not any(choice.actions for choice in self.choices(one, snapshot, old))
            assert tree(self.home) == after
            take_back(journal, run)
        assert tree(self.home) == before
        assert self.terminal() == old
        return new
