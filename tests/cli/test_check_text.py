"""``hfdoctor check --snapshot`` on what other tools print about a machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfdoctor.facts.snapshot import dump
from tests import recorded

from .test_check import ROOT, hfdoctor

pytestmark = pytest.mark.allow_subprocess

SAMPLES = ROOT / "tests" / "facts" / "samples"


def first_line(output: bytes) -> str:
    return output.decode().splitlines()[0]


def test_the_first_line_says_what_was_read() -> None:
    done = hfdoctor("check", "--snapshot", str(SAMPLES / "nvidia-smi-wsl-and-pip.txt"))
    assert first_line(done.stdout) == "Reading a description of another machine (nvidia-smi, pip list)"
    done = hfdoctor("check", "--snapshot", str(SAMPLES / "collect-env-2.14.txt"))
    assert first_line(done.stdout) == ("Reading a description of another machine (torch collect_env), Python 3.13.4")
    assert done.returncode in (0, 1) and not done.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.txt"))[::6])
def test_from_standard_input_it_is_the_same(name: str) -> None:
    data = (SAMPLES / name).read_bytes()
    from_file = hfdoctor("check", "--snapshot", str(SAMPLES / name))
    from_pipe = hfdoctor("check", "--snapshot", "-", stdin=data)
    assert from_file.stdout == from_pipe.stdout and from_file.returncode == from_pipe.returncode


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.glob("*.txt"))[::4])
def test_nobody_reads_none(name: str) -> None:
    """No template is filled with what a text does not say."""
    done = hfdoctor("check", "--snapshot", str(SAMPLES / name), "-v")
    assert done.returncode in (0, 1), done.stderr
    said = [line for line in done.stdout.decode().splitlines() if " = " not in line]
    assert not [line for line in said if "None" in line.split() or "Fact(" in line]


def test_what_a_text_does_not_list_is_not_called_missing() -> None:
    done = hfdoctor("check", "--snapshot", str(SAMPLES / "torch-prompt.txt"))
    assert b"not yet" not in done.stdout and b"Nothing installed" not in done.stdout
    assert b"torch 2.3.1+cu118" in done.stdout


def test_its_facts_can_be_kept_and_replayed(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ["check", "--format", "json", "--with-facts"]
    text = hfdoctor(*words, "--snapshot", str(SAMPLES / "vllm-coloured-log.txt"))
    report.write_bytes(text.stdout)
    assert hfdoctor(*words, "--snapshot", str(report)).stdout == text.stdout
    target = json.loads(text.stdout)["target"]
    assert target["python"] is None and target["version"] == "3.13.5"
    assert target["chosen_because"] == "a description of another machine (vLLM collect_env)"


def test_a_damaged_snapshot_is_not_taken_for_a_text(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_bytes(dump(recorded.build("linux"))[:-500])
    done = hfdoctor("check", "--snapshot", str(facts))
    assert done.returncode == 2 and b"is not JSON" in done.stderr


@pytest.mark.parametrize("data", [b"", b"hello\n", b"\x00\xff\x00", b'{"a": 1}', b"- one\n- two: three\n"])
def test_a_text_that_says_nothing_is_one_line_and_exit_2(data: bytes) -> None:
    done = hfdoctor("check", "--snapshot", "-", stdin=data)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.count(b"\n") == 1 and b"standard input" in done.stderr
