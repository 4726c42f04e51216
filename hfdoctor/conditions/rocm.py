"""torch and AMD's GPUs: the build, its targets, HSA_OVERRIDE_GFX_VERSION, the device files' groups."""

from __future__ import annotations

from typing import Any

from ..binaries.targets import gfx_of_override, runs_on
from ..facts.fact import Fact
from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from . import torch_choice, torch_gpu
from .changes import VariableChange
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .seen_torch import said
from .torch_choice import choice_for_most, from_index, install_build
from .torch_gpu import Build, build_for, capability_of, gpus, labels, severity_of, works
from .torch_wanted import rocm_for

OVERRIDE = "HSA_OVERRIDE_GFX_VERSION"
#: what HIP says where the build has no code for the GPU
NO_CODE = r"hipErrorNoBinaryForGpu|HIP error: (?:invalid device function|no kernel image)|Unable to find code object"


def _rocm(s: Snapshot, goal: Goal) -> Verdict:
    build = build_for(s, goal, "rocm", "cuda")
    if not isinstance(build, Build):
        return build
    if build.kind == "cuda":
        return _cuda_on_amd(s, goal, build)
    word = s.gpu.torch.maybe()
    message = said(s, NO_CODE)
    if not message and word is not None and (any(one.ok for one in word.devices) or (word.cuda and not word.devices)):
        return Pass(1, [Clue(s.gpu.torch, True, "works", build.fields)])
    if s.gpu.devices.or_absent() is None:
        return Skip("no_gpu")
    cards = gpus(s, "amd")
    if not cards:
        nvidia = gpus(s, "nvidia")
        return _rocm_on_nvidia(s, goal, build, nvidia) if nvidia else Skip("no_gpu")
    return _targets(s, build, cards, message) or _groups(s, goal, build, cards) or _fine(s, build, cards)


def _fine(s: Snapshot, build: Build, cards: list[Device]) -> Verdict:
    s.settings.variables.need()
    if _targets_of(s, build) is None or not any(_gfx(s, one) for one in cards):
        return Unknown("not_known", {**build.fields, "gpus": labels(cards)})
    return Pass(len(cards), [Clue(s.gpu.devices, labels(cards))])


# -- another maker's build --------------------------------------------------------------------------------------------


def _cuda_on_amd(s: Snapshot, goal: Goal, build: Build) -> Verdict:
    """A CUDA build, as a plain pip install brings on Linux, where the only GPU worth it is AMD's."""
    if works(s):
        return Pass(1, [Clue(s.gpu.torch, True, "works", build.fields)])
    if s.gpu.devices.or_absent() is None:
        return Skip("no_gpu")
    os_info = s.machine.os.maybe()
    if gpus(s, "nvidia") or os_info is None or os_info.system != "linux" or torch_gpu.in_wsl(s):
        return Skip("other_build", build.fields)
    from ..knowledge.rocm_builds import newest_for

    cards = [one for one in gpus(s, "amd") if not one.integrated and newest_for(capability_of(one)[0])]
    if not cards or s.gpu.driver.known:
        return Skip("no_gpu")
    fields: dict[str, Plain] = {**build.fields, "gpus": labels(cards), "capability": capability_of(cards[0])[0]}
    clues = [Clue(build.fact, f"torch {build.version}", "built_for", fields)]
    clues.append(Clue(s.gpu.devices, labels(cards), "amd_is", fields))
    steps = from_index(s, f"rocm{rocm_for(cards)}")
    return Fail("cuda_on_amd", severity_of(goal), "derived", clues, fields, Treatment("confirm", steps))


def _rocm_on_nvidia(s: Snapshot, goal: Goal, build: Build, cards: list[Device]) -> Fail:
    fields: dict[str, Plain] = {**build.fields, "gpus": labels(cards)}
    clues = [Clue(build.fact, f"torch {build.version}", "built_for", fields)]
    clues.append(Clue(s.gpu.devices, labels(cards), "nvidia_is", fields))
    most = choice_for_most(s, cards)
    steps = install_build(s, most[0]) if most else [Step(says="ask_selector", network=True)]
    return Fail("rocm_on_nvidia", severity_of(goal), "derived", clues, fields, Treatment("confirm", steps))


# -- targets and the override -----------------------------------------------------------------------------------------


def _targets_of(s: Snapshot, build: Build) -> tuple[list[str], bool] | None:
    """The gfx targets in torch, and whether only a table says so."""
    for entry in s.native.gpu_code.maybe() or ():
        if entry.package == "torch" and entry.kind == "hip" and entry.code:
            return list(entry.code), False
    word = s.gpu.torch.maybe()
    listed = [one for one in word.arch_list if one.startswith("gfx")] if word is not None else []
    if listed:
        return listed, False
    tag = build.version.partition("+")[2]
    if not tag.startswith("rocm"):
        return None  # AMD's own builds, and those from source, have what their makers chose
    from ..knowledge.rocm_builds import targets_of_rocm

    told = targets_of_rocm(tag.removeprefix("rocm"))
    return (list(told), True) if told else None


def _gfx(s: Snapshot, device: Device) -> str:
    """The target of a GPU; where the kernel shows just one for one GPU it is that."""
    capability, _ = capability_of(device)
    if capability:
        return capability
    rocm = s.gpu.rocm.maybe()
    return rocm.targets[0] if rocm is not None and len(rocm.targets) == 1 and len(gpus(s, "amd")) == 1 else ""


def _major(gfx: str) -> str:
    """gfx10 of gfx1030, gfx9 of gfx90a: what two processors must have in common."""
    name = gfx.partition(":")[0]
    return name[:-2]


def _targets(s: Snapshot, build: Build, cards: list[Device], message: str) -> Fail | Unknown | None:
    targets = _targets_of(s, build)
    value = next((one.value for one in s.settings.variables.maybe() or () if one.name == OVERRIDE), "").strip()
    if value:
        return _override(s, build, cards, value, targets)
    if targets is None:
        return _seen(s, build, cards, message) if message else None
    code, by_table = targets
    judged = [(one, _gfx(s, one)) for one in cards]
    known = [(one, gfx) for one, gfx in judged if gfx]
    lacking = [(one, gfx) for one, gfx in known if runs_on(code, (), gfx).how == "no"]
    if not lacking:
        return _seen(s, build, cards, message) if message and not known else None
    # a graphics unit of the processor beside a GPU that works is nobody's loss
    if len(lacking) < len(known):
        return None
    device, gfx = lacking[0]
    fields: dict[str, Plain] = {**build.fields, "gpus": labels([one for one, _ in lacking]), "gfx": gfx}
    fields["targets"] = " ".join(code)
    by_table = by_table or not (device.capability or s.gpu.rocm.known)
    basis: Basis = "observed" if message else "table" if by_table else "derived"
    severity: Severity = "warning" if basis == "table" else "error"
    if not s.settings.variables.known and not message:
        # an override that would make it work was not seen, nor that there is none
        if s.settings.variables.status != "not-run":
            s.settings.variables.need()
        severity = "warning"
    clues = [Clue(s.gpu.devices, gfx, "gfx_is", fields), Clue(_witness(s, build), code, "targets_are", fields)]
    if message:
        clues.append(Clue(s.gpu.torch, message, "torch_says", {"message": message[:200]}))
    near = sorted(one for one in code if _major(one) == _major(gfx) and one <= gfx.partition(":")[0] and ":" not in one)
    steps = _other_rocm(s, build, [one for one, _ in lacking])
    if near and gfx.startswith("gfx1"):
        number = near[-1].removeprefix("gfx")
        version = f"{int(number[:-2])}.{int(number[-2], 16)}.{int(number[-1], 16)}"
        told: dict[str, Plain] = {"version": version, "near": near[-1]}
        says = "or_try_override" if steps else "try_override"
        steps.append(Step(says=says, fields=told, change=VariableChange(OVERRIDE, version)))
    steps.append(Step(says="or_other_rocm" if steps else "other_rocm", fields=fields, network=True))
    return Fail("lacks", severity, basis, clues, fields, Treatment("confirm", steps), len(known))


def _other_rocm(s: Snapshot, build: Build, cards: list[Device]) -> list[Step]:
    """The steps to PyTorch's wheels for another ROCm that have code for these GPUs; none where there are none."""
    version = rocm_for(cards)
    if not version or version == ".".join(build.version.partition("+rocm")[2].split(".")[:2]):
        return []
    return from_index(s, f"rocm{version}")


def _witness(s: Snapshot, build: Build) -> Fact[Any]:
    """Who says which targets torch has."""
    if any(one.package == "torch" and one.kind == "hip" for one in s.native.gpu_code.maybe() or ()):
        return s.native.gpu_code
    word = s.gpu.torch.maybe()
    return s.gpu.torch if word is not None and word.arch_list else build.fact


def _seen(s: Snapshot, build: Build, cards: list[Device], message: str) -> Fail:
    fields: dict[str, Plain] = {**build.fields, "gpus": labels(cards), "message": message[:200]}
    clues = [Clue(s.gpu.torch, message, "torch_says", fields)]
    steps = _other_rocm(s, build, cards)
    steps.append(Step(says="or_other_rocm" if steps else "other_rocm", fields=fields, network=True))
    return Fail("seen_lacking", "error", "observed", clues, fields, Treatment("confirm", steps))


def _override(
    s: Snapshot, build: Build, cards: list[Device], value: str, targets: tuple[list[str], bool] | None
) -> Fail | None:
    """HSA_OVERRIDE_GFX_VERSION, which makes the runtime take the GPU for another."""
    made = gfx_of_override(value)
    known = [gfx for one in cards if (gfx := _gfx(s, one))]
    fields: dict[str, Plain] = {**build.fields, "value": value, "made": made, "gfx": " ".join(dict.fromkeys(known))}
    clue = Clue(s.settings.variables, f"{OVERRIDE}={value}", "override_is", fields)
    treatment = Treatment("confirm", [Step(says="unset_override", change=VariableChange(OVERRIDE))])
    if not made:
        return Fail("override_odd", "error", "derived", [clue], fields, treatment)
    if targets is not None and runs_on(targets[0], (), made).how == "no":
        fields["targets"] = " ".join(targets[0])
        clues = [clue, Clue(_witness(s, build), targets[0], "targets_are", fields)]
        basis: Basis = "table" if targets[1] else "derived"
        severity: Severity = "warning" if targets[1] else "error"
        return Fail("override_lacks", severity, basis, clues, fields, treatment)
    if known and all(_major(gfx) != _major(made) for gfx in known):
        clues = [clue, Clue(s.gpu.devices, known, "gfx_is", {**fields, "gpus": labels(cards)})]
        return Fail("override_far", "warning", "derived", clues, fields, treatment)
    return None


# -- the right to open the device files -------------------------------------------------------------------------------


def _groups(s: Snapshot, goal: Goal, build: Build, cards: list[Device]) -> Fail | None:
    rocm = s.gpu.rocm.maybe()
    files = s.gpu.device_files.maybe() or []
    closed = [one for one in files if one.path == "/dev/kfd" and not one.usable and one.error in ("EACCES", "EPERM")]
    if not closed:
        return None
    groups = list(rocm.missing_groups) if rocm is not None else []
    fields: dict[str, Plain] = {**build.fields, "gpus": labels(cards), "owner": closed[0].owner}
    fields |= {"error": closed[0].error, "groups": " and ".join(groups) or "render"}
    clues = [Clue(s.gpu.device_files, "/dev/kfd", "closed", fields)]
    if groups and rocm is not None:
        clues.append(Clue(s.gpu.rocm, groups, "not_in", fields))
    container = s.machine.container.maybe()
    joined = ",".join(groups) or "render,video"
    steps = [Step(says="container_groups")] if container else [Step(says="join", fields={"groups": joined})]
    severity: Severity = severity_of(goal)
    return Fail("groups", severity, "observed", clues, fields, Treatment("print-only", steps))


ROCM_MISMATCH = Condition(
    id="rocm-mismatch",
    family="gpu",
    title="torch's ROCm build and the AMD GPU do not go together",
    reads=("gpu", "native", "packages", "settings", "machine", "target"),
    detect=_rocm,
    words={
        **torch_gpu.WORDS,
        **torch_choice.WORDS,
        "ask_selector": torch_choice.ASK_SELECTOR,
        "no_gpu": "no AMD GPU that torch could use was found",
        "not_known": "which AMD GPUs torch {torch} has code for, or which target {gpus} is, is not known",
        "cuda_on_amd": "torch {torch} is a CUDA build, but the GPU here is {gpus}: it can compute only on "
        "the processor",
        "rocm_on_nvidia": "torch {torch} is a build for AMD's GPUs (ROCm), but the GPU here is {gpus}",
        "built_for": "torch {torch} is a build for {build}",
        "amd_is": "present: {gpus} ({capability}), and no NVIDIA GPU",
        "nvidia_is": "present: {gpus}, and no AMD GPU",
        "lacks": "torch {torch} has no code for {gpus} ({gfx})",
        "gfx_is": "{gpus} is {gfx}",
        "targets_are": "torch has code for {targets}",
        "torch_says": "torch said: {message}",
        "seen_lacking": "torch {torch} has no code for {gpus}",
        "override_is": "HSA_OVERRIDE_GFX_VERSION={value} makes the runtime take the GPU for another one ({made})",
        "override_odd": "HSA_OVERRIDE_GFX_VERSION={value} is no version: it must look like 10.3.0",
        "override_lacks": "HSA_OVERRIDE_GFX_VERSION={value} stands for {made}, for which torch {torch} has no code",
        "override_far": "HSA_OVERRIDE_GFX_VERSION={value} stands for {made}, which is of another family than {gfx}",
        "groups": "this user may not open /dev/kfd: torch cannot use {gpus}",
        "closed": "opening /dev/kfd (owner and mode: {owner}) fails with {error}",
        "not_in": "the user is not in the group {groups}, which owns the device files",
        "try_override": "many such GPUs run the code for {near}: set HSA_OVERRIDE_GFX_VERSION={version} and try",
        "or_try_override": "or set HSA_OVERRIDE_GFX_VERSION={version} and try: many such GPUs run the code for {near}",
        "or_other_rocm": "or look for another build with {gpus} among its targets: AMD's own wheels "
        "(https://rocm.docs.amd.com/)",
        "other_rocm": "look for a build with {gpus} among its targets: another ROCm on PyTorch's index, or AMD's own "
        "wheels (https://rocm.docs.amd.com/)",
        "unset_override": "take HSA_OVERRIDE_GFX_VERSION away (or give it the version of a target that torch has and "
        "whose family is that of the GPU)",
        "join": "join the groups, then log in anew: sudo usermod -aG {groups} $USER",
        "container_groups": "start the container with --device /dev/kfd --device /dev/dri --group-add video "
        "--group-add render",
    },
    explained_by=("gpu-hidden",),
)

CONDITIONS: tuple[Condition, ...] = (ROCM_MISMATCH,)
