"""A run on Windows: deaths, hangs and grandchildren, in folders with spaces and letters beyond ASCII."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.smoke.made import SOUND
from tests.windows.conftest import machine, windows_site
from tests.windows.machine import WindowsMachine, windows_path

__all__ = ["machine", "windows_site"]  # fixtures

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess, pytest.mark.slow]

#: a program that outlives whoever started it, and can be told by the folder that it names
LEAVES = "import os, subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', ROOT])\n"
ACTS = {
    "sound": "",
    "leaves a program": LEAVES,
    "hangs": LEAVES + "import time\ndef in_here():\n    time.sleep(60)\nin_here()\n",
    "hangs without giving way": (
        "import ctypes\ndef in_here():\n    ctypes.PyDLL('kernel32').Sleep(60000)\nin_here()\n"
    ),
    "exits": "import os; os._exit(3)\n",
    "answers nothing": "import os; os._exit(0)\n",
    "reads from nowhere": "import ctypes; ctypes.string_at(0)\n",
    "ends like a crash": "import ctypes; ctypes.windll.kernel32.ExitProcess(0xC0000409)\n",
    "prints in Korean": "import os\nos.write(1, '경로'.encode('cp949') + b'\\n')\nraise OSError('오류')\n",
    "closes its output": "import os; os.close(1)\n",
    "ends badly": "import atexit, os; atexit.register(os._exit, 5)\n",
}
KILLED = (
    LEAVES + "open(os.path.join(ROOT, 'hangs'), 'w').close()\nimport ctypes; ctypes.PyDLL('kernel32').Sleep(60000)\n"
)


@pytest.fixture(scope="module")
def answers(machine: WindowsMachine) -> dict[str, Any]:
    """What came of the acts; a start of Wine serves several."""
    root = machine.scratch / "한글 runs"
    for name, code in SOUND.items():
        (root / "site" / name).mkdir(parents=True)
        (root / "site" / name / "__init__.py").write_text(code, "utf-8")
    for name in ("temp", "work"):
        (root / name).mkdir()
    place = windows_path(root)

    def numpy(code: str) -> str:
        return f"ROOT = {place!r}\n{code}{SOUND['numpy']}"

    asked, answered = root / "asked.json", root / "answered.json"
    script = windows_path(Path(__file__).with_name("windows_runs.py"))
    said: dict[str, Any] = {}
    names = [*ACTS, "killed"]
    for some in (names[first::4] for first in range(4)):  # a start of Wine has a time that is too short for all
        acts = {name: numpy(ACTS[name]) for name in some if name in ACTS}
        killed = numpy(KILLED) if "killed" in some else None
        asked.write_text(json.dumps({"root": place, "acts": acts, "killed": killed}), "utf-8")
        (result,) = machine.run({"argv": [script, windows_path(asked), windows_path(answered)]})
        assert result.code == 0, result.stderr.decode("utf-8", "replace")
        said.update(json.loads(answered.read_text("utf-8")))
    return said


def numpy_of(answers: dict[str, Any], act: str) -> dict[str, Any]:
    stages = answers[act]["stages"]
    assert [stage["key"] for stage in stages[:1]] == ["import numpy"]
    first: dict[str, Any] = stages[0]
    return first


@pytest.mark.parametrize("act", ["sound", "leaves a program", "closes its output"])
def test_what_passes(answers: dict[str, Any], act: str) -> None:
    assert [stage["outcome"] for stage in answers[act]["stages"]] == ["pass"] * 5
    assert "한글 runs" in numpy_of(answers, act)["facts"]["file"]


@pytest.mark.parametrize("act", ["hangs", "hangs without giving way"])
def test_a_hang_ends_at_its_deadline_with_the_stacks(answers: dict[str, Any], act: str) -> None:
    stage = numpy_of(answers, act)
    assert stage["error"] == "timeout" and any("in in_here" in line for line in stage["trace"]), stage
    assert answers[act]["seconds"] < 20


@pytest.mark.parametrize(
    ("act", "error"),
    [("exits", "exit 3"), ("answers nothing", "no-answer"), ("ends like a crash", "exit 0xC0000409")],
)
def test_a_death_is_told(answers: dict[str, Any], act: str, error: str) -> None:
    assert numpy_of(answers, act)["error"] == error
    assert sorted(stage["outcome"] for stage in answers[act]["stages"]) == ["fail", "pass", "pass", "pass", "skip"]


def test_an_access_violation(answers: dict[str, Any]) -> None:
    """ctypes makes an OSError of it where it can; elsewhere Python dies."""
    assert numpy_of(answers, "reads from nowhere")["error"] in ("OSError", "exit 0xC0000005")


def test_what_is_printed_is_read(answers: dict[str, Any]) -> None:
    stage = numpy_of(answers, "prints in Korean")
    assert stage["message"] == "오류" and len(stage["printed"]) == 1


def test_what_happens_while_python_ends(answers: dict[str, Any]) -> None:
    assert [stage["error"] for stage in answers["ends badly"]["stages"] if stage["key"] == "exit"] == ["exit 5"]


@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_left(answers: dict[str, Any], act: str) -> None:
    assert answers[act]["left"] == []


def test_nothing_is_left_of_a_doctor_that_was_killed(answers: dict[str, Any]) -> None:
    """The job ends its child and what that one had started; its guard removes the folder."""
    assert answers["killed"]["there"] >= 4  # the doctor, the guard, the program, and the scratch folder
    assert answers["killed"]["left"] == []
