"""``--require`` and ``--min-vram``: what meets them, and that the exit code never loses what is not met."""

from __future__ import annotations

import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Goal
from hfdoctor.facts.fact import absent, failed, known
from hfdoctor.facts.sections.gpu import Device, TorchWord
from hfdoctor.facts.sections.machine import OsInfo
from hfdoctor.facts.sections.packages import TorchBuild
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded
from tests.conditions.installed import finding

GIB = 2**30


@pytest.mark.parametrize("require", ["cuda", "gpu", "cpu"])
def test_met(require: str) -> None:
    report = diagnose(recorded.build("cuda"), Goal(require=require, min_vram=0 if require == "cpu" else 20 * GIB))
    assert report.exit_code == 0 and not report.failed()


@pytest.mark.parametrize("require", ["rocm", "xpu", "mps"])
def test_another_makers(require: str) -> None:
    report = diagnose(recorded.build("cuda"), Goal(require=require))
    assert [f.condition for f in report.failed()] == ["gpu-required"]
    assert report.exit_code == 1


@pytest.mark.parametrize("base", ["linux", "windows"])
def test_none(base: str) -> None:
    for goal in (Goal(require="cuda"), Goal(require="gpu"), Goal(min_vram=GIB)):
        report = diagnose(recorded.build(base), goal)
        assert [f.condition for f in report.failed()] == ["gpu-required"]
    assert diagnose(recorded.build(base), Goal(require="cpu")).exit_code == 0


@pytest.mark.parametrize("name", [name for name in recorded.names() if "goal" not in recorded.expected(name)])
def test_what_is_not_met_is_an_error(name: str) -> None:
    """Whatever explains it: a machine on which gpu-required fails by itself exits with 1."""
    s = recorded.load(name)
    for goal in (Goal(require="cuda"), Goal(min_vram=40 * 10**9), Goal(require="rocm")):
        if finding(s, "gpu-required", goal).outcome == "fail":
            assert diagnose(s, goal).exit_code == 1, goal


def apple(version: str) -> Snapshot:
    s = recorded.build("linux")
    s.machine.os = known(OsInfo("macos", "macOS", version), "platform")
    s.gpu.devices = known([Device("apple", "Apple M3", "system", memory_total=16 * GIB, integrated=True)], "system")
    s.packages.torch_build = known(TorchBuild("2.15.0"), "torch/version.py")
    return s


def test_apple() -> None:
    assert finding(apple("15.3"), "gpu-required", Goal(require="mps")).outcome == "pass"
    assert finding(apple("11.7"), "gpu-required", Goal(require="mps")).outcome == "fail"
    assert finding(apple("15.3"), "torch-cpu-build").outcome == "skip"


def test_what_torch_finds_comes_first() -> None:
    s = recorded.build("cuda")
    s.gpu.torch = known(TorchWord(cuda=False, xpu=False, mps=False), "torch")
    found = finding(s, "gpu-required", Goal(require="cuda"))
    assert (found.outcome, found.basis) == ("fail", "observed")
    s.gpu.torch = known(TorchWord(cuda=True), "torch")
    s.gpu.devices = failed("cannot be read")
    assert finding(s, "gpu-required", Goal(require="cuda")).outcome == "pass"


def test_memory() -> None:
    s = recorded.build("cuda")
    card = s.gpu.devices.need()[0]
    assert finding(s, "gpu-required", Goal(min_vram=24 * GIB)).outcome == "pass"  # it shows 23.99
    assert finding(s, "gpu-required", Goal(min_vram=25 * GIB)).outcome == "fail"
    card.memory_total = None
    assert finding(s, "gpu-required", Goal(min_vram=GIB)).outcome == "unknown"
    card.memory_total, card.mig, card.mig_slices = 80 * GIB, "enabled", ["MIG 1g.10gb", "MIG 2g.20gb"]
    assert finding(s, "gpu-required", Goal(min_vram=20 * GIB)).outcome == "pass"
    assert finding(s, "gpu-required", Goal(min_vram=40 * GIB)).outcome == "fail"


def test_a_gpu_without_a_driver_and_no_torch() -> None:
    s = recorded.build("cuda")
    s.packages.torch_build, s.gpu.driver = absent("torch is not installed"), absent("no driver")
    assert finding(s, "gpu-required", Goal(require="cuda")).outcome == "fail"
    s.gpu.driver = failed("hung")
    assert finding(s, "gpu-required", Goal(require="cuda")).outcome == "unknown"
