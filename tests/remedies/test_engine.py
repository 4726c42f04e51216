"""The engine with real actions: failures, interrupts and others' hands, at each action of a fix."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.conditions.changes import Command, GitChange
from hfdoctor.facts.child import run_child
from hfdoctor.remedies import durable
from hfdoctor.remedies import journal as journal_module
from hfdoctor.remedies.action import Progress, Refused, Seen
from hfdoctor.remedies.engine import begin, carry_out, recover_all, take_back
from hfdoctor.remedies.journal import Record
from hfdoctor.remedies.kinds.git import GitAction
from hfdoctor.remedies.kinds.quarantine import QuarantineAction
from hfdoctor.remedies.kinds.registered import Kind, prepare
from hfdoctor.remedies.kinds.variable import VariableAction

from .small_machine import SmallMachine

pytestmark = pytest.mark.allow_subprocess

#: in the order in which the small machine's fix does them
KINDS: list[Any] = [GitAction, QuarantineAction, VariableAction]


def git(machine: SmallMachine, *words: str) -> str:
    environ = dict(machine.place.environ)
    ended = subprocess.run(
        ["git", "config", "--global", *words], env=environ, capture_output=True, text=True, check=False
    )
    return ended.stdout.strip()


def how(machine: SmallMachine, number: int = 1) -> str:
    return machine.journal().runs[number].how


def breaking(kind: Any, error: BaseException, *, after: bool) -> Callable[..., None]:
    """``apply`` that breaks off, before or after its work; what it works is real."""
    real = kind.apply

    def apply(self: Any, progress: Progress) -> None:
        if after:
            real(self, progress)
        raise error

    return apply


def test_a_fix_is_done_and_undone(machine: SmallMachine) -> None:
    before = machine.looks()
    machine.fixed()
    assert git(machine, "core.longpaths") == "true"
    assert not machine.cache.exists()
    assert "HF_HUB_DISABLE_XET" in (machine.home / ".bashrc").read_text()
    run = machine.journal().runs[1]
    assert (run.how, run.done, run.standing) == ("done", {0, 1, 2}, [2, 1, 0])
    with machine.journal().locked() as journal:
        assert take_back(journal, journal.runs[1]) == []
        assert machine.looks() == before
        assert take_back(journal, journal.runs[1]) == []  # and again: nothing changes
    assert machine.looks() == before
    assert how(machine) == "undone"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Refused("the moon is full"), "the moon is full"),
        (OSError(28, "No space left on device", "/somewhere"), "/somewhere: No space left on device"),
    ],
)
def test_one_that_fails_takes_the_others_with_it(
    machine: SmallMachine, monkeypatch: pytest.MonkeyPatch, kind: Any, error: Exception, reason: str, after: bool
) -> None:
    before = machine.looks()
    monkeypatch.setattr(kind, "apply", breaking(kind, error, after=after))
    with machine.journal().locked() as journal:
        ended = carry_out(journal, machine.begin(journal))
    assert (ended.done, ended.reason, ended.clean) == (False, reason, True)
    assert machine.looks() == before
    assert how(machine) == "rolled-back"
    assert machine.journal().runs[1].reason == reason


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), ZeroDivisionError("a bug")])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_rolls_back_and_goes_on(
    machine: SmallMachine, monkeypatch: pytest.MonkeyPatch, kind: Any, error: BaseException, after: bool
) -> None:
    before = machine.looks()
    monkeypatch.setattr(kind, "apply", breaking(kind, error, after=after))
    with pytest.raises(type(error)), machine.journal().locked() as journal:
        carry_out(journal, machine.begin(journal))
    assert machine.looks() == before
    assert how(machine) == "rolled-back"


@pytest.mark.parametrize("at", range(9))
def test_an_interrupt_while_the_journal_is_written(
    machine: SmallMachine, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Ctrl-C comes when a record is on the disk, and nobody noted it."""
    before = machine.looks()
    calls = 0
    real = durable.settle

    def settle(handle: int) -> None:
        nonlocal calls
        calls += 1
        real(handle)
        if calls == at + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(journal_module, "settle", settle)
    with pytest.raises(KeyboardInterrupt), machine.journal().locked() as journal:
        carry_out(journal, machine.begin(journal))
    with machine.journal().locked() as journal:
        recover_all(journal)
        if 1 in journal.runs and journal.runs[1].how == "done":  # it came after the last action was confirmed
            assert at == 8
            take_back(journal, journal.runs[1])
        assert not journal.open_runs()
    assert machine.looks() == before


def test_a_plan_that_somebody_overtook_is_not_begun(machine: SmallMachine) -> None:
    actions = machine.actions()
    git(machine, "core.longpaths", "sometimes")
    before = machine.looks()
    with machine.journal().locked() as journal:
        ended = carry_out(journal, begin(journal, "windows-long-path", "", actions))
    assert not ended.done
    assert ended.reason == (
        "it was changed by somebody else since it was planned: git setting core.longpaths is now sometimes "
        "(run hfdoctor fix again)"
    )
    assert machine.looks() == before


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_somebody_changed_since_is_not_undone(machine: SmallMachine, number: int) -> None:
    """Both values are shown, nothing is touched; force takes it back all the same."""
    before = machine.looks()
    machine.fixed()
    if number == 0:
        git(machine, "core.longpaths", "maybe")
        words = "git setting core.longpaths is now maybe, hfdoctor had set it to true"
    elif number == 1:
        machine.cache.mkdir()
        words = f"folder {machine.cache} is now something new, hfdoctor had set it to nothing (it was put away)"
    else:
        path = machine.home / ".bashrc"
        path.write_text(path.read_text().replace("HF_HUB_DISABLE_XET='1'", "HF_HUB_DISABLE_XET='2'"))
        words = "HF_HUB_DISABLE_XET='2'"
    changed = machine.looks()
    with machine.journal().locked() as journal:
        with pytest.raises(Refused, match="changed by somebody else since") as refused:
            take_back(journal, journal.runs[1])
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)
        assert machine.looks() == changed
        assert journal.runs[1].how == "done"
        take_back(journal, journal.runs[1], force=True)
    assert {name: what for name, what in machine.looks().items() if name in before} == before
    assert how(machine) == "undone"


def test_what_cannot_be_looked_at_is_not_undone(machine: SmallMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.fixed()
    after = machine.looks()

    def look(self: GitAction) -> Seen:
        raise Refused("git cannot say what it is")

    with machine.journal().locked() as journal:
        monkeypatch.setattr(GitAction, "look", look)
        with pytest.raises(Refused, match=r"fix 1 \(windows-long-path\) cannot be taken back: git cannot say"):
            take_back(journal, journal.runs[1])
    assert machine.looks() == after
    assert how(machine) == "done"


def test_a_rollback_that_fails_leaves_the_fix_open(machine: SmallMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.looks()

    def undo(self: QuarantineAction, progress: Progress, *, force: bool = False) -> None:
        raise Refused("the disk was taken away")

    with monkeypatch.context() as patch:
        patch.setattr(VariableAction, "apply", breaking(VariableAction, Refused("no"), after=True))
        patch.setattr(QuarantineAction, "undo", undo)
        with machine.journal().locked() as journal:
            ended = carry_out(journal, machine.begin(journal))
        assert (ended.done, ended.clean) == (False, False)
        assert ended.reason == (
            "no; and then fix 1 (windows-long-path) could not be taken back: the disk was taken away "
            "(hfdoctor undo 1 tries it again)"
        )
        with machine.journal().locked() as journal:  # the next fix tries, and says so
            assert [(run.number, why) for run, why in recover_all(journal)] == [
                (
                    1,
                    "fix 1 (windows-long-path) could not be taken back: the disk was taken away "
                    "(hfdoctor undo 1 tries it again)",
                )
            ]
            # nothing else is built on what is not whole
            with pytest.raises(Refused, match="which was cut short: hfdoctor undo 1"):
                begin(journal, "windows-long-path", "", [prepare(GitChange("core.longpaths", None), machine.place)])
            # but other things can be fixed
            other = [prepare(GitChange("core.symlinks", "true"), machine.place)]
            assert carry_out(journal, begin(journal, "cache-symlink", "", other)).done
            take_back(journal, journal.runs[2])
    assert [run.number for run in machine.journal().open_runs()] == [1]
    with machine.journal().locked() as journal:
        assert [why for _, why in recover_all(journal)] == [""]
    assert machine.looks() == before


def test_an_undo_that_fails_at_once_leaves_the_fix_done(machine: SmallMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.looks()
    machine.fixed()
    after = machine.looks()

    def undo(self: Any, progress: Progress, *, force: bool = False) -> None:
        raise OSError(30, "Read-only file system", "/home")

    with monkeypatch.context() as patch:
        patch.setattr(VariableAction, "undo", undo)
        with machine.journal().locked() as journal, pytest.raises(Refused, match="/home: Read-only file system"):
            take_back(journal, journal.runs[1])
    assert (machine.looks(), how(machine)) == (after, "done")
    with monkeypatch.context() as patch:
        patch.setattr(GitAction, "undo", undo)
        with machine.journal().locked() as journal, pytest.raises(Refused, match="/home: Read-only file system"):
            take_back(journal, journal.runs[1])
    assert machine.journal().runs[1].open  # a part is taken back: the next one goes on
    with machine.journal().locked() as journal:
        assert [why for _, why in recover_all(journal)] == [""]
    assert (machine.looks(), how(machine)) == (before, "undone")


def test_what_did_not_hold_is_not_called_done(machine: SmallMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine.looks()
    monkeypatch.setattr(GitAction, "apply", lambda self, progress: None)
    with machine.journal().locked() as journal:
        ended = carry_out(journal, machine.begin(journal))
    assert (ended.done, ended.reason) == (False, "it did not hold: git setting core.longpaths did not become true")
    assert machine.looks() == before


def test_two_changes_of_one_thing_in_one_fix(machine: SmallMachine) -> None:
    """The first one looks like somebody else's doing until the second one is gone."""
    found = shutil.which("git")
    assert found
    home = str(machine.home)
    actions: list[Kind] = [
        GitAction(git=found, name="core.longpaths", old="false", new="true", home=home),
        GitAction(git=found, name="core.longpaths", old="true", new=None, home=home),
    ]
    with machine.journal().locked() as journal:
        assert carry_out(journal, begin(journal, "windows-long-path", "", actions)).done
        assert git(machine, "core.longpaths") == ""
        take_back(journal, journal.runs[1])
        assert git(machine, "core.longpaths") == "false"
        run = begin(journal, "windows-long-path", "", actions)
        carry_out(journal, run)
        git(machine, "core.longpaths", "others")
        with pytest.raises(Refused, match="is now others, hfdoctor had set it to not set"):
            take_back(journal, run)
        assert git(machine, "core.longpaths") == "others"


def test_what_cannot_be_undone_stays_and_is_named(machine: SmallMachine) -> None:
    before = machine.looks()
    actions = [
        *machine.actions()[:1],
        prepare(Command(("touch", str(machine.home / "touched"))), machine.place),
        *machine.actions()[1:],
    ]
    with machine.journal().locked() as journal:
        assert carry_out(journal, begin(journal, "disk-full", "", actions, token=machine.token)).done
        assert take_back(journal, journal.runs[1]) == [
            f"{shutil.which('touch')} {machine.home / 'touched'} cannot be undone"
        ]
    assert machine.looks().keys() - before.keys() == {"touched"}
    assert not (machine.state / "runs").exists()


def test_names_that_are_no_text_are_told_all_the_same(machine: SmallMachine) -> None:
    with machine.journal().locked() as journal:
        run = begin(journal, "disk-full", "put caf\udce9 away", [])
        assert run.begin.choice == "put caf\\udce9 away"
        assert carry_out(journal, run).done
    assert machine.journal().runs[1].how == "done"


def test_nothing_is_done_twice(machine: SmallMachine) -> None:
    """What another process (an administrator's) did already is not begun again."""
    with machine.journal().locked() as journal:
        run = machine.begin(journal)
        journal.write(Record("start", run=1, action=0))
        run.begin.actions[0].apply(lambda *_: None)
        journal.write(Record("done", run=1, action=0))
        config = machine.home / ".gitconfig"
        seen = config.stat()
        assert carry_out(journal, run).done
        assert (config.stat().st_ino, config.stat().st_mtime_ns) == (seen.st_ino, seen.st_mtime_ns)
    records = [line.split(b'"what":"')[1].split(b'"')[0] for line in machine.journal().path.read_bytes().splitlines()]
    assert records.count(b"start") == 3


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_what_was_started(tmp_path: Path) -> None:
    """It reaches hfdoctor alone; what it runs must not go on while it is rolled back."""
    code = f"import time; time.sleep(1.5); open({str(tmp_path / 'late')!r}, 'w')"
    began = time.monotonic()
    main = threading.main_thread().ident
    assert main
    threading.Timer(0.4, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_child([sys.executable, "-c", code], 30.0)
    assert time.monotonic() - began < 1.4
    time.sleep(1.6)
    assert not list(tmp_path.iterdir())
