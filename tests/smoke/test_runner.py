"""What libraries do to the process that runs them, and what the run makes of it. The libraries are made."""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hfdoctor.facts.sections.smoke import StageRun
from hfdoctor.smoke import child_process, run
from hfdoctor.smoke.plan import Ask
from hfdoctor.smoke.run import Run
from tests.smoke.made import SOUND
from tests.smoke.watched import Bench, made_bench

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="test_runner_windows.py has what Windows does"),
]
IMPORTS = ["numpy", "safetensors", "tokenizers", "torch", "transformers"]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    temp = Path(tempfile.mkdtemp(prefix="hfd-test-", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    monkeypatch.setattr(run, "GRACE_S", 1.0)
    try:
        yield from made_bench(tmp_path, temp)
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def numpy_that(does: str) -> dict[str, str]:
    """numpy with a first act of its own."""
    return {"numpy": f"{does}\n{SOUND['numpy']}"}


def passed(stages: dict[str, StageRun]) -> list[str]:
    return [stage.subject for stage in stages.values() if stage.outcome == "pass"]


SOUND_ALL_THE_SAME = {
    "closes its output": "import os, sys; sys.stdout.close(); os.close(1)",
    "closes its errors": "import os, sys; sys.stderr.close(); os.close(2)",
    "writes bytes into its output": "import os; os.write(1, b'\\xff\\x00' * 40000)",
    "writes into every descriptor": (
        "import os\nfor number in range(1, 40):\n    try:\n"
        '        os.write(number, b\'\\xff{"done": "import numpy", "outcome": "fail"}\')\n'
        "    except OSError:\n        pass"
    ),
    "prints what looks like our words": (
        'print(\'{"done": "import numpy", "outcome": "fail"}\', flush=True)\n'
        "print('\\x1ehfdoctor stage import torch', flush=True)\nprint('{\"end\": true}', flush=True)"
    ),
    "changes directory": "import os; os.chdir('/')",
    "removes the scratch folder": "import os, shutil; shutil.rmtree(os.path.dirname(os.environ['HF_HOME']))",
    "replaces the streams": "import sys; sys.stdout = sys.stderr = object()",
    "turns faulthandler off": "import faulthandler; faulthandler.cancel_dump_traceback_later(); faulthandler.disable()",
    "raises in a thread": "import threading; t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()",
    "forks and goes on in both": "import os; os.fork()",
    "forks, and the copy stays": "import os, time\nif os.fork() == 0:\n    time.sleep(60)",
    "leaves a program that holds the pipes": "import subprocess; subprocess.Popen(['sleep', '60'])",
    "leaves a program in a session of its own": (
        "import subprocess; subprocess.Popen(['sleep', '60'], start_new_session=True, close_fds=False)"
    ),
    "leaves a daemon": (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0:\n        time.sleep(60)\n    os._exit(0)"
    ),
    "sleeps while Python ends": "import atexit, time; atexit.register(time.sleep, 0.5)",
    "reads its input": "import sys; assert sys.stdin.read() == ''",
    "writes beside itself": "open('left.txt', 'w').close(); import os; os.remove('left.txt')",
    "takes the signals": (
        "import signal\nfor s in (signal.SIGABRT, signal.SIGTERM, signal.SIGINT):\n    signal.signal(s, signal.SIG_IGN)"
    ),
    "makes its files read-only": (
        "import os\nhome = os.environ['HF_HOME']\nos.makedirs(home + '/a/b')\nopen(home + '/a/b/c', 'w').close()\n"
        "os.chmod(home + '/a/b/c', 0o400); os.chmod(home + '/a/b', 0o500); os.chmod(home + '/a', 0o000)"
    ),
}


@pytest.mark.parametrize("act", SOUND_ALL_THE_SAME)
def test_what_does_no_harm_passes(bench: Bench, act: str) -> None:
    began = time.monotonic()
    stages = bench.run(numpy_that(SOUND_ALL_THE_SAME[act]), timeout_s=20)
    assert passed(stages) == IMPORTS and len(stages) == 5
    assert time.monotonic() - began < 10


def test_gigabytes_of_output_are_not_kept(bench: Bench) -> None:
    before = psutil.Process().memory_info().rss
    act = "import os\nfor _ in range(300):\n    os.write(2, b'x' * 1000000)\n    os.write(1, b'y\\n' * 100000)\n"
    stages = bench.run(numpy_that(act + "raise OSError('after all that')"))
    assert stages["import numpy"].message == "after all that"
    assert len(stages["import numpy"].printed) <= 40
    assert psutil.Process().memory_info().rss - before < 60_000_000


DEATHS = {
    "no answer": ("import os; os._exit(0)", "no-answer"),
    "a code": ("import os; os._exit(3)", "exit 3"),
    "a code that a watchdog would have": ("import os; print('Timeout (0:00:01)!', flush=True); os._exit(1)", "exit 1"),
    "abort": ("import os; os.abort()", "signal SIGABRT"),
    "killed": ("import os; os.kill(os.getpid(), 9)", "signal SIGKILL"),
    "access to nothing": ("import ctypes; ctypes.string_at(0)", "signal SIGSEGV"),
    "every descriptor closed": ("import os, time; os.closerange(3, 200)", "no-answer"),
    "sys.exit": ("import sys; sys.exit(4)", "SystemExit"),
    "Ctrl-C": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "an exception that cannot speak": (
        "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E",
        "E",
    ),
    "an exception that causes itself": (
        "a = OSError('a'); b = OSError('a'); a.__cause__ = b; b.__cause__ = a\nraise a",
        "OSError",
    ),
    "words that are no text": ("raise OSError('caf\\udce9 \\ud83d ' + 'x' * 100000)", "OSError"),
}


@pytest.mark.parametrize("way", DEATHS)
def test_a_death_is_told_and_the_others_go_on(bench: Bench, way: str) -> None:
    act, error = DEATHS[way]
    stages = bench.run(numpy_that(act), timeout_s=20)
    assert (stages["import numpy"].outcome, stages["import numpy"].error) == ("fail", error)
    assert stages["import transformers"].because == "import numpy failed"
    assert passed(stages) == ["safetensors", "tokenizers", "torch"]
    assert len(stages["import numpy"].message) <= 4000


HANGS = {
    "in Python": "import time\ndef in_here():\n    time.sleep(60)\nin_here()",
    "in C, without giving way": "import ctypes\ndef in_here():\n    ctypes.PyDLL(None).sleep(60)\nin_here()",
    "with the watchdog gone": (
        "import faulthandler, time\nfaulthandler.cancel_dump_traceback_later()\n"
        "def in_here():\n    time.sleep(60)\nin_here()"
    ),
    "with 50 threads": (
        "import threading, time\nfor _ in range(50):\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "def in_here():\n    time.sleep(60)\nin_here()"
    ),
}


@pytest.mark.parametrize("way", HANGS)
def test_a_hang_ends_at_its_deadline_with_the_stacks(bench: Bench, way: str) -> None:
    stages = bench.run(numpy_that(HANGS[way]), timeout_s=1.5)
    stage = stages["import numpy"]
    assert (stage.outcome, stage.error) == ("fail", "timeout")
    assert any("in in_here" in line for line in stage.trace), stage.trace
    assert not any("in in_here" in line for line in stage.printed)
    assert 1.0 < stage.seconds < 8
    assert passed(stages) == ["safetensors", "tokenizers", "torch"]


def test_a_hang_of_500_threads(bench: Bench) -> None:
    """Python prints the stacks of the hundred youngest threads."""
    act = "import threading, time\nfor _ in range(500):\n"
    act += "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\ntime.sleep(60)"
    stage = bench.run(numpy_that(act), timeout_s=1.5)["import numpy"]
    assert stage.error == "timeout" and stage.printed == []
    assert 100 < len(stage.trace) <= 161 and stage.trace[0].startswith("Timeout (")


def test_a_stopped_process_is_ended(bench: Bench) -> None:
    stages = bench.run(numpy_that("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"), timeout_s=1)
    assert stages["import numpy"].error == "timeout"


def test_deaf_to_everything_is_killed(bench: Bench) -> None:
    act = "import faulthandler, signal, time; faulthandler.cancel_dump_traceback_later(); faulthandler.disable()\n"
    act += "signal.signal(signal.SIGABRT, signal.SIG_IGN); time.sleep(60)"
    assert bench.run(numpy_that(act), timeout_s=1)["import numpy"].error == "timeout"


def test_the_time_for_all_is_kept(bench: Bench) -> None:
    began = time.monotonic()
    stages = bench.run(numpy_that("import time\ndef in_here():\n    time.sleep(60)\nin_here()"), within_s=4)
    assert time.monotonic() - began < 4.5
    assert stages["import numpy"].error == "timeout"
    assert any("in in_here" in line for line in stages["import numpy"].trace)
    assert {stage.outcome for stage in stages.values()} <= {"fail", "skip", "pass"} and len(stages) == 5


def test_no_time_at_all(bench: Bench) -> None:
    assert {stage.because for stage in bench.run(within_s=-1).values()} == {"no time was left"}


@pytest.mark.parametrize(
    ("act", "error"),
    [("os.abort", "signal SIGABRT"), ("lambda: os._exit(5)", "exit 5"), ("lambda: time.sleep(60)", "timeout")],
)
def test_what_happens_while_python_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch, act: str, error: str) -> None:
    monkeypatch.setattr(run, "END_S", 2.0)
    stages = bench.run(numpy_that(f"import atexit, os, time; atexit.register({act})"))
    assert passed(stages) == IMPORTS
    assert stages["exit"].error == error
    if error != "exit 5":
        assert any("numpy" in line for line in stages["exit"].trace) or error.startswith("signal")


def test_a_crash_at_the_end_is_not_told_after_a_failure(bench: Bench) -> None:
    stages = bench.run({**numpy_that("import atexit, os; atexit.register(os.abort)"), "torch": "raise OSError('no')"})
    assert "exit" not in stages and stages["import torch"].message == "no"


def test_an_interpreter_that_does_not_start(bench: Bench) -> None:
    bench.python = str(bench.site / "python")
    stages = bench.run()
    assert stages["import numpy"].outcome == "fail" and stages["import numpy"].error == "not-started"
    assert {stage.outcome for stage in stages.values()} == {"fail", "skip"}


def test_a_start_that_fails(bench: Bench) -> None:
    (bench.site / "usercustomize.py").write_text("import os; print('bad start'); os._exit(9)")
    (bench.site / "sitecustomize.py").write_text("import os, sys; print('bad start', file=sys.stderr); os._exit(9)")
    stages = bench.run()
    assert stages["import numpy"].error == "exit 9" and stages["import numpy"].printed == ["bad start"]


@pytest.mark.parametrize(
    "says",
    [
        "pass",
        "print('{}')",
        "raise SystemExit(1)",
        "import json, os; SAY({'end': True})",
        "SAY({'again': True})",
        "SAY({'begin': 'no such stage'}); SAY({'done': 'import torch'})",
    ],
)
def test_every_child_costs_a_step(bench: Bench, monkeypatch: pytest.MonkeyPatch, says: str, tmp_path: Path) -> None:
    script = tmp_path / "start.py"
    script.write_text(
        "import json, os, sys\nplan = json.load(open(sys.argv[1]))\n"
        f"def SAY(words):\n    os.write(1, (plan['word'] + ' ' + json.dumps(words) + '\\n').encode())\n{says}\n"
    )
    monkeypatch.setattr(child_process, "SCRIPT", str(script))
    stages = bench.run()
    assert len(stages) == 5 and {stage.outcome for stage in stages.values()} <= {"fail", "skip"}


def test_secrets_are_masked(bench: Bench) -> None:
    act = "import os, sys\ntoken = os.environ['MY_SERVICE_TOKEN']\nprint('x' * 390 + token)\n"
    act += "print(token, file=sys.stderr)\n"
    act += (
        "def raises():\n    raise OSError('403 for ' + token + ' at http://ana:s3cret-word@proxy.example/')\nraises()"
    )
    stage = bench.run(numpy_that(act), MY_SERVICE_TOKEN="sesame-4711-opens")["import numpy"]
    said = "\n".join([stage.message, *stage.printed, *stage.trace])
    assert "sesame" not in said and "s3cret-word" not in said
    assert stage.message == "403 for *** at http://***@proxy.example/"


def test_the_plan_holds_no_secret(bench: Bench) -> None:
    act = "import os, sys\nplan = open(os.path.join(os.path.dirname(os.environ['HF_HOME']), 'plan.json')).read()\n"
    act += "assert os.environ['HF_TOKEN'] not in plan and 'import numpy' in plan"
    assert passed(bench.run(numpy_that(act), HF_TOKEN="hf_" + "a" * 34)) == IMPORTS


def test_calls_come_in_order_and_in_the_thread_of_the_run(bench: Bench) -> None:
    bench.libraries(numpy_that("import os; os._exit(1)"))
    calls: list[tuple[str, str, int]] = []

    def on_stage(key: str, stage: StageRun | None) -> None:
        calls.append((key, stage.outcome if stage else "begins", threading.get_ident()))

    made = Run(Ask(level="import"), bench.python, bench.environ(), str(bench.work), on_stage)
    stages = made.go(time.monotonic() + 30)
    assert {thread for _, _, thread in calls} == {threading.get_ident()}
    expected = []
    for stage in stages:
        expected += [(stage.key, "begins")] if stage.outcome != "skip" else []
        expected += [(stage.key, stage.outcome)]
    assert [call[:2] for call in calls] == expected


def test_a_view_that_fails_costs_nothing(bench: Bench) -> None:
    bench.libraries()

    def on_stage(key: str, stage: StageRun | None) -> None:
        raise BrokenPipeError("nobody looks any more")

    made = Run(Ask(level="import"), bench.python, bench.environ(), str(bench.work), on_stage)
    assert [stage.outcome for stage in made.go(time.monotonic() + 30)] == ["pass"] * 5
    assert isinstance(made.view_error, BrokenPipeError)


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1, 0.6])
def test_stop_from_another_thread(bench: Bench, after_s: float) -> None:
    bench.libraries(numpy_that("import ctypes, os\nos.fork()\nctypes.PyDLL(None).sleep(60)"))
    made = Run(Ask(level="import"), bench.python, bench.environ(), str(bench.work))
    thread = threading.Thread(target=made.go, args=(time.monotonic() + 60,))
    thread.start()
    time.sleep(after_s)
    began = time.monotonic()
    for _ in range(3):
        made.stop()
    assert time.monotonic() - began < 3
    thread.join(3)
    assert not thread.is_alive() and bench.left_behind() == []
    assert made.go(time.monotonic() + 60) == made.stages  # and nothing is started any more


def test_stop_before_anything_runs(bench: Bench) -> None:
    made = Run(Ask(level="import"), bench.python, bench.environ(), str(bench.work))
    made.stop()
    assert made.go(time.monotonic() + 60) == []


def test_no_file_of_memory_is_left(bench: Bench) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_CORE)
    if before[1] != resource.RLIM_INFINITY:
        pytest.skip("this user may write no files of memory")
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, before[1]))
    try:
        bench.run(numpy_that("import os; os.abort()"))
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert list(bench.work.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm")
@pytest.mark.parametrize("end", ["os.abort()", "time.sleep(60)", ""])
def test_shared_memory_is_given_back(bench: Bench, end: str) -> None:
    """What OpenMP and torch name after the process, and what multiprocessing's own tracker removes a moment later."""
    act = (
        "import os, time\nfrom multiprocessing import shared_memory\n"
        "block = shared_memory.SharedMemory(create=True, size=100, name=f'psm_{os.getpid()}_x')\n"
        "for name in (f'__KMP_REGISTERED_LIB_{os.getpid()}_0', f'torch_{os.getpid()}_1_2'):\n"
        "    open('/dev/shm/' + name, 'w').close()\n"
        f"open(os.path.join(os.environ['TMPDIR'], '..', '..', 'pid'), 'w').write(str(os.getpid()))\n{end}\n"
    )
    bench.run(numpy_that(act), timeout_s=1.5)
    pid = (bench.temp / "pid").read_text()
    (bench.temp / "pid").unlink()
    assert [path.name for path in Path("/dev/shm").iterdir() if f"_{pid}_" in path.name] == []


def test_a_python_that_never_begins_is_tried_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "START_S", 0.5)
    (bench.site / "sitecustomize.py").write_text("import time; time.sleep(60)")
    began = time.monotonic()
    stages = bench.run()
    assert time.monotonic() - began < 8
    assert stages["import numpy"].error == "timeout" and stages["import numpy"].message.startswith("the first stage")
    assert [stage.outcome for stage in stages.values()] == ["fail"] + ["skip"] * 4


def test_a_process_that_closed_its_pipe_and_lives(bench: Bench) -> None:
    stages = bench.run(numpy_that("import os, time; os.closerange(3, 200); time.sleep(60)"), timeout_s=30)
    assert stages["import numpy"].error == "no-answer" and stages["import numpy"].seconds < 6
    assert passed(stages) == ["safetensors", "tokenizers", "torch"]
