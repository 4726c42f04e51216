"""A person with a shell: a home with a start-up file, and the environment that a new terminal of theirs has."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.engine import begin as begin_run
from hfdoctor.remedies.engine import carry_out, take_back
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.plan import Appetite, Choice, Person, plan_finding

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
        bash = shutil.which("bash")
        if bash is None:
            pytest.skip("bash is not installed")
        ended = subprocess.run(
            [bash, "-ic", "env -0"],
            env={"HOME": str(self.home), "PATH": os.environ["PATH"], "SHELL": bash, "TERM": "dumb"},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            cwd=self.home,
            timeout=60,
        )
        return dict(entry.split("=", 1) for entry in os.fsdecode(ended.stdout).split("\0") if "=" in entry)

    def looks(self) -> dict[str, tuple[int, bytes]]:
        """Every file of the home: its mode and what it holds."""
        files = [path for path in sorted(self.home.rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.home)): (path.stat().st_mode, path.read_bytes()) for path in files}

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
        before, old = self.looks(), self.terminal()
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
            after = self.looks()
            again, snapshot = self.findings(condition, old)
            for one in again:  # a second time in the terminal of the first
                if one.summary == finding.summary:
                    assert not any(choice.actions for choice in self.choices(one, snapshot, old))
            assert self.looks() == after
            take_back(journal, run)
        assert self.looks() == before
        assert self.terminal() == old
        return new
