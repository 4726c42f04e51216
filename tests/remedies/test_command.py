"""Programs that hfdoctor runs for a person."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.changes import Command
from hfdoctor.facts.child import Ended
from hfdoctor.remedies.action import Refused, quiet
from hfdoctor.remedies.engine import begin, carry_out, take_back
from hfdoctor.remedies.journal import Journal
from hfdoctor.remedies.kinds.command import CommandAction, _said, prepare_command
from hfdoctor.remedies.kinds.registered import prepare
from tests.thorough import MOMENTS

from .killed import every_moment
from .made import workplace

pytestmark = pytest.mark.allow_subprocess


def touching(path: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('made')", str(path))


def removing(path: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", "import pathlib, sys; pathlib.Path(sys.argv[1]).unlink(missing_ok=True)", str(path))


def test_a_command_is_run_once_and_taken_back(tmp_path: Path) -> None:
    made = tmp_path / "made; touch x"
    action = prepare(Command(touching(made), removing(made), network=True, bytes=-5), workplace(tmp_path))
    assert isinstance(action, CommandAction)
    assert action.look().state == "before"
    assert action.needs().network
    assert action.needs().disk_bytes == -5
    assert action.needs().for_good == ""
    action.apply(quiet)
    assert made.read_text() == "made"
    assert action.look().state == "after"
    made.write_text("not run a second time")
    action.apply(quiet)
    assert made.read_text() == "not run a second time"
    again = msgspec.json.decode(msgspec.json.encode(action), type=CommandAction)
    assert again.look().state == "after"
    again.undo(quiet)
    assert not made.exists()
    assert action.look().state == "before"
    action.undo(quiet)


def test_a_failing_command_says_what_it_said_and_is_rolled_back(tmp_path: Path) -> None:
    made = tmp_path / "made"
    script = tmp_path / "fails.py"
    script.write_text(
        f"import sys; open({str(made)!r}, 'w')\n"
        "print('no\\x1b[31m way to https://ana:geheim@host', file=sys.stderr); sys.exit(3)"
    )
    action = prepare_command(Command((sys.executable, str(script)), removing(made)), workplace(tmp_path))
    journal = Journal(tmp_path / "state")
    with journal.locked():
        ended = carry_out(journal, begin(journal, "disk-full", "clean", [action], token="1a2b3c4d"))
    assert not ended.done
    assert "(exit code 3): no way to https://***@host" in ended.reason
    assert not made.exists()
    assert action.look().state == "before"
    assert [run.how for run in journal.read().runs.values()] == ["rolled-back"]


@pytest.mark.parametrize(
    ("printed", "told"),
    [
        ("thrown\n\x1b[1m\x1b[31mError: no such name.\x1b[0m\n\x1b[90mHint: try\x1b[0m", "Error: no such name."),
        ("Traceback (most recent call last):\n  File x\nhub.errors.HfError: 404\n", "hub.errors.HfError: 404"),
        ("fatal: not a repository", "fatal: not a repository"),
        ("two\nlines without it", "two lines without it"),
        ("an error is no head of a line\nlast", "an error is no head of a line last"),
        ("bell\a", "bell?"),
        ("", "it said nothing"),
    ],
)
def test_of_what_a_failed_program_printed_the_error_is_told(printed: str, told: str) -> None:
    assert _said(Ended(1, b"", printed.encode())) == told


def test_a_program_is_asked_for_no_colours(tmp_path: Path) -> None:
    code = "import os, sys; sys.exit(os.environ['NO_COLOR'] + os.environ['HF_HUB_DISABLE_UPDATE_CHECK'])"
    action = prepare_command(Command((sys.executable, "-c", code)), workplace(tmp_path))
    with pytest.raises(Refused, match=r": 11$"):
        action.apply(quiet)


def test_what_cannot_be_taken_back_says_so_and_locks_nobody_out(tmp_path: Path) -> None:
    made = tmp_path / "made"
    action = prepare_command(Command(touching(made)), workplace(tmp_path))
    assert action.needs().for_good.endswith("cannot be undone")
    journal = Journal(tmp_path / "state")
    with journal.locked():
        run = begin(journal, "disk-full", "clean", [action], token="1a2b3c4d")
        assert carry_out(journal, run).done
        take_back(journal, run)
    assert made.exists()
    assert not run.open


def test_a_hanging_command_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfdoctor.remedies.kinds.command._TIMEOUT_S", 0.5)
    action = prepare_command(Command((sys.executable, "-c", "import time; time.sleep(60)")), workplace(tmp_path))
    with pytest.raises(Refused, match="was stopped after"):
        action.apply(quiet)
    assert action.look().state == "between"


def test_programs_are_found_on_the_path_and_never_here(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "bin"):
        folder.mkdir(exist_ok=True)
        program = folder / "mytool"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    environ = {"PATH": os.pathsep.join((".", "", str(tmp_path), str(tmp_path / "bin")))}
    place = workplace(tmp_path, environ=environ)
    with pytest.raises(Refused, match="mytool is not installed here"):
        prepare_command(Command(("mytool", "clean")), place)  # tmp_path is the current folder
    environ = {"PATH": os.pathsep.join((".", str(tmp_path / "bin")))}
    if os.name == "posix":
        action = prepare_command(Command(("mytool", "clean up")), workplace(tmp_path, environ=environ))
        assert action.argv == (str(tmp_path / "bin" / "mytool"), "clean up")
        assert action.describe()[0].new.endswith("mytool 'clean up'")
    for argv in (("./mytool",), ("bin/mytool",), (str(tmp_path / "nothing"),), ("no-such-tool",), ()):
        with pytest.raises(Refused):
            prepare_command(Command(argv), workplace(tmp_path, environ=environ))
    with pytest.raises(Refused) as refused:
        prepare_command(Command((sys.executable, "https://ana:geheim@host")), place)
    assert "geheim" not in str(refused.value)


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_at_any_moment_it_can_be_finished_or_taken_back(tmp_path: Path) -> None:
    made = tmp_path / "made"
    action = prepare_command(Command(touching(made), removing(made)), workplace(tmp_path))
    told = msgspec.json.encode(action).decode()
    code = (
        "import msgspec; from hfdoctor.remedies.action import quiet; from hfdoctor.remedies.kinds.command import "
        f"CommandAction as C; a = msgspec.json.decode({told!r}, type=C); arm(); a.apply(quiet)"
    )

    def fresh() -> str:
        action.undo(quiet)
        assert not made.exists()
        return code

    states = set()
    for number, _ in enumerate(every_moment(fresh, at_most=MOMENTS)):
        states.add(action.look().state)
        if number % 2:
            action.apply(quiet)
            assert made.exists()
            assert action.look().state == "after"
    assert {"before", "between"} <= states
