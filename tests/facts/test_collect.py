"""The probe runner and the child runner: deadlines hold, whatever the probes and tools do."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.facts import collect
from hfdoctor.facts.child import run_child
from hfdoctor.facts.collect import TargetError, fill_missing, run_probes
from hfdoctor.facts.fact import failed, known
from hfdoctor.facts.probe import Context, Probe, Request
from hfdoctor.facts.sections.machine import Machine
from hfdoctor.facts.snapshot import Snapshot


def context(timeout: float = 10.0) -> Context:
    return Context(Request(timeout_s=timeout), Snapshot(), time.monotonic() + timeout)


def test_a_probe_that_raises_costs_only_its_own_facts() -> None:
    def machine(ctx: Context) -> None:
        ctx.snapshot.machine.architecture = known("x86_64")
        raise ZeroDivisionError("oops")

    def settings(ctx: Context) -> None:
        ctx.snapshot.settings.variables = known([])

    ctx = context()
    run_probes([Probe("machine", machine), Probe("settings", settings)], ctx)
    assert ctx.snapshot.machine.architecture.value == "x86_64"
    assert ctx.snapshot.machine.os.status == "failed"
    assert "oops" in ctx.snapshot.machine.os.reason
    assert ctx.snapshot.settings.variables.known
    assert ctx.snapshot.probes["machine"].outcome == "crash"


def test_a_hung_probe_is_left_behind_with_what_it_found() -> None:
    def machine(ctx: Context) -> None:
        section = ctx.snapshot.machine
        section.architecture = known("x86_64")
        time.sleep(1.5)
        section.home = known("/late")

    ctx = context()
    started = time.monotonic()
    run_probes([Probe("machine", machine, budget_s=0.2)], ctx)
    assert time.monotonic() - started < 1.2
    assert ctx.snapshot.machine.architecture.value == "x86_64"
    assert ctx.snapshot.machine.home.status == "timeout"
    assert ctx.snapshot.probes["machine"].outcome == "deadline"
    time.sleep(1.5)
    assert ctx.snapshot.machine.home.status == "timeout", "what comes after the deadline must not change the snapshot"


def test_the_whole_run_has_a_deadline() -> None:
    ctx = context(0.3)
    started = time.monotonic()
    run_probes(
        [Probe("machine", lambda c: time.sleep(3)), Probe("settings", lambda c: None, after=("machine",))],
        ctx,
    )
    assert time.monotonic() - started < 2
    assert ctx.snapshot.probes["machine"].outcome == "deadline"
    assert ctx.snapshot.machine.os.status == "timeout"


def test_a_probe_sees_what_it_comes_after() -> None:
    def machine(ctx: Context) -> None:
        time.sleep(0.1)
        ctx.snapshot.machine.home = known("/h")

    seen: list[str | None] = []
    ctx = context()
    run_probes(
        [
            Probe("hub", lambda c: seen.append(c.snapshot.machine.home.value), after=("machine",)),
            Probe("machine", machine),
        ],
        ctx,
    )
    assert seen == ["/h"]


def test_a_milestone_is_enough_to_begin() -> None:
    order: list[str] = []

    def machine(ctx: Context) -> None:
        ctx.reached("machine.half")
        time.sleep(0.3)
        order.append("machine")

    run_probes(
        [
            Probe("machine", machine, milestones=("machine.half",), waits=True),
            Probe("hub", lambda c: order.append("hub"), after=("machine.half",)),
            Probe("settings", lambda c: order.append("settings"), after=("machine",)),
        ],
        context(),
    )
    assert order == ["hub", "machine", "settings"]


def test_a_milestone_that_is_never_reached_comes_with_the_end() -> None:
    seen: list[str] = []

    def machine(ctx: Context) -> None:
        raise ZeroDivisionError

    run_probes(
        [
            Probe("hub", lambda c: seen.append(c.snapshot.machine.os.status), after=("machine.half",)),
            Probe("machine", machine, milestones=("machine.half",)),
        ],
        context(),
    )
    assert seen == ["failed"]


def test_each_probe_has_a_moment_to_itself_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "HEAD_START_S", 0.3)  # long, for a busy machine
    spans: dict[str, tuple[float, float]] = {}

    def taking(name: str, seconds: float) -> Probe:
        def probe(ctx: Context) -> None:
            began = time.monotonic()
            time.sleep(seconds)
            spans[name] = (began, time.monotonic())

        return Probe(name, probe)

    run_probes([taking("machine", 0.001), taking("settings", 1.5), taking("hub", 0.001)], context())
    assert spans["settings"][0] >= spans["machine"][1], "a quick one is over before the next begins"
    assert spans["hub"][1] < spans["settings"][1], "a slow one keeps nobody waiting"


def test_what_waits_for_another_process_goes_first_and_alone() -> None:
    events: list[str] = []

    def target(ctx: Context) -> None:
        events.append("target")
        time.sleep(0.1)

    run_probes(
        [Probe("machine", lambda c: events.append("machine")), Probe("target", target, waits=True)],
        context(),
        on_start=lambda: events.append("meanwhile"),
    )
    assert events[0] == "target" and sorted(events[1:]) == ["machine", "meanwhile"]


def test_wrong_target_is_raised() -> None:
    def target(ctx: Context) -> None:
        raise TargetError("no such interpreter")

    with pytest.raises(TargetError, match="no such interpreter"):
        run_probes([Probe("target", target)], context())


def test_fill_missing_keeps_what_has_a_reason() -> None:
    machine = Machine()
    machine.home = known("/h")
    machine.wsl = failed("why")
    fill_missing(machine, failed("later"))
    assert (machine.home.value, machine.wsl.reason, machine.os.reason) == ("/h", "why", "later")


@pytest.mark.allow_subprocess
def test_child_output_and_code() -> None:
    ended = run_child([sys.executable, "-c", "import sys; print(input()); sys.exit(7)"], 20, stdin=b"hello\n")
    assert (ended.code, ended.stdout.strip(), ended.timed_out) == (7, b"hello", False)


@pytest.mark.allow_subprocess
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_child_signal_is_named() -> None:
    ended = run_child([sys.executable, "-c", "import os; os.abort()"], 20)
    assert ended.signal == "SIGABRT"


@pytest.mark.allow_subprocess
@pytest.mark.skipif(os.name == "nt", reason="POSIX process groups")
def test_the_whole_group_dies_at_the_deadline(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {pid_file}; trap '' TERM; sleep 60"
    started = time.monotonic()
    ended = run_child(["sh", "-c", script], 0.5)
    assert ended.timed_out and ended.code is None
    assert time.monotonic() - started < 5
    time.sleep(0.2)
    grandchild = int(pid_file.read_text())
    state = Path(f"/proc/{grandchild}/stat")
    assert not state.exists() or state.read_text().split(")")[1].split()[0] in "ZX"


@pytest.mark.allow_subprocess
def test_a_runaway_tool_does_not_fill_memory() -> None:
    code = "import os\nwhile True: os.write(1, b'x' * 65536)"
    ended = run_child([sys.executable, "-c", code], 1.0)
    assert ended.timed_out
    assert len(ended.stdout) < 40 * 1024 * 1024


@pytest.mark.allow_subprocess
def test_a_program_that_is_not_there() -> None:
    with pytest.raises(OSError):
        run_child(["/nonexistent/program"], 1)
