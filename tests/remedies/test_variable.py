"""Environment variables in real start-up files, read back by real shells."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hfdoctor.conditions.changes import VariableChange
from hfdoctor.remedies.action import quiet
from hfdoctor.remedies.kinds.variable import VariableAction, prepare_variable

from .made import workplace

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(os.name == "nt", reason="on Windows a variable lives in the registry"),
]

BASHRC = b"# ~/.bashrc\n[ -z \"$PS1\" ] && return\nalias again='exec bash'\nexport HF_HOME='\"/data/hf\"'\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def prepared(home: Path, name: str, value: str | None, program: str = "bash", **environ: str) -> VariableAction:
    place = workplace(home, environ={"SHELL": shell(program), **environ}, token=environ.pop("token", "1a2b3c4d"))
    action = prepare_variable(VariableChange(name, value), place)
    assert isinstance(action, VariableAction)
    return action


def fresh(home: Path, program: str, name: str, **environ: str) -> str | None:
    """The variable as a program started from a new interactive shell has it."""
    option = "-lic" if program == "dash" else "-ic"
    ended = subprocess.run(
        [shell(program), option, "env -0"],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PS1": "$ ", "TERM": "dumb", **environ},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    found = dict(entry.split("=", 1) for entry in os.fsdecode(ended.stdout).split("\0") if "=" in entry)
    return found.get(name)


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """All that is in a folder: kind and mode, and what it holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        holds = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            holds = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = (info.st_mode, holds)
    return found


VALUES = ["/data/hf", "", "a b", "it's", '"quoted"', "$HOME/`id`/$(id)", "back\\slash\\", "!x #y ~z *", "/data/모델"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("program", ["bash", "zsh", "fish", "dash"])
def test_a_new_shell_has_the_value_and_has_it_no_more_after_the_undo(home: Path, program: str, value: str) -> None:
    files = {"bash": ".bashrc", "zsh": ".zshrc", "dash": ".profile"}
    if program in files:
        (home / files[program]).write_bytes(b"export HF_HOME=wrong\nexport OTHER=1\n")
    before = tree(home)
    assert fresh(home, program, "HF_HOME") == ("wrong" if program in files else None)
    before = tree(home) if program == "fish" else before  # fish makes its folders when it is first started
    action = prepared(home, "HF_HOME", value, program)
    assert action.look().state == "before"
    action.apply(quiet)
    assert action.look().state == "after"
    assert fresh(home, program, "HF_HOME") == value
    action.apply(quiet)
    assert fresh(home, program, "HF_HOME") == value
    action.undo(quiet)
    assert tree(home) == before
    assert action.look().state == "before"
    action.undo(quiet)
    assert tree(home) == before


@pytest.mark.parametrize("program", ["bash", "zsh", "fish", "dash"])
def test_a_variable_is_taken_away(home: Path, program: str) -> None:
    if program == "bash":
        (home / ".bashrc").write_bytes(BASHRC)
    action = prepared(home, "HF_HOME", None, program, HF_HOME='"/data/hf"')
    action.apply(quiet)
    assert fresh(home, program, "HF_HOME", HF_HOME="inherited") is None
    assert action.environ_after({"HF_HOME": "x", "A": "b"}) == {"A": "b"}
    action.undo(quiet)
    assert fresh(home, program, "HF_HOME", HF_HOME="inherited") is not None
