"""Where the environment goes, and the places where it cannot be made: one line, never a trace."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from .checkout import Checkout, base_python, program, told

pytestmark = pytest.mark.allow_subprocess


def one_line(result: subprocess.CompletedProcess[str], exit_code: int) -> str:
    """The line that says what went wrong, after checking that it is alone but for announcements."""
    assert result.returncode == exit_code, result.stdout + result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    *before, last = result.stderr.splitlines()
    assert all(re.search("[(]once[)]$|; (trying pip|using venv)$", line) for line in before), result.stderr
    return last


def can_run(command: Sequence[str | Path]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def closed_index() -> str:
    """The address of a package index where nobody answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/simple"


def test_folder_with_spaces_and_korean_letters(
    light_checkout: Callable[..., Checkout], uv_environ: dict[str, str]
) -> None:
    checkout = light_checkout("모델 점검 (new) [1] #2 %20", **uv_environ)
    first = checkout.run("--version")
    assert (first.returncode, first.stdout[:9]) == (0, "hfdoctor "), first.stderr
    second = checkout.run("모델", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert second.stderr == ""
    assert Path(told(second)["prefix"]).name == ".venv"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["uv", "pip"])
def test_no_network_is_one_line(
    how: str,
    light_checkout: Callable[..., Checkout],
    uv_environ: dict[str, str],
    no_uv_environ: dict[str, str],
    closed_index: str,
    tmp_path: Path,
) -> None:
    offline = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": closed_index,
        "PIP_FIND_LINKS": "",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "1",
        "UV_HTTP_RETRIES": "0",
        # the path does not fit the code page of the terminal
        "PYTHONIOENCODING": "cp1252",
    }
    environ = uv_environ | {"UV_CACHE_DIR": str(tmp_path / "cold")} if how == "uv" else no_uv_environ
    checkout = light_checkout("모델", **environ, **offline)
    result = checkout.run("--version", python=base_python())
    line = one_line(result, 3)
    assert "the package index cannot be reached" in line
    assert line.isascii()
    assert r"\ubaa8\ub378" in line
    assert ("trying pip" in result.stderr) == (how == "uv")
    # what failed is not taken for an environment, and works as soon as the network does
    assert not checkout.finished()


@pytest.mark.slow
def test_a_uv_that_fails_is_replaced_by_pip(
    light_checkout: Callable[..., Checkout], no_uv_environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "uv").write_text("#!/bin/sh\necho 'error: out of order' >&2\nexit 9\n")
    (tmp_path / "uv").chmod(0o755)
    checkout = light_checkout(PATH=f"{tmp_path}:{no_uv_environ['PATH']}")
    result = checkout.run("--version", python=base_python())
    assert (result.returncode, result.stdout[:9]) == (0, "hfdoctor "), result.stderr
    assert "uv cannot make the environment (out of order); using venv" in result.stderr
    assert "uv cannot install (out of order); trying pip" in result.stderr


def test_a_uv_that_is_no_program(
    light_checkout: Callable[..., Checkout], no_uv_environ: dict[str, str], closed_index: str, tmp_path: Path
) -> None:
    (tmp_path / "uv").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "uv").chmod(0o755)
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": closed_index, "PIP_FIND_LINKS": "", "PIP_RETRIES": "0"}
    checkout = light_checkout(PATH=f"{tmp_path}:{no_uv_environ['PATH']}", **offline, PIP_NO_CACHE_DIR="1")
    result = checkout.run("--version", python=base_python())
    assert (result.returncode, "Traceback" in result.stderr) == (3, False)
    assert "Exec format error); trying pip" in result.stderr


@pytest.mark.slow
def test_a_checkout_that_cannot_be_written(checkout: Checkout, tmp_path: Path) -> None:
    """On a read-only mount: the same for root, whom permissions do not stop."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, checkout.folder]
    if not can_run([*command, "true"]):
        pytest.skip("a read-only mount cannot be made here")

    def run(**environ: str) -> subprocess.CompletedProcess[str]:
        start = [*command, sys.executable, checkout.bootstrap, "--version"]
        environ = checkout.full_environ(**environ)
        return subprocess.run(start, env=environ, capture_output=True, text=True, check=False, timeout=120)

    line = one_line(run(), 3)
    assert "Read-only file system" in line
    assert "HFDOCTOR_VENV" in line
    elsewhere = run(HFDOCTOR_VENV=str(tmp_path / "elsewhere"))
    assert (elsewhere.returncode, elsewhere.stdout[:9]) == (0, "hfdoctor "), elsewhere.stderr
    assert run(HFDOCTOR_VENV=str(tmp_path / "elsewhere")).stderr == ""


@pytest.mark.parametrize("in_the_way", ["a file", "a dangling link", "below a file"])
def test_something_in_the_way(checkout: Checkout, tmp_path: Path, in_the_way: str) -> None:
    if in_the_way == "a file":
        checkout.venv.write_text("")
    elif in_the_way == "a dangling link":
        checkout.venv.symlink_to(tmp_path / "gone")
    named = str(checkout.folder / "pyproject.toml" / "venv") if in_the_way == "below a file" else ""
    assert one_line(checkout.run("--version", HFDOCTOR_VENV=named), 3).startswith("hfdoctor set-up: ")


def test_a_named_folder_with_other_things_in_it_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("miaow")
    line = one_line(checkout.run("--version", HFDOCTOR_VENV=str(tmp_path / "photos")), 2)
    assert "neither empty nor a virtual environment" in line
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


@pytest.mark.parametrize("named", [True, False])
def test_an_environment_somebody_else_made_is_added_to(checkout: Checkout, named: bool, tmp_path: Path) -> None:
    folder = tmp_path / "theirs" if named else checkout.venv
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (folder / "theirs").write_text("")
    environ = {"HFDOCTOR_VENV": str(folder)} if named else {}
    first = checkout.run("--version", **environ)
    assert first.returncode == 0, first.stderr
    assert "adding to" in first.stderr
    assert checkout.run("--version", **environ).stderr == ""
    if not named:
        # not even replaced after a change for which an environment of our own would be
        (checkout.folder / "pyproject.toml").open("a").write("\n")
        assert "adding to" in checkout.run("--version", **environ).stderr
    assert (folder / "theirs").exists()
    python = program(folder, "python")
    assert told(checkout.run(python=python, **environ))["by"] == str(python), "it may be the patient"


def test_what_is_left_in_our_own_place_is_replaced(checkout: Checkout) -> None:
    checkout.venv.mkdir()
    (checkout.venv / "pyvenv.cfg").write_text("home = /gone\n")
    (checkout.venv / "bin").mkdir()
    (checkout.venv / "bin" / "python").symlink_to("/gone/python")
    result = checkout.run("--version")
    assert (result.returncode, result.stdout[:9]) == (0, "hfdoctor "), result.stderr


def test_an_incomplete_checkout(checkout: Checkout) -> None:
    (checkout.folder / "pyproject.toml").unlink()
    assert "pyproject.toml: No such file" in one_line(checkout.run("--version"), 3)
    shutil.rmtree(checkout.folder / "scripts" / "set_up")
    assert "it needs the hfdoctor checkout" in one_line(checkout.run("--version"), 3)


def test_started_through_a_link(ready: Checkout, tmp_path: Path) -> None:
    (tmp_path / "doctor.py").symlink_to(ready.bootstrap)
    command = [sys.executable, tmp_path / "doctor.py", "--version"]
    result = subprocess.run(command, env=ready.full_environ(), capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "hfdoctor of the tests\n", "")


def test_a_full_disk(checkout: Checkout, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = 'mount -t tmpfs -o size=16k none "$0" && exec "$@"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, small]
    if not can_run([*command, "true"]):
        pytest.skip("a small file system cannot be mounted here")
    start = [*command, sys.executable, checkout.bootstrap, "--version"]
    environ = checkout.full_environ(HFDOCTOR_VENV=str(small / "venv"), UV_CACHE_DIR=str(small / "cache"))
    result = subprocess.run(start, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert one_line(result, 3).split("; all output")[0].endswith(("the disk is full", "No space left on device"))
