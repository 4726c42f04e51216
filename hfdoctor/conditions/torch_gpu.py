"""What every judgement about torch and GPUs begins with: which build it is, which GPUs count, what the driver runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..facts.fact import Fact, FactMissing
from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from .model import Clue, Goal, Pass, Plain, Severity, Skip
from .seen_torch import said

#: reasons for which these conditions do not apply; each takes them into its words
WORDS: Mapping[str, str] = {
    "no_torch": "torch is not installed",
    "cpu_goal": "the processor is all that was asked for",
    "other_build": "torch {torch} is a build for {build}",
    "works": "torch {torch} was seen using the GPU",
}

#: share of the asked memory that is enough: a card of 16 GiB shows a little less, drivers and ECC keep some
TOLERANCE = 1 - 1 / 64
#: how a build is called in a sentence
BUILD_NAMES: Mapping[str, str] = {"cuda": "CUDA", "rocm": "ROCm", "xpu": "Intel GPUs (XPU)", "cpu": "the CPU only"}


class Build(msgspec.Struct, frozen=True):
    """The installed torch: ``kind`` is cuda, rocm, xpu or cpu; ``runtime`` the version of CUDA or ROCm it is for."""

    kind: str
    runtime: str
    version: str
    #: where that was read: evidence
    fact: Fact[Any]

    @property
    def fields(self) -> dict[str, Plain]:
        """For the sentences: torch, build, cuda."""
        name = BUILD_NAMES[self.kind] + (f" {self.runtime}" if self.kind in ("cuda", "rocm") and self.runtime else "")
        return {"torch": self.version, "build": name, "cuda": self.runtime}

    @property
    def public(self) -> str:
        """The version without its local part: 2.7.1."""
        return self.version.partition("+")[0]


def build_of(s: Snapshot) -> Build | None:
    """The build of the installed torch; None where torch is not installed.

    Its own torch/version.py says so; else the tag in its version does (2.7.1+cu126), what it said of itself, or in a
    text the CUDA runtime that is listed beside it. Raises FactMissing where none of them is known.
    """
    fact = s.packages.torch_build
    told = fact.maybe()
    if told is not None:
        for kind, runtime in (("cuda", told.cuda), ("rocm", told.hip), ("xpu", told.xpu)):
            if runtime:
                return Build(kind, runtime, told.version, fact)
        return Build("cpu", "", told.version, fact)
    if fact.absent:
        return None
    entry = s.packages.installed().get("torch")
    if entry is None:
        return None
    tag = entry.version.partition("+")[2]
    if tag == "cpu":
        return Build("cpu", "", entry.version, s.packages.distributions)
    if tag.startswith("cu") and tag[2:].isdecimal() and len(tag) > 3:
        return Build("cuda", f"{tag[2:-1]}.{tag[-1]}", entry.version, s.packages.distributions)
    if tag.startswith("rocm"):
        return Build("rocm", tag.removeprefix("rocm"), entry.version, s.packages.distributions)
    if tag.startswith("xpu"):
        return Build("xpu", "", entry.version, s.packages.distributions)
    if said(s, r"Torch not compiled with CUDA enabled"):
        return Build("cpu", "", entry.version, s.gpu.torch)
    runtime = _listed_runtime(s) if is_text(s) else ""
    if runtime:
        return Build("cuda", runtime, entry.version, s.packages.distributions)
    raise FactMissing(fact)


def build_for(s: Snapshot, goal: Goal, *kinds: str) -> Build | Skip:
    """The installed torch where it is a build of one of ``kinds``, and not the processor alone was asked for.

    Else the reason, of WORDS, for which a condition about such builds does not apply. Raises FactMissing as build_of.
    """
    build = build_of(s)
    if build is None:
        return Skip("no_torch")
    if build.kind not in kinds:
        return Skip("other_build", build.fields)
    if goal.require == "cpu":
        return Skip("cpu_goal")
    return build


def build_in_question(s: Snapshot, goal: Goal, *kinds: str) -> Build | Pass | Skip:
    """As build_for; and Pass where torch was seen finding a GPU, so that nothing on the way to it need be doubted."""
    build = build_for(s, goal, *kinds)
    if isinstance(build, Build) and works(s):
        return Pass(1, [Clue(s.gpu.torch, True, "works", build.fields)])
    return build


def _listed_runtime(s: Snapshot) -> str:
    """The CUDA of the one runtime wheel in a list of packages: 12.1 of nvidia-cuda-runtime-cu12 12.1.105.

    PyPI's torch asks for exactly the one that it was built with. "" where there is none, or more than one.
    """
    found = [one for one in s.packages.installed().values() if one.name.startswith("nvidia-cuda-runtime")]
    return ".".join(str(part) for part in numbers(found[0].version)[:2]) if len(found) == 1 else ""


def chosen_on_purpose(s: Snapshot, goal: Goal) -> bool:
    """Whether somebody wanted torch on a GPU, as opposed to got the CUDA build by a plain ``pip install``.

    The goal says so, the distribution's tag (+cu126: it came from that build's own index), conda's, or the complaint
    of somebody who posted what torch said of CUDA.
    """
    if goal.require not in ("", "cpu") or goal.min_vram:
        return True
    entry = next((one for one in s.packages.distributions.maybe() or () if one.name == "torch"), None)
    if entry is not None and entry.path and ("+cu" in entry.version or "+rocm" in entry.version):
        return True
    return is_text(s) and s.gpu.torch.known


def is_text(s: Snapshot) -> bool:
    """Whether the facts are those of a text that somebody pasted: the machine itself was never looked at."""
    return bool(s.described) or s.gpu.device_files.status == s.gpu.nvml.status == "not-run"


def severity_of(goal: Goal) -> Severity:
    """An error where the goal asks for a GPU, else a warning: torch computes all the same, on the processor.

    Whichever GPU is asked for: gpu-required is folded under the finding that says why there is none, and must not
    become milder by it.
    """
    return "error" if goal.require not in ("", "cpu") or goal.min_vram else "warning"


def gpus(s: Snapshot, vendor: str) -> list[Device]:
    """The GPUs of a maker that are proven present, those aside that were handed to a virtual machine (vfio-pci).

    Raises FactMissing where it is not known which there are.
    """
    return [
        one
        for one in s.gpu.devices.or_absent() or ()
        if one.vendor == vendor and one.kernel_driver not in ("vfio-pci", "vfio_pci", "pci-stub")
    ]


def in_wsl(s: Snapshot) -> bool:
    """Whether this is WSL 2, where the driver is that of Windows."""
    return s.machine.wsl.maybe() == "2" or s.gpu.wsl.known


def capability_of(device: Device) -> tuple[str, bool]:
    """What a GPU runs, and whether a table said so by its PCI id or name: "8.9" for NVIDIA's, "gfx1100" for AMD's.

    "" where nothing says it.
    """
    if device.capability or device.vendor not in ("nvidia", "amd"):
        return device.capability, False
    from ..knowledge import gpu_names as table

    if device.vendor == "nvidia":
        told = table.capability_of_pci_id(device.pci_id) or table.capability_of(device.name)
    else:
        told = table.gfx_of_pci_id(device.pci_id) or table.gfx_of(device.name)
    return told or "", True


def numbering_of(s: Snapshot) -> str:
    """Whose numbers the NVIDIA driver's version follows: linux, windows; "" where that is not known."""
    driver = s.gpu.driver.maybe()
    if driver is not None and driver.numbering:
        return driver.numbering
    if in_wsl(s):
        return "windows"
    os_info = s.machine.os.maybe()
    return os_info.system if os_info is not None and os_info.system in ("linux", "windows") else ""


def driver_cuda(s: Snapshot) -> tuple[str, bool]:
    """The newest CUDA that the NVIDIA driver runs, and whether only the table of drivers says so; "" if not known."""
    driver = s.gpu.driver.maybe()
    if driver is None:
        return "", False
    if driver.cuda:
        return driver.cuda, False
    from ..knowledge.drivers import cuda_at_least

    return cuda_at_least(driver.version, numbering_of(s)) or "", True


def numbers(version: str) -> tuple[int, ...]:
    """``(12, 4)`` of ``12.4``: the leading numbers of a version; () for what has none."""
    found: list[int] = []
    for part in version.strip().split("."):
        if not (part.isascii() and part.isdigit()):
            break
        found.append(int(part))
    return tuple(found)


def label(device: Device) -> str:
    """What to call a GPU in a sentence."""
    makers = {"nvidia": "an NVIDIA GPU", "amd": "an AMD GPU", "intel": "an Intel GPU"}
    return device.name or makers.get(device.vendor, "a GPU") + (f" ({device.pci_id})" if device.pci_id else "")


def labels(devices: list[Device]) -> str:
    """The GPUs by name, each name once with its count."""
    names = [label(one) for one in devices]
    return ", ".join(
        f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names)
    )


def works(s: Snapshot) -> bool:
    """Whether torch was seen finding a GPU through CUDA or ROCm: that acquits the driver and the way to the GPU."""
    word = s.gpu.torch.maybe()
    return word is not None and (word.cuda is True or any(one.ok for one in word.devices))


def sees_none(s: Snapshot) -> bool:
    """Whether torch was seen finding no GPU through CUDA or ROCm."""
    word = s.gpu.torch.maybe()
    return word is not None and word.cuda is False and not any(one.ok for one in word.devices)
