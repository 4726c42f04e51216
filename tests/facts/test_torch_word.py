"""``--deep``: torch says what it can compute on, and no crash, hang or refusal of one device hides another."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.facts.child import Ended
from hfdoctor.facts.fact import Fact, absent, known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import native, torch_word
from hfdoctor.facts.probes.torch_word import SCRIPT, Talk, listen, objects_in, read_torch_word
from hfdoctor.facts.sections.gpu import TorchWord
from hfdoctor.facts.sections.packages import ImportTrial
from hfdoctor.facts.sections.target import Chosen, Start
from hfdoctor.facts.snapshot import Snapshot
from tests.facts.fake_torch import write_torch
from tests.facts.pythons import interpreter

NO_KERNEL = "raise RuntimeError('CUDA error: no kernel image is available for execution on the device\\nCUDA kernel')"
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
runs = pytest.mark.allow_subprocess


def context(python: Path | str, site: Path, *, deep: bool = True, timeout_s: float = 60.0) -> Context:
    """A run whose target has started, with ``site`` on its path."""
    environ = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
    request = Request(
        python=str(python), deep=deep, timeout_s=timeout_s, cwd=site, environ={**environ, "PYTHONPATH": str(site)}
    )
    snapshot = Snapshot()
    snapshot.target.chosen = known(Chosen(python=str(python), because="option"))
    snapshot.target.start = known(Start(ok=True, exit_code=0))
    return Context(request, snapshot, time.monotonic() + timeout_s)


def ask(site: Path, **more: Any) -> Fact[TorchWord]:
    return read_torch_word(context(sys.executable, site, **more))


@runs
def test_two_healthy_gpus(tmp_path: Path) -> None:
    write_torch(tmp_path)
    word = ask(tmp_path).need()
    assert (word.cuda, word.mps, word.xpu) == (True, False, False)
    assert word.arch_list == ["sm_80", "sm_86", "compute_90"]
    assert [(d.kind, d.index, d.name, d.capability, d.ok, d.error) for d in word.devices] == [
        ("cuda", index, "NVIDIA A10", "8.6", True, "") for index in (0, 1)
    ]
    assert word.devices[0].memory_total == 8 << 30
    assert (word.cudnn, word.cudnn_ok) == ("9.10.2", True)
    assert word.messages == []


@runs
def test_a_device_without_kernels_leaves_the_other(tmp_path: Path) -> None:
    write_torch(tmp_path, kernel={"cuda:0": NO_KERNEL})
    word = ask(tmp_path).need()
    assert [device.ok for device in word.devices] == [False, True]
    assert "no kernel image is available" in word.devices[0].error
    assert word.cudnn_ok is True
    assert len(word.messages) == 1
    assert word.messages[0].startswith("cuda:0: RuntimeError: CUDA error: no kernel image")


@runs
@POSIX
@pytest.mark.parametrize(
    ("code", "ok", "error"),
    [
        ("SEGFAULT()", False, "signal SIGSEGV"),
        ("import ctypes; ctypes.string_at(8)", False, "signal SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGILL)", False, "signal SIGILL"),
        ("os.abort()", False, "signal SIGABRT"),
        ("os._exit(9)", False, "exit 9"),
        ("os.kill(os.getpid(), signal.SIGKILL)", None, "signal SIGKILL"),
        ("WRONG = True", False, "wrong result: 576 of 576 values"),
    ],
)
def test_a_device_that_kills_leaves_the_other(code: str, ok: bool | None, error: str, tmp_path: Path) -> None:
    write_torch(tmp_path, kernel={"cuda:0": code})
    word = ask(tmp_path).need()
    assert [device.ok for device in word.devices] in ([ok, True], [False, True])
    assert word.devices[0].ok is ok
    if "WRONG" in code:
        assert word.devices[0].error.startswith("wrong result")
    else:
        assert word.devices[0].error == error
        assert f"cuda:0: {error}" in word.messages
    assert word.cudnn_ok is True


@runs
@POSIX
def test_devices_that_hang_end_at_the_deadline_and_leave_the_others(tmp_path: Path) -> None:
    left = tmp_path / "still there"
    grandchild = f"import subprocess; subprocess.Popen(['sh', '-c', 'sleep 12; touch \"{left}\"']); HANG()"
    write_torch(tmp_path, names=("A", "B", "C"), kernel={"cuda:0": grandchild, "cuda:2": NO_KERNEL})
    began = time.monotonic()
    word = ask(tmp_path, timeout_s=12.0).need()
    assert time.monotonic() - began < 12.5
    assert [(device.ok, device.error[:7]) for device in word.devices] == [
        (None, "timeout"),
        (True, ""),
        (False, "Runtime"),
    ]
    assert "cuda:0: timeout" in word.messages
    time.sleep(max(0.0, began + 13.0 - time.monotonic()))
    assert not left.exists()


@runs
@POSIX
def test_a_question_that_kills_costs_its_own_answer(tmp_path: Path) -> None:
    write_torch(tmp_path, on_available="SEGFAULT()", apple=True)
    word = ask(tmp_path).need()
    assert (word.cuda, word.mps) == (None, True)
    assert "cuda: signal SIGSEGV" in word.messages
    assert [(device.name, device.ok, device.memory_total) for device in word.devices] == [("Apple M3", True, 16 << 30)]
    assert word.arch_list  # the build knows it


@runs
@POSIX
def test_a_processor_that_torch_dies_on_is_told(tmp_path: Path) -> None:
    write_torch(tmp_path, kernel={"cpu": "os.kill(os.getpid(), signal.SIGILL)"})
    word = ask(tmp_path).need()
    assert "cpu: signal SIGILL" in word.messages
    assert [device.ok for device in word.devices] == [True, True]


@runs
def test_cudnn_that_fails_is_told_and_the_kernels_stand(tmp_path: Path) -> None:
    error = "raise RuntimeError('cuDNN error: CUDNN_STATUS_NOT_INITIALIZED')"
    write_torch(tmp_path, convolution={"cuda:0": error}, cudnn=8902)
    word = ask(tmp_path).need()
    assert [device.ok for device in word.devices] == [True, True]
    assert (word.cudnn, word.cudnn_ok) == ("8.9.2", False)
    assert word.messages == ["cuda:0 cudnn: RuntimeError: cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"]


@runs
def test_why_there_is_no_gpu_is_said(tmp_path: Path) -> None:
    warns = "warnings.warn('CUDA initialization: The NVIDIA driver on your system is too old (found version 11040).')"
    noise = "print('from C++', file=sys.stderr); print('noise'); warnings.warn('old', FutureWarning)"
    write_torch(
        tmp_path, names=(), on_available=warns, on_init="raise RuntimeError('Found no NVIDIA driver')", on_import=noise
    )
    word = ask(tmp_path).need()
    assert word.cuda is False
    assert word.devices == []
    assert word.arch_list == ["sm_80", "sm_86", "compute_90"]
    assert any("driver on your system is too old" in text for text in word.messages)
    assert any("Found no NVIDIA driver" in text for text in word.messages)
    assert "from C++" in word.messages
    assert not any("noise" in text or "FutureWarning" in text for text in word.messages)


@runs
@POSIX
def test_a_flood_of_words_hides_no_crash(tmp_path: Path) -> None:
    flood = "[print('line', i, file=sys.stderr) for i in range(3000)]; sys.stderr.flush(); SEGFAULT()"
    write_torch(tmp_path, names=("A",), kernel={"cuda:0": flood})
    word = ask(tmp_path).need()
    assert word.messages[-1] == "cuda:0: signal SIGSEGV"
    assert 20 < len(word.messages) <= torch_word.MOST_MESSAGES


@runs
@POSIX
def test_a_device_that_takes_the_others_along(tmp_path: Path) -> None:
    """It falls off the bus: later children see no GPU at all."""
    mark = tmp_path / "gone"
    kernel = {"cuda:0": f"open({str(mark)!r}, 'w').close(); SEGFAULT()"}
    available = f"if os.path.exists({str(mark)!r}): raise RuntimeError('CUDA error: unknown error')"
    write_torch(tmp_path, kernel=kernel, on_available=available)
    word = ask(tmp_path).need()
    assert word.cuda is True
    assert [device.ok for device in word.devices] == [False, None]
    assert word.messages[-2:] == ["cuda: RuntimeError: CUDA error: unknown error", "cuda:1: not tried"]


@runs
def test_rocm(tmp_path: Path) -> None:
    write_torch(
        tmp_path, version="2.9.1+rocm6.4", cuda=None, hip="6.4", names=("AMD Radeon RX 6800",), arch_list=("gfx1030",)
    )
    word = ask(tmp_path).need()
    assert [(device.name, device.capability, device.ok) for device in word.devices] == [
        ("AMD Radeon RX 6800", "gfx1030", True)
    ]
    assert (word.cudnn, word.cudnn_ok) == ("", None)
    assert word.arch_list == ["gfx1030"]


@runs
def test_an_interface_of_which_half_is_missing(tmp_path: Path) -> None:
    gone = ("get_arch_list", "get_device_capability", "get_device_properties", "get_device_name", "init")
    write_torch(tmp_path, without=gone)
    word = ask(tmp_path).need()
    assert [(device.name, device.capability, device.memory_total, device.ok) for device in word.devices] == [
        ("cuda:0", "", None, True),
        ("cuda:1", "", None, True),
    ]
    write_torch(tmp_path, without=("is_available", "device_count"))
    assert ask(tmp_path).need().cuda is False


@runs
@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("raise ImportError('libcudart.so.12: cannot open')", "failed", "import: ImportError: libcudart.so.12"),
        ("raise SystemExit(3)", "failed", "import: SystemExit: 3"),
        ("os._exit(4)", "failed", "import: exit 4"),
        ("HANG()", "timeout", "importing torch took too long"),
    ],
)
def test_an_import_that_fails_here(code: str, status: str, reason: str, tmp_path: Path) -> None:
    write_torch(tmp_path, on_import=code)
    fact = ask(tmp_path, timeout_s=8.0)
    assert fact.status == status
    assert fact.reason.startswith(reason)


@runs
@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_every_python_can_ask(version: str, tmp_path: Path) -> None:
    write_torch(tmp_path, kernel={"cuda:0": NO_KERNEL})
    word = read_torch_word(context(interpreter(version), tmp_path)).need()
    assert [device.ok for device in word.devices] == [False, True]
    assert word.cudnn_ok is True


@runs
def test_the_doctors_own_modules_are_not_in_the_way(tmp_path: Path) -> None:
    write_torch(tmp_path, on_import="import walk\nrun('assert walk.OURS')")
    (tmp_path / "walk.py").write_text("OURS = True\n")
    assert (Path(SCRIPT).parent / "walk.py").is_file()
    assert ask(tmp_path).known


def test_it_is_not_asked_without_need() -> None:
    asked = context("/nowhere/python", Path.cwd(), deep=False)
    native.probe(asked)
    assert (asked.snapshot.gpu.torch.status, asked.snapshot.gpu.torch.reason) == ("not-run", "only --deep asks torch")

    asked = context("/nowhere/python", Path.cwd())
    asked.snapshot.packages.imports = known([ImportTrial("torch", ok=False, error="OSError")])
    fact = read_torch_word(asked)
    assert (fact.status, fact.reason) == ("not-run", "torch could not be imported: OSError")

    asked = context("/nowhere/python", Path.cwd())
    asked.snapshot.packages.torch_build = absent("torch is not installed")
    assert read_torch_word(asked).absent
    asked.snapshot.target.start = known(Start(ok=False))
    assert read_torch_word(asked).status == "not-run"


def test_an_interpreter_that_is_gone_is_a_failed_fact() -> None:
    asked = context("/nowhere/python", Path.cwd())
    native.probe(asked)
    assert asked.snapshot.gpu.torch.status == "failed"


def test_no_answer_is_no_word() -> None:
    talk = Talk()
    assert not listen(talk, Ended(0, b"Python 2\n", b""))
    assert talk.no_word is not None
    assert talk.no_word.status == "failed"


def test_what_is_cut_off_is_no_answer() -> None:
    text = b'x\nhfdoctor-torch:{"stage": "import"}\nhfdoctor-torch:{"done": "im'
    assert objects_in(text) == [{"stage": "import"}]
    assert objects_in(b"hfdoctor-torch:[1]\nhfdoctor-torch:{}") == [{}]
    talk = Talk()
    listen(talk, Ended(0xC0000005, text, b""))
    assert talk.no_word is not None
    assert talk.no_word.reason == "import: exit 0xC0000005"


@pytest.mark.torch
@runs
def test_the_real_torch_of_a_processor(torch_env: Path) -> None:
    python = torch_env / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    asked = context(python, torch_env)
    word = read_torch_word(asked).need()
    assert (word.cuda, word.mps, word.xpu) == (False, False, False)
    assert (word.devices, word.arch_list, word.messages) == ([], [], [])
    done = subprocess.run([python, "-B", torch_word.SCRIPT, "60"], capture_output=True, check=True)
    stages = {said["done"]: said for said in objects_in(done.stdout) if "done" in said}
    assert stages["cpu"]["ok"] is True
    assert not [stage for stage, said in stages.items() if "error" in said]
    assert done.stdout.isascii()


@pytest.mark.wine
@runs
def test_a_windows_python_is_asked_alike(winpy: Path, tmp_path: Path) -> None:
    kernel = {"cuda:0": "import ctypes; ctypes.string_at(8)", "cuda:1": "HANG()"}
    write_torch(tmp_path, names=("A", "B", "C"), kernel=kernel)
    script = "Z:" + SCRIPT.replace("/", "\\")
    environ = {**os.environ, "PYTHONPATH": "Z:" + str(tmp_path).replace("/", "\\")}
    talk = Talk()
    for _ in range(4):
        done = subprocess.run([winpy, "-B", script, "3", *talk.skip], capture_output=True, env=environ)
        if not listen(talk, Ended(done.returncode, done.stdout, done.stderr)):
            break
    assert [device.ok for device in talk.word.devices] == [False, None, True]
    assert talk.word.devices[1].error == "timeout"
    assert talk.word.messages[-1] == "cuda:1: timeout"
