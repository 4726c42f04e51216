"""What nvidia-smi prints: its table of every age, ``-q``, ``--query-gpu`` as CSV, and the errors it ends with.

Since driver 610 the header says ``KMD Version`` and ``CUDA UMD Version`` for what were ``Driver Version`` and ``CUDA
Version``. The CUDA of the header is the newest that the driver runs, not one that is installed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from ..sections.gpu import Device, GpuProcess, Nvml
from .fields import Field
from .gpu_names import device
from .notes import Notes

WHO = "nvidia-smi"

_TOOL = re.compile(r"NVIDIA-SMI\s+(\d{3}[\d.]{1,10})")
_DRIVER = re.compile(r"(?:Driver|KMD) Version:\s*(\d{3}(?:\.\d{1,3}){1,2})")
_CUDA = re.compile(r"CUDA(?: UMD)? Version:\s*(\d{1,2}\.\d{1,2})")
_ROW = re.compile(
    r"\|?\s*(\d{1,3})\s+(\S.{0,60}?)\s+(?:On|Off|N/A|Enabled|Disabled|WDDM|TCC|MCDM|ERR!)\s*\|"
    r"\s*([0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d)\s"
)
_MEMORY = re.compile(r"(\d{1,7})\s?MiB\s*/\s*(\d{2,7})\s?MiB")
_PROCESS = re.compile(
    r"\|\s+(\d{1,3})\s+(?:(?:N/A|\d+)\s+(?:N/A|\d+)\s+)?(\d{1,10})\s+(?:C|G|C\+G|M\+C)\s+(\S.{0,80}?)\s+"
    r"(?:(\d{1,7})\s?MiB|N/A)\s*\|"
)
_MIG_ROW = re.compile(r"\|\s+(\d{1,3})\s+\d+\s+\d+\s+\d+\s+\|\s*\d+MiB\s*/\s*\d+MiB")
_ERRORS = (
    (r"couldn't communicate with the NVIDIA driver", "driver-not-loaded"),
    (r"Failed to initialize NVML: Driver Not Loaded", "driver-not-loaded"),
    (r"NVML: Driver/library version mismatch", "version-mismatch"),
    (r"NVML: Insufficient Permissions", "no-permission"),
    (r"Unable to determine the device handle for GPU.{0,80}(?:GPU is lost|Unknown Error)", "gpu-lost"),
    (r"Failed to initialize NVML: \w", "other"),
)
_NOT_THERE = re.compile(
    r"nvidia-smi['\"]?:? (?:command )?not found|'?nvidia-smi'? is not recognized|nvidia-smi: No such", re.I
)

_PCI = re.compile(
    r"((?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.\d) (VGA compatible|3D|Display) controller: "
    r"((?:NVIDIA|Advanced Micro Devices|Intel) .{3,150})",
    re.I,
)

_QUERY = {
    "product name": "name",
    "gpu uuid": "uuid",
    "driver version": "driver",
    "kmd version": "driver",
    "cuda version": "cuda",
    "cuda umd version": "cuda",
}
KEYS = {"attached gpus": "", "nvml library version": ""}


def read(lines: Sequence[Field], notes: Notes) -> None:
    """Read whichever of its outputs the text holds."""
    _errors(lines, notes)
    _table(lines, notes)
    _query(lines, notes)
    _csv(lines, notes)
    _lspci(lines, notes)


def _lspci(lines: Sequence[Field], notes: Notes) -> None:
    """``lspci`` shows GPUs that no driver has: ``01:00.0 3D controller: NVIDIA Corporation GA100 [A100 PCIe 80GB]``."""
    found: list[Device] = []
    for field in lines:
        match = _PCI.match(field.line.strip()) if "ontroller: " in field.line else None
        if match and len(found) < 64:
            name = re.findall(r"\[([^\[\]]{3,80})\]", match[3])
            vendor = "nvidia" if "NVIDIA" in match[3] else "amd" if "[AMD" in match[3] else "intel"
            label = name[-1] if name and not name[-1].startswith("AMD") else match[3][:80]
            found.append(Device(vendor=vendor, name=label, seen="text", address=match[1].lower()))
    if found:
        notes.format("lspci")
        notes.list_devices("lspci", found, whole=False)


def _errors(lines: Sequence[Field], notes: Notes) -> None:
    for number, field in enumerate(lines):
        line = field.line
        if "vidia" not in line.lower() and "NVML" not in line and "Unable to" not in line:
            continue
        if _NOT_THERE.search(line):
            notes.format(WHO)
            notes.blank("driver", WHO, "command not found")
        for pattern, answer in _ERRORS:
            if re.search(pattern, line):
                notes.format(WHO)
                library = ""
                for after in lines[number + 1 : number + 4]:
                    if after.key == "nvml library version":
                        library = after.value[:20]
                notes.nvml = Nvml(answer, " ".join(line.split())[:200], library)
                break
        if line.strip() == "No devices were found":
            notes.format(WHO)
            notes.nvml = Nvml("ok", "No devices were found")


def _table(lines: Sequence[Field], notes: Notes) -> None:
    tables: list[list[Device]] = []
    devices: list[Device] = []
    seen: set[str] = set()
    for field in lines:
        line = field.line
        if len(line) > 400 or ("|" not in line and "NVIDIA-SMI" not in line and "Version:" not in line):
            continue
        driver, cuda = _DRIVER.search(line), _CUDA.search(line)
        if _TOOL.search(line) or (driver and cuda):
            if driver:
                notes.format(WHO)
                notes.say("driver", driver[1], WHO)
                if cuda:
                    notes.say("driver_cuda", cuda[1], WHO)
                if devices:
                    tables.append(devices)
                    devices, seen = [], set()
            continue
        row = _ROW.match(line.strip())
        if "TCC/WDDM" in line or "Driver-Model" in line or re.search(r"\s(?:WDDM|TCC|MCDM)\s+\|", line):
            notes.say("system", "windows", WHO, weak=True)
        if row:
            one = device(row[2])
            if one and row[3] not in seen:
                seen.add(row[3])
                one.address = _address(row[3])
                devices.append(one)
            continue
        memory = _MEMORY.search(line)
        slice_ = _MIG_ROW.match(line.strip())
        if slice_ and devices and int(slice_[1]) < len(devices):
            devices[int(slice_[1])].mig = "enabled"
        elif memory and devices and devices[-1].memory_total is None:
            _memory(devices[-1], int(memory[1]), int(memory[2]))
        process = _PROCESS.match(line.strip())
        if process and len(notes.processes) < 1000:
            size = int(process[4]) * 1024 * 1024 if process[4] else None
            notes.processes.append(GpuProcess(int(process[1]), int(process[2]), process[3][:80], size))
        state = re.search(r"\|\s+(Enabled|Disabled)\*?\s+\|\s*\Z", line)
        if state and devices and not devices[-1].mig:
            devices[-1].mig = state[1].lower()
    if devices:
        tables.append(devices)
    for found in tables:
        notes.format(WHO)
        notes.nvml = notes.nvml or Nvml("ok")
        notes.list_devices(WHO, found, whole=True)


def _query(lines: Sequence[Field], notes: Notes) -> None:
    """``nvidia-smi -q``: keys with blanks before the colon, one block a GPU."""
    if not any(field.key in ("attached gpus", "product architecture", "gpu uuid") for field in lines):
        return
    devices: list[Device] = []
    part = ""
    for field in lines:
        key, value = field.key, field.value
        if not value and re.match(r"\s*GPU [0-9A-Fa-f]{4,8}:", field.line):
            part = "gpu"
        elif not value or not key:
            part = field.line.strip()
        what = _QUERY.get(key)
        if re.match(r"\s*GPU [0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d", field.line):
            devices.append(Device(vendor="nvidia", seen="text", address=_address(field.line.split()[1])))
        elif what == "driver" and re.fullmatch(r"\d{3}(?:\.\d{1,3}){1,2}", value):
            notes.say("driver", value, WHO)
        elif what == "cuda" and re.fullmatch(r"\d{1,2}\.\d{1,2}", value):
            notes.say("driver_cuda", value, WHO)
        elif devices and what == "name":
            devices[-1].name = value[:100]
        elif devices and what == "uuid":
            devices[-1].uuid = value[:60]
        elif devices and part == "FB Memory Usage" and key in ("total", "free") and re.match(r"\d+ MiB", value):
            size = int(value.split()[0]) * 1024 * 1024
            if key == "total":
                devices[-1].memory_total = size
            else:
                devices[-1].memory_free = size
        elif devices and part == "MIG Mode" and key == "current" and value in ("Enabled", "Disabled"):
            devices[-1].mig = value.lower()
    found = [one for one in devices if one.name]
    if found:
        notes.format("nvidia-smi -q")
        notes.nvml = notes.nvml or Nvml("ok")
        notes.list_devices("nvidia-smi -q", found, whole=True)


def _csv(lines: Sequence[Field], notes: Notes) -> None:
    """``--query-gpu=name,driver_version,memory.total --format=csv``, with its header."""
    after = 0
    for number, field in enumerate(lines):
        if number < after or "name" not in field.line or len(field.line) > 1000:
            continue
        header = [cell.strip().partition(" [")[0] for cell in field.line.strip().split(",")]
        if len(header) < 2 or not {"name", "gpu_name"} & set(header) or not _columns(header):
            continue
        found = []
        after = number + 1
        for row in lines[number + 1 : number + 129]:
            cells = [cell.strip() for cell in next(csv.reader([row.line.strip()[:500]]), [])]
            if len(cells) != len(header):
                break
            told = dict(zip(header, cells, strict=True))
            one = device(told.get("name") or told.get("gpu_name") or "", told.get("uuid", ""))
            if one is None or one.name in ("name", "gpu_name"):
                break
            after += 1
            total = re.match(r"(\d+)", told.get("memory.total", ""))
            if total:
                one.memory_total = int(total[1]) * 1024 * 1024
            if re.fullmatch(r"\d{1,2}\.\d", told.get("compute_cap", "")):
                one.capability = told["compute_cap"]
            if re.fullmatch(r"\d{3}(?:\.\d{1,3}){1,2}", told.get("driver_version", "")):
                notes.say("driver", told["driver_version"], "nvidia-smi --query-gpu")
            found.append(one)
        if found:
            notes.format("nvidia-smi --query-gpu")
            notes.list_devices("nvidia-smi --query-gpu", found, whole=True)


def _columns(header: list[str]) -> bool:
    return any(
        name.startswith(("memory.", "driver_", "compute_cap", "uuid", "pci.", "index", "utilization"))
        for name in header
    )


def _memory(one: Device, used: int, total: int) -> None:
    one.memory_total = total * 1024 * 1024
    one.memory_free = max(0, total - used) * 1024 * 1024


def _address(text: str) -> str:
    domain, _, rest = text.partition(":")
    return f"{domain[-4:]}:{rest}".lower()
