"""The stage ``compile``: it computes the same, or says why there is nothing to try, and leaves nothing behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest

from hfdoctor.smoke import run as running
from hfdoctor.smoke.child import compile as compiling
from hfdoctor.smoke.child.device import works
from hfdoctor.smoke.child.teller import Skip, Stage
from hfdoctor.smoke.plan import Ask, Step
from hfdoctor.smoke.run import Run

runs = pytest.mark.allow_subprocess


class BackendCompilerFailed(RuntimeError):
    """As torch wraps what goes wrong below torch.compile: the cause is no __cause__ in every version."""

    def __init__(self, inner: Exception) -> None:
        super().__init__(f"backend='inductor' raised:\n{type(inner).__name__}: {inner}")
        self.inner_exception = inner


class InvalidCxxCompiler(RuntimeError):
    pass


class CppCompileError(RuntimeError):
    pass


@pytest.mark.parametrize(
    ("inner", "why"),
    [
        (
            InvalidCxxCompiler("No working C++ compiler found in torch._inductor.config.cpp.cxx: (None, 'g++')"),
            "there is no C++ compiler",
        ),
        (InvalidCxxCompiler("Compiler: cl is not found."), "there is no C++ compiler"),
        (RuntimeError("Failed to find C compiler. Please specify via CC environment variable."), "no C compiler"),
        (
            CppCompileError(
                "C++ compile error\n\nOutput:\nx.cpp:1:10: fatal error: Python.h: No such file or directory"
            ),
            "Python's header files are missing",
        ),
        (CppCompileError("c.h(2): fatal error C1083: Cannot open include file: 'Python.h': No such"), "header files"),
        (CppCompileError("clang: error\nx.h:3:10: fatal error: 'omp.h' file not found"), "the files of OpenMP"),
        (CppCompileError("ld: cannot find -lgomp: No such file or directory"), "the library of OpenMP"),
        (ModuleNotFoundError("No module named 'pkg_resources'"), "setuptools"),
        (RuntimeError("Dynamo is not supported on Python 3.12+"), "this torch cannot do it with this Python"),
        (RuntimeError("Python 3.12+ not yet supported for torch.compile"), "with this Python"),
        (RuntimeError("Windows not yet supported for torch.compile"), "this torch cannot do it"),
        (RuntimeError("torch.compile is not supported on Python 3.15+"), "with this Python"),
        (RuntimeError("Found Tesla P100 which is too old to be supported by the triton GPU compiler"), "too old"),
    ],
)
def test_where_there_is_nothing_to_try_the_reason_is_said(inner: Exception, why: str) -> None:
    for error in (inner, BackendCompilerFailed(inner)):
        said = compiling.why_not_here(error)
        assert why in said
        assert said.partition("(")[2].rstrip(")") in " ".join(str(inner).split())  # torch's own words


@pytest.mark.parametrize(
    "error",
    [
        CppCompileError("C++ compile error\n\nOutput:\nx.cpp:7:1: error: 'at' has not been declared"),
        AssertionError("unexpected buffer"),
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
        ModuleNotFoundError("No module named 'sympy'"),
        RuntimeError("Could not find an active GPU backend"),
    ],
)
def test_what_is_wrong_is_no_reason_to_skip(error: Exception) -> None:
    assert compiling.why_not_here(error) == ""
    assert compiling.why_not_here(BackendCompilerFailed(error)) == ""


def test_triton_is_missed_only_where_torch_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    error = BackendCompilerFailed(RuntimeError("Cannot find a working triton installation. Either the package"))
    asked = ['triton==3.5.0; platform_system == "Linux"', "sympy"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: asked)
    monkeypatch.setattr(compiling.sys, "platform", "linux")
    assert compiling.why_not_here(error) == ""
    monkeypatch.setattr(compiling.sys, "platform", "win32")
    assert "torch brings no triton here" in compiling.why_not_here(error)
    monkeypatch.setattr(compiling.sys, "platform", "linux")
    monkeypatch.setattr("importlib.metadata.requires", lambda name: ["sympy"])
    assert "torch brings no triton here" in compiling.why_not_here(error)


def test_a_chain_of_causes_that_bites_its_tail_ends() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    assert compiling.why_not_here(one) == ""


def test_the_first_gpu_that_proved_itself_is_taken(tmp_path: Path) -> None:
    plan = {"scratch": str(tmp_path)}
    assert works(plan) == compiling.first_gpu(Stage("compile", plan)) == []
    (tmp_path / "devices-that-work").write_text("cpu\ncuda:1\ncuda:2\n")
    assert compiling.first_gpu(Stage("compile", plan)) == ["cuda:1"]
    (tmp_path / "devices-that-work").write_text("mps\n")
    assert compiling.first_gpu(Stage("compile", plan)) == []


# -- for real ---------------------------------------------------------------------------------------------------------


def run(env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **environ: str) -> Run:
    """Run the stage alone, with everything that is written elsewhere caught in ``tmp_path``."""
    monkeypatch.setattr(running, "first_steps", lambda ask: [Step("compile", 400.0)])
    python = str(env / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    home = tmp_path / "home"
    home.mkdir()
    made = Run(Ask(), python, {**os.environ, "HOME": str(home), **environ}, str(tmp_path))
    made.go(time.monotonic() + 500)
    assert list(home.iterdir()) == []
    return made


def compilers() -> list[int]:
    """The processes that compile for torch."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if "compile_worker" in line or "torch/_inductor" in line:
            found.append(process.pid)
    return found


@runs
@pytest.mark.torch
@pytest.mark.slow
def test_what_is_compiled_computes_the_same(torch_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(compilers())
    made = run(torch_env, tmp_path, monkeypatch)
    (stage,) = made.stages
    assert (stage.outcome, stage.message) == ("pass", "")
    assert 0 < float(stage.facts["cpu"] or 0) < compiling.TOLERANCE / 10
    assert set(compilers()) <= before


@runs
@pytest.mark.torch
@pytest.mark.slow
def test_without_a_compiler_it_does_not_apply(torch_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(torch_env, tmp_path, monkeypatch, CXX=str(tmp_path / "no-compiler"))
    (stage,) = made.stages
    assert (stage.outcome, stage.error) == ("skip", "")
    assert stage.because.startswith("there is no C++ compiler (No working C++ compiler found")


@runs
@pytest.mark.torch
@pytest.mark.slow
def test_a_compiler_that_makes_nothing_fails(torch_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "g++"
    broken.write_text(
        '#!/bin/sh\ncase "$*" in *--version*) echo "g++ (GCC) 13.2.0";; *) echo "x.cpp: error: no" >&2; exit 1;; esac\n'
    )
    broken.chmod(0o755)
    made = run(torch_env, tmp_path, monkeypatch, CXX=str(broken))
    (stage,) = made.stages
    assert stage.outcome == "fail"
    assert "x.cpp: error: no" in stage.message


@runs
@pytest.mark.torch
@pytest.mark.slow
def test_a_switch_that_turns_it_off_is_no_pass(
    torch_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(torch_env, tmp_path, monkeypatch, TORCHDYNAMO_DISABLE="1")
    (stage,) = made.stages
    assert (stage.outcome, stage.because) == ("skip", "torch.compile is switched off (TORCHDYNAMO_DISABLE=1)")


def test_the_environment_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_INDUCTOR_INSTALL_GXX", "1")
    monkeypatch.delenv("TORCHINDUCTOR_COMPILE_THREADS", raising=False)
    before = {name: os.environ.get(name) for name in compiling.ENVIRONMENT}
    compiling.set_environment(compiling.ENVIRONMENT)
    assert os.environ["TORCHINDUCTOR_COMPILE_THREADS"] == "1" and "TORCH_INDUCTOR_INSTALL_GXX" not in os.environ
    compiling.set_environment(before)
    assert os.environ["TORCH_INDUCTOR_INSTALL_GXX"] == "1" and "TORCHINDUCTOR_COMPILE_THREADS" not in os.environ


def test_skips_keep_their_own_words() -> None:
    assert compiling.why_not_here(Skip("it is switched off")) == "it is switched off"
