"""The set-up on a Windows Python: its paths, its programs, its exit codes and its terminal."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.windows.machine import windows_path

from .checkout import PERSON, Checkout, told

pytestmark = [pytest.mark.allow_subprocess, pytest.mark.wine]


def run(winpy: Path, checkout: Checkout, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [winpy, windows_path(checkout.bootstrap), *words],
        cwd=checkout.folder,
        env=checkout.full_environ(**environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=300,
        check=False,
    )


@functools.cache
def installation(winpy: Path) -> Path:
    """The folder of python.exe."""
    code = "import sys, os; print(os.path.dirname(sys.executable))"
    told = subprocess.run([winpy, "-c", code], env=PERSON, capture_output=True, text=True, check=True, timeout=120)
    return Path(told.stdout.strip().removeprefix("Z:").replace("\\", "/"))


@pytest.fixture
def theirs(winpy: Path, tmp_path: Path) -> Path:
    """An environment as virtualenv makes it. This Python's own venv lacks the launcher that it copies."""
    folder = tmp_path / "theirs"
    scripts = folder / "Scripts"
    scripts.mkdir(parents=True)
    (folder / "Lib" / "site-packages").mkdir(parents=True)
    source = installation(winpy)
    for path in (*source.glob("*.exe"), *source.glob("*.dll"), *(source / "DLLs").iterdir()):
        shutil.copyfile(path, scripts / path.name)
    (folder / "pyvenv.cfg").write_text(
        f"home = {windows_path(source)}\ninclude-system-site-packages = false\nversion = 3.11\n", encoding="utf-8"
    )
    return folder


def test_a_python_that_cannot_make_environments_says_so(
    winpy: Path, light_checkout: Callable[..., Checkout], no_uv_environ: dict[str, str]
) -> None:
    if (installation(winpy) / "venvlauncher.exe").exists():
        pytest.skip("this Windows Python can make environments")
    checkout = light_checkout("모델", **no_uv_environ)
    result = run(winpy, checkout, "--version")
    assert (result.returncode, result.stdout) == (3, "")
    *_, line = result.stderr.splitlines()
    assert line.startswith("hfdoctor set-up: cannot make a virtual environment with Z:")
    assert "venvlauncher.exe" in line
    assert r"\ubaa8\ub378\.venv" in line, "what the terminal's code page lacks is escaped"
    assert result.stderr.isascii()


@pytest.mark.slow
def test_first_run_second_run_and_exit_codes(
    winpy: Path, light_checkout: Callable[..., Checkout], no_uv_environ: dict[str, str], theirs: Path
) -> None:
    checkout = light_checkout("모델 점검", **no_uv_environ, HFDOCTOR_VENV=windows_path(theirs), PIP_NO_COMPILE="1")
    first = run(winpy, checkout, "--version")
    assert (first.returncode, first.stdout[:9]) == (0, "hfdoctor "), first.stderr
    assert (theirs / "Scripts" / "hfdoctor.exe").is_file()
    second = run(winpy, checkout, "--version")
    assert (second.stdout, second.stderr) == (first.stdout, "")

    answer = told(run(winpy, checkout, "check", "a b", "", "-x"))
    assert answer["words"] == ["check", "a b", "", "-x"]
    assert answer["by"] == windows_path(installation(winpy)) + "\\python.exe"
    assert answer["prefix"] == windows_path(theirs)
    assert run(winpy, checkout, "exit", "130").returncode == 130
    # a path that the person set is seen and does not reach into the doctor
    elsewhere = windows_path(checkout.folder / "elsewhere")
    answer = told(run(winpy, checkout, PYTHONPATH=elsewhere))
    assert (answer["pythonpath"], elsewhere in answer["path"]) == (elsewhere, False)
