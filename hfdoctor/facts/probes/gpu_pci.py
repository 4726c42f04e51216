"""Tells GPUs from everything else on the PCI bus, by the numbers that each device answers with.

The bus knows what is built in, driver or not: so "no driver" differs from "no GPU".
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec

from ..sections.gpu import Device

SYSFS = "sys/bus/pci/devices"
#: where distributions keep the names of PCI devices
NAMES = ("usr/share/misc/pci.ids", "usr/share/hwdata/pci.ids", "usr/share/pci.ids")

VENDORS = {0x10DE: "nvidia", 0x1002: "amd", 0x8086: "intel"}
#: AMD's processors and chip sets; its GPUs answer with the number of ATI
AMD_PROCESSOR = 0x1022
INTEL = 0x8086

DISPLAY = 0x03
#: AMD's Instinct GPUs since MI300; Intel's in this class are NPUs
ACCELERATOR = 0x12
#: server boards' own video chips of ATI's (Rage XL, ES1000, RN50): they show the console and compute nothing
CONSOLE_CHIPS = frozenset({0x4752, 0x515E, 0x5960, 0x5969})


class Function(msgspec.Struct):
    """One function of a PCI device. ``kind`` is its class code (24 bits); ``slot`` its domain, bus and device."""

    address: str
    kind: int
    vendor: int
    device: int
    driver: str = ""
    #: a virtual function whose physical one is on the same bus: not another GPU
    virtual: bool = False

    @property
    def slot(self) -> str:
        """Domain, bus and device: 0000:01:00."""
        return self.address.partition(".")[0]


def gpus(functions: Iterable[Function]) -> list[Device]:
    """The GPUs among them (nvidia, amd, intel), ordered by address; those within the processor are ``integrated``."""
    ordered = sorted(functions, key=lambda function: function.address)
    found = []
    for function in ordered:
        vendor = VENDORS.get(function.vendor)
        kind = function.kind >> 16
        if vendor is None or function.virtual or kind not in (DISPLAY, ACCELERATOR):
            continue
        if kind == ACCELERATOR and vendor == "intel":
            continue
        if vendor == "amd" and function.device in CONSOLE_CHIPS:
            continue
        found.append(
            Device(
                vendor=vendor,
                seen="pci",
                address=function.address,
                pci_id=f"{function.vendor:04x}:{function.device:04x}",
                kernel_driver=function.driver,
                integrated=_integrated(function, ordered),
            )
        )
    return found


def _integrated(gpu: Function, functions: list[Function]) -> bool:
    """Whether the GPU is part of the processor, by where it sits on the bus.

    Intel's is always device 2 of the first bus. AMD's shares its device with functions of the processor (the security
    processor, USB), or on old ones sits right on the first bus of an AMD host.
    """
    if gpu.vendor == INTEL:
        return gpu.slot.endswith(":00:02")
    if VENDORS[gpu.vendor] != "amd":
        return False
    if any(other.vendor == AMD_PROCESSOR and other.slot == gpu.slot for other in functions):
        return True
    host = gpu.slot[:-2] + "00.0"
    return gpu.slot.endswith(":00:01") and any(f.address == host and f.vendor == AMD_PROCESSOR for f in functions)


def sysfs_functions(root: str) -> list[Function]:
    """Everything on the PCI bus, as the kernel shows it in /sys. Raises OSError where it shows no bus."""
    folder = os.path.join(root, SYSFS)
    found = []
    for address in os.listdir(folder):
        base = f"{folder}/{address}"
        kind = _number(f"{base}/class")
        if kind is None:
            continue  # unplugged this very moment
        function = Function(address, kind, _number(f"{base}/vendor") or 0, 0)
        if kind >> 16 in (DISPLAY, ACCELERATOR) and function.vendor in VENDORS:
            function.device = _number(f"{base}/device") or 0
            function.driver = _link_name(f"{base}/driver")
            function.virtual = os.path.lexists(f"{base}/physfn")
        found.append(function)
    return found


def name_devices(devices: list[Device], root: str) -> None:
    """Give the devices without a name the one in the system's own list of PCI devices, if there is such a list."""
    nameless = [device for device in devices if device.pci_id and not device.name]
    if not nameless:
        return
    for path in NAMES:
        try:
            with open(os.path.join(root, path), "rb") as stream:
                text = stream.read(16 << 20)
        except OSError:
            continue
        for device in nameless:
            device.name = _listed_name(text, device.pci_id)
        return


def _listed_name(text: bytes, pci_id: str) -> str:
    """The device's name in a pci.ids: vendors stand at the start of a line, their devices after a tab."""
    import re

    vendor, _, device = pci_id.encode().partition(b":")
    start = text.find(b"\n" + vendor + b"  ")
    if start < 0:
        return ""
    # its part ends with the next line that starts with another number; lines of devices start with a tab
    end = re.compile(rb"\n[0-9A-Fa-f]").search(text, start + 1)
    stop = end.start() if end else len(text)
    at = text.find(b"\n\t" + device + b"  ", start, stop)
    if at < 0:
        return ""
    line = text[at + 8 : stop].partition(b"\n")[0]
    return line.decode("utf-8", "replace").strip()


def _number(path: str) -> int | None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return int(os.read(handle, 32), 16)
    except (OSError, ValueError):
        return None
    finally:
        os.close(handle)


def _link_name(path: str) -> str:
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return ""
