"""The facts about GPUs on Linux, of which WSL 2 and containers are kinds."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..fact import Fact, absent, denied, failed, from_error, known, not_run
from ..legible import legible
from ..observe import observe
from ..sections.gpu import Device, DeviceFile, Gpu, NvidiaDriver, Nvml
from ..sections.machine import Machine
from . import gpu_device_files, gpu_pci
from .gpu_loader import Library, find_library, version_of
from .small_files import first_line, text_of

MODULES = (
    *("nvidia", "nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nvgpu", "nouveau", "nova_core"),
    *("amdgpu", "radeon", "i915", "xe", "vfio_pci"),
)
NVML, CUDA = "libnvidia-ml.so.1", "libcuda.so.1"
EFI = "sys/firmware/efi/efivars"
SECURE_BOOT = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#: shim's own switch, which turns the checking of kernel modules off while Secure Boot stays on
SHIM_INSECURE = "MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23"
BUS = f"/{gpu_pci.SYSFS}"
#: where a virtual machine's own devices stand, those of Hyper-V and of virtio without PCI; a GPU that it is given
#: stands on the PCI bus all the same
VM_BUSES = ("sys/bus/vmbus/devices", "sys/bus/virtio/devices")


def fill(section: Gpu, environ: Mapping[str, str], machine: Machine, patience_s: float = 11.0, root: str = "/") -> None:
    """Fill the facts of ``section``; ``root`` replaces ``/`` (for another machine), ``machine`` is its own section.

    The driver's libraries are asked in a child, at most ``patience_s`` seconds, and only if there are any.
    """
    wsl = machine.wsl.maybe() == "2"
    observe(section, "kernel_modules", lambda: kernel_modules(root), "/sys/module")
    observe(section, "device_files", lambda: known(gpu_device_files.device_files(root), "/dev"), "/dev")
    observe(section, "jetson", lambda: jetson(root), "/etc/nv_tegra_release")
    observe(section, "secure_boot", lambda: secure_boot(root), f"/{EFI}")
    observe(section, "devices", lambda: on_bus(root, wsl, section.jetson), BUS)
    nvml, cuda = find_library(NVML, environ, root), find_library(CUDA, environ, root)
    observe(section, "cuda_compat", lambda: cuda_compat(cuda), CUDA)
    if wsl:
        from . import gpu_wsl

        observe(section, "wsl", lambda: gpu_wsl.wsl(cuda, root), "/dev/dxg")
    elif machine.wsl.absent or machine.wsl.known:
        section.wsl = absent("not in WSL 2", "/proc/version")
    else:
        section.wsl = not_run("it is not known whether this is WSL", "/proc/version")
    if nvml or cuda or os.path.exists(os.path.join(root, "dev/nvidiactl")):
        from . import gpu_driver

        gpu_driver.ask(section, environ, machine, nvml, cuda, patience_s, root)
    else:
        section.nvml = known(Nvml("library-missing", f"{NVML} was not found"), NVML)
        section.processes = absent("no library of NVIDIA's driver is there", NVML)
        observe(section, "driver", lambda: driver_without_libraries(section, wsl), CUDA)
    observe(section, "container_gpu", lambda: container_gpu(machine, environ, section, root), "/proc/self/mountinfo")
    _finish_devices(section, root)


def _finish_devices(section: Gpu, root: str) -> None:
    devices = section.devices.maybe() or []
    files = section.device_files.maybe() or []
    if not _sign_of_amd(section, devices, files, root):
        gpu_pci.name_devices(devices, root)
        return
    from . import gpu_amd

    try:
        gpu_amd.describe(devices, root)
        gpu_pci.name_devices(devices, root)
    except Exception as error:  # names and memory are extras: that the devices are there is what counts
        section.devices.reason = f"not all is known of them: {error}"[:200]
    groups = gpu_device_files.missing_groups(files, root) if files else []
    observe(section, "rocm", lambda: gpu_amd.rocm(groups, root), "/opt/rocm/.info/version")


def _sign_of_amd(section: Gpu, devices: list[Device], files: list[DeviceFile], root: str) -> bool:
    """Whether AMD's side is worth a look; if not, the fact ``rocm`` says so."""
    source = "/opt/rocm, /sys/class/kfd"
    if any(device.vendor == "amd" for device in devices) or any(file.path == "/dev/kfd" for file in files):
        return True
    if os.path.isdir(os.path.join(root, "sys/class/kfd")):
        return True
    try:
        if any(name.startswith("rocm") for name in os.listdir(os.path.join(root, "opt"))):
            return True
    except OSError:
        pass  # no such folder
    if section.devices.known or section.devices.absent:
        section.rocm = absent("no sign of AMD's GPUs or software", source)
    else:
        section.rocm = not_run("it is not known which GPUs there are, and there is no software of AMD's", source)
    return False


def _lists_any(folder: str) -> bool:
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False


def on_bus(root: str, wsl: bool, jetson: Fact[str]) -> Fact[list[Device]]:
    """The GPUs of the PCI bus, and a Jetson's.

    Nothing is concluded from a bus that is not shown, or shown empty, except in a virtual machine whose other devices
    are shown.

    Source: /sys/bus/pci/devices; the device tree of the board.
    """
    if wsl:
        return failed("inside WSL 2 the bus does not show which GPU Windows has", BUS)
    board: list[Device] = []
    if jetson.known:
        board.append(Device("nvidia", name=board_model(root), seen="system"))
    try:
        functions = gpu_pci.sysfs_functions(root)
    except PermissionError as error:
        if not board:
            return denied(f"{error}"[:300], BUS)
        functions = []
    except OSError:
        functions = []
    found = gpu_pci.gpus(functions)
    if not any(device.vendor == "nvidia" for device in found):
        found += board
    if found:
        return known(found, BUS)
    if not functions and any(_lists_any(os.path.join(root, bus)) for bus in VM_BUSES):
        return absent("a virtual machine that has been given no PCI device", f"{BUS}, /{VM_BUSES[0]}, /{VM_BUSES[1]}")
    if not functions:
        return failed("no PCI bus is shown here, so it cannot be told which GPUs there are", BUS)
    return absent("no GPU of NVIDIA, AMD or Intel on the PCI bus", BUS)


def kernel_modules(root: str) -> Fact[dict[str, str]]:
    """The loaded modules that drive GPUs and their versions ("" for those that come with the kernel).

    Source: /sys/module, and /proc/driver/nvidia/version where the first is hidden.
    """
    folder = os.path.join(root, "sys/module")
    found = {name: first_line(f"{folder}/{name}/version") for name in MODULES if os.path.isdir(f"{folder}/{name}")}
    version = proc_version(root)
    if version and not found.get("nvidia"):
        found["nvidia"] = version
    if not found:
        try:
            shown = bool(os.listdir(folder))
        except FileNotFoundError:
            shown = False
        if not shown:  # in some sandboxes: every kernel has a module of some kind
            return failed("the kernel's modules are not shown here", "/sys/module")
    return known(found, "/sys/module")


def proc_version(root: str) -> str:
    """The version that NVIDIA's kernel module gives in /proc: 595.58.03; "" without it."""
    line = first_line(os.path.join(root, "proc/driver/nvidia/version"))
    # NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.58.03  Release Build ...
    for word in line.split():
        parts = word.split(".")
        if len(parts) in (2, 3) and all(part.isdigit() for part in parts):
            return word
    return ""


def driver_without_libraries(section: Gpu, wsl: bool) -> Fact[NvidiaDriver]:
    """The driver where none of its libraries is: absent, even with the kernel's module loaded.

    Programs get nothing then, as in a container that the host's driver was not let into; ``kernel_modules`` has the
    kernel's half.
    """
    if wsl:
        return absent("Windows lends no library of NVIDIA's driver", "/usr/lib/wsl/lib")
    if section.jetson.known:
        return failed("the libraries of the Jetson's driver were not found", CUDA)
    modules = section.kernel_modules
    if "nvidia" in (modules.maybe() or {}):
        return absent(f"the kernel's module nvidia is loaded, but neither {CUDA} nor {NVML} was found", CUDA)
    if not modules.known:
        return absent(f"neither {CUDA} nor {NVML} was found", CUDA)
    return absent("no driver of NVIDIA is installed", f"/sys/module/nvidia, {NVML}")


def cuda_compat(cuda: Library | None) -> Fact[str]:
    """The libcuda that programs get, if it is one of a forward compatibility package. Source: the loader's order."""
    if cuda and cuda.by != "elsewhere":
        folders = {*cuda.path.split("/")[:-1], *cuda.real.split("/")[:-1]}
        if any(name == "compat" or name.startswith(("cuda-compat", "cuda_compat")) for name in folders):
            return known(legible(cuda.path), cuda.by)
    return absent("the loader finds no libcuda of a compatibility package", CUDA)


def secure_boot(root: str) -> Fact[bool]:
    """Whether unsigned kernel modules are kept out; absent on a machine that does not start by UEFI.

    Source: the firmware's variable SecureBoot, unless shim was told not to check (MokSBStateRT).
    """
    folder = os.path.join(root, EFI)
    try:
        with open(f"{folder}/{SECURE_BOOT}", "rb") as stream:
            value = stream.read(16)
    except FileNotFoundError:
        firmware = os.path.join(root, "sys/firmware")
        if os.path.isdir(f"{firmware}/efi"):
            return failed("the firmware's variables are not shown here", f"/{EFI}")
        if os.path.isdir(firmware) and os.listdir(firmware):
            return absent("this machine was not started by UEFI", "/sys/firmware")
        return failed("the firmware is not shown here", "/sys/firmware")
    if len(value) < 5:  # four bytes of attributes, one of data
        return failed("the firmware's variable SecureBoot is cut off", f"/{EFI}")
    try:
        with open(f"{folder}/{SHIM_INSECURE}", "rb") as stream:
            if stream.read(16)[4:5] == b"\x01":
                return known(False, f"/{EFI}/{SHIM_INSECURE}")
    except OSError:
        pass  # not started by shim
    return known(value[4] == 1, f"/{EFI}/{SECURE_BOOT}")


def jetson(root: str) -> Fact[str]:
    """The L4T release of a Jetson ("36.4.3"; "" where only the board tells). Source: nv_tegra_release, device tree."""
    line = first_line(os.path.join(root, "etc/nv_tegra_release"))
    if line.startswith("# R"):  # "# R36 (release), REVISION: 4.3, GCID: ..."
        major = line[3:].split()[0]
        revision = line.partition("REVISION:")[2].partition(",")[0].strip()
        return known(legible(f"{major}.{revision}" if revision else major), "/etc/nv_tegra_release")
    for path in ("proc/device-tree/compatible", "sys/firmware/devicetree/base/compatible"):
        if any(word.startswith("nvidia,tegra") for word in text_of(os.path.join(root, path)).split("\0")):
            return known("", f"/{path}")
    return absent("no Jetson", "/etc/nv_tegra_release")


def board_model(root: str) -> str:
    """The board's name as its device tree gives it: NVIDIA Jetson AGX Orin Developer Kit."""
    for path in ("proc/device-tree/model", "sys/firmware/devicetree/base/model"):
        model = first_line(os.path.join(root, path))
        if model:
            return legible(model)
    return "NVIDIA Jetson"


def container_gpu(machine: Machine, environ: Mapping[str, str], section: Gpu, root: str) -> Fact[str]:
    """How GPUs come into this container: nvidia-runtime, cdi, apptainer, devices (files alone), or none.

    Source: what is mounted here, the device files, NVIDIA_VISIBLE_DEVICES.
    """
    kind = machine.container
    if kind.absent:
        return absent("not in a container", kind.source)
    if not kind.known:
        return not_run("it is not known whether this is a container", kind.source)
    try:
        with open(os.path.join(root, "proc/self/mountinfo"), encoding="utf-8", errors="replace") as stream:
            points = [fields[4] for fields in map(str.split, stream) if len(fields) > 4]
    except OSError as error:
        return from_error(error, "/proc/self/mountinfo")
    names = {point.rpartition("/")[2] for point in points}
    lent = any(name.startswith(("libcuda.so", "libnvidia-ml.so")) for name in names)
    if lent or "/proc/driver/nvidia" in points or names & {"nvidia-smi", "nvidiactl"}:
        if kind.value == "apptainer":
            return known("apptainer", "/proc/self/mountinfo")
        # the specification files of CDI set this word, so that the older hook stays away
        by_cdi = environ.get("NVIDIA_VISIBLE_DEVICES") == "void"
        return known("cdi" if by_cdi else "nvidia-runtime", "/proc/self/mountinfo")
    if os.path.isdir(os.path.join(root, ".singularity.d/libs")) and find_library(CUDA, {}, root):
        return known("apptainer", "/.singularity.d/libs")
    files = section.device_files.need()
    if any(file.path.startswith(("/dev/nvidia", "/dev/kfd", "/dev/dri/", "/dev/dxg", "/dev/nvmap")) for file in files):
        return known("devices", "/dev")
    return known("none", "/proc/self/mountinfo")


def library_version(*libraries: Library | None) -> tuple[str, str]:
    """The first version that a library's file name carries, and the file; ("", "") where none does."""
    for library in libraries:
        version = version_of(library)
        if library and version:
            return version, legible(library.real)
    return "", ""
