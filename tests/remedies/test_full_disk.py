"""No room for one word of the journal, whichever: what was begun is brought back at once, and nothing is lost."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

import pytest

from hfdoctor.remedies import durable
from hfdoctor.remedies import journal as journal_module
from hfdoctor.remedies.action import Refused
from hfdoctor.remedies.engine import carry_out, recover_all
from hfdoctor.remedies.undoing import last_fix, undo
from tests.thorough import THOROUGH

from .forked import said_in_fork
from .small_machine import SmallMachine
from .volumes_made import mounted

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and file systems of Linux"),
]


def fixing(machine: SmallMachine) -> str:
    """What a fix says: "done", or why not."""
    try:
        with machine.journal().locked() as journal:
            ended = carry_out(journal, machine.begin(journal))
        return "done" if ended.done else ended.reason
    except Refused as refused:
        return str(refused)


def undoing(machine: SmallMachine) -> str:
    try:
        with machine.journal().locked() as journal:
            undo(journal, [last_fix(journal)])
        return "undone"
    except Refused as refused:
        return str(refused)


def with_files_up_to(size: int, work: Callable[[], str]) -> str:
    """What ``work`` says in a process that may write no file beyond ``size`` bytes."""
    import resource

    return said_in_fork(work, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))


def recovered(machine: SmallMachine) -> None:
    with machine.journal().locked() as journal:
        assert [why for _, why in recover_all(journal) if why] == []
        assert not journal.open_runs()


def sizes(machine: SmallMachine, start: int) -> list[int]:
    """Every length of the journal at which a record ends, and some within each record."""
    data = machine.journal().path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(data) if byte == 0x0A and at >= start]
    within = (-30, -1, 0, 1) if THOROUGH else (-1, 1)
    found = sorted({max(start, min(len(data) - 1, end + more)) for end in ends for more in within})
    return found if THOROUGH else found[::2]


def test_a_fix_without_room_for_a_record(machine: SmallMachine) -> None:
    before = machine.looks()
    assert fixing(machine) == "done"
    after = machine.looks()
    seen = set()
    for size in [0, *sizes(machine, 0)]:
        machine.make()
        said = with_files_up_to(size, lambda: fixing(machine))
        seen.add(said == "done")
        assert "\n" not in said
        assert said == "done" or "cannot be written: File too large" in said, size
        assert machine.looks() == (after if said == "done" else before), size
        recovered(machine)
        assert machine.looks() == (after if said == "done" else before), size
        machine.token = "5e6f7a8b"
        assert fixing(machine) == "done" if said != "done" else undoing(machine) == "undone"
        assert machine.looks() == (before if said == "done" else after), size
        machine.token = "1a2b3c4d"
    assert seen == {False, True}, "a fix is done although its end could not be told"


def test_an_undo_without_room_for_a_record(machine: SmallMachine) -> None:
    before = machine.looks()
    machine.fixed()
    after = machine.looks()
    start = machine.journal().path.stat().st_size
    assert undoing(machine) == "undone"
    for size in sizes(machine, start):
        machine.make()
        machine.fixed()
        assert machine.journal().path.stat().st_size == start
        said = with_files_up_to(size, lambda: undoing(machine))
        assert "cannot be written: File too large" in said, size
        begun = bool(machine.journal().open_runs())
        assert machine.looks() == (before if begun else after), size
        recovered(machine)
        if not begun:
            assert undoing(machine) == "undone"
        assert machine.looks() == before, size
        assert machine.journal().runs[1].how == "undone"


@pytest.mark.parametrize("at", range(9))
def test_a_disk_that_fails_while_it_is_waited_for(
    machine: SmallMachine, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The record may be on the disk or not: neither is believed."""
    before = machine.looks()
    calls = 0
    real = durable.settle

    def settle(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == at + 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(handle)

    monkeypatch.setattr(journal_module, "settle", settle)
    said = fixing(machine)
    if at == 8:  # the end: all that it says was said
        assert said == "done"
        assert machine.journal().runs[1].how == "done"
        assert undoing(machine) == "undone"
    else:
        assert said == f"the journal {machine.journal().path} cannot be written: {os.strerror(errno.EIO)}"
    assert machine.looks() == before
    assert not machine.journal().open_runs()


def test_a_full_file_system(machine: SmallMachine) -> None:
    with mounted(machine.state, "size=16k", "mode=0700") as state:
        before = machine.looks()
        (state / "filler").write_bytes(b"x" * 4096)
        with pytest.raises(OSError, match="No space left"):
            for _ in range(100):
                with open(state / "filler", "ab") as file:
                    file.write(b"x" * 1024)
        said = fixing(machine)
        assert "No space left on device" in said
        assert machine.looks() == before
        (state / "filler").unlink()
        assert fixing(machine) == "done"
        assert undoing(machine) == "undone"
        assert machine.looks() == before
