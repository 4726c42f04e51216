"""Whether the installed torch has code that this machine's NVIDIA GPUs can run."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ..binaries.targets import Run, cuda_target, runs_on
from ..facts.fact import Fact, FactMissing
from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from . import torch_choice, torch_gpu
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .seen_torch import computed_on, devices_named, said
from .torch_choice import DISPLAY_MEMORY, Choice, choice_for, choice_for_most, install_build, platform_of
from .torch_gpu import TOLERANCE, Build, build_for, capability_of, driver_cuda, gpus, label, numbers

#: what torch and CUDA say where there is no code for a GPU; "Minimum and Maximum cuda capability" alone means nothing:
#: code for 12.0 runs on 12.1, and torch complains all the same
NO_CODE = r"no kernel image is available|is not compatible with the current PyTorch installation|because it is too old"
#: torch's own sentence, which names the GPU's capability
NOT_COMPATIBLE = r"(\S.*?) with CUDA capability sm_(\d+)(\d) is not compatible"

#: major of PTX that is too old for a torch to run wholly through it: half precision and the math libraries want more
OLD_PTX = 7


class Code(msgspec.Struct, frozen=True):
    """The GPU code in torch, and who says so."""

    code: tuple[str, ...]
    ptx: tuple[str, ...]
    fact: Fact[Any]
    says: str
    fields: dict[str, Plain]
    from_table: bool
    #: of a table that says nothing of PTX
    whole: bool = True


class Judged(msgspec.Struct, frozen=True):
    """One GPU held against the code: ``how`` as in Run; ``seen`` if torch itself was seen doing it."""

    device: Device
    capability: str
    run: Run
    from_table: bool
    seen: bool = False

    @property
    def works(self) -> bool:
        """Whether torch computes on it."""
        return self.run.how in ("native", "jit")


def _unsupported(s: Snapshot, goal: Goal) -> Verdict:
    if goal.require == "cpu":
        return Skip("cpu_goal")
    build = _cuda_build(s, goal)
    if isinstance(build, Skip):
        return build
    message = said(s, NO_CODE)
    if s.gpu.devices.known or s.gpu.devices.absent or not message:
        cards = [one for one in gpus(s, "nvidia") if _has_driver(s, one)]
    else:
        cards = []  # a text that shows only what torch complained of
    if not cards:
        told = _told(s, message)
        if told is None:
            return Skip("no_gpu")
        cards = [told]
    code = code_of(s, build)
    judged = [judge(s, build, code, one, message) for one in cards]
    unfit = [one for one in judged if one.run.how == "no"]
    unclear = [one for one in judged if one.run.how == "unknown"]
    fit = [one for one in judged if one.works]
    if unfit and fit and _spared(s, goal, unfit):
        unfit = []
    if unfit:
        return _fail(s, goal, build, code, unfit, fit)
    if unclear:
        first = unclear[0]
        if code is None and first.capability:
            return Unknown("no_list", {**_fields(build), "gpu": label(first.device)})
        return Unknown("no_capability", {"gpu": label(first.device), "reason": first.run.reason})
    return Pass(len(judged), [_clue(code, one, s) for one in fit])


def _cuda_build(s: Snapshot, goal: Goal) -> Build | Skip | None:
    """The CUDA build; None where only a list of its targets is known (a text)."""
    word = s.gpu.torch.maybe()
    try:
        return build_for(s, goal, "cuda")
    except FactMissing:
        if word is not None and any(one.startswith("sm_") for one in word.arch_list):
            return None
        if said(s, NO_CODE):
            return None
        raise


def _fields(build: Build | None) -> dict[str, Plain]:
    return build.fields if build else {"torch": "", "build": "CUDA", "cuda": ""}


def _has_driver(s: Snapshot, device: Device) -> bool:
    """Whether NVIDIA's driver runs it: what stands only on the bus, as an old card for the screen, is not torch's."""
    if any(witness in device.seen for witness in ("nvml", "text", "system")):
        return True
    nvml = s.gpu.nvml.maybe()
    if nvml is not None and nvml.answer == "ok":
        return False  # the driver was asked, and does not know it
    return not s.gpu.driver.absent and device.kernel_driver in ("nvidia", "")


def _told(s: Snapshot, message: str) -> Device | None:
    """The GPU that torch complained of, in a text that shows nothing else of it."""
    match = re.search(NOT_COMPATIBLE, message)
    if match:
        return Device(vendor="nvidia", name=match[1].strip(), seen="text", capability=f"{match[2]}.{match[3]}")
    if message and not s.gpu.devices.absent and not s.gpu.devices.known:
        return Device(vendor="nvidia", seen="text")
    return None


def code_of(s: Snapshot, build: Build | None) -> Code | None:
    """The GPU code of torch: what its binary says, else what torch said, else the table of builds; None if unknown."""
    for entry in s.native.gpu_code.maybe() or ():
        if entry.package == "torch" and entry.kind == "cuda" and (entry.code or entry.ptx):
            fields: dict[str, Plain] = {"targets": " ".join((*entry.code, *entry.ptx)), "path": entry.path}
            return Code(tuple(entry.code), tuple(entry.ptx), s.native.gpu_code, "binary_has", fields, False)
    word = s.gpu.torch.maybe()
    if word is not None and any(one.startswith("sm_") for one in word.arch_list):
        code = tuple(one for one in word.arch_list if one.startswith("sm_"))
        ptx = tuple(one for one in word.arch_list if one.startswith("compute_"))
        return Code(code, ptx, s.gpu.torch, "torch_has", {"targets": " ".join(word.arch_list)}, False)
    return _code_by_table(s, build) if build is not None else None


def _code_by_table(s: Snapshot, build: Build) -> Code | None:
    """What the table says of the published build, on this platform or, if that is not known, on every one alike."""
    from ..knowledge.torch_builds import build_of as row_of

    entry = s.packages.installed().get("torch") if s.packages.distributions.known else None
    if entry is not None and entry.installer.lower().startswith("conda"):
        return None  # conda's builds have lists of their own
    variant = "cu" + "".join(str(part) for part in numbers(build.runtime)[:2])
    platform = platform_of(s)
    told = s.machine.architecture.known or s.target.interpreter.known
    machines = [platform[1]] if platform and told else ["x86_64"]
    systems = [platform[0]] if platform else ["linux", "windows"]
    rows = [row_of(build.public, variant, system, machine) for system in systems for machine in machines]
    known = [row for row in rows if row is not None and row.code is not None]
    if not known or len(known) < len(rows):
        return None
    row = max(known, key=lambda one: len(one.code or ()))
    fields: dict[str, Plain] = {"targets": " ".join((*(row.code or ()), *(row.ptx or ()))), "variant": variant}
    fields |= {"release": build.public, "source": row.source, "as_of": row.as_of.isoformat()}
    whole = all(one.ptx is not None for one in known)
    return Code(tuple(row.code or ()), tuple(row.ptx or ()), build.fact, "table_has", fields, True, whole)


def judge(s: Snapshot, build: Build | None, code: Code | None, device: Device, message: str = "") -> Judged:
    """How torch's code runs on one GPU; what torch was seen doing on it comes first."""
    capability, by_name = capability_of(device)
    own = next((one.capability for one in devices_named(s, device.name) if one.capability), "")
    if not device.capability and own:
        capability, by_name = own, False
    if computed_on(s, device.name):
        return Judged(device, capability, Run("native", "", "a kernel of torch ran on it"), False, True)
    errors = [one.error for one in devices_named(s, device.name) if one.error]
    if any(re.search(NO_CODE, one) for one in errors):
        return Judged(device, capability, Run("no", "", errors[0][:200]), False, True)
    if code is None or not capability:
        if message:
            return Judged(device, capability, Run("no", "", message[:200]), False, True)
        return Judged(device, capability, Run("unknown", "", "its compute capability is not known"), by_name)
    cuda, at_least = driver_cuda(s)
    run = runs_on(code.code, code.ptx, capability, cuda or None, (build.runtime if build else "") or None)
    if run.how == "no" and not code.whole:
        run = Run("unknown", "", "the table does not say which PTX that build has")
    elif run.how == "no" and run.target and at_least:
        run = Run("unknown", "", f"it depends on whether the driver can compile {run.target}, which it did not say")
    elif run.how == "jit" and (target := cuda_target(run.target)) is not None and target.major < OLD_PTX:
        # the driver compiles it, but torch's kernels and the libraries beside them were not made to run that way
        if message:
            return Judged(device, capability, Run("no", "", message[:200]), False, True)
        run = Run("unknown", "", f"only {run.target} PTX fits, and not all of torch can run through PTX as old as that")
    return Judged(device, capability, run, by_name or code.from_table)


def _spared(s: Snapshot, goal: Goal, unfit: list[Judged]) -> bool:
    """Whether the GPUs that do not fit are not meant to compute: old small ones for the screen, or hidden ones."""
    chosen = next((one.value for one in s.settings.variables.maybe() or () if one.name == "CUDA_VISIBLE_DEVICES"), "")
    if chosen:
        return True
    return all(
        one.device.memory_total < DISPLAY_MEMORY if one.device.memory_total else numbers(one.capability) < (5,)
        for one in unfit
    )


def _clue(code: Code | None, one: Judged, s: Snapshot) -> Clue:
    fields: dict[str, Plain] = {"gpu": label(one.device), "reason": one.run.reason}
    if one.seen or code is None:
        return Clue(s.gpu.torch, label(one.device), "seen_running", fields)
    return Clue(code.fact, one.run.target, "jit" if one.run.how == "jit" else "fits", fields)


def _fail(
    s: Snapshot, goal: Goal, build: Build | None, code: Code | None, unfit: list[Judged], fit: list[Judged]
) -> Fail:
    basis: Basis = "observed" if any(one.seen for one in unfit) else "derived"
    if all(one.from_table for one in unfit):
        basis = "table"
    # those that work may be too small for what is asked
    enough = any((one.device.memory_total or goal.min_vram) >= goal.min_vram * TOLERANCE for one in fit)
    severity: Severity = "error" if basis != "table" and not enough else "warning"
    first = unfit[0]
    names = torch_gpu.labels([one.device for one in unfit])
    fields: dict[str, Plain] = {**_fields(build), "gpus": names, "capability": first.capability}
    clues = []
    for one in {label(one.device): one for one in unfit}.values():
        gpu: dict[str, Plain] = {"gpu": label(one.device), "capability": one.capability, "reason": one.run.reason}
        says = (
            ("torch_says" if label(one.device) in one.run.reason else "seen_failing")
            if one.seen
            else "ptx_too_new"
            if one.run.target
            else "capability_is"
        )
        says = "capability_by_table" if says == "capability_is" and not one.device.capability else says
        fact = s.gpu.torch if one.seen or not s.gpu.devices.known else s.gpu.devices
        clues.append(Clue(fact, one.capability or label(one.device), says, gpu))
    if code is not None:
        clues.append(Clue(code.fact, [*code.code, *code.ptx], code.says, code.fields))
    clues += [Clue(s.gpu.devices, label(one.device), "other_works", {"gpu": label(one.device)}) for one in fit[:1]]
    older = code is not None and _is_older(first.capability, code)
    if build is None:
        says = "told"
    elif basis == "observed" and not fit and code is not None and first.capability and _fits(code, first.capability):
        says = "seen"
    elif fit:
        says = "some"
    else:
        says = "ptx" if first.run.target else "older" if older else "newer"
    return Fail(says, severity, basis, clues, fields, _cure(s, code, unfit, fit, fields), len(unfit) + len(fit))


def _fits(code: Code, capability: str) -> bool:
    return runs_on(code.code, (), capability).how == "native"


def _is_older(capability: str, code: Code) -> bool:
    """Whether the GPU is older than something that the build has code for, and not newer than all of it."""
    targets = [int(re.sub(r"\D", "", one)) for one in (*code.code, *code.ptx) if re.sub(r"\D", "", one)]
    return bool(targets and capability) and int(capability.replace(".", "")) < max(targets)


def _cure(
    s: Snapshot, code: Code | None, unfit: list[Judged], fit: list[Judged], fields: dict[str, Plain]
) -> Treatment:
    steps = []
    if fit:
        fields = {**fields, "working": ", ".join(dict.fromkeys(label(one.device) for one in fit))}
        steps.append(Step(says="use_the_others", fields=fields))
    if unfit[0].run.target:
        steps.append(Step(says="newer_driver", administrator=True, network=True))
    if s.gpu.jetson.known:
        steps.append(Step(says="jetson_builds", network=True))
        return Treatment("print-only", steps)
    capability = unfit[0].capability
    # one for all of them; else one for those that this torch leaves out, and the person chooses
    choice = choice_for(s, [one.device for one in (*unfit, *fit)]) if capability else None
    alone = choice is None
    if choice is None and capability:
        most = choice_for_most(s, [one.device for one in unfit])
        choice = most[0] if most else None
    if choice is not None and _is_there(s, choice):
        steps.append(Step(says="same_build", fields=fields))
    elif choice is not None:
        told: dict[str, Plain] = {**fields, "release": choice.release, "variant": choice.variant}
        says = "or_another_build" if steps else "another_build"
        steps.append(Step(says="or_another_build_alone" if alone and fit else says, fields=told))
        steps += install_build(s, choice)
    elif capability and (newer := choice_for_most(s, [one.device for one in unfit], any_driver=True)):
        told = {**fields, "release": newer[0].release, "variant": newer[0].variant}
        steps.append(Step(says="driver_then_build", fields=told, administrator=True, network=True))
    elif code is not None and capability and _is_older(capability, code):
        steps.append(_last_release(s, capability))
    else:
        steps.append(Step(says="ask_selector", network=True))
    return Treatment("confirm", steps)


def _is_there(s: Snapshot, choice: Choice) -> bool:
    """Whether the build that should do is the very one that fails."""
    build = s.packages.torch_build.maybe()
    own = "cu" + "".join(str(part) for part in numbers(build.cuda)[:2]) if build is not None else ""
    return build is not None and build.version.partition("+")[0] == choice.release and own == choice.variant


def _last_release(s: Snapshot, capability: str) -> Step:
    """For a GPU that no build for this driver and Python has code for any more."""
    from ..knowledge.torch_builds import last_release_with

    platform = platform_of(s)

    def runs(code: tuple[str, ...], wanted: str) -> bool:
        return runs_on(code, (), wanted).how == "native"

    last = last_release_with(capability, *platform, runs=runs) if platform else None
    if last is None:
        return Step(says="none_left", fields={"capability": capability})
    return Step(says="last_release", fields={"capability": capability, "release": last[0], "variant": last[1]})


GPU_ARCH_UNSUPPORTED = Condition(
    id="gpu-arch-unsupported",
    family="gpu",
    title="The installed torch has no code for this GPU",
    reads=("gpu", "native", "packages", "machine", "settings", "target"),
    detect=_unsupported,
    words={
        **{key: text for key, text in torch_gpu.WORDS.items() if key != "works"},
        **torch_choice.WORDS,
        "ask_selector": torch_choice.ASK_SELECTOR,
        "jetson_builds": torch_choice.JETSON_BUILDS,
        "last_release": "the last torch with code for compute capability {capability} was {release} ({variant})",
        "no_gpu": "no NVIDIA GPU with a driver was found",
        "no_list": "which GPUs torch {torch} has code for is not known, so {gpu} cannot be judged",
        "no_capability": "{gpu} cannot be judged: {reason}",
        "newer": "torch {torch} for CUDA {cuda} has no code for {gpus} (compute capability {capability}), "
        "which is newer than that build",
        "older": "torch {torch} for CUDA {cuda} has no code for {gpus} (compute capability {capability}) any more",
        "ptx": "torch {torch} for CUDA {cuda} runs on {gpus} only through PTX, which the installed driver cannot read",
        "some": "torch {torch} for CUDA {cuda} has no code for {gpus}; the other GPUs work",
        "seen": "a first computation of torch {torch} on {gpus} failed: some library in it has no code for that GPU",
        "told": "the installed torch has no code for {gpus}",
        "capability_is": "{gpu} has compute capability {capability}: {reason}",
        "capability_by_table": "{gpu} has compute capability {capability} (by its name or PCI id): {reason}",
        "ptx_too_new": "{gpu} has compute capability {capability}: no machine code fits, and {reason}",
        "torch_says": "torch said: {reason}",
        "seen_failing": "torch on {gpu}: {reason}",
        "seen_running": "{gpu}: {reason}",
        "fits": "{gpu}: {reason}",
        "jit": "{gpu}: {reason}; the first start takes minutes, later ones use what was compiled",
        "binary_has": "{path} was built for {targets}",
        "torch_has": "torch itself names its targets: {targets}",
        "table_has": "torch {release} for {variant} was published with code for {targets} (as of {as_of}, {source})",
        "other_works": "torch works on {gpu}",
        "use_the_others": "keep torch off {gpus}: set CUDA_DEVICE_ORDER=PCI_BUS_ID and name only the other GPUs "
        "in CUDA_VISIBLE_DEVICES ({working})",
        "newer_driver": "install a newer driver of NVIDIA: it can compile the PTX in this torch for the GPU",
        "another_build": "install torch {release} for {variant}, which has code for this GPU:",
        "or_another_build": "or install torch {release} for {variant}, which has code for it:",
        "same_build": "torch's own build is the right one: see which package the failing library is of, and install "
        "that again for this GPU",
        "driver_then_build": "install a newer driver of NVIDIA (https://www.nvidia.com/drivers) and restart; torch "
        "{release} for {variant}, which has code for this GPU, then runs here",
        "or_another_build_alone": "or install torch {release} for {variant}, which has code for it, "
        "but not for {working}:",
        "none_left": "no torch of the tables has code for compute capability {capability}: build torch from source, or "
        "compute on the processor",
    },
    explained_by=("driver-too-old", "driver-mismatch"),
)

CONDITIONS: tuple[Condition, ...] = (GPU_ARCH_UNSUPPORTED,)
