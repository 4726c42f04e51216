"""``hfdoctor check`` as a program: options, exit codes, streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.facts.snapshot import dump
from tests import recorded

pytestmark = pytest.mark.allow_subprocess

ROOT = Path(__file__).parent.parent.parent


def hfdoctor(*words: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(
        [sys.executable, "-m", "hfdoctor", *words],
        input=stdin,
        capture_output=True,
        check=False,
        env=environ,
        timeout=120,
    )


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.json"
    path.write_bytes(dump(recorded.load("shared-memory-tiny")))
    return str(path)


@pytest.fixture
def healthy(tmp_path: Path) -> str:
    path = tmp_path / "healthy.json"
    path.write_bytes(dump(recorded.build("linux")))
    return str(path)


def test_version_and_help() -> None:
    assert hfdoctor("--version").stdout.startswith(b"hfdoctor ")
    for words in (["-h"], ["check", "-h"], ["snapshot", "-h"], ["conditions", "-h"]):
        done = hfdoctor(*words)
        assert done.returncode == 0 and b"Usage:" in done.stdout


def test_exit_codes(broken: str, healthy: str, tmp_path: Path) -> None:
    assert hfdoctor("check", "--snapshot", healthy).returncode == 0
    assert hfdoctor("check", "--snapshot", broken).returncode == 0
    assert hfdoctor("check", "--snapshot", broken, "--fail-on", "warning").returncode == 1
    unknown = tmp_path / "unknown.json"
    unknown.write_bytes(dump(recorded.load("shared-memory-unreadable")))
    assert hfdoctor("check", "--snapshot", str(unknown)).returncode == 0
    assert hfdoctor("check", "--snapshot", str(unknown), "--strict").returncode == 3


def test_exit_codes_are_the_same_in_json(broken: str) -> None:
    for options, code in (
        ([], 0),
        (["--fail-on", "warning"], 1),
        (["--ignore", "shared-memory", "--fail-on", "note"], 0),
    ):
        done = hfdoctor("check", "--snapshot", broken, "--format", "json", *options)
        assert done.returncode == code == json.loads(done.stdout)["exit_code"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["check", "--select", "shared-memry"], b"did you mean 'shared-memory'"),
        (["check", "--ignore", "nothing-like-it-at-all"], b"hfdoctor conditions"),
        (["check", "--snapshot", "/nonexistent/file"], b"cannot read"),
        (["check", "--snapshot", str(ROOT / "LICENSE")], b"is not a snapshot, and nothing in it is understood"),
        (["check", "--snapshot", "x", "--online"], b"replays recorded facts"),
        (["check", "--python", "/nonexistent/python"], b"/nonexistent/python"),
        (["check", "--output", "/nonexistent/dir/report.txt"], b"cannot write"),
        (["check", "--output", "/"], b"is a folder"),
        (["check", "--timeout", "0"], b"timeout"),
        (["check", "--with-facts"], b"--format json"),
        (["check", "--fail-on", "disaster"], b"disaster"),
        (["conditions", "long-path"], b"no condition is called"),
        (["chekc"], b"chekc"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(words: list[str], says: bytes) -> None:
    done = hfdoctor(*words)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert done.stderr.count(b"\n") == 1, done.stderr
    assert not done.stdout


def test_output_is_written_whole_or_not_at_all(broken: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text("old")
    assert hfdoctor("check", "--snapshot", "/nonexistent", "--output", str(report)).returncode == 2
    assert report.read_text() == "old"
    done = hfdoctor("check", "--snapshot", broken, "--format", "json", "--output", str(report))
    assert not done.stdout
    assert json.loads(report.read_text())["schema"] == "hfdoctor.report/1"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.json", "report.json"], "nothing else is left behind"


def test_snapshot_from_standard_input(broken: str) -> None:
    from_file = hfdoctor("check", "--snapshot", broken)
    from_pipe = hfdoctor("check", "--snapshot", "-", stdin=Path(broken).read_bytes())
    assert from_file.stdout == from_pipe.stdout


def test_live_report_and_its_replay_are_byte_equal(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    live = hfdoctor("check", "--format", "json", "--with-facts", "--output", str(report))
    replayed = hfdoctor("check", "--format", "json", "--with-facts", "--snapshot", str(report))
    assert replayed.returncode == live.returncode
    assert replayed.stdout == report.read_bytes()


def test_snapshot_command_and_replay(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    assert hfdoctor("snapshot", "--output", str(facts)).returncode == 0
    first = hfdoctor("check", "--snapshot", str(facts))
    assert first.returncode in (0, 1) and first.stdout.startswith(b"Inspecting ")
    assert first.stdout == hfdoctor("check", "--snapshot", str(facts)).stdout


@pytest.mark.parametrize("encoding", ["cp1252", "cp949", "ascii", "utf-8"])
def test_any_code_page(encoding: str, tmp_path: Path) -> None:
    snapshot = recorded.load("shared-memory-tiny")
    assert snapshot.target.chosen.value is not None
    snapshot.target.chosen.value.python = "/home/김철수/é/\udcff/python"
    path = tmp_path / "s.json"
    path.write_bytes(dump(snapshot))
    for form in ("text", "json"):
        done = hfdoctor("check", "-v", "--format", form, "--snapshot", str(path), PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    assert hfdoctor("check", "--snapshot", str(path), "--no-unicode").stdout.isascii()


def test_stdout_holds_one_document_and_nothing_else(broken: str) -> None:
    done = hfdoctor("check", "--snapshot", broken, "--format", "json")
    json.loads(done.stdout)
    assert not done.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_closed_pipe_is_no_crash() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m hfdoctor conditions shared-memory | true"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_interrupted_is_130(tmp_path: Path) -> None:
    import signal

    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = subprocess.Popen(
        [sys.executable, "-m", "hfdoctor", "check", "--snapshot", str(fifo)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
    )
    time.sleep(1.5)
    child.send_signal(signal.SIGINT)
    assert child.wait(20) == 130
    assert child.stderr is not None
    assert b"Traceback" not in child.stderr.read()


def test_completion_is_clicks_own() -> None:
    done = hfdoctor(_HFDOCTOR_COMPLETE="bash_source")
    assert done.returncode == 0
    assert b"complete" in done.stdout


def test_conditions_lists_and_prints() -> None:
    listed = hfdoctor("conditions").stdout.decode()
    assert "shared-memory" in listed
    page = hfdoctor("conditions", "shared-memory").stdout.decode()
    assert page.startswith("# shared-memory") and "## How safe the fix is" in page
    entries = json.loads(hfdoctor("conditions", "--format", "json").stdout)
    assert {"id", "family", "title", "page"} == set(entries[0])


def test_the_persons_files_do_not_become_the_doctors(tmp_path: Path) -> None:
    for name in ("random", "click", "json", "pathlib", "secrets", "subprocess"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not yours')")
    done = subprocess.run(
        [sys.executable, "-m", "hfdoctor", "conditions"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder that is in use")
def test_the_folder_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"rmdir {gone}; exec {sys.executable} -m hfdoctor check --format json"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-c", script], cwd=gone, env=env, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert b"Traceback" not in done.stderr
