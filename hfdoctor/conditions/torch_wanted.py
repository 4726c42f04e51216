"""Which torch this machine should have, whatever is installed now.

The one decision behind the advice of ``check``, the fixes and the installation: they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from . import torch_gpu
from .model import Plain
from .torch_choice import JETSON_BUILDS, Choice, choice_for_most, least_torch, platform_of, python_tag, releases_for
from .torch_gpu import capability_of, driver_cuda, gpus, labels, numbers

Kind = Literal["cuda", "rocm", "xpu", "mps", "cpu"]

#: the oldest macOS whose GPU torch uses (Metal Performance Shaders)
MPS_MACOS = (12, 3)

WORDS: Mapping[str, str] = {
    "for_nvidia": "{gpus}, and a driver that runs CUDA {driver_cuda}: the newest build that runs on both",
    "for_nvidia_alone": "{gpus}: the newest build with code for it (what its driver runs was not told)",
    "for_most": "{gpus}, and a driver that runs CUDA {driver_cuda}: no build that serves has code for {left_out}, too",
    "for_amd": "{gpus} ({capability}): PyTorch's wheels for ROCm {rocm} have code for it",
    "for_intel": "{gpus}: PyTorch's wheels for Intel's GPUs are made for it",
    "for_apple": "the one build for this Mac uses Apple's GPU, too",
    "for_old_mac": "the one build for this Mac; it computes on the processor",
    "asked_cpu": "the processor is all that was asked for",
    "no_gpu": "no GPU that a build of torch could use was found",
    "no_driver": "{gpus} has no driver of NVIDIA: until it has one, torch can compute only on the processor",
    "old_driver": "{gpus}, whose driver runs CUDA {driver_cuda} only: no build for that has code for it. A newer "
    "driver lets torch {release} for {variant} run",
    "old_gpu": "{gpus} (compute capability {capability}): no build of torch has code for it any more",
    "no_rocm": "{gpus}: PyTorch's wheels for ROCm have no code for it",
    "rocm_on_linux": "{gpus}: PyTorch has wheels for ROCm for Linux alone",
    "jetson": JETSON_BUILDS,
    "other_system": "PyTorch publishes no wheels for {system}",
    "not_this_machine": "PyTorch publishes no wheels for {system} on {machine}",
    "musl": "PyTorch publishes no wheels for systems with musl (Alpine): it needs glibc",
    "bits": "PyTorch publishes no wheels for a 32-bit Python",
    "implementation": "PyTorch publishes wheels for CPython alone, and this is {implementation}",
    "no_python": "no release of torch has wheels for Python {python}",
    "no_such": "{wanted} was asked for: {why}",
    "devices": "which GPUs are there is not known",
}


class Wanted(msgspec.Struct, frozen=True):
    """A build: for what it computes on, and why it is the one (a key of WORDS, and its fields)."""

    kind: Kind
    choice: Choice
    #: whether a plain ``pip install torch==RELEASE`` brings just this build from PyPI
    plain: bool
    says: str
    fields: Mapping[str, Plain] = {}

    @property
    def because(self) -> str:
        """The reason in words."""
        return WORDS[self.says].format_map(self.fields)


class Nothing(msgspec.Struct, frozen=True):
    """There is no build to give, and why."""

    says: str
    fields: Mapping[str, Plain] = {}

    @property
    def because(self) -> str:
        """The reason in words."""
        return WORDS[self.says].format_map(self.fields)


def wanted_build(s: Snapshot, require: str = "") -> Wanted | Nothing:
    """The torch for this machine: its system, Python, and all of its GPUs with what their driver runs.

    ``require`` as in Goal: with "" or "gpu" the best there is, the processor at last ("gpu" does without that one).
    """
    stop = _no_wheels(s)
    if stop is not None:
        return stop
    os_info = s.machine.os.maybe()
    system = os_info.system if os_info is not None else "linux"
    if system == "macos":
        return _mac(s, require)
    if require == "cpu":
        return _cpu(s, "asked_cpu", {})
    if s.gpu.devices.maybe() is None and not s.gpu.devices.absent:
        return Nothing("devices")
    tried: list[Wanted | Nothing] = []
    makers: Sequence[tuple[str, Callable[[Snapshot], Wanted | Nothing | None]]] = (
        ("cuda", _nvidia),
        ("rocm", _amd),
        ("xpu", _intel),
    )
    for kind, judge in makers:
        if require in ("", "gpu", kind):
            answer = judge(s)
            if isinstance(answer, Wanted):
                return answer
            tried += [answer] if answer is not None else []
    why = tried[0] if tried else Nothing("no_gpu")
    if require:
        return Nothing("no_such", {"wanted": NAMES.get(require, require), "why": why.because})
    return _cpu(s, why.says, why.fields)


NAMES = {"cuda": "CUDA", "rocm": "ROCm", "xpu": "an Intel GPU", "mps": "Apple's GPU", "gpu": "a GPU"}


def _no_wheels(s: Snapshot) -> Nothing | None:
    """What keeps every wheel of torch away."""
    if s.gpu.jetson.known:
        return Nothing("jetson")
    os_info = s.machine.os.maybe()
    if os_info is not None and os_info.system not in ("linux", "windows", "macos"):
        return Nothing("other_system", {"system": os_info.name or os_info.system})
    libc = s.machine.libc.maybe()
    if libc is not None and libc.family == "musl":
        return Nothing("musl")
    interpreter = s.target.interpreter.maybe()
    if interpreter is not None and interpreter.implementation != "cpython":
        return Nothing("implementation", {"implementation": interpreter.implementation})
    if interpreter is not None and interpreter.bits != 64:
        return Nothing("bits")
    if not releases_for(python_tag(s)):
        return Nothing("no_python", {"python": python_tag(s)})
    return None


def _nvidia(s: Snapshot) -> Wanted | Nothing | None:
    cards = gpus(s, "nvidia")
    if not cards:
        return None
    cuda = driver_cuda(s)[0]
    fields: dict[str, Plain] = {"gpus": labels(cards), "driver_cuda": cuda, "capability": capability_of(cards[0])[0]}
    most = choice_for_most(s, cards)
    if s.gpu.driver.absent and not s.machine.wsl.maybe():
        return Nothing("no_driver" if most else "old_gpu", fields)
    if most is None:
        newer = choice_for_most(s, cards, any_driver=True)
        if newer is None:
            return Nothing("old_gpu", fields)
        return Nothing("old_driver", {**fields, "release": newer[0].release, "variant": newer[0].variant})
    choice, served = most
    left = [one for one in cards if one not in served]
    fields |= {"gpus": labels(served), "left_out": labels(left)}
    says = "for_most" if left else "for_nvidia"
    return Wanted("cuda", choice, _is_plain(s, choice), says if cuda else "for_nvidia_alone", fields)


def _amd(s: Snapshot) -> Wanted | Nothing | None:
    cards = [one for one in gpus(s, "amd") if not one.integrated]
    platform = platform_of(s)
    if not cards or platform is None:
        return None
    fields: dict[str, Plain] = {"gpus": labels(cards), "capability": capability_of(cards[0])[0]}
    if platform[0] != "linux" or torch_gpu.in_wsl(s):
        return Nothing("rocm_on_linux", fields)
    version = rocm_for(cards)
    choice = _with_variant(s, f"rocm{version}") if version else None
    if choice is None:
        return Nothing("no_rocm", fields)
    return Wanted("rocm", choice, False, "for_amd", {**fields, "rocm": version})


def rocm_for(cards: Sequence[Device]) -> str:
    """The newest ROCm whose wheels have code for all of ``cards``, else for the first one; "" where none has."""
    from ..knowledge.rocm_builds import load_rocm_builds, newest_for

    targets = {capability_of(one)[0].partition(":")[0] for one in cards}
    row = next((row for row in load_rocm_builds() if targets <= set(row.targets)), None)
    row = row or (newest_for(capability_of(cards[0])[0]) if cards else None)
    return row.until if row else ""


def _intel(s: Snapshot) -> Wanted | None:
    from .torch_build_fit import for_xpu

    cards = [one for one in gpus(s, "intel") if for_xpu(one)]
    choice = _with_variant(s, "xpu") if cards else None
    return Wanted("xpu", choice, False, "for_intel", {"gpus": labels(cards)}) if choice else None


def _mac(s: Snapshot, require: str) -> Wanted | Nothing:
    from ..knowledge.torch_builds import default_variant

    os_info = s.machine.os.need()
    machine = _machine(s)
    apple = machine in ("arm64", "aarch64") and (not os_info.version or numbers(os_info.version) >= MPS_MACOS)
    if require not in ("", "cpu", "gpu", "mps") or (require in ("gpu", "mps") and not apple):
        return Nothing("no_such", {"wanted": NAMES.get(require, require), "why": WORDS["no_gpu"]})
    releases = releases_for(python_tag(s))
    release = next((one for one in releases if default_variant(one, "macos", machine)), None)
    if release is None:
        return Nothing("not_this_machine", {"system": "macOS", "machine": machine})
    choice = Choice(release, "cpu", release == releases[0])
    if require == "cpu":
        return Wanted("cpu", choice, True, "asked_cpu")
    return Wanted("mps", choice, True, "for_apple") if apple else Wanted("cpu", choice, True, "for_old_mac")


def _cpu(s: Snapshot, says: str, fields: Mapping[str, Plain]) -> Wanted | Nothing:
    choice = _with_variant(s, "cpu")
    if choice is None:
        system, machine = platform_of(s) or ("this system", _machine(s))
        return Nothing("not_this_machine", {"system": system.capitalize(), "machine": machine or "this processor"})
    return Wanted("cpu", choice, _is_plain(s, choice), says, fields)


def _with_variant(s: Snapshot, variant: str) -> Choice | None:
    """The newest release in this variant for this machine, of those that the installed transformers accepts."""
    from ..knowledge.torch_builds import variants_of

    platform = platform_of(s)
    if platform is None:
        return None
    newest = releases_for(python_tag(s))[:1]
    for least in dict.fromkeys((least_torch(s), "")):
        for release in releases_for(python_tag(s), least):
            if variant in variants_of(release, *platform):
                return Choice(release, variant, [release] == newest)
    return None


def _is_plain(s: Snapshot, choice: Choice) -> bool:
    from ..knowledge.torch_builds import default_variant

    platform = platform_of(s)
    return platform is not None and default_variant(choice.release, *platform) == choice.variant


def _machine(s: Snapshot) -> str:
    interpreter = s.target.interpreter.maybe()
    return (interpreter.machine if interpreter else "") or s.machine.architecture.maybe() or "x86_64"
