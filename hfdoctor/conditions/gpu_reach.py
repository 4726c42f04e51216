"""Whether a GPU that is there reaches the program: settings that hide it, containers, device files, WSL 1."""

from __future__ import annotations

from collections.abc import Sequence

from ..facts.sections.gpu import Device
from ..facts.snapshot import Snapshot
from . import torch_gpu
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Unknown, Verdict
from .torch_gpu import Build, build_in_question, chosen_on_purpose, gpus, is_text, labels, sees_none, severity_of
from .variable_steps import unset_variable
from .visible_devices import Visible, visible

#: who reads which variable; AMD's runtime reads NVIDIA's too
HIDING = {
    "cuda": ("CUDA_VISIBLE_DEVICES",),
    "rocm": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
}
#: device files without which CUDA finds no GPU; the others (modeset, caps) are not needed for computing
NEEDED = ("/dev/nvidiactl", "/dev/nvidia-uvm")
FORBIDDEN = ("EACCES", "EPERM")


def _hidden(s: Snapshot, goal: Goal) -> Verdict:
    build = build_in_question(s, goal, "cuda", "rocm")
    if not isinstance(build, Build):
        return build
    if s.machine.wsl.maybe() == "1":
        return _wsl_1(s, goal, build)
    found = _by_variable(s, goal, build) or _by_container(s, goal, build) or _by_files(s, goal, build)
    if found is not None:
        return found
    vendor = "nvidia" if build.kind == "cuda" else "amd"
    cards = gpus(s, vendor)
    s.settings.variables.need()
    if not cards:
        return Skip("no_gpu")
    s.gpu.device_files.or_absent()
    if s.machine.container.or_absent():
        s.gpu.driver.or_absent()
    return Pass(len(cards), [Clue(s.gpu.devices, labels(cards))])


def _wsl_1(s: Snapshot, goal: Goal, build: Build) -> Verdict:
    if not chosen_on_purpose(s, goal):
        return Unknown("wsl_1_unknown")
    clues = [Clue(s.machine.wsl, "1", "wsl_1_is")]
    steps = [Step(["wsl", "--list", "--verbose"], "wsl_list"), Step(says="wsl_convert")]
    return Fail("wsl_1", severity_of(goal), "observed", clues, build.fields, Treatment("print-only", steps))


def _by_variable(s: Snapshot, goal: Goal, build: Build) -> Fail | None:
    """A variable that leaves torch no GPU, where one is proven present (or torch was seen finding none)."""
    vendor = "nvidia" if build.kind == "cuda" else "amd"
    cards = _reachable(s, vendor)
    if cards is not None and not cards:
        return None
    if cards is None and not sees_none(s):
        return None
    values = {one.name: one.value for one in s.settings.variables.maybe() or ()}
    for name in HIDING[build.kind]:
        if name not in values:
            continue
        left = visible(
            values[name],
            len(cards) if cards is not None else None,
            [one.uuid for one in cards or () if one.uuid],
            mig=any(one.mig == "enabled" or one.mig_slices for one in cards or ()),
        )
        if left.count_seen != 0:
            continue
        return _fail_variable(s, goal, build, name, values[name], left, cards or [])
    return None


def _reachable(s: Snapshot, vendor: str) -> list[Device] | None:
    """The GPUs that programs would see without the variable: those that the driver lists; None if not known."""
    if not s.gpu.devices.known and not s.gpu.devices.absent:
        return None
    cards = gpus(s, vendor)
    listed = [one for one in cards if "nvml" in one.seen or "text" in one.seen or "system" in one.seen]
    if vendor == "nvidia":
        # without a driver there is nothing that the variable could hide
        return listed or ([] if s.gpu.driver.absent else cards)
    return cards


def _fail_variable(
    s: Snapshot, goal: Goal, build: Build, name: str, value: str, left: Visible, cards: Sequence[Device]
) -> Fail:
    fields: dict[str, Plain] = {**build.fields, "name": name, "value": value, "entry": left.entry, "count": len(cards)}
    fields["gpus"] = labels(list(cards)) or "any GPU"
    clues = [Clue(s.settings.variables, f"{name}={value}", "variable_" + left.trouble.replace("-", "_"), fields)]
    if cards:
        clues.append(Clue(s.gpu.devices, labels(list(cards)), "there_is", fields))
    basis: Basis = "derived"
    if sees_none(s):
        basis = "observed"
        clues.append(Clue(s.gpu.torch, False, "torch_sees_none"))
    os_info = s.machine.os.maybe()
    windows = os_info is not None and os_info.system == "windows"
    steps = [unset_variable(name, "unset_windows" if windows else "unset"), Step(says="set_where")]
    if left.trouble == "none":
        steps = [Step(says="ask_scheduler")]
    elif left.trouble not in ("empty", "minus-one") and cards:
        steps.append(Step(says="number_from_zero", fields=fields))
    treatment = Treatment("confirm", steps)
    return Fail("variable", severity_of(goal), basis, clues, fields, treatment)


def _by_container(s: Snapshot, goal: Goal, build: Build) -> Fail | None:
    """A container that the GPU was not passed into, where the host has one or the container was made for one."""
    container = s.machine.container.maybe()
    if build.kind == "rocm":
        return _amd_container(s, goal, build) if container else None
    nvml = s.gpu.nvml.maybe()
    # the libcuda of a compatibility package is part of NVIDIA's images, and no sign that the driver came in
    lent = s.gpu.driver.known and not s.gpu.cuda_compat.known
    if lent or (nvml is not None and nvml.answer == "ok"):
        return None
    files = s.gpu.device_files.maybe() or []
    if any(one.path.startswith("/dev/nvidia") and one.usable for one in files) or s.gpu.wsl.known:
        return None
    wish = next((one.value for one in s.settings.variables.maybe() or () if one.name == "NVIDIA_VISIBLE_DEVICES"), None)
    cards = gpus(s, "nvidia") if s.gpu.devices.known else []
    # a device of the host that its driver of NVIDIA has: the container could have it
    proven = [one for one in cards if one.kernel_driver == "nvidia"]
    fields: dict[str, Plain] = {**build.fields, "container": _kind(container), "value": wish or ""}
    fields["gpus"] = labels(proven)
    clues: list[Clue] = []
    if proven and container:
        clues.append(Clue(s.gpu.devices, labels(proven), "host_has", fields))
        if s.gpu.driver.absent or (s.gpu.cuda_compat.known and nvml is not None):
            clues.append(Clue(s.gpu.nvml, nvml.answer if nvml else None, "no_driver_inside"))
        elif wish is None:
            return None
    asked = wish is not None and wish.lower() not in ("void", "none", "")
    # a plain look at a machine without any GPU proves nothing: the image may run on the processor on purpose
    told = sees_none(s) and is_text(s)
    needed = goal.require in ("cuda", "gpu")
    if wish is not None and (clues or told or needed):
        says = "wish" if asked else "wish_none"
        clues.append(Clue(s.settings.variables, f"NVIDIA_VISIBLE_DEVICES={wish}", says, fields))
    if not clues:
        return None
    basis: Basis = "derived"
    if sees_none(s):
        basis = "observed"
        clues.append(Clue(s.gpu.torch, False, "torch_sees_none"))
    return Fail("container", severity_of(goal), basis, clues, fields, _container_cure(s, asked or wish is None))


def _kind(container: str | None) -> str:
    return f"{container} container" if container and container != "container" else "container"


def _container_cure(s: Snapshot, asked: bool) -> Treatment:
    container = s.machine.container.maybe()
    if container == "kubernetes":
        return Treatment("print-only", [Step(says="kubernetes")])
    steps = [Step(says="docker"), Step(says="toolkit", administrator=True)]
    if not asked:
        steps.append(Step(says="not_void"))
    return Treatment("print-only", steps)


def _amd_container(s: Snapshot, goal: Goal, build: Build) -> Fail | None:
    cards = [one for one in gpus(s, "amd") if one.kernel_driver == "amdgpu"] if s.gpu.devices.known else []
    files = s.gpu.device_files.maybe()
    if not cards or files is None or any(one.path == "/dev/kfd" for one in files):
        return None
    fields: dict[str, Plain] = {**build.fields, "container": _kind(s.machine.container.maybe()), "gpus": labels(cards)}
    clues = [Clue(s.gpu.devices, labels(cards), "host_has", fields), Clue(s.gpu.device_files, None, "no_kfd")]
    steps = [Step(says="docker_amd")]
    return Fail("container", severity_of(goal), "derived", clues, fields, Treatment("print-only", steps))


def _by_files(s: Snapshot, goal: Goal, build: Build) -> Fail | None:
    """Device files of NVIDIA's that this user, or this control group, may not open."""
    files = s.gpu.device_files.maybe() or []
    if build.kind != "cuda" or not files:
        return None
    numbered = [one for one in files if one.path.removeprefix("/dev/nvidia").isdigit()]
    closed = [one for one in files if one.path in NEEDED and not one.usable and one.error in FORBIDDEN]
    # one of several GPUs that is closed belongs to another job
    if numbered and all(not one.usable and one.error in FORBIDDEN for one in numbered):
        closed += numbered
    fields: dict[str, Plain] = {**build.fields}
    if closed:
        fields |= {"path": closed[0].path, "error": closed[0].error, "owner": closed[0].owner}
        clues = [
            Clue(s.gpu.device_files, one.path, "closed", {"path": one.path, "error": one.error, "owner": one.owner})
            for one in closed
        ]
        cgroup = closed[0].error == "EPERM"
        container = bool(s.machine.container.maybe())
        steps = [Step(says="cgroup_container" if container else "cgroup")] if cgroup else [Step(says="mode")]
        return _fail_files(s, goal, "files_cgroup" if cgroup else "files", clues, fields, steps)
    paths = {one.path for one in files}
    if s.machine.container.maybe() and numbered and "/dev/nvidiactl" in paths and "/dev/nvidia-uvm" not in paths:
        clues = [Clue(s.gpu.device_files, sorted(paths), "no_uvm")]
        return _fail_files(s, goal, "uvm", clues, fields, [Step(says="give_uvm", administrator=True)])
    return None


def _fail_files(
    s: Snapshot, goal: Goal, says: str, clues: list[Clue], fields: dict[str, Plain], steps: list[Step]
) -> Fail:
    return Fail(says, severity_of(goal), "observed", clues, fields, Treatment("print-only", steps), len(clues))


GPU_HIDDEN = Condition(
    id="gpu-hidden",
    family="gpu",
    title="A GPU is there, but a setting, a container or a permission keeps it from torch",
    reads=("gpu", "packages", "settings", "machine"),
    detect=_hidden,
    words={
        **torch_gpu.WORDS,
        "no_gpu": "no GPU for this torch was found",
        "wsl_1": "this is WSL 1, which has no way to a GPU: torch {torch} can compute only on the processor",
        "wsl_1_is": "the kernel is that of WSL 1",
        "wsl_1_unknown": "WSL 1 shows no GPU, so whether Windows has one cannot be seen from here",
        "wsl_list": "run in Windows: it shows which distribution is of version 1",
        "wsl_convert": "convert it, in Windows: wsl --set-version NAME 2",
        "variable": "{name}={value} hides {gpus} from torch",
        "variable_empty": "{name} is set and empty: programs see no GPU",
        "variable_minus_one": "{name}={value}: -1 hides every GPU that follows",
        "variable_none": "{name}={value}: whoever started this (a scheduler, as a rule) gave it no GPU",
        "variable_nonsense": "{name}={value}: {entry} is neither the number nor the UUID of a GPU, and the first entry "
        "that names none ends the list",
        "variable_out_of_range": "{name}={value}: {entry} is no GPU here, the numbers begin with 0 and there are "
        "{count}",
        "variable_unknown_uuid": "{name}={value}: no GPU here has the UUID {entry}",
        "variable_twice": "{name}={value} names {entry} twice, and then programs see no GPU",
        "there_is": "present: {gpus}",
        "torch_sees_none": "torch was asked and finds no GPU (torch.cuda.is_available() is False)",
        "unset": "take it away: unset {name}",
        "unset_windows": "take it away: set {name}= (cmd), or Remove-Item Env:{name} (PowerShell)",
        "set_where": "if it comes back, look where it is set: the shell's start-up files, .env, the job script, "
        "os.environ in the program",
        "number_from_zero": "or name GPUs that are there, by number from 0 or by UUID (nvidia-smi -L lists them)",
        "ask_scheduler": "ask the scheduler for a GPU (Slurm: --gres=gpu:1 or --gpus=1)",
        "container": "no GPU was passed into this {container}: torch {torch} can compute only on the processor",
        "host_has": "the host has {gpus}, run by its driver",
        "no_driver_inside": "inside the container there is neither the driver's library nor /dev/nvidia0",
        "wish": "NVIDIA_VISIBLE_DEVICES={value} asks for GPUs, and none came in",
        "wish_none": "NVIDIA_VISIBLE_DEVICES={value} tells the container runtime to pass in no GPU",
        "no_kfd": "inside the container there is no /dev/kfd",
        "docker": "start the container with --gpus all (podman: --device nvidia.com/gpu=all; compose: "
        "deploy.resources.reservations.devices)",
        "toolkit": "if Docker then says that it cannot select a device driver: install nvidia-container-toolkit "
        "on the host",
        "not_void": "and do not set NVIDIA_VISIBLE_DEVICES to void or none",
        "docker_amd": "start the container with --device /dev/kfd --device /dev/dri --group-add video "
        "--group-add render",
        "kubernetes": "ask for one in the pod: resources.limits nvidia.com/gpu: 1 "
        "(the node needs NVIDIA's device plugin)",
        "files": "{path} may not be opened ({error}): this user cannot use the GPU",
        "files_cgroup": "{path} may not be opened ({error}): a control group keeps the GPU from this process",
        "closed": "opening {path} (owner and mode: {owner}) fails with {error}",
        "mode": "let this user open /dev/nvidia*: they are made with mode 0666 unless NVreg_DeviceFileMode or a udev "
        "rule says otherwise; else join the group that owns them",
        "cgroup": "ask the scheduler for a GPU for this job, or start the program outside of the limited service",
        "cgroup_container": "start the container anew with --gpus all: after systemctl daemon-reload "
        "running containers lose their GPUs",
        "uvm": "the container lacks /dev/nvidia-uvm: CUDA cannot start in it",
        "no_uvm": "/dev/nvidiactl and a GPU are there, /dev/nvidia-uvm is not",
        "give_uvm": "on the host: nvidia-modprobe -u -c=0; then start the container anew with --gpus all",
    },
)

CONDITIONS: tuple[Condition, ...] = (GPU_HIDDEN,)
