"""Has NVIDIA's management library asked in a child, and understands what came back before its end."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from ..child import run_child
from ..legible import legible
from ..sections.gpu import Device, GpuProcess, Nvml

#: seconds; without the persistence daemon a server with eight GPUs takes nearly ten to wake them
PATIENCE_S = 11.0
PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "inspect_nvml.py")


class Told(msgspec.Struct):
    """What the child told."""

    nvml: Nvml
    driver: str = ""
    #: the newest CUDA that the driver runs, "13.2"; "" where it did not say
    cuda: str = ""
    cuda_library: str = ""
    devices: list[Device] = []
    #: NVML's number of each of them
    numbers: list[int] = []
    #: None where the driver does not say
    processes: list[GpuProcess] | None = None
    #: device file -> name of the error, "" where it was opened
    opened: dict[str, str] = {}


class BindingMissing(Exception):
    """nvidia-ml-py, a dependency of hfdoctor, is not installed beside it."""


def binding_path() -> str:
    """Where pynvml.py lies, without importing it. Raises BindingMissing."""
    import importlib.util

    spec = importlib.util.find_spec("pynvml")
    if spec is None or not spec.origin:
        raise BindingMissing("nvidia-ml-py is not installed beside hfdoctor")
    return spec.origin


def ask(
    environ: Mapping[str, str], patience_s: float, *, nvml: str = "", cuda: str = "", files: list[str] | None = None
) -> Told:
    """Ask the driver's libraries, at most ``patience_s`` seconds; try to open ``files`` on the way.

    ``nvml`` and ``cuda`` are paths of libraries that the loader would not find by their names. Raises OSError if no
    child can be started, TimeoutError if it never came to ask, BindingMissing.
    """
    wanted = {"binding": binding_path(), "nvml": nvml, "cuda": cuda, "open": files or []}
    argv = [sys.executable, "-I", "-S", "-B", PROGRAM, json.dumps(wanted)]
    ended = run_child(argv, patience_s, environ=environ)
    lines = [line for line in map(_line, ended.stdout.splitlines()) if line is not None]
    told = understand(lines)
    if told.nvml.answer:
        return told
    if not lines:  # it never came to ask: that says nothing of the driver
        if ended.timed_out:
            raise TimeoutError(f"the program that asks the driver said nothing within {patience_s:.0f} s")
        why = ended.signal or ended.stderr[-200:].decode("utf-8", "replace")
        raise OSError(f"the program that asks the driver did not start: {why}")
    at = next((str(line["at"]) for line in reversed(lines) if "at" in line), "the start")
    if ended.timed_out:
        told.nvml.answer = "hung"
        told.nvml.detail = f"no answer within {patience_s:.0f} s at {at}"
    else:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        how = ended.signal or f"exit code {ended.code}"
        told.nvml.answer = "crashed"
        told.nvml.detail = legible(f"{how} at {at}" + (f": {said[-1][:200]}" if said else ""))
    return told


def _line(raw: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(raw)
    except ValueError:  # cut off by the child's end
        return None
    return found if isinstance(found, dict) else None


def understand(lines: list[dict[str, Any]]) -> Told:
    """What the child's lines say; ``nvml.answer`` stays "" where it never came to one."""
    told = Told(Nvml(""))
    last_error = ""
    for line in lines:
        if "opened" in line:
            number = int(line["errno"])
            told.opened[line["opened"]] = errno.errorcode.get(number, str(number)) if number else ""
        elif "cuda" in line:
            told.cuda, told.cuda_library = cuda_version(line["cuda"]), legible(line.get("cuda_library", ""))
        elif "nvml_cuda" in line:
            told.cuda = cuda_version(line["nvml_cuda"]) or told.cuda
        elif "library" in line:
            told.nvml.library = legible(line["library"])
        elif "driver" in line:
            told.driver = legible(line["driver"])
        elif "device" in line:
            told.devices.append(_device(line["device"]))
            told.numbers.append(line["device"]["index"])
        elif "lost" in line:
            last_error = f"GPU {line['lost']}: {line['error']}"
        elif "processes" in line and line["processes"] is not None:
            told.processes = [*(told.processes or []), *(GpuProcess(**one) for one in line["processes"])]
        elif "answer" in line:
            told.nvml.answer = line["answer"]
            told.nvml.detail = legible(last_error or line["detail"])
    if told.processes is None and told.nvml.answer == "ok" and not told.devices:
        told.processes = []
    return told


def _device(raw: dict[str, Any]) -> Device:
    return Device(
        vendor="nvidia",
        name=legible(raw["name"]),
        seen="nvml",
        address=pci_address(raw["address"]),
        pci_id=raw["pci_id"],
        capability=raw["capability"],
        memory_total=raw["memory_total"],
        memory_free=raw["memory_free"],
        uuid=legible(raw["uuid"]),
        mig=raw["mig"],
        mig_slices=[legible(name) for name in raw["mig_slices"]],
        ecc_errors=raw["ecc_errors"],
    )


def cuda_version(number: int) -> str:
    """ "12.4" of the number 12040; "" for 0."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


def pci_address(raw: str) -> str:
    """NVML's 00000000:01:00.0 as the kernel writes it: 0000:01:00.0."""
    domain, colon, rest = raw.lower().partition(":")
    try:
        return f"{int(domain, 16):04x}:{rest}" if colon and rest else ""
    except ValueError:
        return ""


def merge(devices: list[Device], told: Told) -> list[Device]:
    """The GPUs of the bus with what NVML knows of them, by their addresses; those that only NVML sees come after.

    What ``told.processes`` name by NVML's number of the GPU, they name by its place in the list from then on.
    """
    found = list(devices)
    places = {device.address: index for index, device in enumerate(found) if device.address}
    board = [index for index, device in enumerate(found) if device.vendor == "nvidia" and not device.address]
    at: dict[int, int] = {}
    for number, device in zip(told.numbers, told.devices, strict=True):
        index = places.get(device.address)
        if index is None and len(told.devices) == 1 and len(board) == 1:
            index = board[0]  # a Jetson's only GPU, which is on no bus
        if index is None:
            at[number] = len(found)
            found.append(device)
            continue
        seen = found[index]
        at[number] = index
        found[index] = msgspec.structs.replace(
            device,
            name=device.name or seen.name,
            seen=f"{seen.seen}+nvml",
            address=seen.address or device.address,
            pci_id=seen.pci_id or device.pci_id,
            kernel_driver=seen.kernel_driver,
            integrated=seen.integrated,
        )
    for process in told.processes or []:
        process.device = at.get(process.device, process.device)
    return found


def name_processes(processes: list[GpuProcess], names: Mapping[int, str]) -> None:
    """Give the processes the names that are known."""
    for process in processes:
        process.name = legible(names.get(process.pid, ""))
