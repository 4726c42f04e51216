"""The facts about GPUs on Windows: the Plug and Play manager says which are there, the registry what drives them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..fact import Fact, absent, failed, from_error, known, not_run
from ..legible import legible
from ..observe import observe
from ..sections.gpu import Device, Gpu, GpuProcess, NvidiaDriver, Nvml
from . import gpu_pci, windows_devices, windows_registry

ENUM = r"HKLM\SYSTEM\CurrentControlSet\Enum"
CLASS = r"HKLM\SYSTEM\CurrentControlSet\Control\Class"
SECURE_BOOT = r"HKLM\SYSTEM\CurrentControlSet\Control\SecureBoot\State"
PLACE = "CM_Get_Device_ID_List PCI"
#: what Windows drives a display with until its maker's driver is there: its description is no GPU's name
MAKESHIFT = frozenset({"", "basicdisplay", "basicrender"})

IDENTITY = re.compile(r"PCI\\VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})", re.IGNORECASE)
CLASS_CODE = re.compile(r"PCI\\CC_([0-9A-F]{4,6})$", re.IGNORECASE)
#: "@System32\drivers\pci.sys,#65536;PCI bus %1, device %2, function %3;(1,0,0)", or the same without placeholders
LOCATION = re.compile(r"\((\d+),(\d+),(\d+)\)\s*$|bus (\d+), device (\d+), function (\d+)")


def fill(
    section: Gpu,
    environ: Mapping[str, str],
    patience_s: float,
    present: Callable[[], list[str]] = windows_devices.present,
) -> None:
    """Fill the facts of ``section``; ``present`` gives the instance names of the PCI devices that are there."""
    for name in ("kernel_modules", "device_files", "cuda_compat"):
        setattr(section, name, absent("Windows has none", "sys.platform"))
    section.container_gpu = absent("not looked for on Windows", "sys.platform")
    section.wsl = absent("this is Windows itself", "sys.platform")
    section.jetson = absent("this is Windows", "sys.platform")
    section.rocm = not_run("what AMD's driver on Windows can compute is not looked up", "sys.platform")
    observe(section, "secure_boot", secure_boot, SECURE_BOOT)
    versions: dict[str, str] = {}
    observe(section, "devices", lambda: devices(present(), versions), PLACE)
    _ask_driver(section, environ, patience_s)
    observe(section, "driver", lambda: _or_of_registry(section, versions), ENUM)


def secure_boot() -> Fact[bool]:
    """Whether unsigned drivers are kept out; absent on a machine that does not start by UEFI. Source: the registry."""
    fact = windows_registry.value_fact(SECURE_BOOT, "UEFISecureBootEnabled")
    return windows_registry.converted(fact, ("REG_DWORD",), lambda value: value == 1)


def devices(present: list[str], versions: dict[str, str]) -> Fact[list[Device]]:
    """The GPUs among the devices ``present``; ``versions`` gets the driver's version of NVIDIA's, by address.

    Source: the Plug and Play manager, and what the registry has of each device it names.
    """
    if not present:  # every physical computer has some; a virtual one may have all its devices on another bus
        return failed("Windows lists no PCI device at all, so it cannot be told which GPUs there are", PLACE)
    functions: list[gpu_pci.Function] = []
    instances: dict[str, str] = {}
    for instance in present:
        function = _function(instance, len(functions))
        if function is not None:
            functions.append(function)
            instances[function.address] = instance
    found = gpu_pci.gpus(functions)
    for device in found:
        device.seen = "registry"
        _describe(device, instances[device.address], versions)
        if device.address.startswith("?"):
            device.address = ""
    if not found:
        return absent("no GPU of NVIDIA, AMD or Intel on the PCI bus", PLACE)
    return known(found, f"{PLACE}, {ENUM}\\PCI")


def _function(instance: str, number: int) -> gpu_pci.Function | None:
    """The numbers of one PCI device; None for one whose name or class says nothing (a bridge needs no class)."""
    identity = IDENTITY.match(instance)
    if identity is None:
        return None
    key = f"{ENUM}\\{instance}"
    kind = 0
    for name in ("CompatibleIDs", "HardwareID"):
        for entry in _value(key, name) or []:
            code = CLASS_CODE.match(str(entry))
            if code:
                kind = max(kind, int(code[1].ljust(6, "0"), 16))
    if not kind and str(_value(key, "ClassGUID") or "").lower() == "{4d36e968-e325-11ce-bfc1-08002be10318}":
        kind = gpu_pci.DISPLAY << 16
    return gpu_pci.Function(
        address=_address(str(_value(key, "LocationInformation") or "")) or f"?{number}",
        kind=kind,
        vendor=int(identity[1], 16),
        device=int(identity[2], 16),
        driver=legible(str(_value(key, "Service") or "")),
    )


def _address(location: str) -> str:
    """ "0000:01:00.0" of a device's LocationInformation; "" where it has none."""
    found = LOCATION.search(location)
    if found is None:
        return ""
    bus, device, function = (int(part) for part in found.groups() if part is not None)
    return f"{bus >> 8:04x}:{bus & 255:02x}:{device:02x}.{function}"


def _describe(device: Device, instance: str, versions: dict[str, str]) -> None:
    """Name, memory and driver version of one GPU, from the registry key of its driver."""
    if device.kernel_driver.lower() in MAKESHIFT:
        return
    key = f"{ENUM}\\{instance}"
    driver = _value(key, "Driver")  # "{4d36e968-...}\0000"
    software = f"{CLASS}\\{driver}" if driver else ""
    name = (software and _value(software, "DriverDesc")) or str(_value(key, "DeviceDesc") or "").rpartition(";")[2]
    device.name = legible(str(name))
    if not software:
        return
    memory = _bytes(_value(software, "HardwareInformation.qwMemorySize"))
    if memory and not device.integrated:  # an integrated one shares the main memory, and says some small number here
        device.memory_total = memory
    version = str(_value(software, "DriverVersion") or "")
    if device.vendor == "nvidia" and version:
        versions[device.address] = version


def _bytes(value: Any) -> int | None:
    """A number of bytes: a number, or the hexadecimal digits of a little-endian one."""
    if isinstance(value, int):
        return value
    try:
        return int.from_bytes(bytes.fromhex(value), "little") if isinstance(value, str) else None
    except ValueError:
        return None


def _value(key: str, name: str) -> Any:
    try:
        return windows_registry.read_value(key, name).value
    except OSError:
        return None


def nvidia_version(windows_version: str) -> str:
    """NVIDIA's own number in a version of Windows' form: 32.0.15.6094 is 560.94; "" for one of another form."""
    parts = windows_version.split(".")
    if len(parts) != 4 or not all(part.isdigit() for part in parts):
        return ""
    digits = (parts[2] + parts[3].zfill(4))[-5:]
    return f"{int(digits[:-2])}.{digits[-2:]}" if len(digits) == 5 else ""


def library(environ: Mapping[str, str]) -> str:
    """Where nvml.dll lies: in System32, or beside the older drivers' own tools; "" nowhere."""
    upper = {name.upper(): value for name, value in environ.items()}
    windows = upper.get("SYSTEMROOT") or upper.get("WINDIR") or r"C:\Windows"
    programs = upper.get("PROGRAMFILES") or r"C:\Program Files"
    candidates = (rf"{windows}\System32\nvml.dll", rf"{programs}\NVIDIA Corporation\NVSMI\nvml.dll")
    return next((path for path in candidates if os.path.isfile(path)), "")


def _ask_driver(section: Gpu, environ: Mapping[str, str], patience_s: float) -> None:
    path = library(environ)
    if not path:
        section.nvml = known(Nvml("library-missing", "nvml.dll was not found"), "nvml.dll")
        section.processes = absent("no library of NVIDIA's driver is there", "nvml.dll")
        return
    from . import gpu_nvml

    try:
        told = gpu_nvml.ask(environ, patience_s)
    except Exception as error:
        section.nvml = section.processes = from_error(error, "nvml.dll")
        return
    told.nvml.library = told.nvml.library or legible(path)
    section.nvml = known(told.nvml, "nvml.dll")
    if told.devices:
        source = f"{section.devices.source}, NVML" if section.devices.known else "NVML"
        section.devices = known(gpu_nvml.merge(section.devices.maybe() or [], told), source)
    if told.driver:
        section.driver = known(NvidiaDriver(told.driver, told.cuda, "windows"), "NVML")
    observe(section, "processes", lambda: processes(told.nvml, told.processes), "NVML")


def processes(nvml: Nvml, found: list[GpuProcess] | None) -> Fact[list[GpuProcess]]:
    """The programs that hold memory of a GPU, named by psutil."""
    if found is None:
        if nvml.answer in ("ok", "gpu-lost"):
            return not_run("the driver does not tell", "NVML")
        return failed(f"NVML: {nvml.answer}", "NVML")
    import psutil

    for process in found[:32]:
        try:
            process.name = legible(psutil.Process(process.pid).name())
        except psutil.Error:
            continue
    return known(found, "NVML")


def _or_of_registry(section: Gpu, versions: dict[str, str]) -> Fact[NvidiaDriver]:
    """The driver as NVML said, else as the registry has it for a GPU that is there; absent without one."""
    if section.driver.known:
        return section.driver
    for version in versions.values():
        number = nvidia_version(version)
        if number:
            return known(NvidiaDriver(number, numbering="windows"), f"{CLASS}, DriverVersion {version}")
    nvml = section.nvml.maybe()
    if nvml is None or nvml.answer != "library-missing":
        return failed("NVIDIA's driver is there but does not tell its version", "nvml.dll")
    if versions:
        return failed(f"a driver version of unknown form: {next(iter(versions.values()))}"[:100], CLASS)
    return absent("no driver of NVIDIA is installed", "nvml.dll")
