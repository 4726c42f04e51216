"""Asks NVIDIA's driver where there is one on Linux, and puts what it told beside what the bus and the kernel showed."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..fact import Fact, failed, from_error, known, not_run
from ..observe import observe
from ..sections.gpu import Gpu, GpuProcess, NvidiaDriver, Nvml
from ..sections.machine import Machine
from . import gpu_device_files, gpu_nvml
from .gpu_loader import Library
from .small_files import first_line


def ask(
    section: Gpu,
    environ: Mapping[str, str],
    machine: Machine,
    nvml: Library | None,
    cuda: Library | None,
    patience_s: float,
    root: str,
) -> None:
    """Fill nvml, driver and processes, and complete devices and device_files."""
    from .gpu_linux import NVML

    files = section.device_files.maybe() or []
    harmless = [file.path for file in files if file.path in gpu_device_files.HARMLESS]
    try:
        told = gpu_nvml.ask(
            environ,
            patience_s,
            nvml=_unfound(nvml, root),
            cuda=_unfound(cuda, root),
            files=harmless if root == "/" else [],
        )
    except Exception as error:
        section.nvml = section.processes = from_error(error, NVML)
        told = gpu_nvml.Told(Nvml(""))
    else:
        section.nvml = known(told.nvml, NVML)
        observe(section, "processes", lambda: processes(told, machine, root), "NVML")
    gpu_device_files.apply(files, told.opened)
    if told.devices:
        devices = gpu_nvml.merge(section.devices.maybe() or [], told)
        source = f"{section.devices.source}, NVML" if section.devices.known else "NVML"
        section.devices = known(devices, source)
    observe(section, "driver", lambda: driver(section, machine, told, nvml, cuda), NVML)


def _unfound(library: Library | None, root: str) -> str:
    """The library's file if the loader would not find it by name; "" otherwise."""
    if library is None or (library.by != "elsewhere" and root == "/"):
        return ""
    return root.rstrip("/") + library.real


def driver(
    section: Gpu, machine: Machine, told: gpu_nvml.Told, nvml: Library | None, cuda: Library | None
) -> Fact[NvidiaDriver]:
    """The driver that programs get: as NVML says, else by the names of its library files, else the kernel's module."""
    from .gpu_linux import driver_without_libraries, library_version

    wsl = machine.wsl.maybe() == "2"
    numbering = "" if section.jetson.known else "windows" if wsl else "linux"
    if told.driver:
        return known(NvidiaDriver(told.driver, told.cuda, numbering), "NVML")
    if not wsl:  # there the files of Windows' driver carry no version, and others say nothing of it
        compat = section.cuda_compat.known
        version, source = library_version(nvml, None if compat else cuda)
        if version:
            return known(NvidiaDriver(version, told.cuda, numbering), source)
    if nvml is None and cuda is None:
        return driver_without_libraries(section, wsl)
    if cuda and "stubs" in cuda.real.split("/"):
        return failed("programs get the stub of libcuda that the CUDA toolkit has for building", cuda.path)
    version = (section.kernel_modules.maybe() or {}).get("nvidia", "")
    if version:
        return known(NvidiaDriver(version, told.cuda, numbering), "/sys/module/nvidia/version")
    library = cuda or nvml
    return failed("the driver's library is there but does not tell its version", library.path if library else "")


def processes(told: gpu_nvml.Told, machine: Machine, root: str) -> Fact[list[GpuProcess]]:
    """The programs that hold memory of a GPU. In a container their numbers are the host's, so they get no names."""
    if told.nvml.answer == "library-missing":
        return not_run("only NVML tells, and it is not there", "NVML")
    if told.processes is None:
        if told.nvml.answer in ("ok", "gpu-lost"):
            return not_run("the driver does not tell", "NVML")
        return failed(f"NVML: {told.nvml.answer}", "NVML")
    found = told.processes
    if machine.container.absent and machine.wsl.maybe() != "2":
        pids = {process.pid for process in found}
        gpu_nvml.name_processes(found, {pid: first_line(os.path.join(root, f"proc/{pid}/comm")) for pid in pids})
    return known(found, "NVML")
