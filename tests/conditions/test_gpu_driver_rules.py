"""NVIDIA's rules of driver and CUDA, and that what was seen goes before them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdoctor.conditions.model import Goal
from hfdoctor.facts.fact import absent, failed, known, not_run
from hfdoctor.facts.sections.gpu import NvidiaDriver, TorchDevice, TorchWord
from hfdoctor.facts.sections.packages import TorchBuild
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded
from tests.conditions.installed import finding

AGE = "driver-too-old"


def machine(cuda: str, driver: str, runs: str, numbering: str = "linux") -> Snapshot:
    """The healthy machine with a torch for ``cuda`` and a driver that runs CUDA ``runs``."""
    s = recorded.build("cuda")
    s.packages.torch_build = known(TorchBuild(f"2.7.1+cu{cuda.replace('.', '')}", cuda=cuda), "torch/version.py")
    s.gpu.driver = known(NvidiaDriver(driver, runs, numbering), "NVML")
    return s


@given(st.integers(8, 14), st.integers(0, 9), st.integers(8, 14), st.integers(0, 9))
def test_the_drivers_own_word(major: int, minor: int, runs_major: int, runs_minor: int) -> None:
    s = machine(f"{major}.{minor}", "999.99", f"{runs_major}.{runs_minor}")
    enough = runs_major >= major if major >= 11 else (runs_major, runs_minor) >= (major, minor)
    found = finding(s, AGE)
    if enough:
        assert found.outcome == "pass"
    else:
        assert (found.outcome, found.severity, found.basis) == ("fail", "error", "derived")


@pytest.mark.parametrize(
    ("cuda", "driver", "numbering", "enough"),
    [
        ("12.8", "525.60.13", "linux", True),
        ("12.8", "525.60.12", "linux", False),
        ("12.1", "527.40", "windows", False),
        ("12.1", "528.33", "windows", True),
        ("11.8", "450.80.02", "linux", True),
        ("11.8", "440.33", "linux", False),
        ("10.2", "440.33", "linux", True),
        ("10.2", "418.113", "linux", False),  # of 10.1: before CUDA 11 the full version counts
        ("13.2", "580.65.06", "linux", True),
        ("13.2", "575.64.03", "linux", False),
    ],
)
def test_the_table_where_only_the_number_is_known(cuda: str, driver: str, numbering: str, enough: bool) -> None:
    found = finding(machine(cuda, driver, "", numbering), AGE)
    if enough:
        assert found.outcome == "pass"
    else:
        assert (found.outcome, found.severity, found.basis) == ("fail", "warning", "table")


def test_what_the_table_does_not_know_is_unknown() -> None:
    assert finding(machine("19.0", "990.10", ""), AGE).outcome == "unknown"
    assert finding(machine("12.8", "a driver", ""), AGE).outcome == "unknown"


def test_a_number_between_the_columns_is_unknown_without_a_system() -> None:
    s = machine("12.8", "526.98", "", "")  # enough on Linux, too old on Windows
    s.machine.os = failed("not told")
    s.machine.wsl = not_run("not told")
    assert finding(s, AGE).outcome == "unknown"


def test_what_was_seen_wins() -> None:
    s = machine("12.8", "470.57.02", "11.4")
    s.gpu.torch = known(TorchWord(cuda=True), "torch")
    assert finding(s, AGE).outcome == "pass"
    s.gpu.torch = known(TorchWord(cuda=False), "torch")
    assert (finding(s, AGE).severity, finding(s, AGE).basis) == ("error", "observed")
    s = machine("12.8", "470.57.02", "")
    s.gpu.torch = known(TorchWord(messages=["The NVIDIA driver on your system is too old (found version 11040)."]))
    assert (finding(s, AGE).severity, finding(s, AGE).basis) == ("error", "observed")


def test_a_compatibility_library_that_could_not_be_looked_for() -> None:
    s = machine("12.8", "470.57.02", "11.4")
    s.gpu.cuda_compat = failed("ld.so.cache cannot be read")
    assert finding(s, AGE).outcome == "unknown"
    s.gpu.cuda_compat = not_run("the text does not say")
    assert finding(s, AGE).severity == "warning"


def test_a_new_driver_is_no_cure_for_a_gpu_that_cuda_13_left() -> None:
    s = machine("13.0", "470.57.02", "11.4")
    card = s.gpu.devices.need()[0]
    s.gpu.devices = known([msgspec.structs.replace(card, name="Tesla P100", capability="6.0")], "NVML")
    remedy = finding(s, AGE).remedy
    assert remedy is not None
    assert not any("newer driver" in step.text for step in remedy.steps)
    assert any("whl/cu118" in part for step in remedy.steps for part in step.argv)


def test_the_goal_of_a_processor_alone() -> None:
    s = machine("12.8", "470.57.02", "11.4")
    assert finding(s, AGE, Goal(require="cpu")).outcome == "skip"


def test_missing_only_where_a_gpu_is_proven() -> None:
    s = recorded.build("cuda")
    s.gpu.driver, s.gpu.devices = absent("none"), absent("none on the bus")
    s.gpu.torch = known(TorchWord(cuda=False, messages=["Found no NVIDIA driver on your system."]))
    assert finding(s, "driver-missing").outcome == "skip"
    s.gpu.devices = failed("cannot be read")
    assert finding(s, "driver-missing").outcome == "unknown"  # torch says so on every machine without a GPU
    assert finding(s, "driver-missing", Goal(require="cuda")).outcome == "fail"
    s.gpu.torch = not_run()
    assert finding(s, "driver-missing", Goal(require="cuda")).outcome == "unknown"


def test_a_kernel_that_ran_acquits_the_architecture() -> None:
    s = recorded.build("cuda")
    card = s.gpu.devices.need()[0]
    s.gpu.devices = known([msgspec.structs.replace(card, name="Tesla V100", capability="7.0")], "NVML")
    assert finding(s, "gpu-arch-unsupported").severity == "error"
    s.gpu.torch = known(TorchWord(cuda=True, devices=[TorchDevice("Tesla V100", "7.0", ok=True)]), "torch")
    assert finding(s, "gpu-arch-unsupported").outcome == "pass"


@pytest.mark.parametrize(
    ("cuda", "runs", "capability", "helps"),
    [
        ("13.2", "12.4", "6.1", False),  # a GTX 1080: CUDA 13 has no code for it under any driver
        ("13.2", "12.4", "7.5", True),
        ("12.6", "11.4", "3.7", False),
        ("12.6", "11.4", "5.0", True),
        ("11.8", "10.2", "3.0", False),
        ("13.2", "12.4", "", True),  # not known: a newer driver may be the cure
    ],
)
def test_a_newer_driver_is_no_cure_for_a_gpu_that_the_cuda_left_behind(
    cuda: str, runs: str, capability: str, helps: bool
) -> None:
    s = machine(cuda, "470.57.02", runs)
    (card,) = s.gpu.devices.need()
    card.capability, card.name, card.pci_id = capability, "", ""
    remedy = finding(s, AGE).remedy
    texts = [step.text for step in remedy.steps] if remedy else []
    assert any("newer driver" in text for text in texts) is helps, texts
