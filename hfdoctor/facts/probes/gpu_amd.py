"""AMD's side on Linux: what the kernel's compute driver (KFD) shows, and which ROCm is installed."""

from __future__ import annotations

import os
import re

from ..fact import Fact, known
from ..legible import legible
from ..sections.gpu import Device, Rocm
from .small_files import first_line, text_of

NODES = "sys/class/kfd/kfd/topology/nodes"


def gfx_name(version: int) -> str:
    """The target that a number of the kernel stands for: 90402 is gfx942, 90010 is gfx90a, 110001 is gfx1101."""
    return f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"


def nodes(root: str) -> dict[str, str]:
    """PCI address -> gfx target of each GPU that KFD shows. A node that a control group hides is left out."""
    folder = os.path.join(root, NODES)
    found: dict[str, str] = {}
    try:
        names = os.listdir(folder)
    except OSError:
        return found
    for name in sorted(names, key=lambda name: (len(name), name)):
        fields = dict(re.findall(r"^(\w+) (\d+)$", text_of(f"{folder}/{name}/properties"), re.MULTILINE))
        version = int(fields.get("gfx_target_version", 0))
        if not version:
            continue  # a processor
        place, domain = int(fields.get("location_id", 0)), int(fields.get("domain", 0))
        address = f"{domain:04x}:{place >> 8 & 0xFF:02x}:{place >> 3 & 0x1F:02x}.{place & 7}"
        found.setdefault(address, gfx_name(version))
    return found


def describe(devices: list[Device], root: str) -> None:
    """Add to AMD's devices their gfx target and memory (bytes). Source: KFD's topology, amdgpu in sysfs."""
    ours = [device for device in devices if device.vendor == "amd"]
    if not ours:
        return
    targets = nodes(root)
    for device in ours:
        if device.address in targets:
            device.capability = targets[device.address]
            device.seen = f"{device.seen}+kfd"
        base = os.path.join(root, "sys/bus/pci/devices", device.address)
        total, used = first_line(f"{base}/mem_info_vram_total"), first_line(f"{base}/mem_info_vram_used")
        # the part of the main memory that firmware set aside for an integrated one says nothing of what it can use
        if total.isdigit() and not device.integrated:
            device.memory_total = int(total)
            device.memory_free = int(total) - int(used) if used.isdigit() else None
        device.name = device.name or legible(first_line(f"{base}/product_name"))


def rocm(missing_groups: list[str], root: str) -> Fact[Rocm]:
    """ROCm's version and the targets, where there is a GPU of AMD or software for one.

    Source: /opt/rocm/.info/version, KFD's topology.
    """
    targets = list(dict.fromkeys(nodes(root).values()))
    found = Rocm(version=installed_version(root), targets=targets, missing_groups=missing_groups)
    return known(found, "/opt/rocm/.info/version, /sys/class/kfd")


def installed_version(root: str) -> str:
    """The version of the ROCm that is installed system-wide: 6.4.1; "" without one."""
    try:
        folders = [name for name in os.listdir(os.path.join(root, "opt")) if name.startswith("rocm")]
    except OSError:
        return ""
    for name in sorted(folders, key=lambda name: (name != "rocm", name)):
        version = first_line(os.path.join(root, "opt", name, ".info/version"))
        if version:
            return legible(version.partition("-")[0])
    return ""
