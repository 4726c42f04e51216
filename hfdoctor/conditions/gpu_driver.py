"""NVIDIA's driver: that it is there, and that its two halves are of one version. Its age is in driver_age.py."""

from __future__ import annotations

from ..facts.fact import FactMissing
from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from . import torch_gpu
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Verdict
from .seen_torch import said
from .torch_choice import platform_of
from .torch_gpu import (
    Build,
    build_in_question,
    build_of,
    capability_of,
    gpus,
    is_text,
    labels,
    numbers,
    severity_of,
    works,
)

#: what torch says where the driver's library is missing, or finds no device
NO_DRIVER = r"Found no NVIDIA driver on your system"
#: what NVML, CUDA and torch say of a driver whose halves differ
MISMATCH = r"Driver/library version mismatch|unsupported display driver / cuda driver combination"

# -- driver-missing ---------------------------------------------------------------------------------------------------


def _missing(s: Snapshot, goal: Goal) -> Verdict:
    build = build_in_question(s, goal, "cuda")
    if not isinstance(build, Build):
        return build
    if s.machine.wsl.maybe():
        return Skip("wsl")
    if s.gpu.jetson.known:
        return Skip("jetson")
    message = said(s, NO_DRIVER)
    told = bool(message) and (is_text(s) or severity_of(goal) == "error")
    if not s.gpu.devices.known and not s.gpu.devices.absent and told:
        clues = [Clue(s.gpu.torch, message, "torch_says", {"message": message[:200]})]
        severity = severity_of(goal)
        return Fail("told", severity, "observed", clues, build.fields, Treatment("print-only", _drivers(s)))
    cards = [one for one in gpus(s, "nvidia") if not _beyond(s, one)]
    if not cards:
        return Skip("no_gpu")
    return _without_driver(s, goal, build, cards, message)


def _without_driver(s: Snapshot, goal: Goal, build: Build, cards: list[Device], message: str) -> Verdict:
    driver = s.gpu.driver.or_absent()
    nvml = s.gpu.nvml.maybe()
    modules = s.gpu.kernel_modules.maybe() or {}
    loaded = "nvidia" in modules or any(one.kernel_driver == "nvidia" for one in cards)
    asleep = nvml is not None and nvml.answer == "driver-not-loaded" and not loaded
    if driver is not None and not asleep:
        return Pass(1, [Clue(s.gpu.driver, driver.version)])
    if s.machine.container.or_absent() and (loaded or asleep):
        return Skip("container")
    fields: dict[str, Plain] = {**build.fields, "gpus": labels(cards)}
    clues = [Clue(s.gpu.devices, labels(cards), "seen_gpu", fields)]
    rival = next((one.kernel_driver for one in cards if one.kernel_driver not in ("", "nvidia")), "")
    if loaded:
        says = "half"
        clues.append(Clue(s.gpu.driver, None, "no_libraries"))
    elif driver is not None:
        says = "not_loaded"
        fields["version"] = driver.version
        clues.append(Clue(s.gpu.nvml, "driver-not-loaded", "kernel_half_missing", fields))
    else:
        says = "rival" if rival else "none"
        fields["rival"] = rival
        clues.append(Clue(s.gpu.driver, None, "no_driver"))
        if rival:
            clues.append(Clue(s.gpu.devices, rival, "bound", fields))
    steps = [Step(says="reboot")] if says == "not_loaded" else []
    if s.gpu.secure_boot.maybe() and not loaded and (rival or says == "not_loaded"):
        clues.append(Clue(s.gpu.secure_boot, True, "secure_boot_on"))
        steps.append(Step(says="sign", administrator=True))
    if message:
        clues.append(Clue(s.gpu.torch, message, "torch_says", {"message": message[:200]}))
    steps += _drivers(s)
    severity = severity_of(goal)
    return Fail(says, severity, "observed", clues, fields, Treatment("print-only", steps), len(cards))


def _beyond(s: Snapshot, device: Device) -> bool:
    """Whether the GPU is so old that no release of torch has code for it: no driver would help."""
    capability, _ = capability_of(device)
    platform = platform_of(s) or ("linux", "x86_64")
    if not capability:
        return False
    from ..binaries.targets import runs_on
    from ..knowledge.torch_builds import last_release_with

    def runs(code: tuple[str, ...], wanted: str) -> bool:
        return runs_on(code, (), wanted).how == "native"

    return last_release_with(capability, *platform, runs=runs) is None and numbers(capability) < (5,)


def _drivers(s: Snapshot) -> list[Step]:
    """How to get NVIDIA's driver on this system."""
    os_info = s.machine.os.maybe()
    if os_info is not None and os_info.system == "windows":
        return [Step(says="windows_driver", network=True), Step(says="restart")]
    steps = [Step(says="linux_driver", administrator=True, network=True), Step(says="restart")]
    if s.machine.container.maybe():
        steps = [Step(says="on_host", administrator=True, network=True)]
    elif os_info is not None and os_info.name.startswith("Ubuntu"):
        steps[0] = Step(["ubuntu-drivers", "install"], "ubuntu_driver", administrator=True, network=True)
    return steps


DRIVER_MISSING = Condition(
    id="driver-missing",
    family="gpu",
    title="An NVIDIA GPU has no driver of NVIDIA",
    reads=("gpu", "packages", "machine", "target"),
    detect=_missing,
    words={
        **torch_gpu.WORDS,
        "wsl": "inside WSL the driver is that of Windows",
        "jetson": "a Jetson's driver is part of its system image",
        "no_gpu": "no NVIDIA GPU that torch could use was found",
        "container": "the driver is the host's; whether it reaches this container is gpu-hidden's question",
        "told": "torch finds no NVIDIA driver: it can compute only on the processor",
        "none": "{gpus} has no driver: torch {torch} for CUDA {cuda} can compute only on the processor",
        "rival": "{gpus} is run by {rival}, which cannot run CUDA: torch {torch} can compute only on the processor",
        "half": "{gpus} has only half of NVIDIA's driver: its libraries are missing, so torch {torch} cannot use it",
        "not_loaded": "NVIDIA's driver {version} is installed but not loaded: torch {torch} cannot use {gpus}",
        "seen_gpu": "on the bus: {gpus}",
        "no_driver": "no driver of NVIDIA is installed (no libcuda, no kernel module)",
        "no_libraries": "the kernel module nvidia is loaded, but libcuda and libnvidia-ml were not found",
        "kernel_half_missing": "the libraries of driver {version} are there, the kernel module nvidia is not loaded",
        "bound": "the kernel gave the GPU to {rival}, an open driver for the screen without CUDA",
        "secure_boot_on": "Secure Boot is on: it keeps out kernel modules whose key it does not know",
        "torch_says": "torch said: {message}",
        "reboot": "restart once: after an update of the kernel or of the driver the module is loaded at the next start",
        "sign": "enrol the key that the driver's module was signed with (mokutil --import, then restart and confirm), "
        "or turn Secure Boot off",
        "ubuntu_driver": "install the driver that Ubuntu recommends for this GPU",
        "linux_driver": "install NVIDIA's driver from your distribution's packages (or https://www.nvidia.com/drivers)",
        "windows_driver": "install the driver from https://www.nvidia.com/drivers",
        "on_host": "install NVIDIA's driver on the host, not in the container",
        "restart": "restart, then run nvidia-smi: it must list the GPU",
    },
    explained_by=("gpu-hidden", "wsl-gpu"),
)

# -- driver-mismatch --------------------------------------------------------------------------------------------------


def _mismatch(s: Snapshot, goal: Goal) -> Verdict:
    nvml = s.gpu.nvml.maybe()
    message = said(s, MISMATCH)
    if works(s):
        return Pass(1, [Clue(s.gpu.torch, True)])
    clues = []
    modules = s.gpu.kernel_modules.maybe() or {}
    module = modules.get("nvidia", "")
    driver = s.gpu.driver.maybe()
    library = driver.version if driver is not None else ""
    fields: dict[str, Plain] = {"module": module, "library": library}
    # a compatibility library has a number of its own
    differ = bool(module and library and module != library) and torch_gpu.numbering_of(s) == "linux"
    differ = differ and s.gpu.cuda_compat.absent
    if nvml is not None and nvml.answer == "version-mismatch":
        clues.append(Clue(s.gpu.nvml, nvml.answer, "nvml_says", {"detail": nvml.detail or "version mismatch"}))
    elif message:
        clues.append(Clue(s.gpu.torch, message, "torch_says", {"message": message[:200]}))
    elif nvml is not None and nvml.answer == "ok":
        return Pass(1, [Clue(s.gpu.nvml, nvml.answer)])
    elif driver is None and (s.gpu.driver.absent or s.gpu.devices.absent):
        return Skip("no_driver")
    elif nvml is None:
        raise FactMissing(s.gpu.nvml)  # two numbers alone prove nothing
    elif not differ:
        if not module or not library:
            raise FactMissing(s.gpu.kernel_modules if not module else s.gpu.driver)
        return Pass(1, [Clue(s.gpu.driver, library)])
    if module:
        clues.append(Clue(s.gpu.kernel_modules, module, "module_is", fields))
    if differ:
        clues.append(Clue(s.gpu.driver, library, "library_is", fields))
    container = s.machine.container.maybe()
    steps = [Step(says="container_again")] if container else [Step(says="reboot")]
    if not container:
        steps.append(Step(["rmmod", "nvidia_drm", "nvidia_modeset", "nvidia_uvm", "nvidia"], "reload", {}, True))
    if s.gpu.cuda_compat.known and message:
        steps.append(Step(says="no_compat", fields={"path": s.gpu.cuda_compat.need()}))
    try:
        build = build_of(s)
    except FactMissing:
        build = None
    # a torch for the processor does not feel it
    concerns = build is not None and build.kind == "cuda" and goal.require != "cpu"
    severity: Severity = "error" if concerns else severity_of(goal)
    says = "versions" if differ else "mismatch"
    return Fail(says, severity, "observed", clues, fields, Treatment("print-only", steps), len(clues))


DRIVER_MISMATCH = Condition(
    id="driver-mismatch",
    family="gpu",
    title="The two halves of NVIDIA's driver are of different versions",
    reads=("gpu", "packages", "machine"),
    detect=_mismatch,
    words={
        "no_driver": "no driver of NVIDIA is installed",
        "mismatch": "the loaded NVIDIA kernel module and the driver's libraries are of different versions: "
        "no program can use the GPU",
        "versions": "the loaded NVIDIA kernel module is {module}, the driver's libraries are {library}: "
        "no program can use the GPU",
        "nvml_says": "NVIDIA's management library answered: {detail}",
        "torch_says": "torch said: {message}",
        "module_is": "the kernel module nvidia that is loaded is {module}",
        "library_is": "programs get the libraries of driver {library}",
        "reboot": "restart the machine: the driver was updated while the old kernel module was loaded",
        "reload": "or, with nothing using the GPU, unload the old module; the new one is loaded at the next use",
        "container_again": "make the container anew: it got the libraries of the driver that the host had before",
        "no_compat": "a forward compatibility library of CUDA comes first for the loader, and this GPU or driver does "
        "not allow it: take {path} out of LD_LIBRARY_PATH",
    },
)

CONDITIONS: tuple[Condition, ...] = (DRIVER_MISSING, DRIVER_MISMATCH)
