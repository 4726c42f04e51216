"""A real environment with tiny packages under the libraries' own names, in which real damage is found and healed."""

from __future__ import annotations

import http.server
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding, Report
from hfdoctor.facts.collect import collect
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.action import quiet
from hfdoctor.remedies.engine import take_back
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.mending import Mending, Wanted
from hfdoctor.remedies.mending import Patient as Eyes
from hfdoctor.remedies.outcome import Fixed
from hfdoctor.remedies.place import state_folder
from hfdoctor.remedies.plan import Appetite, Person, plan_finding

from .index import Index
from .package_room import Room
from .tree_states import tree_state
from .wheels import make_wheel

#: as much of torch as --deep tries
TORCH = """from .version import __version__
class Tensor:
    def sum(self): return self
    def item(self): return 2.0
    def numpy(self): return [1.0, 1.0]
def ones(count): return Tensor()
"""
GATE = 'message = "PyTorch >= {} is required but found {{}}"\n'


class TwoIndexes(Index):
    """What PyPI and PyTorch's own index are to a person: ``/simple``, and ``/whl/VARIANT`` for tagged builds."""

    def _page(self, request: http.server.BaseHTTPRequestHandler) -> tuple[int, str, bytes]:
        parts = request.path.strip("/").split("/")
        if parts[0] != "whl" or len(parts) != 3:
            return super()._page(request)
        links = [
            f'<a href="/files/{file.name}">{file.name}</a>'
            for file in sorted(self.folder.iterdir())
            if file.name.startswith(f"{parts[2]}-") and f"+{parts[1]}-" in file.name
        ]
        page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
        return (200, "text/html", page.encode()) if links else (404, "text/plain", b"not here")


class Patient(Room):
    """``env`` is the environment; ``besides`` changes what was observed of the machine around it (a GPU)."""

    besides: Callable[[Snapshot], None] | None = None
    target: str = ""
    deep = False

    def make(self, name: str, version: str, *requires: str, files: Mapping[str, str | bytes] | None = None) -> str:
        """A wheel on the index; returns ``name==version``."""
        make_wheel(self.index.folder, name, version, files, requires=requires)
        return f"{name}=={version}"

    def torch(self, version: str, *requires: str, cuda: str = "", more: Mapping[str, str | bytes] | None = None) -> str:
        own = f"__version__ = {version!r}\ncuda = {cuda or None!r}\nhip = None\n"
        files = {"torch/__init__.py": TORCH, "torch/version.py": own, **(more or {})}
        return self.make("torch", version, *requires, files=files)

    def transformers(self, version: str, *requires: str, gate: str = "2.6", body: str = "") -> str:
        """With the files by which the real one says what it checks at its import."""
        names = [text.partition(">")[0].partition("=")[0].partition("<")[0].partition("!")[0] for text in requires]
        table = "".join(f'    "{name}": "{text}",\n' for name, text in zip(names, requires, strict=True))
        checked = ", ".join(f'"{name}"' for name in names)
        files = {
            "transformers/__init__.py": f'{body}\n__version__ = "{version}"\nAutoModel = AutoTokenizer = None\n',
            "transformers/dependency_versions_table.py": f"deps = {{\n{table}}}\n",
            "transformers/dependency_versions_check.py": f"pkgs_to_check_at_runtime = [{checked}]\n",
            "transformers/utils/__init__.py": "",
            "transformers/utils/import_utils.py": GATE.format(gate),
        }
        return self.make("transformers", version, *requires, files=files)

    def look(self, environ: Mapping[str, str] | None = None, target: str = "") -> tuple[Snapshot, Report]:
        python = target or self.target or str(self.env)
        work = self.folder / "project"
        work.mkdir(exist_ok=True)
        snapshot = collect(python, deep=self.deep, environ=environ or self.environ, cwd=work, timeout_s=120)
        if self.besides is not None:
            self.besides(snapshot)
        return snapshot, diagnose(snapshot)

    def failed(self) -> list[Finding]:
        report = self.look()[1]
        assert not [finding.evidence for finding in report.findings if finding.outcome == "crash"]
        return report.failed()

    @property
    def person(self) -> Person:
        return Person(self.environ, self.folder, self.folder / "project")

    def heal(self, *conditions: str, ways: Sequence[int] = ()) -> dict[str, list[Fixed]]:
        """Fix all findings of these conditions as ``--yes`` does; ``ways`` (from 1) are the ones to take instead."""
        snapshot, report = self.look()
        chosen: list[Wanted] = []
        for number, finding in enumerate(one for one in report.failed() if one.condition in conditions):
            appetite = Appetite(number=ways[number]) if ways else Appetite(first=True)
            fix = plan_finding(finding, snapshot, self.person, appetite)
            choice = next((one for one in fix.choices if one.actions), None)
            assert choice is not None, (finding.condition, [(one.text, one.refused) for one in fix.choices])
            chosen.append(Wanted(fix, choice))
        assert {one.fix.finding.condition for one in chosen} == set(conditions)
        with Journal(state_folder()).locked() as journal:
            eyes = Eyes(lambda environ, target: self.look(environ, target), self.target or str(self.env))
            Mending(journal, self.person, eyes, quiet, lambda fix, choice: True).mend(chosen, report)
        lines: dict[str, list[Fixed]] = {}
        for one in chosen:
            lines.setdefault(one.line.condition, []).append(one.line)
        return lines

    def undo_all(self) -> None:
        """Take everything back, the last fix first, as ``hfdoctor undo`` does."""
        with Journal(state_folder()).locked() as journal:
            for number in sorted(journal.runs, reverse=True):
                if journal.runs[number].how == "done":
                    take_back(journal, journal.runs[number], quiet)

    def files(self) -> object:
        return tree_state(self.env)


def heals(patient: Patient, *conditions: str, ways: Sequence[int] = ()) -> dict[str, str]:
    """The promise of every fix: gone afterwards; nothing to do a second time; undone, all is as it was.

    Returns the versions that were there after the fix.
    """
    before = patient.files()
    lines = patient.heal(*conditions, ways=ways)
    told = {(line.condition, line.outcome, line.reason) for each in lines.values() for line in each}
    assert {outcome for _, outcome, _ in told} <= {"fixed", "cured"}, told
    snapshot, report = patient.look()
    left = {finding.condition: finding.summary for finding in report.failed()}
    assert not set(left) & set(conditions), left
    patient.undo_all()
    assert patient.files() == before
    return {entry.name: entry.version for entry in snapshot.packages.distributions.need()}


@pytest.fixture
def patient(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Patient]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with TwoIndexes(tmp_path / "wheels") as index:
        made = Patient(tmp_path, index, tmp_path_factory.getbasetemp() / "uv-cache")
        made.environ["XDG_STATE_HOME"] = os.environ["XDG_STATE_HOME"]
        monkeypatch.setattr("hfdoctor.conditions.reinstall.TORCH_INDEX", index.url.replace("simple", "whl/"))
        yield made
