"""GPUs, their drivers, and what stands between a program and them.

What the machine itself shows (PCI ids, kernel, device files), what NVIDIA's management library answers, and what torch
said when it was asked (``--deep``) or when somebody wrote it down (a pasted report).
"""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class Device(msgspec.Struct, omit_defaults=True):
    """One GPU. What a source does not say stays "" or None."""

    #: nvidia, amd, intel, apple, or other: an accelerator of another maker
    vendor: str
    #: as its driver or the description names it: NVIDIA GeForce RTX 4090
    name: str = ""
    #: where it was seen: pci, nvml, kfd, registry, system (Apple, Jetson), text; several joined by "+"
    seen: str = ""
    #: 0000:01:00.0
    address: str = ""
    #: vendor:device in lower-case hexadecimal: 10de:2684
    pci_id: str = ""
    #: the kernel's driver that has it: nvidia, nouveau, vfio-pci, amdgpu, i915, xe; "" for none (or not told)
    kernel_driver: str = ""
    #: NVIDIA: compute capability "8.9", as the driver (or the text) says. AMD: gfx1100. Never from a table
    capability: str = ""
    #: bytes
    memory_total: int | None = None
    memory_free: int | None = None
    uuid: str = ""
    #: NVIDIA MIG: "enabled", "disabled", "" where it has none; and the slices that exist, as the driver names them
    mig: str = ""
    mig_slices: list[str] = []
    #: volatile uncorrected ECC errors; None where it has no ECC
    ecc_errors: int | None = None
    #: part of the processor, or an NPU-less graphics unit that computes nothing worth it
    integrated: bool = False


class GpuProcess(msgspec.Struct, omit_defaults=True):
    """A process that holds memory of a GPU (bytes; None where the driver does not say).

    ``device`` is its place in the list of devices, from 0. In a container ``pid`` is the host's number, without a name.
    """

    device: int
    pid: int
    name: str = ""
    memory: int | None = None


class NvidiaDriver(msgspec.Struct, omit_defaults=True):
    """NVIDIA's driver. ``version`` is the one that programs get: of the user-space library where that is known."""

    version: str
    #: the newest CUDA whose programs it runs, as it says itself: "12.4"; "" where it did not say
    cuda: str = ""
    #: "linux", "windows" (also inside WSL 2, where the driver is that of Windows), "" where it cannot be told
    numbering: str = ""


class Nvml(msgspec.Struct, omit_defaults=True):
    """How NVIDIA's management library answered: ``ok``, or the name of its error.

    library-missing, driver-not-loaded, version-mismatch, no-permission, gpu-lost, hung, crashed, other.
    """

    answer: str
    detail: str = ""
    library: str = ""


class DeviceFile(msgspec.Struct, omit_defaults=True):
    """A device file such as /dev/nvidia0, and whether this user may open it for reading and writing."""

    path: str
    usable: bool
    #: EACCES, EPERM (a cgroup forbids it), ENODEV ...; "" where it was opened
    error: str = ""
    #: owner, group and mode in words: root render 0660
    owner: str = ""


class Wsl(msgspec.Struct, omit_defaults=True):
    """The GPU's way into WSL 2."""

    #: /dev/dxg exists
    dxg: bool
    #: /usr/lib/wsl/lib/libcuda.so.1, "" where Windows did not lend it
    stub: str = ""
    #: a libcuda of a Linux driver that was installed over it, found first by the loader
    linux_driver: str = ""


class Rocm(msgspec.Struct, omit_defaults=True):
    """AMD's side: ``version`` of the installed ROCm ("" without), gfx targets that the kernel shows."""

    version: str = ""
    targets: list[str] = []
    #: groups that own the device files and that this user is not in
    missing_groups: list[str] = []


class TorchDevice(msgspec.Struct, omit_defaults=True):
    """One device as torch sees it, and how a small kernel went on it.

    ``ok`` is None where none was tried, or where it did not end in time (a first kernel may be compiled for minutes).
    """

    name: str
    capability: str = ""
    ok: bool | None = None
    #: the error's first line, "signal SIGSEGV", "timeout"; "" where it went well
    error: str = ""
    #: bytes
    memory_total: int | None = None
    #: cuda (also ROCm), mps, xpu; "" where it is not told
    kind: str = ""
    #: its number among the devices of its kind, as torch counts (after CUDA_VISIBLE_DEVICES)
    index: int | None = None


class TorchWord(msgspec.Struct, omit_defaults=True):
    """What torch itself said of accelerators: in a child (``--deep``), or in a text that somebody pasted.

    None and "" stand for what was not said.
    """

    #: torch.cuda.is_available() (ROCm too), torch.backends.mps.is_available(), torch.xpu.is_available()
    cuda: bool | None = None
    mps: bool | None = None
    xpu: bool | None = None
    #: torch.cuda.get_arch_list(): sm_80, compute_90, gfx942
    arch_list: list[str] = []
    devices: list[TorchDevice] = []
    #: cuDNN's version as a person writes it (9.1.0), and whether a convolution through it worked on every device tried
    cudnn: str = ""
    cudnn_ok: bool | None = None
    #: warnings and errors that it printed, one line each
    messages: list[str] = []


class Gpu(msgspec.Struct, omit_defaults=True):
    """The section ``gpu``."""

    #: every GPU that is proven present; absent where the machine was looked through and has none
    devices: Fact[list[Device]] = unobserved()
    #: NVIDIA's kernel modules and rivals that are loaded: nvidia -> its version, nouveau -> ""
    kernel_modules: Fact[dict[str, str]] = unobserved()
    nvml: Fact[Nvml] = unobserved()
    #: absent where no driver of NVIDIA is installed
    driver: Fact[NvidiaDriver] = unobserved()
    #: /dev/nvidia*, /dev/kfd, /dev/dri/renderD*, /dev/dxg
    device_files: Fact[list[DeviceFile]] = unobserved()
    #: a libcuda of a forward compatibility package (cuda-compat) that the loader finds first; absent without
    cuda_compat: Fact[str] = unobserved()
    #: Secure Boot, which keeps unsigned kernel modules out
    secure_boot: Fact[bool] = unobserved()
    #: inside a container: how GPUs come in (nvidia-runtime, cdi, apptainer, devices for device files alone, none);
    #: absent elsewhere
    container_gpu: Fact[str] = unobserved()
    processes: Fact[list[GpuProcess]] = unobserved()
    #: absent outside WSL 2
    wsl: Fact[Wsl] = unobserved()
    #: absent where there is no sign of AMD's GPUs or software
    rocm: Fact[Rocm] = unobserved()
    #: NVIDIA Jetson: its L4T release; absent elsewhere
    jetson: Fact[str] = unobserved()
    torch: Fact[TorchWord] = unobserved()
