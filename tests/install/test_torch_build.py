"""The one choice of torch's build: right for every recorded machine, and the same that check advises."""

from __future__ import annotations

from typing import Any

import pytest

from hfdoctor.binaries.targets import runs_on
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Goal
from hfdoctor.conditions.torch_gpu import capability_of, driver_cuda
from hfdoctor.facts.fact import absent, failed, known
from hfdoctor.facts.sections.gpu import Device, NvidiaDriver
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.install.torch_build import NoBuild, TorchBuild, torch_build
from hfdoctor.knowledge.torch_builds import cuda_of_variant, runs_cuda, targets_of
from tests import recorded

GIB = 2**30


def machine(base: str = "linux", driver: str = "", *cards: tuple[str, float], **interpreter: Any) -> Snapshot:
    """A base machine with a driver for CUDA ``driver`` and NVIDIA GPUs: compute capability and GiB of memory."""
    s = recorded.build(base)
    devices = [
        Device("nvidia", f"NVIDIA of {capability}", "nvml", capability=capability, memory_total=int(size * GIB))
        for capability, size in cards
    ]
    s.gpu.devices = known(devices, "nvml") if devices else absent("none")
    s.gpu.driver = known(NvidiaDriver("555.42", driver), "nvml") if driver else absent("no driver")
    told = s.target.interpreter.need()
    for name, value in interpreter.items():
        setattr(told, name, value)
    return s


def build(s: Snapshot, require: str = "") -> TorchBuild:
    found = torch_build(s, require)
    assert isinstance(found, TorchBuild), found
    assert found.because
    assert found.index in ("", f"https://download.pytorch.org/whl/{found.variant}")
    return found


def why_none(s: Snapshot, require: str = "") -> str:
    found = torch_build(s, require)
    assert isinstance(found, NoBuild), found
    return found.because


WITH_GPUS = [name for name in recorded.names() if name.startswith(("torch-cpu-", "driver-", "gpu-", "rocm-", "wsl-"))]


@pytest.mark.parametrize("name", WITH_GPUS)
def test_what_is_chosen_runs(name: str) -> None:
    """On every recorded machine with a GPU: the driver runs its CUDA, and a GPU of the machine its code."""
    s = recorded.load(name)
    found = torch_build(s)
    if not isinstance(found, TorchBuild) or found.kind != "cuda":
        return
    cuda = cuda_of_variant(found.variant)
    driver = driver_cuda(s)[0]
    assert cuda and (not driver or runs_cuda(driver, cuda))
    os_info, told = s.machine.os.maybe(), s.target.interpreter.maybe()
    system = os_info.system if os_info else "linux"
    targets = targets_of(found.release, found.variant, system, (told.machine if told else "") or "x86_64")
    capabilities = [one for card in s.gpu.devices.need() if card.vendor == "nvidia" and (one := capability_of(card)[0])]
    assert targets
    assert not capabilities or any(runs_on(targets[0], (), one).how == "native" for one in capabilities)


def test_check_advises_the_same() -> None:
    """Whatever torch a finding tells to install for a GPU is the one that is chosen here."""
    compared = 0
    for name in WITH_GPUS:
        s = recorded.load(name)
        for finding in diagnose(s, Goal(**recorded.expected(name).get("goal", {}))).failed():
            if finding.condition not in ("torch-cpu-build", "driver-too-old", "gpu-required") or s.described:
                continue
            argv = (
                next((step.argv for step in finding.remedy.steps if "--index-url" in step.argv), None)
                if (finding.remedy)
                else None
            )
            if argv is not None:
                compared += 1
                assert argv[-1] == f"https://download.pytorch.org/whl/{build(s).variant}", name
    assert compared > 5


def test_one_build_for_gpus_of_two_generations() -> None:
    found = build(machine("linux", "13.0", ("6.1", 11), ("8.9", 24)))
    assert (found.kind, found.variant) == ("cuda", "cu126")  # CUDA 13 has left Pascal
    assert "6.1" in found.because and "8.9" in found.because


def test_where_no_build_serves_all_the_newer_one_counts() -> None:
    found = build(machine("linux", "13.0", ("3.7", 12), ("12.0", 32)))
    assert cuda_of_variant(found.variant) in ("12.8", "13.0", "13.2")
    assert "no build that serves has code for NVIDIA of 3.7" in found.because


def test_a_card_for_the_screen_does_not_count() -> None:
    assert build(machine("linux", "13.2", ("3.5", 2), ("8.9", 24))).variant == "cu132"
    # alone it is all that there is, and no build has code for it
    assert build(machine("linux", "13.2", ("3.5", 2))).kind == "cpu"


@pytest.mark.parametrize(
    ("driver", "capability", "variants"),
    [
        ("12.4", "6.1", {"cu126"}),  # Pascal: any driver of CUDA 12
        ("11.4", "7.0", {"cu118"}),  # Volta with an old driver
        ("11.4", "6.0", {"cu118"}),
        ("13.0", "7.0", {"cu126"}),
        ("13.2", "12.0", {"cu132"}),  # Blackwell
        ("12.2", "12.0", {"cu128", "cu129"}),  # its oldest build needs a driver of CUDA 12 only
        ("12.8", "9.0", {"cu126", "cu128", "cu129"}),
    ],
)
def test_generations_and_drivers(driver: str, capability: str, variants: set[str]) -> None:
    assert build(machine("linux", driver, (capability, 16))).variant in variants


def test_blackwell_with_a_driver_of_before() -> None:
    found = build(machine("linux", "11.8", ("12.0", 32)))
    assert found.kind == "cpu"
    assert "A newer driver lets torch 2" in found.because
    assert "A newer driver" in why_none(machine("linux", "11.8", ("12.0", 32)), "cuda")


def test_transformers_is_not_left_behind_for_an_old_card() -> None:
    """A torch that the installed transformers takes for none would be a bad cure; on its own the old card gets it."""
    both, alone = (machine("linux", "13.0", ("3.7", 12), *more) for more in ([("6.1", 11)], []))
    for s in (both, alone):
        s.packages.transformers_needs.need().minimum_torch = "2.8"
    assert tuple(map(int, build(both).release.split("."))) >= (2, 8)
    assert "no build that serves has code for NVIDIA of 3.7" in build(both).because
    assert tuple(map(int, build(alone).release.split("."))) < (2, 8)


def test_windows() -> None:
    found = build(machine("windows", "13.2", ("8.9", 24)))
    assert found.kind == "cuda" and found.index  # PyPI has the one for the processor there
    none = build(machine("windows"))
    assert (none.kind, none.index) == ("cpu", "")
    assert "needs glibc" not in none.because


def test_without_a_gpu() -> None:
    found = build(machine("linux"))
    assert (found.kind, found.index) == ("cpu", "https://download.pytorch.org/whl/cpu")  # PyPI's brings CUDA along
    assert found.requirement == f"torch=={found.release}"
    assert "no GPU" in why_none(machine("linux"), "cuda")


def test_without_a_driver() -> None:
    s = machine("linux", "", ("8.9", 24))
    assert "no driver" in build(s).because and build(s).kind == "cpu"
    assert "no driver" in why_none(s, "gpu")


def test_a_driver_that_says_nothing_of_cuda() -> None:
    s = machine("linux", "13.0", ("8.9", 24))
    s.gpu.driver = failed("cannot be read")
    assert "was not told" in build(s).because


def test_gpus_that_nobody_could_look_for() -> None:
    s = machine("linux")
    s.gpu.devices = failed("/sys cannot be read")
    assert "not known" in why_none(s)
    assert build(s, "cpu").kind == "cpu"


@pytest.mark.parametrize(
    ("targets", "kind"),
    [
        (["gfx1100"], "rocm"),
        (["gfx942:sramecc+:xnack-"], "rocm"),
        (["gfx1031"], "cpu"),
        (["gfx1100", "gfx942"], "rocm"),
    ],
)
def test_amd(targets: list[str], kind: str) -> None:
    s = machine("linux")
    s.gpu.devices = known([Device("amd", one, "kfd", capability=one) for one in targets], "kfd")
    found = build(s)
    assert found.kind == kind
    assert found.variant.startswith("rocm") == (kind == "rocm")


def test_amd_on_windows() -> None:
    s = machine("windows")
    s.gpu.devices = known([Device("amd", "Radeon", "registry", capability="gfx1100")], "registry")
    assert build(s).kind == "cpu" and "for Linux alone" in build(s).because


def test_an_integrated_gpu_is_none() -> None:
    s = machine("linux")
    s.gpu.devices = known([Device("amd", "780M", "kfd", capability="gfx1103", integrated=True)], "kfd")
    assert build(s).kind == "cpu"


def test_nvidia_comes_before_the_others() -> None:
    s = machine("linux", "13.2", ("8.9", 24))
    s.gpu.devices.need().insert(0, Device("amd", "Radeon", "kfd", capability="gfx1100"))
    assert build(s).kind == "cuda"
    assert build(s, "rocm").kind == "rocm"


def test_intel() -> None:
    s = machine("linux")
    s.gpu.devices = known([Device("intel", "Intel Arc A770", "pci", pci_id="8086:56a0")], "pci")
    assert build(s).kind == "xpu" and build(s).variant == "xpu"


def test_the_python_decides_too() -> None:
    s = machine("linux", "13.2", ("8.9", 24), version_info=[3, 9, 0])
    assert build(s).release == "2.8.0"
    assert "3.99" in why_none(machine("linux", version_info=[3, 99, 0]))
    assert build(machine("linux", version_info=[3, 14, 0], free_threaded=True)).release.startswith("2.")
    assert "32-bit" in why_none(machine("linux", bits=32))
    assert "pypy" in why_none(machine("linux", implementation="pypy"))


def test_arm() -> None:
    assert build(machine("linux", "13.0", ("12.1", 128), machine="aarch64")).variant.startswith("cu13")
    assert build(machine("linux", machine="aarch64")).kind == "cpu"
    assert "riscv64" in why_none(machine("linux", machine="riscv64"))


def test_machines_of_their_own_kind() -> None:
    assert "JetPack" in why_none(recorded.load("gpu-arch-unsupported-jetson"))
    assert "musl" in why_none(recorded.load("platform-no-wheel-alpine"))
    wsl = build(recorded.load("wsl-gpu-healthy"))
    assert wsl.kind == "cuda" and wsl.index


def test_a_mac() -> None:
    s = machine("linux", machine="arm64")
    s.machine.os.need().system, s.machine.os.need().version = "macos", "15.1"
    assert (build(s).kind, build(s).index) == ("mps", "")
    assert build(s, "mps").kind == "mps"
    assert "no GPU" in why_none(s, "cuda")
    s.machine.os.need().version = "12.0"
    assert build(s).kind == "cpu"
    old = recorded.load("platform-no-wheel-intel-mac")
    assert build(old).release == "2.2.2"
