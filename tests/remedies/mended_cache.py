"""What tests of the hub's fixes share: observe a cache, take one way of a finding and undo it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hfdoctor.conditions.engine import examine
from hfdoctor.conditions.model import Condition, Finding, Goal
from hfdoctor.facts.fact import known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import hub as hub_probe
from hfdoctor.facts.probes import storage as storage_probe
from hfdoctor.facts.sections.machine import OsInfo
from hfdoctor.facts.sections.target import Chosen
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.engine import begin, carry_out
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.plan import Appetite, Choice, Person, plan_finding
from hfdoctor.remedies.undoing import last_fix, undo
from tests import recorded


class Machine(msgspec.Struct):
    """A person's home with a hub cache in it; ``library`` is a folder with another huggingface_hub."""

    home: Path
    library: Path | None = None
    variables: Mapping[str, str] = {}

    @property
    def cache(self) -> Path:
        return self.home / "huggingface" / "hub"

    @property
    def environ(self) -> dict[str, str]:
        environ = {"HOME": str(self.home), "USERPROFILE": str(self.home), "PATH": os.environ["PATH"]}
        environ |= {"HF_HOME": str(self.home / "huggingface"), "NO_PROXY": "127.0.0.1", "SHELL": "/bin/bash"}
        environ |= {"HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        if self.library:
            environ["PYTHONPATH"] = str(self.library)
        return {**environ, **self.variables}

    @property
    def journal(self) -> Journal:
        return Journal(self.home / "state" / "hfdoctor")

    def observe(self, *, storage: bool = False, environ: Mapping[str, str] | None = None) -> Snapshot:
        """What the doctor sees of the cache; with ``storage`` of the disks, too, and all else is a healthy machine."""
        snapshot = recorded.build("linux") if storage else Snapshot()
        folders = [str(self.library)] if self.library else [folder for folder in sys.path if folder]
        snapshot.target.sys_path = known(folders)
        snapshot.target.chosen = known(Chosen(sys.executable, "the tests' own"))
        snapshot.machine.os = known(OsInfo("windows" if os.name == "nt" else "linux"))
        context = Context(Request(cwd=self.home, environ=environ or self.environ), snapshot, float("inf"))
        hub_probe.probe(context)
        if storage:
            storage_probe.probe(context)
        return snapshot

    def findings(self, condition: Condition, snapshot: Snapshot | None = None) -> list[Finding]:
        """The fails of ``condition`` now."""
        found = examine(condition, snapshot or self.observe(), Goal())
        assert all(finding.outcome in ("fail", "pass", "skip") for finding in found), found
        return [finding for finding in found if finding.outcome == "fail"]

    def choices(self, finding: Finding, snapshot: Snapshot, number: int | None = None) -> list[Choice]:
        """The ways of ``finding``, worked out."""
        person = Person(self.environ, self.home, self.home)
        return plan_finding(finding, snapshot, person, Appetite(number=number)).choices

    def mend(self, condition: Condition, number: int, snapshot: Snapshot | None = None) -> Choice:
        """Take way ``number`` (from 1; -1 the last automatic one) of the first finding of ``condition``."""
        snapshot = snapshot or self.observe()
        finding = self.findings(condition, snapshot)[0]
        ways = [way for way in self.choices(finding, snapshot) if way.automatic]
        choice = ways[number - 1 if number > 0 else number]
        assert not choice.refused, choice.refused
        with self.journal.locked() as journal:
            run = begin(journal, condition.id, choice.text, choice.actions, token=choice.token)
            ended = carry_out(journal, run)
        assert ended.done, ended.reason
        return choice

    def undo(self, *, force: bool = False) -> None:
        """Take the last fix back."""
        with self.journal.locked() as journal:
            undo(journal, [last_fix(journal)], force=force)
