"""The stage ``device``: which devices are meant, what each must get right, and that one broken GPU hides no other."""

from __future__ import annotations

import importlib.util
import math
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Goal
from hfdoctor.facts.fact import known, not_run
from hfdoctor.facts.sections.gpu import TorchDevice, TorchWord
from hfdoctor.facts.sections.smoke import Deviation, Machinery, StageRun
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.smoke import run as running
from hfdoctor.smoke.child import device, device_list
from hfdoctor.smoke.child.device_list import Sight, meant
from hfdoctor.smoke.child.teller import Refused, Skip, Stage
from hfdoctor.smoke.child.tolerances import LOGITS, STEP, SUM
from hfdoctor.smoke.plan import Ask, Step
from hfdoctor.smoke.probe import tell_the_others
from hfdoctor.smoke.run import Run
from hfdoctor.smoke.torch_word import merged, torch_word_of
from tests.facts.fake_torch import write_torch
from tests.recorded import build
from tests.smoke.made_gpus import write_gpus

runs = pytest.mark.allow_subprocess
NO_KERNEL = "CUDA error: no kernel image is available for execution on the device"


def python_of(env: Path) -> str:
    return str(env / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def made_torch(folder: Path, **more: Any) -> Any:
    """A package torch that computes in Python's own lists, loaded under another name."""
    write_torch(folder, **more)
    spec = importlib.util.spec_from_file_location("made_torch", folder / "torch" / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(sight: Sight) -> dict[str, Any]:
    stage = Stage("device", {})
    sight.tell(stage)
    return stage.facts


# -- which devices are meant ------------------------------------------------------------------------------------------


def test_two_gpus_are_seen_and_meant(tmp_path: Path) -> None:
    torch = made_torch(tmp_path)
    sight = Sight(torch)
    for asked, names in {
        "auto": ["cuda:0", "cuda:1"],
        "cuda": ["cuda:0", "cuda:1"],
        "cuda:1": ["cuda:1"],
        "cpu": ["cpu"],
        "all": ["cpu", "cuda:0", "cuda:1"],
    }.items():
        assert meant(asked, sight, torch) == names
    facts = told(sight)
    assert (facts["cuda"], facts["mps"], facts["xpu"]) == (True, False, False)
    assert (facts["arch_list"], facts["cudnn"], facts["seen"]) == ("sm_80 sm_86 compute_90", "9.10.2", "cuda:0 cuda:1")
    assert (facts["cuda:1 name"], facts["cuda:1 capability"], facts["cuda:1 memory"]) == ("NVIDIA A10", "8.6", 8 << 30)


@pytest.mark.parametrize("asked", ["cuda:7", "cuda:2", "tpu", "cuda:x", "cuda:-1"])
def test_a_device_that_does_not_exist_is_refused_with_those_that_do(asked: str, tmp_path: Path) -> None:
    torch = made_torch(tmp_path)
    with pytest.raises(Refused) as refused:
        meant(asked, Sight(torch), torch)
    assert str(refused.value).endswith("torch sees cuda:0 (NVIDIA A10) and cuda:1 (NVIDIA A10)")
    assert asked in str(refused.value)


def test_apples_gpu_is_one(tmp_path: Path) -> None:
    torch = made_torch(tmp_path, names=(), cuda=None, apple=True)
    sight = Sight(torch)
    assert meant("auto", sight, torch) == meant("mps", sight, torch) == ["mps"]
    with pytest.raises(Refused, match=r"mps:1 does not exist: torch sees mps \(Apple M3\)"):
        meant("mps:1", sight, torch)


def test_without_a_gpu_auto_does_not_apply(tmp_path: Path) -> None:
    torch = made_torch(tmp_path, names=(), cuda=None)
    sight = Sight(torch)
    with pytest.raises(Skip, match=r"^torch sees no GPU$"):
        meant("auto", sight, torch)
    assert meant("all", sight, torch) == ["cpu"]
    assert sight.messages == []


def test_a_torch_that_cannot_say_is_not_told_to_see_none(tmp_path: Path) -> None:
    torch = made_torch(tmp_path, on_available="raise RuntimeError('CUDA error: unknown error')")
    sight = Sight(torch)
    assert sight.available["cuda"] is None
    with pytest.raises(Skip, match=r"could not say whether there is a GPU .*unknown error"):
        meant("auto", sight, torch)


def test_why_there_is_none_is_in_torchs_own_words(tmp_path: Path) -> None:
    warns = "warnings.warn('CUDA initialization: The NVIDIA driver on your system is too old (found version 11040).')"
    torch = made_torch(
        tmp_path, names=(), on_available=warns, on_init="raise RuntimeError('Found no NVIDIA driver on your system.')"
    )
    sight = Sight(torch)
    facts = told(sight)
    assert "driver on your system is too old" in facts["message 0"]
    assert facts["message 1"] == "cuda.init: RuntimeError: Found no NVIDIA driver on your system."

    def zeros(count: int, device: str) -> None:
        raise AssertionError("Torch not compiled with CUDA enabled")

    torch.zeros = zeros
    for asked in ("cuda", "cuda:1"):
        with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
            meant(asked, sight, torch)
    torch.zeros = lambda count, device: None
    with pytest.raises(RuntimeError, match=r"torch\.cuda\.is_available\(\) is False"):
        meant("cuda", sight, torch)


def test_the_questions_are_those_of_deep() -> None:
    assert Path(device_list.QUESTIONS).resolve().name == "inspect_torch.py"
    assert device_list.questions().kernel is not None


def test_every_head_has_tolerances_that_grow_with_the_roundness() -> None:
    from hfdoctor.smoke.child.tiny_models import HEADS

    assert set(LOGITS) == set(HEADS)
    for table in LOGITS.values():
        assert table["tf32"] <= table["bfloat16"] and table["float16"] < table["bfloat16"] < math.inf
    assert SUM["float32"] < SUM["tf32"] <= SUM["float16"] < SUM["bfloat16"] < 0.1
    assert STEP["float32"] < STEP["tf32"] < 0.1


# -- TF32, and types of number ----------------------------------------------------------------------------------------


def place(monkeypatch: pytest.MonkeyPatch, **more: Any) -> Any:
    cuda = {"get_device_capability": lambda index: more.get("capability", (9, 0))}
    torch = SimpleNamespace(
        version=SimpleNamespace(hip=more.get("hip")),
        cuda=SimpleNamespace(**cuda),
        get_float32_matmul_precision=lambda: more.get("precision", "highest"),
        backends=SimpleNamespace(
            cudnn=SimpleNamespace(allow_tf32=more.get("convolutions", True)),
            cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False)),
        ),
    )
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    if "forced" in more:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", more["forced"])
    return device.Place(torch, more.get("name", "cuda:1"))


@pytest.mark.parametrize(
    ("more", "products", "convolutions"),
    [
        ({}, False, True),
        ({"capability": (7, 5)}, False, False),
        ({"precision": "high"}, True, True),
        ({"convolutions": False}, False, False),
        ({"forced": "1"}, True, True),
        ({"forced": "0", "precision": "medium"}, False, False),
        ({"name": "cpu", "precision": "high"}, False, False),
    ],
)
def test_tf32_is_reckoned_with(
    more: dict[str, Any], products: bool, convolutions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = place(monkeypatch, **more)
    assert (there.uses_tf32("matmul"), there.uses_tf32("convolution")) == (products, convolutions)


def test_what_a_gpu_only_imitates_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    old = place(monkeypatch, capability=(7, 5))
    assert "software" in old.lacks("bfloat16")
    assert old.lacks("float16") == old.lacks("float32") == ""
    assert place(monkeypatch, hip="6.4", capability=(9, 0)).lacks("bfloat16") == ""


# -- what the conditions hear -----------------------------------------------------------------------------------------


def listing(**facts: Any) -> StageRun:
    seen = {"cuda": True, "mps": False, "xpu": False, "arch_list": "sm_80 sm_90", "cudnn": "9.10.2"}
    names = {
        "seen": "cuda:0 cuda:1",
        "cuda:0 name": "NVIDIA A10",
        "cuda:1 name": "NVIDIA A10",
        "cuda:0 memory": 8 << 30,
    }
    return StageRun("device", facts={**seen, **names, "devices": "cuda:0 cuda:1", **facts})


def failed(subject: str, error: str, message: str = "", **facts: Any) -> StageRun:
    return StageRun("device", subject, "fail", error=error, message=message, facts=facts)


def test_a_gpu_that_passed_is_seen_working() -> None:
    passed = StageRun("device", "cuda:0", facts={"kernel": True, "convolution_by": "Cudnn"})
    word = torch_word_of([listing(), passed])
    assert word is not None
    assert [(one.kind, one.index, one.ok, one.memory_total) for one in word.devices] == [
        ("cuda", 0, True, 8 << 30),
        ("cuda", 1, None, None),
    ]
    assert (word.cuda, word.arch_list, word.cudnn, word.cudnn_ok) == (True, ["sm_80", "sm_90"], "9.10.2", True)
    assert word.messages == []


@pytest.mark.parametrize(
    ("stage", "ok", "cudnn_ok", "error"),
    [
        (
            failed("cuda:0", "RuntimeError", NO_KERNEL, doing="a first kernel"),
            False,
            None,
            f"RuntimeError: {NO_KERNEL}",
        ),
        (failed("cuda:0", "signal SIGSEGV"), False, None, "signal SIGSEGV"),
        (failed("cuda:0", "timeout", "no end after 180 s"), None, None, "timeout: no end after 180 s"),
        (
            failed("cuda:0", "OutOfMemoryError", "CUDA out of memory."),
            None,
            None,
            "OutOfMemoryError: CUDA out of memory.",
        ),
        (
            failed("cuda:0", "RuntimeError", "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED", kernel=True),
            True,
            False,
            "",
        ),
        (
            failed(
                "cuda:0", "RuntimeError", "an illegal memory access", kernel=True, doing="copies between cuda:1 and"
            ),
            True,
            None,
            "",
        ),
    ],
)
def test_a_gpu_that_failed_is_judged_by_where_it_broke_off(
    stage: StageRun, ok: bool | None, cudnn_ok: bool | None, error: str
) -> None:
    word = torch_word_of([listing(), stage])
    assert word is not None
    assert (word.devices[0].ok, word.cudnn_ok, word.devices[0].error) == (ok, cudnn_ok, error)
    assert word.messages and word.messages[0].startswith("device cuda:0: ")


@pytest.mark.parametrize(
    ("what", "ok", "cudnn_ok"),
    [
        ("logits of LlamaForCausalLM", False, None),
        ("convolution", True, False),
        ("numbers copied from cuda:0 to cuda:1", True, None),
        ("memory that is not given back after training steps like those before", True, None),
    ],
)
def test_a_wrong_result_accuses_what_made_it(what: str, ok: bool, cudnn_ok: bool | None) -> None:
    stage = failed("cuda:1", "wrong result", kernel=True)
    stage.deviations = [Deviation(what, device="cuda:1", dtype=dtype) for dtype in ("float32", "bfloat16")]
    word = torch_word_of([listing(), stage])
    assert word is not None
    assert (word.devices[1].ok, word.cudnn_ok) == (ok, cudnn_ok)
    assert word.messages == []


def test_nothing_is_said_where_nothing_was_asked() -> None:
    assert torch_word_of([StageRun("model")]) is None
    assert torch_word_of([StageRun("device", outcome="skip", because="import torch failed")]) is None
    died = torch_word_of([StageRun("device", outcome="fail", error="signal SIGSEGV")])
    assert died == TorchWord(messages=["device: signal SIGSEGV"])


def test_torch_compile_without_triton_is_heard() -> None:
    error = "backend='inductor' raised:\nRuntimeError: Cannot find a working triton installation. More information"
    stage = StageRun("compile", outcome="fail", error="BackendCompilerFailed", message=error)
    s = build("cuda", {}, {"triton": None})
    s.smoke.run, s.smoke.stages = known(Machinery("full"), ""), known([listing(), stage], "")
    tell_the_others(s)
    assert [(one.condition, one.basis) for one in diagnose(s).failed()] == [("triton-missing", "observed")]


def test_what_deep_heard_stays_where_the_run_says_nothing_new() -> None:
    deep = TorchWord(
        cuda=True,
        devices=[
            TorchDevice("A", ok=True, kind="cuda", index=0),
            TorchDevice("B", ok=True, kind="cuda", index=1, memory_total=7),
        ],
        cudnn_ok=True,
    )
    word = torch_word_of([listing(), failed("cuda:0", "RuntimeError", NO_KERNEL)])
    assert word is not None
    both = merged(deep, word)
    assert [(one.ok, one.memory_total) for one in both.devices] == [(False, 8 << 30), (True, 7)]
    assert both.cudnn_ok is True
    assert len(both.messages) == 1


# -- for real ---------------------------------------------------------------------------------------------------------


def run(env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Ask, **environ: str) -> Run:
    """Run the stage ``device`` alone, and what it brings along."""
    monkeypatch.setattr(running, "first_steps", lambda ask: [Step("device", 240.0)])
    made = Run(ask, python_of(env), {**os.environ, "OMP_NUM_THREADS": "2", **environ}, str(tmp_path))
    made.go(time.monotonic() + 540)
    return made


@runs
@pytest.mark.torch
@pytest.mark.slow
def test_the_processor_computes_all_of_it(torch_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(torch_env, tmp_path, monkeypatch, Ask(device="all"))
    assert [(stage.key, stage.outcome) for stage in made.stages] == [("device", "pass"), ("device cpu", "pass")]
    facts = made.stages[1].facts
    assert facts["kernel"] is True
    assert 0 < float(facts["float32 products"] or 0) < SUM["float32"] / 10
    assert 0 < float(facts["bfloat16 causal_lm"] or 0) < LOGITS["causal_lm"]["bfloat16"] / 2
    assert 0 < float(facts["float32 training"] or 0) < STEP["float32"] / 10
    assert "doing" not in facts


@runs
@pytest.mark.torch
@pytest.mark.slow
def test_cuda_of_a_torch_for_the_processor_fails_in_its_own_words(
    torch_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run(torch_env, tmp_path, monkeypatch, Ask(device="cuda"))
    (stage,) = made.stages
    assert (stage.outcome, stage.error) == ("fail", "AssertionError")
    assert stage.message == "Torch not compiled with CUDA enabled"
    s = build("linux")
    s.gpu.torch = not_run("only --deep asks torch")
    s.smoke.run, s.smoke.stages = known(Machinery("full", device="cuda"), ""), known(made.stages, "")
    tell_the_others(s)
    assert s.gpu.torch.need().cuda is False
    assert [one.condition for one in diagnose(s, Goal(require="gpu")).failed()] == ["torch-cpu-build"]


@runs
@pytest.mark.torch
@pytest.mark.slow
def test_of_six_gpus_each_tells_its_own_trouble(
    torch_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first says what CUDA says for ever after in that process; the second gives wrong numbers; of the others one
    is sound, one loses memory, one convolves wrongly, and one spoils what is copied to it or from it."""
    write_gpus(tmp_path / "site", {0: "raise", 1: "wrong", 2: "", 3: "leak", 4: "off", 5: "tears"})
    made = run(torch_env, tmp_path, monkeypatch, Ask(device="auto"), PYTHONPATH=str(tmp_path / "site"))
    stages = {stage.subject: stage for stage in made.stages}
    assert {name: stage.outcome for name, stage in stages.items()} == {
        "": "pass",
        "cuda:0": "fail",
        "cuda:1": "fail",
        "cuda:2": "pass",
        "cuda:3": "fail",
        "cuda:4": "fail",
        "cuda:5": "fail",
    }
    assert stages["cuda:0"].message == NO_KERNEL
    assert stages["cuda:0"].facts["doing"] == "a first kernel"
    assert {one.device for one in stages["cuda:1"].deviations} == {"cuda:1"}
    assert any("logits of LlamaForCausalLM" in one.what for one in stages["cuda:1"].deviations)
    wrong = {name: sorted({one.what for one in stage.deviations}) for name, stage in stages.items()}
    assert wrong["cuda:3"] == ["memory that is not given back after training steps like those before"]
    assert (stages["cuda:3"].deviations[0].expected, stages["cuda:3"].deviations[0].got) == ("0 bytes", "4096 bytes")
    assert wrong["cuda:4"] == ["convolution"]
    # copied only between those that work
    assert wrong["cuda:5"] == ["numbers copied from cuda:2 to cuda:5", "numbers copied from cuda:5 to cuda:2"]
    copied = {name for stage in made.stages for name in stage.facts if name.startswith("direct")}
    assert copied == {"direct cuda:2 to cuda:5", "direct cuda:5 to cuda:2"}
    s = Snapshot()
    s.smoke.stages = known(made.stages, "")
    tell_the_others(s)
    word = s.gpu.torch.need()
    assert [one.ok for one in word.devices] == [False, False, True, True, True, True]
    assert word.cudnn_ok is False


@runs
@pytest.mark.torch
@pytest.mark.slow
def test_a_device_that_does_not_exist_ends_the_run(
    torch_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_gpus(tmp_path / "site", {0: "", 1: ""})
    made = run(torch_env, tmp_path, monkeypatch, Ask(device="cuda:7"), PYTHONPATH=str(tmp_path / "site"))
    assert made.refused == "cuda:7 does not exist: torch sees cuda:0 (Made GPU) and cuda:1 (Made GPU)"
    assert [stage.outcome for stage in made.stages] == ["skip"]
