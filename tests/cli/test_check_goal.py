"""``hfdoctor check --require`` and ``--min-vram``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hfdoctor.cli.options import memory_size
from hfdoctor.facts.snapshot import dump
from tests import recorded

ROOT = Path(__file__).parent.parent.parent


def check(*words: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "hfdoctor", "check", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=120)


@pytest.fixture
def workstation(tmp_path: Path) -> str:
    path = tmp_path / "cuda.json"
    path.write_bytes(dump(recorded.build("cuda")))
    return str(path)


@pytest.mark.allow_subprocess
def test_the_goal_is_in_the_report(workstation: str) -> None:
    done = check("--snapshot", workstation, "--require", "cuda", "--min-vram", "24G", "--format", "json")
    assert done.returncode == 0
    goal = json.loads(done.stdout)["goal"]
    assert (goal["require"], goal["min_vram"]) == ("cuda", 24 * 10**9)


@pytest.mark.allow_subprocess
def test_what_is_not_met(workstation: str) -> None:
    done = check("--snapshot", workstation, "--require", "rocm", "--no-unicode")
    assert done.returncode == 1
    assert "gpu-required" in done.stdout
    assert check("--snapshot", workstation, "--min-vram", "48GiB").returncode == 1


@pytest.mark.allow_subprocess
@pytest.mark.parametrize(
    "words",
    [("--require", "tpu"), ("--min-vram", "much"), ("--min-vram", "24"), ("--require", "cpu", "--min-vram", "8G")],
)
def test_bad_values(words: tuple[str, ...]) -> None:
    done = check(*words)
    assert done.returncode == 2
    assert not done.stdout
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24G", 24 * 10**9),
        ("24gb", 24 * 10**9),
        ("16GiB", 16 * 2**30),
        ("8000M", 8 * 10**9),
        (" 7.5 GiB ", 15 * 2**29),
        ("1T", 10**12),
        ("512MiB", 2**29),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert memory_size("--min-vram", text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0G", "-8G", "24", "8K", "G", "1.2.3G", "1e3G", "infG", "\uff14G", "9" * 400 + "G"]
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(click.UsageError, match="--min-vram"):
        memory_size("--min-vram", text)
