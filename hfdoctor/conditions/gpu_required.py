"""What ``--require`` and ``--min-vram`` ask for, where no other finding says why it is not there."""

from __future__ import annotations

import re

from ..facts.fact import FactMissing
from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from .driver_age import DRIVER_TOO_OLD
from .gpu_arch import GPU_ARCH_UNSUPPORTED
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Unknown, Verdict
from .rocm import ROCM_MISMATCH
from .torch_choice import WORDS as CHOICE_WORDS
from .torch_choice import install_build
from .torch_gpu import TOLERANCE, Build, build_of, gpus, label, labels, numbers
from .torch_wanted import Nothing, wanted_build

#: conditions that say why a GPU cannot be used, but are not always errors: only as errors they stand for this one
MAY_EXPLAIN = (DRIVER_TOO_OLD, GPU_ARCH_UNSUPPORTED, ROCM_MISMATCH)
#: the oldest macOS whose GPU torch uses (Metal Performance Shaders)
MPS_MACOS = (12, 3)
#: what is asked for -> the makers whose GPUs give it, and the builds of torch that use them
GIVEN_BY = {"cuda": ("nvidia", "cuda"), "rocm": ("amd", "rocm"), "xpu": ("intel", "xpu"), "mps": ("apple", "cpu")}
NAMES = {"cuda": "CUDA", "rocm": "ROCm", "xpu": "an Intel GPU (XPU)", "mps": "Apple's GPU (MPS)", "gpu": "a GPU"}
#: "1g.10gb", "3g.40gb": the memory of a slice is in its name
_SLICE = r"\d+g\.(\d+)gb"


def _required(s: Snapshot, goal: Goal) -> Verdict:
    if goal.require in ("", "cpu") and not goal.min_vram:
        return Skip("nothing_asked")
    verdict = _judge(s, goal)
    if isinstance(verdict, Fail):
        for condition in MAY_EXPLAIN:
            if _is_error(condition, s, goal):
                return Skip("explained", {"condition": condition.id})
        verdict.treatment = _treatment(s, goal, verdict)
    return verdict


def _treatment(s: Snapshot, goal: Goal, fail: Fail) -> Treatment | None:
    if fail.says != "wrong_build":
        says = {"not_driven": "get_driver", "torch_finds_none": "look_deep"}.get(fail.says, "other_machine")
        return Treatment("print-only", [Step(says=says, fields=fail.fields)])
    answer = wanted_build(s, goal.require if goal.require not in ("", "cpu") else "gpu")
    if isinstance(answer, Nothing):
        return Treatment("print-only", [Step(says="no_build", fields={"why": answer.because})])
    return Treatment("confirm", install_build(s, answer.choice))


def _is_error(condition: Condition, s: Snapshot, goal: Goal) -> bool:
    try:
        verdict = condition.detect(s, goal)
    except FactMissing:
        return False
    return isinstance(verdict, Fail) and verdict.severity == "error"


def _judge(s: Snapshot, goal: Goal) -> Verdict:
    kinds = list(GIVEN_BY) if goal.require in ("", "gpu", "cpu") else [goal.require]
    seen = _seen(s, kinds)
    if seen is not None and not goal.min_vram:
        return seen
    cards, reason = _usable(s, kinds)
    if isinstance(reason, Fail):
        return reason
    if isinstance(seen, Fail):
        return seen
    if goal.min_vram:
        return _memory(s, goal, cards)
    return Pass(len(cards) or 1, [Clue(s.gpu.devices, labels(cards), "there", {"gpus": labels(cards)})])


def _seen(s: Snapshot, kinds: list[str]) -> Pass | Fail | None:
    """What torch itself was seen to find; None where it was not asked about any of ``kinds``."""
    word = s.gpu.torch.maybe()
    if word is None:
        return None
    build = build_of(s)
    answers = {"cuda": word.cuda, "rocm": word.cuda, "mps": word.mps, "xpu": word.xpu}
    if build is not None and word.cuda:
        # torch calls its ROCm devices cuda
        answers["cuda" if build.kind == "rocm" else "rocm"] = False
    told = [answers[kind] for kind in kinds]
    if any(told):
        return Pass(1, [Clue(s.gpu.torch, True, "torch_finds")])
    if told and all(one is False for one in told):
        wanted = NAMES[kinds[0]] if len(kinds) == 1 else NAMES["gpu"]
        fields: dict[str, Plain] = {"wanted": wanted, "torch": build.version if build else ""}
        return Fail("torch_finds_none", "error", "observed", [Clue(s.gpu.torch, False, "torch_says", fields)], fields)
    return None


def _usable(s: Snapshot, kinds: list[str]) -> tuple[list[Device], Fail | None]:
    """The GPUs that fit what is asked for, or the fail that says why there are none. Raises FactMissing."""
    wanted = NAMES[kinds[0]] if len(kinds) == 1 else NAMES["gpu"]
    everything = s.gpu.devices.or_absent() or []
    build = build_of(s)
    found: list[Device] = []
    for kind in kinds:
        vendor, _ = GIVEN_BY[kind]
        cards = gpus(s, vendor)
        if kind == "xpu":
            cards = [one for one in cards if not one.integrated]
        if kind == "mps" and not _metal(s):
            cards = []
        found += cards
    fields: dict[str, Plain] = {"wanted": wanted, "gpus": labels(everything) or "none"}
    if not found:
        says = "others_there" if everything else "none_there"
        return [], Fail("no_gpu", "error", "observed", [Clue(s.gpu.devices, labels(everything), says, fields)], fields)
    if build is not None:
        fits = [one for one in found if _build_fits(build, one)]
        if not fits:
            fields |= {**build.fields, "gpus": labels(found)}
            clues = [Clue(build.fact, f"torch {build.version}", "built_for", fields)]
            clues.append(Clue(s.gpu.devices, labels(found), "there", fields))
            return [], Fail("wrong_build", "error", "derived", clues, fields)
        found = fits
    if all(one.vendor == "nvidia" for one in found) and not s.gpu.jetson.known and s.gpu.driver.or_absent() is None:
        fields["gpus"] = labels(found)
        clues = [Clue(s.gpu.devices, labels(found), "there", fields), Clue(s.gpu.driver, None, "no_driver")]
        return [], Fail("not_driven", "error", "observed", clues, fields)
    return found, None


def _build_fits(build: Build, device: Device) -> bool:
    return any(device.vendor == vendor and build.kind == kind for vendor, kind in GIVEN_BY.values())


def _metal(s: Snapshot) -> bool:
    os_info = s.machine.os.need()
    return os_info.system == "macos" and (not os_info.version or numbers(os_info.version) >= MPS_MACOS)


def _memory(s: Snapshot, goal: Goal, cards: list[Device]) -> Verdict:
    word = s.gpu.torch.maybe()
    sizes = [(one.name, one.memory_total) for one in word.devices] if word is not None and word.devices else []
    if not any(size for _, size in sizes):
        sizes = [(label(one), _memory_of(one)) for one in cards]
    known = [(size, name) for name, size in sizes if size]
    fields: dict[str, Plain] = {"asked": _gib(goal.min_vram), "gpus": labels(cards)}
    if not known:
        if not s.gpu.devices.known:
            raise FactMissing(s.gpu.devices)
        return Unknown("no_memory", fields)
    size, name = max(known)
    fields |= {"size": _gib(size), "gpu": name}
    if size >= goal.min_vram * TOLERANCE:
        return Pass(len(known), [Clue(s.gpu.devices, size, "memory_is", fields)])
    if len(known) < len(sizes):
        return Unknown("no_memory", fields)
    clues = [Clue(s.gpu.devices, size, "memory_is", fields)]
    return Fail("too_small", "error", "observed", clues, fields, examined=len(known))


def _memory_of(device: Device) -> int | None:
    """Bytes that one program can get: of the largest slice where the GPU is divided."""
    if device.mig == "enabled" and device.mig_slices:
        sizes = [int(match[1]) * 2**30 for one in device.mig_slices if (match := re.search(_SLICE, one.lower()))]
        return max(sizes) if sizes else None
    return device.memory_total


def _gib(size: int) -> str:
    # as people write it: 24 GB
    return f"{size // 10**9} GB" if size % 10**9 == 0 else f"{size / 2**30:.1f} GiB"


GPU_REQUIRED = Condition(
    id="gpu-required",
    family="gpu",
    title="The GPU that was asked for is not there",
    reads=("gpu", "native", "packages", "machine", "settings", "target"),
    detect=_required,
    words={
        **CHOICE_WORDS,
        "explained": "{condition} says why",
        "get_driver": "install NVIDIA's driver (https://www.nvidia.com/drivers), and restart",
        "look_deep": "`hfdoctor check --deep` looks for what keeps torch from the GPU",
        "other_machine": "run this on a machine that has what is required, or require less",
        "no_build": "there is no build of torch to install for it: {why}",
        "nothing_asked": "nothing was asked for (--require, --min-vram)",
        "no_gpu": "{wanted} is required, and no GPU for it was found",
        "none_there": "the machine was looked through and has no GPU that computes",
        "others_there": "the GPUs that were found: {gpus}",
        "wrong_build": "{wanted} is required, but torch {torch} is a build for {build}, which cannot use {gpus}",
        "built_for": "torch {torch} is a build for {build}",
        "not_driven": "{wanted} is required, but {gpus} has no driver",
        "no_driver": "no driver of NVIDIA is installed",
        "torch_finds_none": "{wanted} is required, but torch {torch} finds none",
        "torch_says": "torch was asked and finds no such GPU",
        "torch_finds": "torch finds such a GPU",
        "there": "present: {gpus}",
        "too_small": "{asked} of GPU memory are required, the largest GPU has {size}",
        "memory_is": "{gpu} has {size}",
        "no_memory": "how much memory {gpus} has is not known",
    },
    # those that are errors whenever something is asked for: folding must not lose the exit code
    explained_by=("torch-cpu-build", "driver-missing", "driver-mismatch", "gpu-hidden", "wsl-gpu"),
)

CONDITIONS: tuple[Condition, ...] = (GPU_REQUIRED,)
