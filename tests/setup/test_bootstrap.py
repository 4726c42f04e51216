"""The first run and the second: the two commands a person types."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .checkout import Checkout, base_python, program, told

pytestmark = pytest.mark.allow_subprocess

IN_THE_CHECKOUT = """
import os, subprocess, sys

def test_patient():
    patient = os.environ["HFDOCTOR_TORCH_ENV"]
    assert patient == os.path.abspath(".venv-patient")
    assert subprocess.run([patient + "/bin/python", "-c", "import packaging, pip"]).returncode == 0
    assert os.path.basename(sys.prefix) == ".venv"
    assert "HFDOCTOR_LAUNCHED_BY" not in os.environ
    assert os.environ["PATH"].split(os.pathsep)[-1] == os.path.abspath(".venv/bin")

def test_wrong():
    assert False

def test_told():
    print("<" + os.environ["HFDOCTOR_TORCH_ENV"] + ">")
"""


def seconds(action: Callable[[], subprocess.CompletedProcess[str]], times: int = 5) -> float:
    """The median time of an action that must succeed."""
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        result = action()
        spent.append(time.perf_counter() - start)
        assert result.returncode == 0, result.stderr
    return statistics.median(spent)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["uv", "pip"])
def test_first_run_sets_up_and_second_starts_within_a_second(
    how: str,
    whole_checkout: Callable[..., Checkout],
    uv_environ: dict[str, str],
    no_uv_environ: dict[str, str],
) -> None:
    checkout = whole_checkout(**(uv_environ | {"UV_COMPILE_BYTECODE": ""} if how == "uv" else no_uv_environ))
    start = time.perf_counter()
    first = checkout.run("--version", python=base_python())
    first_seconds = time.perf_counter() - start
    assert (first.returncode, first.stdout[:9]) == (0, "hfdoctor "), first.stderr
    assert first.stderr.count("\n") == 1, "one line says that it takes a while"
    assert "Traceback" not in first.stderr
    log = (checkout.venv / "hfdoctor-setup.log").read_text("utf-8", "replace")
    assert ("/uv pip install" in log) == (how == "uv")

    stamp = checkout.stamp.stat().st_mtime_ns
    venv_python = program(checkout.venv, "python")
    hfdoctor = [venv_python, program(checkout.venv, "hfdoctor"), "--version"]
    alone = seconds(
        lambda: subprocess.run(hfdoctor, env=checkout.full_environ(), capture_output=True, text=True, check=False)
    )
    again = seconds(lambda: checkout.run("--version", python=base_python()))
    print(f"{how}: first run {first_seconds:.1f} s, second {again:.3f} s, hfdoctor alone {alone:.3f} s")
    assert first_seconds < 60
    assert again - alone < 1.0
    second = checkout.run("--version", python=base_python())
    assert (second.stdout, second.stderr) == (first.stdout, "")
    assert checkout.stamp.stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_a_python_without_pip_and_uv_is_enough(
    light_checkout: Callable[..., Checkout], no_uv_environ: dict[str, str], tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    subprocess.run([base_python(), "-m", "venv", "--without-pip", bare], check=True)
    result = light_checkout(**no_uv_environ).run("--version", python=program(bare, "python"))
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("\n") == 1, "the other way is no news"


@pytest.mark.slow
def test_two_first_runs_at_once_make_one_environment(checkout: Checkout) -> None:
    both = [checkout.start("--version") for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    said = "".join(stderr for _, stderr in ends)
    assert said.count("making") == 1, said
    assert said.count("waiting for another set-up") == 1, said


@pytest.mark.slow
def test_the_word_test_sets_up_what_pytest_needs_and_runs_it(checkout: Checkout, tmp_path: Path) -> None:
    # a small stand-in for the patient: what is tested is that it is made apart and handed over
    (checkout.folder / "scripts/set_up/patient.txt").write_text("packaging\n")
    tests = checkout.folder / "tests"
    tests.mkdir()
    (tests / "test_it.py").write_text(IN_THE_CHECKOUT)

    first = checkout.run("test", "-q", "-k", "patient", HFDOCTOR_LAUNCHED_BY="somewhere")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "1 passed" in first.stdout
    second = checkout.run("test", "-q", "-k", "patient or wrong")
    assert (second.returncode, second.stderr) == (1, ""), second.stderr
    assert "1 failed, 1 passed" in second.stdout
    assert checkout.run("test", "-q", "-k", "nothing-like-this").returncode == 5
    # the richer environment serves the doctor as well
    assert checkout.run("--version").stderr == ""

    # an environment that the person names is used as it is; an empty name stands for none
    (checkout.folder / ".venv-patient").rename(tmp_path / "elsewhere")
    named = checkout.run("test", "-q", "-s", "-k", "told", HFDOCTOR_TORCH_ENV=str(tmp_path))
    assert f"<{tmp_path}>" in named.stdout
    command = f'HFDOCTOR_TORCH_ENV="" exec "{sys.executable}" "{checkout.bootstrap}" test -q -s -k told'
    without = subprocess.run(["sh", "-c", command], env=checkout.full_environ(), capture_output=True, check=False)
    assert b"<>" in without.stdout
    assert not (checkout.folder / ".venv-patient").exists()


def test_no_words_mean_check(ready: Checkout) -> None:
    assert told(ready.run())["words"] == ["check"]
