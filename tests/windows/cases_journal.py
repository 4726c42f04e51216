"""The journal and the engine on Windows, with real registry values; see inside.py."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from hfdoctor.conditions.changes import RegistryChange, VariableChange
from hfdoctor.remedies.action import Refused
from hfdoctor.remedies.engine import begin, carry_out, recover_all
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.kinds.registered import Kind, prepare
from hfdoctor.remedies.undoing import fixes_since, undo
from tests.remedies.killed import every_moment
from tests.remedies.made import workplace
from tests.thorough import THOROUGH

from . import exports

FILE_SYSTEM = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
ENVIRONMENT = r"HKCU\Environment"
#: moments at which the fix is killed; each is a start of Python or two
AT_MOST = 14 if THOROUGH else 5
#: a fix, in a process of its own that may be killed at any of its moments
_FIX = """
from pathlib import Path
from hfdoctor.remedies import raw_registry
from hfdoctor.remedies.engine import begin, carry_out
from hfdoctor.remedies.journal import Journal
from tests.windows.cases_journal import actions
real = raw_registry.put
def put(*words):
    moment("registry " + words[1])
    real(*words)
raw_registry.put = put
journal = Journal(Path({state!r}))
planned = actions()
arm()
with journal.locked():
    assert carry_out(journal, begin(journal, "windows-long-path", "", planned)).done
"""
_HOLD = """
import sys
from pathlib import Path
from hfdoctor.remedies.action import Refused
from hfdoctor.remedies.journal import Journal
try:
    with Journal(Path(sys.argv[1])).locked():
        print("held", flush=True)
        sys.stdin.readline()
except Refused as refused:
    print(refused)
"""


def state() -> Path:
    folder = Path(os.environ["TEMP"]) / "긴 state"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def actions() -> list[Kind]:
    place = workplace(Path(os.environ["TEMP"]), environ=dict(os.environ))
    return [
        prepare(RegistryChange(FILE_SYSTEM, "LongPathsEnabled", "REG_DWORD", 1), place),
        prepare(VariableChange("HF_HUB_DISABLE_XET", "1"), place),
    ]


def as_it_was() -> None:
    exports.put(FILE_SYSTEM, "beside", 4, b"\1\0\0\0")
    exports.remove(FILE_SYSTEM, "LongPathsEnabled")
    exports.remove(ENVIRONMENT, "HF_HUB_DISABLE_XET")


def values() -> exports.Export:
    return exports.whole(FILE_SYSTEM, ENVIRONMENT)


def case_what_is_written_is_read() -> None:
    journal = Journal(state())
    with journal.locked():
        assert carry_out(journal, begin(journal, "windows-long-path", "한글", actions())).done
    data = journal.path.read_bytes()
    assert b"\r" not in data
    assert Journal(journal.state).read().runs[1].how == "done"
    with journal.locked():
        undo(journal, fixes_since(journal, 0))
    for length in range(len(data) - 400, len(data), 7):  # cut by a power failure
        journal.path.write_bytes(data[:length])
        assert Journal(journal.state).read().runs.keys() <= {1}
        with journal.locked():
            recover_all(journal)
            assert not journal.open_runs()


def case_a_fix_killed_at_its_moments_is_undone() -> None:
    folder = state()
    as_it_was()
    before = values()

    def fresh() -> str:
        as_it_was()
        shutil.rmtree(folder, ignore_errors=True)
        return _FIX.format(state=str(folder))

    seen = []
    for moment in every_moment(fresh, at_most=AT_MOST):
        seen.append(moment.what)
        journal = Journal(folder)
        with journal.locked():
            assert [why for _, why in recover_all(journal) if why] == []
            assert not journal.open_runs()
            if any(run.how == "done" for run in journal.runs.values()):
                undo(journal, fixes_since(journal, 0))
        changed = exports.changes(before, values())
        assert not changed, (moment.what, changed)
    assert len(seen) == AT_MOST
    assert any(what.startswith("os.write") for what in seen)
    as_it_was()


def case_a_second_hfdoctor_waits_outside() -> None:
    folder = state()
    argv = [sys.executable, "-c", _HOLD, str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout and first.stdout.readline() == "held\n"
        try:
            with Journal(folder).locked():
                raise AssertionError("two at once")
        except Refused as refused:
            assert "another hfdoctor" in str(refused), refused
        first.kill()
    with Journal(folder).locked():
        pass


def case_a_journal_that_cannot_be_written() -> None:
    folder = state()
    journal = Journal(folder)
    before = values()
    try:
        with journal.locked():
            journal.path.mkdir()
            begin(journal, "windows-long-path", "", actions())
    except Refused as refused:
        assert "cannot be written" in str(refused), refused
        assert "\n" not in str(refused)
    else:
        raise AssertionError("it was written")
    assert exports.changes(before, values()) == {}


def case_a_file_where_the_folder_should_be() -> None:
    folder = state()
    folder.write_text("mine")
    try:
        with Journal(folder).locked():
            raise AssertionError("a journal in a file")
    except Refused as refused:
        assert "\n" not in str(refused)
    finally:
        folder.unlink()
