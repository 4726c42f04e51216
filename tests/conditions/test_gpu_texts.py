"""Machines that are known only from what somebody pasted."""

from __future__ import annotations

import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.facts.fact import known, not_run
from hfdoctor.facts.sections.gpu import Device, Gpu, NvidiaDriver, TorchWord
from hfdoctor.facts.sections.packages import Distribution
from hfdoctor.facts.snapshot import Snapshot
from tests.conditions.installed import finding

SILENT = "the text does not say"


def told(*packages: tuple[str, str], driver: str = "", runs: str = "", gpu: str = "", **word: object) -> Snapshot:
    """A snapshot in which only these things are known."""
    s = Snapshot(hfdoctor="0")
    s.gpu = Gpu()
    s.packages.distributions = known([Distribution(name, version, "") for name, version in packages], "the text")
    s.packages.torch_build = not_run(SILENT)
    if driver:
        s.gpu.driver = known(NvidiaDriver(driver, runs), "the text")
    if gpu:
        s.gpu.devices = known([Device("nvidia", gpu, "text")], "the text")
    if word:
        s.gpu.torch = known(TorchWord(**word), "the text")  # type: ignore[arg-type]
    return s


def test_the_runtime_in_a_list_says_which_build_it_is() -> None:
    listed = (("torch", "2.3.1"), ("nvidia-cuda-runtime-cu12", "12.1.105"))
    found = finding(told(*listed, driver="470.182.03", runs="11.4", gpu="NVIDIA A40"), "driver-too-old")
    assert (found.outcome, found.severity, found.basis) == ("fail", "warning", "derived")
    assert "12.1" in found.summary
    assert finding(told(*listed, driver="535.183.01", runs="12.2"), "driver-too-old").outcome == "pass"


def test_two_runtimes_say_nothing() -> None:
    listed = (("torch", "2.3.1"), ("nvidia-cuda-runtime-cu12", "12.1.105"), ("nvidia-cuda-runtime-cu11", "11.8.89"))
    assert finding(told(*listed, driver="470.182.03", runs="11.4"), "driver-too-old").outcome == "unknown"


def test_torch_says_itself_that_it_is_for_the_processor() -> None:
    message = "AssertionError: Torch not compiled with CUDA enabled"
    s = told(("torch", "2.4.0"), gpu="NVIDIA GeForce RTX 4070", messages=[message])
    found = finding(s, "torch-cpu-build")
    assert (found.outcome, found.severity) == ("fail", "warning")


@pytest.mark.parametrize("message", ["no kernel image is available for execution on the device", ""])
def test_old_ptx_alone_is_not_taken_for_support(message: str) -> None:
    s = told(("torch", "2.7.1+cu118"), gpu="NVIDIA GeForce RTX 5070", arch_list=["sm_86", "sm_90", "compute_37"])
    s.gpu.torch.need().messages = [message] if message else []
    assert finding(s, "gpu-arch-unsupported").outcome == ("fail" if message else "unknown")


def test_the_range_that_torch_complains_of_proves_nothing() -> None:
    message = "Minimum and Maximum cuda capability supported by this version of PyTorch is (8.0) - (12.0)"
    s = told(("torch", "2.9.1"), gpu="NVIDIA GB10", messages=[message])
    assert finding(s, "gpu-arch-unsupported").outcome == "unknown"


@pytest.mark.parametrize("version", ["2.4.0", "2.4.0+cu121", "2.4.0+cpu", "2.4.0+rocm6.1", "2.4.0a0+nv24.5"])
def test_a_version_alone_accuses_nobody(version: str) -> None:
    report = diagnose(told(("torch", version), ("transformers", "4.44.2")))
    assert not [f.summary for f in report.failed() if f.severity == "error"]
    assert not [f for f in report.findings if f.outcome == "crash"]
