"""A torch that was built for the processor only, on a machine whose GPU it could use."""

from __future__ import annotations

import re

from ..binaries.targets import runs_on
from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from . import torch_choice, torch_gpu
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .torch_choice import best_index, choice_for_most, from_index, install_build, platform_of
from .torch_gpu import Build, build_for, capability_of, gpus, labels, numbers, sees_none, severity_of, works
from .torch_wanted import rocm_for
from .visible_devices import visible

#: compute capability from which a GPU is worth a warning; what is older is slow, has little memory, and every release
#: drops more of it
WORTH_IT = (6, 0)
#: Intel's discrete GPUs that torch's XPU builds are made for: Arc A and B, Data Center Max and Flex, by name or PCI id
_ARC = r"\barc\b.*\b(?:pro )?[ab]\d{2,3}\b|data center gpu (?:max|flex)"
_ARC_IDS = ("8086:56", "8086:e2", "8086:0bd")


def _cpu_build(s: Snapshot, goal: Goal) -> Verdict:
    build = build_for(s, goal, "cpu")
    if not isinstance(build, Build):
        return build
    os_info = s.machine.os.maybe()
    if os_info is not None and os_info.system == "macos":
        return Skip("macos")
    word = s.gpu.torch.maybe()
    if word is not None and (works(s) or word.xpu or word.mps):
        return Pass(1, [Clue(s.gpu.torch, True, "works", build.fields)])
    if s.gpu.devices.or_absent() is None:
        return Skip("no_gpu")
    if goal.require == "" and not goal.min_vram and _hidden_on_purpose(s):
        return Skip("hidden")
    if goal.require == "" and not goal.min_vram and s.gpu.container_gpu.maybe() == "none":
        return Skip("not_passed_in")  # the kernel shows the host's GPUs; a CPU build is what such a container wants
    cards = gpus(s, "nvidia")
    good, old, unclear = _sorted(s, build, cards)
    if good or old:
        return _nvidia(s, goal, build, good or old, note=not good)
    amd = [one for one in gpus(s, "amd") if _for_rocm(s, one)]
    if amd:
        return _other(s, goal, build, amd, "rocm")
    intel = [one for one in gpus(s, "intel") if for_xpu(one)]
    if intel:
        return _other(s, goal, build, intel, "xpu")
    if unclear:
        return Unknown("no_capability", {"gpus": labels(unclear)})
    if cards:
        return Pass(len(cards), [Clue(s.gpu.devices, labels(cards), "too_old", {"gpus": labels(cards)})])
    return Skip("no_gpu")


def _hidden_on_purpose(s: Snapshot) -> bool:
    value = next((one.value for one in s.settings.variables.maybe() or () if one.name == "CUDA_VISIBLE_DEVICES"), None)
    return value is not None and visible(value, None).trouble in ("empty", "minus-one", "none")


def _sorted(s: Snapshot, build: Build, cards: list[Device]) -> tuple[list[Device], list[Device], list[Device]]:
    """Those that a torch of today (or a newer driver's) runs on; old ones that this release has a build for; those of
    which it cannot be told."""
    good: list[Device] = []
    old: list[Device] = []
    unclear: list[Device] = []
    platform = platform_of(s) or ("linux", "x86_64")
    for card in cards:
        capability, _ = capability_of(card)
        if not capability:
            # a GPU that a driver or a description names is a GPU for torch; one that only stands on the bus may be a
            # display card of old
            (good if any(by in card.seen for by in ("nvml", "text", "system")) else unclear).append(card)
        elif s.gpu.jetson.known:
            good.append(card)
        elif numbers(capability) >= WORTH_IT:
            # what is newer than the tables has a build, too
            newer = numbers(capability) >= (9, 0)
            (good if newer or best_index("", [capability], *platform) else unclear).append(card)
        elif _same_release(build, capability, platform):
            old.append(card)
    return good, old, unclear


def _same_release(build: Build, capability: str, platform: tuple[str, str]) -> bool:
    """Whether the installed release exists in a CUDA variant with code for the GPU."""
    from ..knowledge.torch_builds import cuda_of_variant, targets_of, variants_of

    for variant in variants_of(build.public, *platform):
        targets = targets_of(build.public, variant, *platform) if cuda_of_variant(variant) else None
        if targets is not None and runs_on(targets[0], (), capability).how == "native":
            return True
    return False


def _for_rocm(s: Snapshot, card: Device) -> bool:
    """Whether PyTorch's ROCm wheels, which are for Linux, carry code for an AMD GPU that is not part of the CPU."""
    from ..knowledge.rocm_builds import newest_for

    platform = platform_of(s)
    if platform is None or platform[0] != "linux" or card.integrated or torch_gpu.in_wsl(s):
        return False
    capability, _ = capability_of(card)
    return bool(capability) and newest_for(capability) is not None


def for_xpu(card: Device) -> bool:
    """Whether it is one of Intel's GPUs that PyTorch's XPU wheels are made for."""
    named = bool(re.search(_ARC, card.name.lower())) or card.pci_id.startswith(_ARC_IDS)
    return not card.integrated and named


def _nvidia(s: Snapshot, goal: Goal, build: Build, cards: list[Device], *, note: bool) -> Fail:
    capability, by_table = capability_of(cards[0])
    fields: dict[str, Plain] = {**build.fields, "gpus": labels(cards), "capability": capability}
    clues = [*_build_clues(s, build)]
    says = "gpu_unknown" if not capability else "gpu_by_table" if by_table else "gpu_is"
    clues.append(Clue(s.gpu.devices, labels(cards), says, fields))
    driver = s.gpu.driver.maybe()
    if driver is not None:
        about: dict[str, Plain] = {"driver": driver.version, "driver_cuda": driver.cuda}
        clues.append(Clue(s.gpu.driver, driver.version, "driver_runs" if driver.cuda else "driver_is", about))
    elif s.gpu.driver.absent:
        clues.append(Clue(s.gpu.driver, None, "no_driver"))
    severity: Severity = severity_of(goal)
    if note and severity == "warning":
        severity = "note"
    steps = []
    # without a driver that runs it no other build is of use: the person goes first
    ready = not s.gpu.driver.absent
    if s.gpu.jetson.known:
        steps.append(Step(says="jetson_builds", network=True))
    elif ready and (most := choice_for_most(s, cards)):
        steps += install_build(s, most[0])
    elif most := choice_for_most(s, cards, any_driver=True):
        told: dict[str, Plain] = {**fields, "release": most[0].release, "variant": most[0].variant}
        steps.append(Step(says="newer_driver" if ready else "driver_first", fields=told, administrator=True))
    else:
        steps.append(Step(says="ask_selector", network=True))
    basis: Basis = "derived"
    if sees_none(s):
        clues.append(Clue(s.gpu.torch, False, "torch_sees_none"))
    return Fail("nvidia", severity, basis, clues, fields, Treatment("confirm", steps), len(cards))


def _build_clues(s: Snapshot, build: Build) -> list[Clue]:
    clues = [Clue(build.fact, f"torch {build.version}", "cpu_build", build.fields)]
    os_info = s.machine.os.maybe()
    if os_info is not None and os_info.system == "windows":
        clues.append(Clue(s.machine.os, os_info.name or "Windows", "windows_pypi"))
    return clues


def _other(s: Snapshot, goal: Goal, build: Build, cards: list[Device], kind: str) -> Fail:
    """An AMD or Intel GPU that another build of torch can use."""
    fields: dict[str, Plain] = {**build.fields, "gpus": labels(cards), "capability": capability_of(cards[0])[0]}
    variant = kind
    if kind == "rocm":
        variant = f"rocm{rocm_for(cards)}"
    clues = [*_build_clues(s, build), Clue(s.gpu.devices, labels(cards), f"gpu_{kind}", fields)]
    steps = from_index(s, variant)
    severity = severity_of(goal)
    return Fail(kind, severity, "derived", clues, fields, Treatment("confirm", steps), len(cards))


TORCH_CPU_BUILD = Condition(
    id="torch-cpu-build",
    family="gpu",
    title="torch was built for the processor only, beside a GPU that it could use",
    reads=("gpu", "packages", "machine", "settings", "target"),
    detect=_cpu_build,
    words={
        **torch_gpu.WORDS,
        **torch_choice.WORDS,
        "ask_selector": torch_choice.ASK_SELECTOR,
        "jetson_builds": torch_choice.JETSON_BUILDS,
        "macos": "on a Mac the one build uses Apple's GPU, too",
        "no_gpu": "no GPU that a build of torch could use was found",
        "hidden": "CUDA_VISIBLE_DEVICES hides the GPUs anyway",
        "not_passed_in": "the GPUs of the host were not given to this container",
        "no_capability": "whether torch could use {gpus} is not known: no driver says its compute capability",
        "too_old": "no build of this torch has code for {gpus}",
        "nvidia": "torch {torch} is built for the processor only: it cannot use {gpus}",
        "rocm": "torch {torch} is built for the processor only: it cannot use {gpus}, which the ROCm build could",
        "xpu": "torch {torch} is built for the processor only: it cannot use {gpus}, which the XPU build could",
        "cpu_build": "torch {torch} says of itself that it was built without CUDA",
        "windows_pypi": "on Windows a plain pip install torch always brings the build for the processor",
        "gpu_is": "present: {gpus}, compute capability {capability}",
        "gpu_by_table": "present: {gpus}, compute capability {capability} by its name or PCI id",
        "gpu_unknown": "present: {gpus}; its compute capability is not known, builds of today run on 7.5 and newer",
        "gpu_rocm": "present: {gpus} ({capability}), for which PyTorch's ROCm wheels have code",
        "gpu_xpu": "present: {gpus}, for which PyTorch's XPU wheels are made",
        "driver_runs": "its driver {driver} runs CUDA up to {driver_cuda}",
        "driver_is": "its driver is {driver}",
        "no_driver": "the GPU has no driver of NVIDIA yet",
        "torch_sees_none": "torch was asked and finds no GPU (torch.cuda.is_available() is False)",
        "driver_first": "install NVIDIA's driver first (https://www.nvidia.com/drivers), and restart; torch {release} "
        "for {variant} is then the build for this GPU",
        "newer_driver": "the installed driver runs no build with code for this GPU: install a newer one "
        "(https://www.nvidia.com/drivers), and restart; torch {release} for {variant} then runs here",
    },
)

CONDITIONS: tuple[Condition, ...] = (TORCH_CPU_BUILD,)
