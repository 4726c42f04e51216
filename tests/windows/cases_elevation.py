"""One elevation for all that needs an administrator, on a real registry; see inside.py.

Wine has no question to ask and makes everybody an administrator, but it does start the child through the shell's own
verb ``runas``: here this process is told that it may not write, and the child does it for real.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hfdoctor.conditions.changes import RegistryChange, VariableChange
from hfdoctor.remedies import elevation, raw_registry
from hfdoctor.remedies.action import quiet
from hfdoctor.remedies.engine import administer, begin, carry_out, recover_all, take_back_all
from hfdoctor.remedies.journal import Journal, Record
from hfdoctor.remedies.kinds.registered import prepare
from hfdoctor.remedies.kinds.variable_windows import MACHINE, PERSON

from . import exports
from .cases_registry import DEVELOPER, DEVELOPER_MODE, FILE_SYSTEM, LONG_PATHS, place, refused, through_journal

ON = (4, b"\1\0\0\0")
OFFLINE = (1, "1\0".encode("utf-16-le"))
REAL_START = elevation.start_as_administrator


def no_administrator() -> None:
    """From now on this process may not write HKLM, as for most people."""
    raw_registry.may_write = lambda key: key.startswith("HKCU\\")
    elevation.may_administer = lambda: False


def prepared_actions() -> list[Any]:
    """The three kinds of things that need an administrator, through the journal; one has a part of the person's."""
    no_administrator()
    for name in (PERSON, MACHINE):
        exports.put(name, "HF_HUB_OFFLINE", *OFFLINE)
    exports.put(FILE_SYSTEM, "LongPathsEnabled", 3, b"\1\2\3")
    exports.remove(DEVELOPER)
    changes = (LONG_PATHS, DEVELOPER_MODE, VariableChange("HF_HUB_OFFLINE"))
    actions = [through_journal(prepare(change, place())) for change in changes]
    assert all(action.needs().administrator for action in actions)
    return actions


def exported() -> exports.Export:
    return exports.whole(FILE_SYSTEM, DEVELOPER, MACHINE, "HKCU")


@contextlib.contextmanager
def state() -> Iterator[Path]:
    """A state folder, in which nothing is left in the end."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    assert list(folder.iterdir()) == []
    folder.rmdir()


@contextlib.contextmanager
def started_by(start: Callable[[Sequence[str], float], int | None]) -> Iterator[list[Sequence[str]]]:
    """Windows starts the child in another way; the command lines that it was given."""
    asked: list[Sequence[str]] = []

    def count(argv: Sequence[str], timeout_s: float) -> int | None:
        asked.append(argv)
        return start(argv, timeout_s)

    elevation.start_as_administrator = count
    try:
        yield asked
    finally:
        elevation.start_as_administrator = REAL_START


def fails(code: int) -> Callable[[Sequence[str], float], int | None]:
    def start(argv: Sequence[str], timeout_s: float) -> int | None:
        raise OSError(22, "as Windows words it", None, code)

    return start


def case_one_question_for_everything() -> None:
    actions = prepared_actions()
    assert raw_registry.may_write(PERSON)
    before = exports.whole()
    with state() as folder, started_by(REAL_START) as asked:
        elevation.together(actions, "apply", folder)
        assert len(asked) == 1
        assert [action.look().state for action in actions] == ["after"] * 3
        found = exports.changes(before, exports.whole())
        assert found == {
            (FILE_SYSTEM.upper(), "LongPathsEnabled"): ((3, b"\1\2\3"), ON),
            (DEVELOPER.upper(), None): ("gone", None),
            (DEVELOPER.upper(), "AllowDevelopmentWithoutDevLicense"): ("gone", ON),
            (MACHINE.upper(), "HF_HUB_OFFLINE"): (OFFLINE, "gone"),
            (PERSON.upper(), "HF_HUB_OFFLINE"): (OFFLINE, "gone"),
        }, found
        for action in actions:  # what comes after finds it done and asks nothing
            action.apply(quiet)
        elevation.together(actions, "apply", folder)
        assert len(asked) == 1
        elevation.together(actions, "undo", folder)
        assert len(asked) == 2
        assert exports.changes(before, exports.whole()) == {}
        elevation.together(actions, "undo", folder)
        assert len(asked) == 2


def case_an_action_alone_asks_for_itself() -> None:
    """As where a fix is taken back that an administrator's own terminal made."""
    actions = prepared_actions()
    before = exported()
    with started_by(REAL_START) as asked:
        for action in actions:
            action.apply(quiet)
            assert action.look().state == "after"
        for action in actions:
            action.undo(quiet)
            assert action.look().state == "before"
    assert len(asked) == 6
    assert exported() == before


def case_the_answer_is_no() -> None:
    actions = prepared_actions()
    before = exported()
    with state() as folder:
        with started_by(fails(1223)) as asked, refused("the answer was no", "nothing was changed"):
            elevation.together(actions, "apply", folder)
        assert len(asked) == 1
        for code in (5, 740, 1260, 1459):  # no question possible: a policy, no screen
            with started_by(fails(code)), refused("could not ask", f"error {code}", "nothing was changed"):
                elevation.together(actions, "apply", folder)
    assert exported() == before
    elevation.may_administer = lambda: True  # no question helps where an administrator may not
    with state() as folder, refused("not even by an administrator"):
        elevation.together(actions, "apply", folder)
    elevation.may_administer = lambda: False
    assert exported() == before


def case_nobody_answers() -> None:
    actions = prepared_actions()
    before = exported()
    late: list[Sequence[str]] = []
    elevation.DEADLINE_S = 0.5

    def start(argv: Sequence[str], timeout_s: float) -> int | None:
        late.append(argv)
        time.sleep(3)
        return None

    with state() as folder, started_by(start), refused("no answer", "nothing was changed"):
        elevation.together(actions, "apply", folder)
    elevation.DEADLINE_S = 600.0
    # the yes that comes afterwards finds no plan
    assert subprocess.run(late[0], stdin=subprocess.DEVNULL, capture_output=True).returncode == 2
    assert exported() == before


def case_the_child_dies() -> None:
    actions = prepared_actions()
    before = exported()
    with state() as folder:
        with started_by(lambda argv, timeout_s: 1), refused("ended with code 1", "nothing was changed"):
            elevation.together(actions, "apply", folder)
        assert exported() == before
        # it did the first of three; the second question puts that back
        killed = iter([True])

        def dies(argv: Sequence[str], timeout_s: float) -> int | None:
            if next(killed, False):
                exports.put(FILE_SYSTEM, "LongPathsEnabled", *ON)
                return 0xC0000005
            return REAL_START(argv, timeout_s)

        with started_by(dies) as asked, refused("nothing was changed"):
            elevation.together(actions, "apply", folder)
        assert len(asked) == 2
        assert exported() == before

        # and where the answer to that one is no, it is said what remains, which undo can still put back
        def dies_and_no(argv: Sequence[str], timeout_s: float) -> int | None:
            if exports.whole(FILE_SYSTEM)[FILE_SYSTEM, "LongPathsEnabled"] == ON:
                raise OSError(22, "no", None, 1223)
            exports.put(FILE_SYSTEM, "LongPathsEnabled", *ON)
            return 1

        with started_by(dies_and_no), refused("LongPathsEnabled is 1 (REG_DWORD)"):
            elevation.together(actions, "apply", folder)
        elevation.together(actions, "undo", folder)
    assert exported() == before


def case_somebody_was_faster() -> None:
    actions = prepared_actions()
    exports.put(FILE_SYSTEM, "LongPathsEnabled", 4, b"\0\0\0\0")
    before = exported()
    with state() as folder:
        with refused("changed by somebody else", "nothing was changed"):
            elevation.together(actions, "apply", folder)
        assert exported() == before
        elevation.together(actions, "apply", folder, force=True)
        assert actions[0].look().state == "after"
        elevation.together(actions, "undo", folder)


def case_old_plans_are_swept_up() -> None:
    actions = prepared_actions()
    with state() as folder:
        left = folder / "elevate-0.json"
        left.write_text("{}")
        os.utime(left, (time.time() - 3600,) * 2)
        with started_by(fails(1223)), refused("no"):
            elevation.together(actions, "apply", folder)


def case_unknown_keys_need_no_question() -> None:
    no_administrator()
    with refused("may not be changed by this user"):
        prepare(RegistryChange(r"HKLM\SOFTWARE\Somebody", "n", "REG_DWORD", 1), place())


def case_two_fixes_through_the_journal() -> None:
    """One question for both fixes, one for taking both back; a no to either leaves everything as it was."""
    actions = prepared_actions()
    before = exported()
    with tempfile.TemporaryDirectory() as name, Journal(Path(name)).locked() as journal:
        with started_by(fails(1223)) as asked:
            runs = [begin(journal, "a", "way", actions[:1]), begin(journal, "b", "way", actions[1:])]
            ended = administer(journal, runs)
        assert ended is not None
        assert ended.clean
        assert "the answer was no" in ended.reason
        assert len(asked) == 1
        assert exported() == before
        assert not journal.open_runs()

        with started_by(REAL_START) as asked:
            runs = [begin(journal, "a", "way", actions[:1]), begin(journal, "b", "way", actions[1:])]
            assert administer(journal, runs) is None
            assert all(carry_out(journal, run).done for run in runs)
        assert len(asked) == 1
        assert [action.look().state for action in actions] == ["after"] * 3

        after = exported()
        with started_by(fails(1223)) as asked, refused("the answer was no"):
            take_back_all(journal, runs[::-1])
        assert exported() == after
        assert not journal.open_runs()

        with started_by(REAL_START) as asked:
            assert take_back_all(journal, runs[::-1]) == []
        assert len(asked) == 1
        assert exported() == before


def case_cut_short_with_the_elevation_done() -> None:
    """Killed right after the child: the next hfdoctor knows what was begun, and takes it back with one question."""
    actions = prepared_actions()
    before = exported()
    with tempfile.TemporaryDirectory() as name:
        with Journal(Path(name)).locked() as journal:
            run = begin(journal, "a", "way", actions)
            for number in range(len(actions)):
                journal.write(Record("start", run=run.number, action=number))
            elevation.together(actions[:2], "apply", Path(name))
        with Journal(Path(name)).locked() as journal, started_by(REAL_START) as asked:
            ((_, trouble),) = recover_all(journal)
            assert trouble == ""
        assert len(asked) == 1
    assert exported() == before
