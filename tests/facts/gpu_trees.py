"""Makes the files in which Linux shows a machine's devices: /sys, /proc, /dev and what drivers install."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from hfdoctor.facts.fact import absent, known
from hfdoctor.facts.probes import gpu_linux
from hfdoctor.facts.sections.gpu import Gpu
from hfdoctor.facts.sections.machine import Machine

#: address, class, vendor, device, driver
Entry = tuple[str, int, int, int, str]

ASPEED: Entry = ("0000:04:00.0", 0x030000, 0x1A03, 0x2000, "ast")
INTEL_HOST: Entry = ("0000:00:00.0", 0x060000, 0x8086, 0xA700, "")
INTEL_UHD: Entry = ("0000:00:02.0", 0x030000, 0x8086, 0xA780, "i915")


def desktop(driver: str) -> list[Entry]:
    """A Core i9 with UHD 770 and an RTX 4090 with its sound function."""
    return [
        INTEL_HOST,
        ("0000:00:01.0", 0x060400, 0x8086, 0xA70D, "pcieport"),
        INTEL_UHD,
        ("0000:00:14.0", 0x0C0330, 0x8086, 0x7A60, "xhci_hcd"),
        ("0000:01:00.0", 0x030000, 0x10DE, 0x2684, driver),
        ("0000:01:00.1", 0x040300, 0x10DE, 0x22BA, "snd_hda_intel"),
        ("0000:02:00.0", 0x010802, 0x144D, 0xA80C, "nvme"),
    ]


#: of the eight SXM sockets of a common board
BUSES = ("18", "2a", "3a", "5d", "9a", "ab", "ba", "db")


def h100_server() -> list[Entry]:
    """Eight H100 SXM behind four NVSwitches, with the board's own video chip."""
    gpus = [(f"0000:{bus}:00.0", 0x030200, 0x10DE, 0x2330, "nvidia") for bus in BUSES]
    switches = [(f"0000:0{bus}:00.0", 0x068000, 0x10DE, 0x22A3, "nvidia-nvswitch") for bus in (5, 6, 7, 8)]
    return [*gpus, *switches, ASPEED, ("0000:29:00.0", 0x020700, 0x15B3, 0x1021, "mlx5_core")]


def ryzen(*, radeon: bool) -> list[Entry]:
    """A Ryzen with its own graphics; with ``radeon`` an RX 7900 XTX beside it."""
    own: list[Entry] = [
        ("0000:00:00.0", 0x060000, 0x1022, 0x14D8, ""),
        ("0000:11:00.0", 0x030000, 0x1002, 0x164E, "amdgpu"),
        ("0000:11:00.1", 0x040300, 0x1002, 0x1640, "snd_hda_intel"),
        ("0000:11:00.2", 0x108000, 0x1022, 0x1649, "ccp"),
        ("0000:11:00.3", 0x0C0330, 0x1022, 0x15B6, "xhci_hcd"),
    ]
    if radeon:
        own += [
            ("0000:03:00.0", 0x030000, 0x1002, 0x744C, "amdgpu"),
            ("0000:03:00.1", 0x040300, 0x1002, 0xAB30, "snd_hda_intel"),
            ("0000:03:00.2", 0x0C0330, 0x1002, 0x7446, "xhci_hcd"),
            ("0000:03:00.3", 0x0C8000, 0x1002, 0x7444, "i2c-designware-pci"),
        ]
    return own


def put(root: Path, path: str, data: str | bytes = "") -> Path:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file


def make(
    root: Path,
    entries: Iterable[Entry] = (),
    *,
    modules: Mapping[str, str] | None = None,
    dev: Iterable[str] = (),
) -> Path:
    """The tree of a machine with these devices on its PCI bus; ``modules`` are loaded, with their versions."""
    bus = root / "sys/bus/pci/devices"
    bus.mkdir(parents=True, exist_ok=True)
    for address, kind, vendor, device, driver in entries:
        real = root / "sys/devices/pci0000:00" / address
        put(real, "class", f"{kind:#08x}\n")
        put(real, "vendor", f"{vendor:#06x}\n")
        put(real, "device", f"{device:#06x}\n")
        if driver:
            (root / "sys/bus/pci/drivers" / driver).mkdir(parents=True, exist_ok=True)
            (real / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")
        (bus / address).symlink_to(f"../../../devices/pci0000:00/{address}")
    for name in ("kernel", "pcie_aspm"):
        (root / "sys/module" / name).mkdir(parents=True, exist_ok=True)
    for name, version in (modules or {}).items():
        (root / "sys/module" / name).mkdir(parents=True, exist_ok=True)
        if version:
            put(root, f"sys/module/{name}/version", version + "\n")
    (root / "dev").mkdir(exist_ok=True)
    for name in dev:
        put(root, f"dev/{name}")
    put(root, "sys/firmware/acpi/tables/DSDT")
    put(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    put(root, "etc/group", "root:x:0:\nvideo:x:44:\nrender:x:992:\n")
    return root


def kfd_node(root: Path, number: int, version: int, address: str = "") -> None:
    """One node of the topology that AMD's kernel driver shows."""
    place = 0
    if address:
        _, bus, rest = address.split(":")
        device, function = rest.split(".")
        place = int(bus, 16) << 8 | int(device, 16) << 3 | int(function)
    text = f"cpu_cores_count {0 if version else 96}\nsimd_count {1216 if version else 0}\n"
    text += f"gfx_target_version {version}\nlocation_id {place}\ndomain 0\n"
    put(root, f"sys/class/kfd/kfd/topology/nodes/{number}/properties", text)


def loader_cache(root: Path, paths: Iterable[str], *, flags: int = 0x0303) -> None:
    """/etc/ld.so.cache in glibc's present form, in this order."""
    table, entries = b"", []
    listed = list(paths)
    start = 48 + 24 * len(listed)
    for path in listed:
        name = path.rpartition("/")[2]
        at = start + len(table)
        table += name.encode() + b"\0" + path.encode() + b"\0"
        entries.append(struct.pack("=iIIIQ", flags, at, at + len(name) + 1, 0, 0))
    header = b"glibc-ld.so.cache1.1" + struct.pack("=II", len(entries), len(table)) + b"\2" + bytes(19)
    put(root, "etc/ld.so.cache", header + b"".join(entries) + table)


def link(root: Path, path: str, target: str) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(target)


def observed(
    root: Path,
    environ: Mapping[str, str] | None = None,
    *,
    wsl: str = "",
    container: str = "",
    patience_s: float = 20.0,
) -> Gpu:
    """The section ``gpu`` of the machine that lives in ``root``."""
    machine = Machine()
    machine.wsl = known(wsl) if wsl else absent("no Microsoft kernel")
    machine.container = known(container) if container else absent("no sign of one")
    section = Gpu()
    gpu_linux.fill(section, environ or {}, machine, patience_s, str(root))
    return section
