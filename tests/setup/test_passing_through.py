"""What the person said and set reaches hfdoctor unchanged, and its end comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .checkout import Checkout, program, told

pytestmark = pytest.mark.allow_subprocess


def test_words_arrive_unchanged(ready: Checkout) -> None:
    words = ["check", "", "a b", "모델", "--", "-x", "*", "$HOME", 'say "hi"', "test"]
    assert told(ready.run(*words))["words"] == words


@pytest.mark.parametrize("code", [0, 1, 2, 3, 42, 130, 255])
def test_exit_code(ready: Checkout, code: int) -> None:
    assert ready.run("exit", str(code)).returncode == code


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGKILL", 137), ("SIGSEGV", 139)])
def test_death_by_signal_is_128_and_the_number(ready: Checkout, name: str, code: int) -> None:
    script = f'"{sys.executable}" "{ready.bootstrap}" die {name}; echo $?'
    shell = subprocess.run(["sh", "-c", script], env=ready.full_environ(), capture_output=True, text=True, check=False)
    assert shell.stdout.strip() == str(code)


def test_the_person_s_python_is_named(ready: Checkout, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", mine], check=True)
    python = program(mine, "python")
    answer = told(ready.run(python=python))
    assert answer["by"] == str(python)
    assert Path(answer["prefix"]) == ready.venv
    assert ready.run(python=python).stderr == "", "the same installation behind it: nothing to set up"


def test_started_from_its_own_environment_names_the_python_behind_it(ready: Checkout) -> None:
    result = ready.run(python=program(ready.venv, "python"))
    by = Path(told(result)["by"])
    assert result.stderr == ""
    assert ready.venv not in by.parents
    assert by.samefile(getattr(sys, "_base_executable", sys.executable))


@pytest.mark.parametrize("place", ["current folder", "PYTHONPATH"])
def test_a_module_of_the_person_s_does_not_stand_in_for_ours(ready: Checkout, tmp_path: Path, place: str) -> None:
    for name in ("json", "click", "hfdoctor", "subprocess"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
    if place == "PYTHONPATH":
        # bootstrap's own start needs the standard library, so only a third-party name is shadowed
        for name in ("json", "subprocess"):
            (tmp_path / f"{name}.py").unlink()
        answer = told(ready.run(PYTHONPATH=str(tmp_path)))
        assert answer["pythonpath"] == str(tmp_path), "it is a fact about the machine: hfdoctor must see it"
    else:
        answer = told(ready.run(cwd=tmp_path))
    assert str(tmp_path) not in answer["path"]


def test_standard_output_is_hfdoctor_s_alone(ready: Checkout) -> None:
    assert ready.run("check").stdout.count("\n") == 1


@pytest.mark.parametrize("redirection", ["2>&-", ">&-", "2>/dev/full"])
def test_closed_and_full_streams(ready: Checkout, redirection: str) -> None:
    script = f'"{sys.executable}" "{ready.bootstrap}" exit 4 {redirection}'
    shell = subprocess.run(["sh", "-c", script], env=ready.full_environ(), capture_output=True, text=True, check=False)
    assert (shell.returncode, shell.stderr) == (4, "")


@pytest.mark.slow
def test_interrupted_set_up_says_so_and_the_next_one_works(checkout: Checkout) -> None:
    process = checkout.start("--version")
    assert process.stderr is not None
    assert "making" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert rest == "hfdoctor set-up: interrupted\n"

    process = checkout.start("--version")
    assert process.stderr is not None
    assert "making" in process.stderr.readline()
    process.terminate()
    _, rest = process.communicate(timeout=60)
    assert (process.returncode, rest) == (143, "")
    # its installer ended with it: nothing to wait for
    result = checkout.run("--version")
    assert (result.returncode, "waiting" in result.stderr) == (0, False), result.stderr
