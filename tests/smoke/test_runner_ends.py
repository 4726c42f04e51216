"""The doctor is interrupted, killed, or loses its terminal in the middle of a run: nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.smoke.made import SOUND
from tests.smoke.watched import Bench, made_bench

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="test_runner_windows.py has what Windows does"),
]
ROOT = Path(__file__).parent.parent.parent
#: a doctor that runs the stages in its main thread, or in another one as the command does
DOCTOR = f"""
import os, sys, threading, time
sys.path.insert(0, {str(ROOT)!r})
from hfdoctor.smoke.plan import Ask
from hfdoctor.smoke.run import Run

run = Run(Ask(level="import"), sys.executable, dict(os.environ), os.getcwd())
try:
    if sys.argv[1] == "main":
        run.go(time.monotonic() + 100)
    else:
        thread = threading.Thread(target=run.go, args=(time.monotonic() + 100,), daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.2)
finally:
    run.stop()
"""
#: hangs without giving way; a copy of it and a program in another session hang, too
HANGS = """
import ctypes, os, subprocess
subprocess.Popen(["sleep", "60"], start_new_session=True)
if os.fork() == 0:
    os.setpgid(0, 0)
else:
    open(os.path.join(os.environ["TMPDIR"], "hangs"), "w").close()
ctypes.PyDLL(None).sleep(60)
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    temp = Path(tempfile.mkdtemp(prefix="hfd-test-", dir="/tmp"))
    try:
        yield from made_bench(tmp_path, temp)
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def hanging_doctor(bench: Bench, thread: str = "main", **options: object) -> subprocess.Popen[bytes]:
    """A doctor in a session of its own, in the middle of a stage that hangs."""
    bench.libraries({"numpy": HANGS + SOUND["numpy"]})
    doctor: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
        [sys.executable, "-c", DOCTOR, thread],
        env=bench.environ(),
        cwd=bench.work,
        **{"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True, **options},
    )
    until = time.monotonic() + 30
    while not list(bench.temp.glob("hfd-smoke-*/t/hangs")):
        assert time.monotonic() < until and doctor.poll() is None
        time.sleep(0.02)
    # the child, its copy, the program of another session, the guard, and the doctor
    assert len(bench.processes()) == 5
    return doctor


WAYS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGABRT")


@pytest.mark.parametrize("thread", ["main", "other"])
@pytest.mark.parametrize("way", WAYS)
def test_a_signal_ends_everything(bench: Bench, way: str, thread: str) -> None:
    doctor = hanging_doctor(bench, thread)
    os.killpg(doctor.pid, getattr(signal, way))
    doctor.wait(5)
    assert bench.left_behind() == []


def test_an_impatient_person(bench: Bench) -> None:
    doctor = hanging_doctor(bench, "other")
    for _ in range(5):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(doctor.pid, signal.SIGINT)
        time.sleep(0.02)
    doctor.wait(8)
    assert bench.left_behind() == []


def test_a_closed_terminal(bench: Bench) -> None:
    terminal, other = os.openpty()

    def take_it() -> None:
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    doctor = hanging_doctor(bench, stdin=other, stdout=other, stderr=other, preexec_fn=take_it)
    os.close(other)
    os.close(terminal)
    doctor.wait(5)
    assert bench.left_behind() == []


def test_the_doctor_and_its_guard_are_killed_together(bench: Bench) -> None:
    """Nothing is left that could remove the folder: a later run does, and not before the time of a start is over."""
    from hfdoctor.smoke.scratch import LOCK, YOUNG_S, sweep

    doctor = hanging_doctor(bench)
    for process in psutil.Process(doctor.pid).children():
        if any("guard.py" in word for word in process.cmdline()):
            process.kill()
    doctor.kill()
    doctor.wait(5)
    (folder,) = bench.temp.glob("hfd-smoke-*")
    sweep(str(bench.temp))
    assert folder.exists()
    old = time.time() - YOUNG_S - 1
    os.utime(folder / LOCK, (old, old))
    sweep(str(bench.temp))
    assert not folder.exists()
    for process in bench.processes():
        process.kill()


def test_a_stopped_doctor_goes_on(bench: Bench) -> None:
    """Ctrl-Z and fg: what runs is left alone meanwhile."""
    doctor = hanging_doctor(bench)
    os.kill(doctor.pid, signal.SIGSTOP)
    time.sleep(0.3)
    assert len(bench.processes()) == 5
    os.kill(doctor.pid, signal.SIGCONT)
    os.kill(doctor.pid, signal.SIGTERM)
    doctor.wait(5)
    assert bench.left_behind() == []
