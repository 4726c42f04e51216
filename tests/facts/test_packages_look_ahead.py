"""Looking at the packages while the target still starts: quicker, and never another answer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfdoctor.__main__ import looks_at_a_machine, named_python
from hfdoctor.facts import collect
from hfdoctor.facts.collect import run_probes
from hfdoctor.facts.probe import Context, Probe, Request
from hfdoctor.facts.probes import distributions, packages
from hfdoctor.facts.probes import look_ahead as module
from hfdoctor.facts.probes.look_ahead import guess_site
from hfdoctor.facts.snapshot import Snapshot
from tests.facts.test_packages_environments import install, snapshot_of

pytestmark = pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="needs a safe fork")
LAYOUT = "Lib/site-packages" if os.name == "nt" else "lib/python3.12/site-packages"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests leave sleeping threads behind, as hanging probes do; those hold no lock that matters here."""
    left, count = threading.active_count() - 1, threading.active_count
    monkeypatch.setattr(threading, "active_count", lambda: count() - left)


def run(environment: Path | None, told: Snapshot) -> Snapshot:
    """Run the packages probe, with what was read ahead in ``environment`` while nobody had asked the target yet."""
    request = Request(python=str(environment) if environment else "/nonexistent", timeout_s=30.0)
    context = Context(request, Snapshot(), time.monotonic() + 30.0)
    context.ahead = module.look_ahead(request)
    assert (context.ahead is not None) == (environment is not None)
    for name in ("paths", "sys_path", "interpreter"):
        setattr(context.snapshot.target, name, getattr(told.target, name))
    run_probes([Probe("packages", packages.probe)], context)
    return context.snapshot


def files(snapshot: Snapshot) -> list[object]:
    return [msgspec.to_builtins(one) for one in snapshot.packages.files.need()]


@pytest.mark.parametrize("damaged", [False, True])
def test_the_answer_is_the_same(damaged: bool, tmp_path: Path) -> None:
    site = tmp_path / LAYOUT
    install(site, "transformers", requires="torch")
    info = install(site, "torch")
    if damaged:
        (info / "RECORD").write_text("torch/__init__.py,sha256=x,60\n")
    told = snapshot_of(site)
    ahead, after = run(tmp_path, told), run(None, told)
    assert files(ahead) == files(after)
    assert [one.altered for one in ahead.packages.files.need()] == [int(damaged), 0]


def test_another_folder_than_was_guessed(tmp_path: Path) -> None:
    install(tmp_path / LAYOUT, "torch", "1.0")
    install(tmp_path / "elsewhere", "torch", "2.0")
    snapshot = run(tmp_path, snapshot_of(tmp_path / "elsewhere"))
    assert [one.version for one in snapshot.packages.files.need()] == ["2.0"]


def test_what_was_read_ahead_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / LAYOUT, "torch")
    ahead = module.look_ahead(Request(python=str(tmp_path)))
    assert ahead is not None
    read = ahead.distributions(time.monotonic() + 30.0)
    assert read is not None and [entry.name for entry in read] == ["torch"]
    sound = ahead.sound_files(time.monotonic() + 30.0)
    assert [Path(path).name.partition("-")[0] for path in sound] == ["torch"]
    monkeypatch.setattr(distributions, "_read", None)  # what is there is not read again
    assert distributions.read_distributions([ahead.site], {ahead.site: read}) == read


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / LAYOUT, "torch")
    monkeypatch.setattr(module, "hold_files", lambda *args: time.sleep(60))
    ahead = module.look_ahead(Request(python=str(tmp_path)))
    assert ahead is not None
    pid = ahead.pid
    began = time.monotonic()
    assert ahead.distributions(time.monotonic() + 30.0) is not None, "these came before it hung"
    assert ahead.sound_files(time.monotonic() + 0.2) == {}
    assert time.monotonic() - began < 5.0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_that_fails_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / LAYOUT, "torch")
    monkeypatch.setattr(module, "hold_files", lambda *args: 1 / 0)
    ahead = module.look_ahead(Request(python=str(tmp_path)))
    assert ahead is not None
    assert ahead.distributions(time.monotonic() + 10.0) is not None
    assert ahead.sound_files(time.monotonic() + 10.0) == {}


def test_a_process_that_fails_at_once_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / LAYOUT, "torch")
    monkeypatch.setattr(module, "read_distributions", lambda *args: 1 / 0)
    told = snapshot_of(tmp_path / LAYOUT)
    assert [one.name for one in run(tmp_path, told).packages.files.need()] == ["torch"]


def test_what_was_begun_before_the_command_line_was_read_is_taken_over(tmp_path: Path) -> None:
    install(tmp_path / LAYOUT, "torch")
    module.begin(str(tmp_path))
    (begun,) = module._begun
    taken = module.look_ahead(Request(python=str(tmp_path)))
    assert taken is begun and not module._begun
    listed = taken.distributions(time.monotonic() + 30.0)
    assert listed is not None and [entry.name for entry in listed] == ["torch"]
    assert len(taken.sound_files(time.monotonic() + 30.0)) == 1


def test_a_wrong_guess_is_ended(tmp_path: Path) -> None:
    install(tmp_path / "one" / LAYOUT, "torch")
    install(tmp_path / "other" / LAYOUT, "torch")
    module.begin(str(tmp_path / "one"))
    pid = module._begun[0].pid
    taken = module.look_ahead(Request(python=str(tmp_path / "other")))
    assert taken is not None and taken.site == str(tmp_path / "other" / LAYOUT)
    taken.end()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_nothing_is_left_behind_where_the_run_ends_before_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / LAYOUT, "torch")
    pids = []

    def ends(probes: object, context: Context, *rest: object) -> None:
        assert context.ahead is not None
        pids.append(context.ahead.pid)
        raise collect.TargetError("none")

    monkeypatch.setattr(collect, "run_probes", ends)
    with pytest.raises(collect.TargetError):
        collect.collect(str(tmp_path))
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["--python", "--python=", "--python=x", "", "-", "--", "\0", "x", "\udcff"])))
def test_no_command_line_is_too_odd(words: list[str]) -> None:
    module.begin(named_python(["check", *words]))
    module.end_begun()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("check", None),
        ("check --python=a", "a"),
        ("check --deep --python a", "a"),
        ("check --python a --python b", "b"),
        ("check --python", ""),
    ],
)
def test_the_python_that_is_named(words: str, named: str | None) -> None:
    assert looks_at_a_machine(words.split()) and named_python(words.split()) == named


@pytest.mark.parametrize(
    "words", ["", "fix", "check --snapshot x", "check --snapshot=x", "snapshot -h", "check --help"]
)
def test_what_looks_at_no_machine(words: str) -> None:
    assert not looks_at_a_machine(words.split())


def test_a_folder_that_is_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Path:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "cwd", gone)
    module.begin("x")
    assert not module._begun


@pytest.mark.allow_subprocess
def test_a_wrong_command_line_leaves_no_process_behind(tmp_path: Path) -> None:
    info = install(tmp_path / LAYOUT, "torch")
    (info / "RECORD").unlink()
    os.mkfifo(info / "RECORD")  # nobody ever writes into it: the reader waits for ever
    argv = [sys.executable, "-m", "hfdoctor", "check", "--python", str(tmp_path), "--nonsense"]
    # standard output is the reader's, too: this returns only when both are gone
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "--nonsense" in done.stderr


def test_never_beside_another_thread(tmp_path: Path) -> None:
    """A fork copies none of the other threads, but all of the locks that they hold."""
    install(tmp_path / LAYOUT, "torch")
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        assert module.look_ahead(Request(python=str(tmp_path))) is None
    finally:
        stop.set()
        other.join()


@pytest.mark.skipif(os.name == "nt", reason="Windows has one layout")
def test_two_pythons_in_one_environment_are_not_guessed_at(tmp_path: Path) -> None:
    assert guess_site(str(tmp_path)) == ""
    (tmp_path / "lib/python3.11/site-packages").mkdir(parents=True)
    (tmp_path / "lib/python3.12").mkdir()
    assert guess_site(str(tmp_path)) == str(tmp_path / "lib/python3.11/site-packages")
    (tmp_path / "lib/python3.12/site-packages").mkdir()
    assert guess_site(str(tmp_path)) == ""
