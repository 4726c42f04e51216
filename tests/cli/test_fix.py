"""``hfdoctor fix`` and ``hfdoctor undo`` as programs: what they show, ask, do, take back, and their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.remedies.engine import begin
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.kinds.quarantine import prepare_quarantine
from hfdoctor.remedies.records import Record
from tests.remedies.made import workplace

pytestmark = pytest.mark.allow_subprocess

ROOT = Path(__file__).parent.parent.parent
LINUX = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals on Windows")


class Patient:
    """An environment with what pip left of an interrupted removal, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.prefix = folder / "venv"
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(self.prefix)], check=True)
        site = next(self.prefix.glob("lib/python3*/site-packages"))
        self.left = site / "~ransformers"
        self.left.mkdir()
        (self.left / "한글.py").write_bytes(b"x = 1\n")
        # transformers is there, so that the remains are no more than untidy
        described = site / "transformers-5.23.0.dist-info"
        described.mkdir()
        (site / "transformers").mkdir()
        (site / "transformers" / "__init__.py").write_text("")
        (described / "METADATA").write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 5.23.0\n")
        (described / "RECORD").write_text("transformers/__init__.py,,0\ntransformers-5.23.0.dist-info/METADATA,,\n")
        (described / "INSTALLER").write_text("uv\n")
        self.state = self.home / ".local" / "state" / "hfdoctor"

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.home), "PYTHONPATH": str(ROOT)}

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hfdoctor", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
            env={**self.environ, **environ},
            cwd=self.folder,
            timeout=120,
        )

    def fix(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.run("fix", *words, "--python", str(self.prefix), **environ)

    def document(self, *words: str) -> dict[str, Any]:
        done = self.run(*words, "--format", "json")
        told: dict[str, Any] = json.loads(done.stdout)
        assert told["exit_code"] == done.returncode
        return told


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(tmp_path)


def the_one(told: dict[str, Any]) -> dict[str, Any]:
    assert len(told["fixes"]) == 1
    one: dict[str, Any] = told["fixes"][0]
    return one


def test_fixed_verified_listed_undone(patient: Patient) -> None:
    where = ["--python", str(patient.prefix)]
    shown = patient.fix("--dry-run")
    assert shown.returncode == 1 and str(patient.left) in shown.stdout and "can be undone" in shown.stdout
    assert "Nothing was changed" in shown.stdout
    assert patient.left.is_dir() and not list(patient.home.iterdir()), "a dry run leaves nothing behind"

    assert "Only noted, and fixed if you name it: broken-install" in patient.fix("--yes").stdout
    assert patient.left.is_dir(), "a note changes nothing that nobody named"

    told = the_one(patient.document("fix", "broken-install", "--yes", *where))
    assert told["outcome"] == "fixed" and told["undo"] == 1 and told["chosen"] == 1
    assert told["choices"][0]["changes"][0]["what"].endswith(str(patient.left))
    assert not patient.left.exists()

    again = patient.fix("broken-install", "--yes")
    assert again.returncode == 0 and "Nothing to fix: broken-install is not found here" in again.stdout
    assert the_one(patient.document("undo", "--list"))["outcome"] == "done"

    preview = patient.run("undo", "--dry-run")
    assert preview.returncode == 0 and str(patient.left) in preview.stdout and not patient.left.exists()
    taken_back = patient.run("undo", "--yes")
    assert taken_back.returncode == 0 and "Fix 1 (broken-install) is undone" in taken_back.stdout
    assert (patient.left / "한글.py").read_bytes() == b"x = 1\n"
    assert the_one(patient.document("undo", "--list"))["outcome"] == "undone"
    nothing = patient.run("undo", "--yes")
    assert nothing.returncode == 0 and "Nothing to undo" in nothing.stdout
    unknown = patient.run("undo", "7", "--yes")
    assert unknown.returncode == 2 and unknown.stderr.count("\n") == 1


def test_somebody_else_was_there_and_what_is_given_up(patient: Patient) -> None:
    assert patient.fix("broken-install", "--yes").returncode == 0
    patient.left.mkdir()
    refused = patient.run("undo", "--yes")
    assert refused.returncode == 3 and "--force" in refused.stderr and refused.stderr.count("\n") == 1
    assert not (patient.left / "한글.py").exists()
    forced = patient.run("undo", "--yes", "--force")
    assert forced.returncode == 0 and (patient.left / "한글.py").exists()

    assert patient.fix("broken-install", "--yes").returncode == 0
    given_up = patient.run("undo", "--forget", "2", "--yes")
    assert given_up.returncode == 0 and "cannot be undone any more" in given_up.stdout
    assert not list(patient.home.rglob("한글.py")) and not patient.left.exists()
    too_late = patient.run("undo", "2", "--yes")
    assert too_late.returncode == 3 and "given up" in too_late.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["fix", "broken-instal", "--yes"],
        ["fix", "--choice", "1", "--yes"],
        ["fix", "broken-install", "disk-full", "--choice", "1", "--yes"],
        ["fix", "--yes", "--dry-run"],
        ["fix"],
        ["fix", "--format", "json"],
        ["fix", "--python", "nowhere", "--yes"],
        ["undo"],
        ["undo", "1", "--to", "0"],
        ["undo", "--list", "--forget", "1"],
        ["undo", "--yes", "--dry-run"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hfdoctor", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and not done.stdout


def test_a_choice_that_there_is_not(patient: Patient) -> None:
    done = patient.fix("broken-install", "--yes", "--choice", "9")
    assert done.returncode == 2 and "ways here" in done.stderr and patient.left.is_dir()


def test_no_journal_no_change(patient: Patient) -> None:
    in_the_way = patient.folder / "a file"
    in_the_way.write_text("")
    done = patient.fix("broken-install", "--yes", XDG_STATE_HOME=str(in_the_way))
    assert done.returncode == 3 and done.stderr.count("\n") == 1 and patient.left.is_dir()

    with Journal(patient.state).locked():
        done = patient.fix("broken-install", "--yes")
    assert done.returncode == 3 and "another hfdoctor" in done.stderr and patient.left.is_dir()

    (patient.state / "journal.jsonl").write_bytes(b"0000 {}\n" * 3)
    for words in (["fix", "broken-install", "--yes"], ["undo", "--list"]):
        done = patient.run(*words)
        assert done.returncode == 3 and done.stderr.count("\n") == 1


def test_what_was_cut_short_is_brought_back_first(patient: Patient) -> None:
    from hfdoctor.conditions.changes import PutAway

    mine = patient.home / "mine"
    mine.write_bytes(b"all I have")
    place = workplace(patient.home)
    action = prepare_quarantine(PutAway(str(mine)), workplace_at(place, patient.state))
    journal = Journal(patient.state)
    with journal.locked():
        run = begin(journal, "cache-corrupt", "put it away", [action], token=place.token)
        journal.write(Record("start", run=run.number, action=0))
        action.apply(lambda what, done, total: None)
    assert not mine.exists()
    told = patient.fix("broken-install", "--dry-run")
    assert "cut short" in told.stderr and not mine.exists()
    done = patient.fix("broken-install", "--yes")
    assert done.returncode == 0 and "cut short" in done.stderr and mine.read_bytes() == b"all I have"


def workplace_at(place: Any, state: Path) -> Any:
    import msgspec

    return msgspec.structs.replace(place, state=state, folder=state / "runs" / place.token)


@LINUX
def test_asked_at_a_terminal(patient: Patient) -> None:
    from .terminal import at_a_terminal

    words = ["fix", "broken-install", "--python", str(patient.prefix)]

    def answer(*answers: tuple[str, str]) -> tuple[int, str]:
        return at_a_terminal(words, answers, environ=patient.environ, cwd=patient.folder)

    code, shown = answer(("[n]:", "n\r"))
    assert code == 1 and "left     broken-install" in shown and patient.left.is_dir()
    code, shown = answer(("[n]:", "what\r"), ("[n]:", "q\r"))
    assert code == 1 and "none of the answers" in shown and patient.left.is_dir()
    code, shown = answer(("[n]:", "\x03"))
    assert code == 130 and "interrupted" in shown and patient.left.is_dir()
    code, shown = answer(("[n]:", "d\r"), ("[n]:", "y\r"))
    assert code == 0 and "## How to fix it" in shown and "fixed    broken-install" in shown
    assert not patient.left.exists()
    code, shown = at_a_terminal(["undo"], [("[y/N]:", "y\r")], environ=patient.environ, cwd=patient.folder)
    assert code == 0 and "is undone" in shown and patient.left.is_dir()


@LINUX
def test_by_hand_is_looked_at_again(patient: Patient, few_files: None) -> None:
    from .terminal import at_a_terminal

    words = ["fix", "too-many-open-files", "--python", str(patient.prefix)]
    code, shown = at_a_terminal(
        words, [("[n]:", "1\r"), ("[y/N]:", "y\r")], environ=patient.environ, cwd=patient.folder
    )
    assert code == 1 and "by hand" in shown and "a second look still says" in " ".join(shown.split())


@pytest.fixture
def few_files() -> Iterator[None]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_no_to_windows_question_brings_the_other_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a person meets on Windows only: there is no such question on this system."""
    import msgspec

    from hfdoctor.cli import fixing
    from hfdoctor.cli.telling import Teller
    from hfdoctor.conditions.engine import diagnose
    from hfdoctor.remedies.action import Needs
    from hfdoctor.remedies.afresh import Look
    from hfdoctor.remedies.outcome import Fixed, fixed
    from hfdoctor.remedies.plan import Choice, Fix, Person
    from tests import recorded

    class AsksWindows(Choice):
        def needs(self) -> Needs:
            return Needs(administrator=True)

    report = diagnose(recorded.load("shared-memory-tiny"))
    finding = report.failed()[0]
    first, second = AsksWindows("the registry", True), Choice("a short environment", True)
    fix = Fix(finding, [first, second])
    session = fixing.Session(Look(), Teller("text", False))
    did: list[str] = []

    def ask(self: Any, findings: Any, snapshot: Any, person: Any, appetite: Any, lines: list[Fixed]) -> Any:
        assert findings == [finding] and appetite.administrator is False
        return [(fix, second)]

    def do(self: Any, pairs: Any, report: Any, person: Any, yes: bool) -> list[Fixed]:
        did.append(pairs[0][1].text)
        return [fixed(fix, "fixed", "", pairs[0][1])]

    monkeypatch.setattr(fixing.Session, "_ask", ask)
    monkeypatch.setattr(fixing.Session, "_do", do)
    refused = msgspec.structs.replace(fixed(fix, "refused", "you said no", first))
    person = Person({}, tmp_path, tmp_path)
    lines = session._offer_without([refused], [(fix, first)], report, recorded.build("linux"), person)
    assert did == ["a short environment"] and [line.outcome for line in lines] == ["fixed"]
