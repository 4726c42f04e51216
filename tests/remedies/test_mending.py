"""Several fixes in one go: in order, each verified by a second look, one that fails taken back alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.changes import PutAway, VariableChange
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding, Remedy, RemedyStep, Report
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.action import Refused, quiet
from hfdoctor.remedies.engine import begin
from hfdoctor.remedies.journal import Journal, Record
from hfdoctor.remedies.mending import Mending, Patient, Wanted
from hfdoctor.remedies.plan import Appetite, Choice, Fix, Person, plan_finding
from tests import recorded

pytestmark = pytest.mark.allow_subprocess

HEALTHY = diagnose(recorded.build("linux"))


def finding(condition: str, *steps: RemedyStep, summary: str = "it is there") -> Finding:
    base = next(one for one in HEALTHY.findings if one.condition == condition)
    remedy = Remedy("confirm", list(steps))
    return msgspec.structs.replace(base, outcome="fail", severity="warning", summary=summary, remedy=remedy)


def put_away(path: Path, text: str = "put it away") -> RemedyStep:
    return RemedyStep(text, [], False, False, change=PutAway(str(path)))


def report(*failed: Finding) -> Report:
    """The healthy machine's report with these findings in it."""
    ids = {one.condition for one in failed}
    return msgspec.structs.replace(
        HEALTHY, findings=[*failed, *(one for one in HEALTHY.findings if one.condition not in ids)]
    )


class Machine:
    """A folder whose files are what is wrong: a finding is there as long as its file is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.person = Person({"SHELL": "/bin/bash"}, folder, folder)
        self.files: dict[str, Path] = {}
        self.looks: list[Mapping[str, str]] = []
        self.blind = False

    def breaks(self, condition: str) -> Path:
        path = self.folder / condition
        path.write_text(condition)
        self.files[condition] = path
        return path

    def findings(self) -> list[Finding]:
        return [finding(condition, put_away(path)) for condition, path in self.files.items() if path.exists()]

    def look(self, environ: Mapping[str, str], target: str) -> tuple[Snapshot, Report]:
        self.looks.append(environ)
        if self.blind:
            raise Refused("nothing to be seen")
        return Snapshot(), report(*self.findings())

    def plan(self, one: Finding) -> Wanted:
        fix = plan_finding(one, Snapshot(), self.person, Appetite(first=True))
        return Wanted(fix, next(choice for choice in fix.choices if choice.actions))

    def mend(self, *asked: Wanted, yes: bool = True) -> None:
        def confirm(fix: Fix, choice: Choice) -> bool:
            return yes

        journal = Journal(self.folder / "state")
        with journal.locked():
            Mending(journal, self.person, Patient(self.look), quiet, confirm).mend(asked, report(*self.findings()))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    return Machine(tmp_path)


def test_each_has_its_number_and_one_look_is_enough(machine: Machine) -> None:
    paths = [machine.breaks("cache-corrupt"), machine.breaks("disk-full")]
    asked = [machine.plan(one) for one in machine.findings()]
    machine.mend(*asked)
    assert [one.line.outcome for one in asked] == ["fixed", "fixed"]
    assert [one.line.undo for one in asked] == [1, 2]
    assert len(machine.looks) == 1 and not any(path.exists() for path in paths)


def test_one_that_fails_is_taken_back_alone(machine: Machine) -> None:
    first, second = machine.breaks("cache-corrupt"), machine.breaks("disk-full")
    asked = [machine.plan(one) for one in machine.findings()]
    first.unlink()
    first.write_text("somebody else's by now")
    machine.mend(*asked)
    assert asked[0].line.outcome == "failed" and asked[0].line.reason and asked[0].line.undo is None
    assert first.read_text() == "somebody else's by now"
    assert asked[1].line.outcome == "fixed" and not second.exists()


def test_one_that_may_not_begin_leaves_the_others_told(machine: Machine) -> None:
    """Nothing is built on a fix that was cut short and could not be brought back."""
    paths = [machine.breaks("cache-corrupt"), machine.breaks("disk-full")]
    journal = Journal(machine.folder / "state")
    stuck = machine.plan(machine.findings()[1])
    with journal.locked():
        run = begin(journal, "disk-full", "", stuck.choice.actions, token=stuck.choice.token)
        journal.write(Record("start", run=run.number, action=0))
    asked = [machine.plan(one) for one in machine.findings()]
    machine.mend(*asked)
    assert [one.line.outcome for one in asked] == ["fixed", "refused"]
    assert asked[1].line.reason.endswith("which was cut short: hfdoctor undo 1 takes it back")
    assert [path.exists() for path in paths] == [False, True]


def test_what_changed_meanwhile_is_planned_anew(machine: Machine) -> None:
    machine.breaks("cache-corrupt")
    second = machine.breaks("disk-full")
    asked = [machine.plan(one) for one in machine.findings()]
    second.unlink()
    second.write_text("another file of that name")
    machine.mend(*asked)
    assert [one.line.outcome for one in asked] == ["fixed", "fixed"] and len(machine.looks) == 2


def test_a_fix_that_does_not_help_is_told(machine: Machine) -> None:
    machine.breaks("cache-corrupt")
    harmless = machine.folder / "harmless"
    harmless.write_text("")
    one = machine.plan(finding("cache-corrupt", put_away(harmless)))
    machine.mend(one)
    assert one.line.outcome == "not-held" and "a second look still says: it is there" in one.line.reason
    assert one.line.undo == 1


def test_what_cannot_be_told_afterwards_is_no_success(machine: Machine) -> None:
    machine.breaks("cache-corrupt")
    one = machine.plan(machine.findings()[0])
    machine.blind = True
    machine.mend(one)
    assert one.line.outcome == "not-held" and "nothing to be seen" in one.line.reason


def test_one_that_another_cured_is_not_done(machine: Machine) -> None:
    path = machine.breaks("cache-corrupt")
    machine.files["disk-full"] = path  # both are about the same file
    asked = [machine.plan(one) for one in machine.findings()]
    machine.mend(*asked)
    assert [one.line.outcome for one in asked] == ["fixed", "cured"]
    assert asked[1].line.undo is None


def test_the_second_look_has_the_variables_that_a_new_terminal_gets(machine: Machine) -> None:
    step = RemedyStep("set it", [], False, False, change=VariableChange("HF_HUB_DISABLE_XET", "1"))
    one = machine.plan(finding("hub-stall", step))
    machine.mend(one)
    assert one.line.outcome == "fixed" and machine.looks[0]["HF_HUB_DISABLE_XET"] == "1"
    assert any("new terminal" in words for words in one.line.still_to_do)


def test_a_changed_plan_is_asked_about_again(machine: Machine) -> None:
    path = machine.breaks("cache-corrupt")
    asked = [machine.plan(machine.findings()[0]), machine.plan(finding("disk-full", put_away(path)))]
    other = machine.folder / "other"
    other.write_text("")

    def look(environ: Mapping[str, str], target: str) -> tuple[Snapshot, Report]:
        return Snapshot(), report(finding("disk-full", put_away(other)))

    machine.look = look  # type: ignore[method-assign]
    machine.mend(*asked, yes=False)
    assert asked[1].line.outcome == "declined" and other.exists()
