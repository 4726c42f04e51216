"""Which fixes ``undo`` means, what has to go first, and what giving up costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfdoctor.conditions.changes import Change, Command, GitChange, PutAway, TreeMove, VariableChange
from hfdoctor.remedies import undoing
from hfdoctor.remedies.action import Difference, NothingToDo, Refused, quiet
from hfdoctor.remedies.engine import begin, carry_out, recover_all
from hfdoctor.remedies.journal import Record
from hfdoctor.remedies.kinds.quarantine import QuarantineAction
from hfdoctor.remedies.kinds.registered import prepare
from hfdoctor.remedies.standing import shared

from .small_machine import SmallMachine
from .volumes_made import second_volume

pytestmark = pytest.mark.allow_subprocess


def fix(machine: SmallMachine, condition: str, *changes: Change) -> int:
    """A fix that is carried out; its number."""
    journal = machine.journal()
    machine.token = f"{journal.next_number():08x}"
    with journal.locked():
        actions = [prepare(change, machine.place) for change in changes]
        ended = carry_out(journal, begin(journal, condition, "", actions, token=machine.token))
    assert ended.done, ended.reason
    return ended.run


def undo(machine: SmallMachine, *numbers: int, force: bool = False) -> list[str]:
    with machine.journal().locked() as journal:
        return undoing.undo(journal, [journal.runs[number] for number in numbers], force=force)


def longpaths(value: str | None) -> GitChange:
    return GitChange("core.longpaths", value)


def test_nothing_to_undo(machine: SmallMachine) -> None:
    journal = machine.journal()
    with pytest.raises(NothingToDo, match="hfdoctor has fixed nothing here yet"):
        undoing.last_fix(journal)
    with pytest.raises(undoing.NoSuchFix, match="there is no fix 1 "):
        undoing.named_fix(journal, "1")
    with pytest.raises(undoing.NoSuchFix, match="has not fixed hub-stall here"):
        undoing.named_fix(journal, "hub-stall")
    with pytest.raises(undoing.NoSuchFix):
        undoing.fixes_since(journal, 3)
    with pytest.raises(NothingToDo):
        undoing.fixes_since(journal, 0)
    assert not machine.state.exists(), "looking changes nothing"


def test_which_fix_is_meant(machine: SmallMachine) -> None:
    before = machine.looks()
    assert fix(machine, "windows-long-path", longpaths("true")) == 1
    assert fix(machine, "cache-corrupt", PutAway(str(machine.cache / "blobs"))) == 2
    assert fix(machine, "hub-settings", VariableChange("HF_HUB_DISABLE_XET", "1")) == 3
    assert fix(machine, "cache-corrupt", PutAway(str(machine.cache / "link"))) == 4
    journal = machine.journal()
    assert undoing.last_fix(journal).number == 4
    assert undoing.named_fix(journal, "cache-corrupt").number == 4
    assert undoing.named_fix(journal, "2").number == 2
    assert [run.number for run in undoing.fixes_since(journal, 2)] == [4, 3]
    assert [run.number for run in undoing.fixes_since(journal, 0)] == [4, 3, 2, 1]
    with pytest.raises(undoing.NoSuchFix):
        undoing.fixes_since(journal, 9)
    with pytest.raises(NothingToDo, match="after fix 4"):
        undoing.fixes_since(journal, 4)
    undo(machine, 4)
    journal = machine.journal()
    assert undoing.last_fix(journal).number == 3
    assert undoing.named_fix(journal, "cache-corrupt").number == 2
    assert [run.number for run in undoing.fixes_since(journal, 1)] == [3, 2]
    with pytest.raises(NothingToDo, match=r"fix 4 \(cache-corrupt\) is undone already"):
        undoing.named_fix(journal, "4")
    undo(machine, *[run.number for run in undoing.fixes_since(journal, 0)])
    assert machine.looks() == before
    with pytest.raises(NothingToDo, match="no fix stands any more"):
        undoing.last_fix(machine.journal())
    with pytest.raises(NothingToDo, match=r"fix 4 \(cache-corrupt\) is undone already"):
        undoing.named_fix(machine.journal(), "cache-corrupt")


def test_what_undoing_changes_is_told(machine: SmallMachine) -> None:
    fix(machine, "windows-long-path", longpaths("true"), GitChange("core.symlinks", "true"))
    run = machine.journal().runs[1]
    assert undoing.differences(run) == [
        Difference("git setting core.symlinks", "true", "not set"),
        Difference("git setting core.longpaths", "true", "false"),
    ]
    undo(machine, 1)
    assert undoing.differences(machine.journal().runs[1]) == []


def test_the_newer_fix_of_one_thing_goes_first(machine: SmallMachine) -> None:
    fix(machine, "windows-long-path", longpaths("true"))
    fix(machine, "hub-settings", GitChange("core.symlinks", "true"))
    fix(machine, "windows-long-path", longpaths("maybe"))
    after = machine.looks()
    with pytest.raises(Refused) as refused:
        undo(machine, 1)
    assert str(refused.value) == (
        "fix 1 (windows-long-path) cannot be undone before fix 3 (windows-long-path), which changed "
        "git setting core.longpaths after it: hfdoctor undo --to 0 undoes both"
    )
    assert machine.looks() == after
    with pytest.raises(Refused, match="before fix 3"):
        undo(machine, 1, force=True)  # that is ours, and can be undone: nobody need insist
    undo(machine, 2)  # it stands on something else
    undo(machine, 3)
    undo(machine, 1)
    assert [run.how for run in machine.journal().runs.values()] == ["undone"] * 3


def test_several_of_one_thing_are_undone_together(machine: SmallMachine) -> None:
    """Each looks like somebody else's doing until the newer one is gone."""
    before = machine.looks()
    for value in ("true", "maybe", "perhaps"):
        fix(machine, "windows-long-path", longpaths(value))
    with machine.journal().locked() as journal:
        undoing.undo(journal, undoing.fixes_since(journal, 0))
    assert machine.looks() == before


def test_what_others_changed_stops_all_before_anything_is_touched(machine: SmallMachine) -> None:
    fix(machine, "windows-long-path", longpaths("true"))
    fix(machine, "hub-settings", GitChange("core.symlinks", "true"))
    config = machine.home / ".gitconfig"
    config.write_text(config.read_text().replace("longpaths = true", "longpaths = 1"))
    after = machine.looks()
    with pytest.raises(Refused, match=r"fix 1 .* git setting core.longpaths is now 1, hfdoctor had set it to true"):
        undo(machine, 2, 1)
    assert machine.looks() == after
    assert undo(machine, 2, 1, force=True) == []
    assert "longpaths = false" in config.read_text()


def test_paths_inside_one_another_are_one_thing(machine: SmallMachine) -> None:
    before = machine.looks()
    fix(machine, "cache-corrupt", PutAway(str(machine.cache / "blobs" / "a")))
    fix(machine, "disk-full", PutAway(str(machine.cache)))
    with pytest.raises(Refused, match=r"cannot be undone before fix 2 \(disk-full\)"):
        undo(machine, 1)
    undo(machine, 2)
    undo(machine, 1)
    assert machine.looks() == before


def test_names_that_only_begin_alike_are_two_things(machine: SmallMachine) -> None:
    for name in ("models", "models-old"):
        (machine.home / name).mkdir()
    one, other = (prepare(PutAway(str(machine.home / name)), machine.place) for name in ("models", "models-old"))
    assert shared([one], [other]) == ""
    assert shared([one], [one]) == str(machine.home / "models")


def test_a_fix_that_is_for_good_is_not_undone(machine: SmallMachine) -> None:
    fix(machine, "windows-long-path", longpaths("true"))
    fix(machine, "disk-full", Command(("touch", str(machine.home / "x"))))
    journal = machine.journal()
    assert undoing.last_fix(journal).number == 1
    assert [run.number for run in undoing.fixes_since(journal, 0)] == [1]
    with pytest.raises(Refused, match=r"^fix 2 \(disk-full\) cannot be undone: .*touch .* cannot be undone$"):
        undoing.named_fix(journal, "2")
    with pytest.raises(NothingToDo):
        undoing.fixes_since(journal, 1)


def test_giving_up_a_fix(machine: SmallMachine) -> None:
    fix(machine, "cache-corrupt", PutAway(str(machine.cache / "blobs" / "a")))
    fix(machine, "cache-corrupt", PutAway(str(machine.cache / "link")))
    assert [path.name for path in machine.state.rglob("a")] == ["a"]
    with machine.journal().locked() as journal:
        undoing.forget(journal, journal.runs[1])
        undoing.forget(journal, journal.runs[1])  # as after a kill
    assert not list(machine.state.rglob("a"))
    assert not (machine.cache / "blobs" / "a").exists()
    journal = machine.journal()
    assert journal.runs[1].forgotten
    with pytest.raises(Refused, match="what was kept for that was given up"):
        undoing.named_fix(journal, "1")
    assert [run.number for run in undoing.fixes_since(journal, 0)] == [2]
    undo(machine, 2)
    with pytest.raises(NothingToDo):
        undoing.last_fix(machine.journal())


def test_what_stands_under_a_fix_that_was_given_up_stays(machine: SmallMachine) -> None:
    fix(machine, "cache-corrupt", PutAway(str(machine.cache / "blobs" / "a")))
    fix(machine, "disk-full", PutAway(str(machine.cache)))
    with machine.journal().locked() as journal:
        undoing.forget(journal, journal.runs[2])
    with pytest.raises(Refused, match="after it: and that one cannot be undone any more"):
        undo(machine, 1)


def test_giving_up_that_was_broken_off_goes_on(machine: SmallMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    fix(machine, "cache-corrupt", PutAway(str(machine.cache / "blobs" / "a")))

    def forget(self: QuarantineAction) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    with monkeypatch.context() as patch, machine.journal().locked() as journal:
        patch.setattr(QuarantineAction, "forget", forget)
        with pytest.raises(
            Refused, match=r"/somewhere: Permission denied \(hfdoctor undo --forget 1 tries it again\)$"
        ):
            undoing.forget(journal, undoing.fix_to_forget(journal, 1))
    assert list(machine.state.rglob("a"))
    with machine.journal().locked() as journal:
        undoing.forget(journal, undoing.fix_to_forget(journal, 1))
    assert not list(machine.state.rglob("a"))


def test_what_was_cut_short_is_not_given_up(machine: SmallMachine) -> None:
    """Unless somebody insists: then it stays as it is, and nothing that it put away is removed."""
    with machine.journal().locked() as journal:
        run = machine.begin(journal)
        for number in (0, 1):
            journal.write(Record("start", run=1, action=number))
            run.begin.actions[number].apply(quiet)
        with pytest.raises(Refused, match="was cut short: hfdoctor undo 1 first"):
            undoing.fix_to_forget(journal, 1)
    as_it_is = machine.looks()
    assert not machine.journal().runs[1].forgotten
    with machine.journal().locked() as journal:
        for _ in range(2):
            undoing.forget(journal, undoing.fix_to_forget(journal, 1, force=True))
    assert machine.looks() == as_it_is
    assert [path.name for path in machine.state.rglob("a")] == ["a"], "all that there is of it"
    journal = machine.journal()
    assert (journal.runs[1].state, journal.open_runs()) == ("forgotten", [])
    with pytest.raises(Refused, match=r"fix 1 \(windows-long-path\) cannot be undone: it was given up"):
        undoing.named_fix(journal, "1")


def test_a_fix_whose_disk_is_gone_for_good(machine: SmallMachine, tmp_path: Path) -> None:
    """It was cut short after the cache had moved there, so that it can neither go on nor be taken back."""
    with second_volume(tmp_path) as other:
        move = prepare(TreeMove(str(machine.cache), str(other / "cache")), machine.place)
        with machine.journal().locked() as journal:
            run = begin(journal, "disk-full", "", [move, prepare(longpaths("true"), machine.place)])
            journal.write(Record("start", run=1, action=0))
            move.apply(quiet)
            journal.write(Record("done", run=1, action=0))
            assert run.open
    machine.cache.mkdir()  # the library made a new one meanwhile
    anew = prepare(PutAway(str(machine.cache)), machine.place)
    with machine.journal().locked() as journal:
        ((_, why),) = recover_all(journal)
        assert "its disk is not attached" in why
        with pytest.raises(Refused, match="was cut short: hfdoctor undo 1"):
            begin(journal, "cache-corrupt", "", [anew])
        undoing.forget(journal, undoing.fix_to_forget(journal, 1, force=True))
        assert recover_all(journal) == []
        assert carry_out(journal, begin(journal, "cache-corrupt", "", [anew])).done
