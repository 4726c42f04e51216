"""Healthy environments yield zero findings: a false alarm is a bug of the first rank."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real import check, failed, python_of, unknown

pytestmark = pytest.mark.allow_subprocess

PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX file modes and users")


def pyenv_pythons() -> list[Path]:
    return sorted(p / "bin" / "python" for p in PYENV.glob("3.*") if int(p.name.split(".")[1]) >= 8)


@pytest.fixture(scope="module")
def empty_venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(prefix)], check=True)
    return prefix


def healthy(*words: str, cwd: Path, **options: object) -> None:
    report = check(*words, cwd=cwd, **options)  # type: ignore[arg-type]
    assert not failed(report)
    assert report["exit_code"] == 0


@pytest.mark.torch
def test_torch_and_transformers(torch_env: Path, tmp_path: Path) -> None:
    report = check("--python", str(torch_env), cwd=tmp_path)
    assert not failed(report)
    assert not unknown(report)
    assert report["state"]["ready"] is True
    assert all(report["state"]["installed"].values())


@pytest.mark.torch
@pytest.mark.slow
def test_torch_and_transformers_deep(torch_env: Path, tmp_path: Path) -> None:
    assert not failed(check("--deep", "--python", str(torch_env), cwd=tmp_path))


def test_empty_venv_is_ready(empty_venv: Path, tmp_path: Path) -> None:
    report = check("--python", str(empty_venv), cwd=tmp_path)
    assert not failed(report)
    assert report["state"] == {"installed": {"transformers": None, "torch": None}, "ready": True, "because": []}


def test_the_active_venv_is_chosen(empty_venv: Path, tmp_path: Path) -> None:
    report = check(cwd=tmp_path, environ={"VIRTUAL_ENV": str(empty_venv)})
    assert report["target"]["python"] == str(python_of(empty_venv))
    assert not failed(report)


def test_the_venv_of_the_folder_is_chosen(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / ".venv")], check=True)
    report = check(cwd=tmp_path)
    assert Path(report["target"]["python"]) == python_of(tmp_path / ".venv")
    assert not failed(report)


@pytest.mark.parametrize("python", pyenv_pythons(), ids=lambda p: p.parts[-3])
def test_every_python_as_a_target(python: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "venv"
    subprocess.run([str(python), "-m", "venv", "--without-pip", str(prefix)], check=True)
    healthy("--python", str(prefix), cwd=tmp_path)


@pytest.mark.parametrize("python", pyenv_pythons(), ids=lambda p: p.parts[-3])
def test_every_python_itself(python: Path, tmp_path: Path) -> None:
    healthy("--python", str(python), cwd=tmp_path)


def test_folder_with_korean_letters_and_spaces(tmp_path: Path) -> None:
    prefix = tmp_path / "김철수 노트북" / "가상 환경"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    healthy("--python", str(prefix), cwd=prefix.parent)


@POSIX
def test_container_without_a_home(empty_venv: Path, tmp_path: Path) -> None:
    healthy("--python", str(empty_venv), cwd=tmp_path, environ={"HOME": None, "USER": None, "LOGNAME": None})


@POSIX
@pytest.mark.parametrize("home", ["/nonexistent", "/"])
def test_odd_homes(empty_venv: Path, tmp_path: Path, home: str) -> None:
    healthy("--python", str(empty_venv), cwd=tmp_path, environ={"HOME": home})


@POSIX
def test_uv_made(tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not on PATH")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(tmp_path / "v")], check=True)
    healthy("--python", str(tmp_path / "v"), cwd=tmp_path)


def test_virtualenv_made(tmp_path: Path) -> None:
    pytest.importorskip("virtualenv")
    subprocess.run([sys.executable, "-m", "virtualenv", "-q", "--no-download", str(tmp_path / "v")], check=True)
    healthy("--python", str(tmp_path / "v"), cwd=tmp_path)
