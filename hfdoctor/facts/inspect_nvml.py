"""Asks NVIDIA's driver libraries in a process of its own, because a broken driver hangs or kills whoever asks it.

Started by hfdoctor with its own interpreter as ``python inspect_nvml.py JSON``; the argument is an object with
``binding`` (path of pynvml.py), ``nvml`` and ``cuda`` (paths of the libraries where the loader may not find them by
name, or "") and ``open`` (device files to try). Writes one JSON object a line, each as soon as it is known: what was
said before a hang counts. ``{"at": ...}`` names the step that comes next.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import sys
from collections.abc import Callable
from typing import Any

#: NVML's error numbers -> the names that a snapshot gives them; the rest are "other"
ANSWERS = {4: "no-permission", 9: "driver-not-loaded", 12: "library-missing", 15: "gpu-lost", 18: "version-mismatch"}
#: functions that newer drivers removed, or older ones do not have yet
MISSING = (AttributeError, TypeError)


def say(**fields: Any) -> None:
    """Write one line at once."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def try_device_files(paths: list[str]) -> None:
    """Open each for reading and writing: only that tells whether a control group forbids it."""
    for path in paths:
        say(at=f"open {path}")
        try:
            os.close(os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)))
            say(opened=path, errno=0)
        except OSError as error:
            say(opened=path, errno=error.errno or -1)


def load_binding(path: str) -> Any:
    """The module pynvml from its file: no other of that name, from a folder of the person, can stand in for it."""
    spec = importlib.util.spec_from_file_location("pynvml", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules["pynvml"] = module
    spec.loader.exec_module(module)
    return module


def loaded_from(handle: Any, function: str) -> str:
    """The file that a loaded library came from. Source: dladdr."""

    class Info(ctypes.Structure):
        _fields_ = (
            ("file", ctypes.c_char_p),
            ("base", ctypes.c_void_p),
            ("symbol", ctypes.c_char_p),
            ("address", ctypes.c_void_p),
        )

    if os.name == "nt":
        return str(getattr(handle, "_name", ""))
    try:
        info = Info()
        address = ctypes.cast(getattr(handle, function), ctypes.c_void_p)
        if ctypes.CDLL(None).dladdr(address, ctypes.byref(info)) and info.file:
            return os.path.realpath(os.fsdecode(info.file))
    except Exception:  # a name for the report is no reason to lose the rest
        return ""
    return ""


def ask_cuda(path: str) -> None:
    """Which CUDA the library libcuda is of; works without a device, and without starting anything on one."""
    say(at="libcuda")
    library = None
    names = ["nvcuda.dll"] if os.name == "nt" else [path, "libcuda.so.1"]
    for name in names:
        if not name:
            continue
        try:
            library = ctypes.CDLL(name)
            break
        except OSError as error:
            say(cuda_error=str(error)[:300])
    if library is None:
        return
    version = ctypes.c_int(0)
    try:
        code = library.cuDriverGetVersion(ctypes.byref(version))
    except AttributeError:
        say(cuda_error="no cuDriverGetVersion in it")
        return
    say(cuda_library=loaded_from(library, "cuDriverGetVersion"), cuda=version.value if code == 0 else 0)


def ask_nvml(binding: Any, path: str) -> None:
    """Everything that NVML tells of the machine and of each GPU."""

    def ended(error: Any) -> None:
        number = getattr(error, "value", 0)
        say(answer=ANSWERS.get(number, "other"), detail=f"{error}"[:300], number=number)

    def maybe(name: str, *arguments: Any) -> Any:
        try:
            return getattr(binding, name)(*arguments)
        except binding.NVMLError as error:
            if getattr(error, "value", 0) == 15:  # gone from the bus: nothing more can be asked of it
                raise
            return None
        except MISSING:
            return None

    if path:
        try:  # by its name alone the loader does not find it; once it is there, its name is enough
            ctypes.CDLL(path)
        except OSError as error:
            say(preload_error=str(error)[:300])
    say(at="nvmlInit")
    try:
        binding.nvmlInit()
    except binding.NVMLError as error:
        say(library=loaded_from(binding.nvmlLib, "nvmlInitWithFlags") if binding.nvmlLib is not None else "")
        ended(error)
        return
    say(library=loaded_from(binding.nvmlLib, "nvmlInitWithFlags"))
    try:
        say(at="nvmlSystemGetDriverVersion")
        say(driver=text(maybe("nvmlSystemGetDriverVersion")))
        say(at="nvmlSystemGetCudaDriverVersion")
        say(nvml_cuda=maybe("nvmlSystemGetCudaDriverVersion_v2") or 0)
        count = binding.nvmlDeviceGetCount()
        say(count=count)
    except binding.NVMLError as error:
        ended(error)
        return
    worst: Any = None
    for index in range(count):
        say(at=f"device {index}")
        try:
            handle = binding.nvmlDeviceGetHandleByIndex(index)
            say(device=device(handle, index, maybe, binding))
            say(processes=processes(binding, handle, index))
        except binding.NVMLError as error:
            say(lost=index, error=str(error)[:200])
            worst = worst or error
    if worst is not None:
        ended(worst)
    else:
        say(answer="ok", detail="", number=0)


def device(handle: Any, index: int, maybe: Callable[..., Any], binding: Any) -> dict[str, Any]:
    """What NVML tells of one GPU; what it does not know is None."""
    pci = maybe("nvmlDeviceGetPciInfo", handle)
    capability = maybe("nvmlDeviceGetCudaComputeCapability", handle)
    memory = maybe("nvmlDeviceGetMemoryInfo", handle)
    mig = maybe("nvmlDeviceGetMigMode", handle)
    number = getattr(pci, "pciDeviceId", 0)  # device in the upper half, vendor in the lower
    return {
        "index": index,
        "name": text(maybe("nvmlDeviceGetName", handle)),
        "address": text(getattr(pci, "busId", "")),
        "pci_id": f"{number & 0xFFFF:04x}:{number >> 16:04x}" if number else "",
        "capability": f"{capability[0]}.{capability[1]}" if capability else "",
        "memory_total": memory.total if memory else None,
        "memory_free": memory.free if memory else None,
        "uuid": text(maybe("nvmlDeviceGetUUID", handle)),
        "mig": "" if mig is None else "enabled" if mig[0] else "disabled",
        "mig_slices": slices(handle, maybe) if mig and mig[0] else [],
        "ecc_errors": ecc_errors(binding, handle, maybe),
    }


def slices(handle: Any, maybe: Callable[..., Any]) -> list[str]:
    """The names of a GPU's MIG slices, as the driver gives them."""
    found = []
    for index in range(maybe("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        part = maybe("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        if part is not None:
            name = maybe("nvmlDeviceGetName", part) or maybe("nvmlDeviceGetUUID", part)
            found.append(text(name) or f"slice {index}")
    return found


def ecc_errors(binding: Any, handle: Any, maybe: Callable[..., Any]) -> int | None:
    """Uncorrected memory errors since the driver was loaded; None where there is no ECC."""
    kinds = (binding.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, binding.NVML_VOLATILE_ECC)
    found: int | None = maybe("nvmlDeviceGetTotalEccErrors", handle, *kinds)
    if found is None:  # it is to go with CUDA 14
        found = maybe("nvmlDeviceGetMemoryErrorCounter", handle, *kinds, binding.NVML_MEMORY_LOCATION_DEVICE_MEMORY)
    return found


def processes(binding: Any, handle: Any, index: int) -> Any:
    """The programs that compute on one GPU; None where the driver does not say."""
    try:
        running = binding.nvmlDeviceGetComputeRunningProcesses(handle)
    except (binding.NVMLError, *MISSING):
        return None
    return [{"device": index, "pid": one.pid, "memory": one.usedGpuMemory} for one in running]


def text(value: Any) -> str:
    """NVML's strings are bytes in some releases of the binding."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value or "")


def main() -> None:
    """Say what was asked for in the argument, libraries first that cannot hang."""
    wanted = json.loads(sys.argv[1])
    try_device_files(wanted["open"])
    ask_cuda(wanted["cuda"])
    try:
        binding = load_binding(wanted["binding"])
    except Exception as error:
        say(answer="other", detail=f"the binding of NVML cannot be loaded: {error}"[:300], number=-1)
        return
    ask_nvml(binding, wanted["nvml"])
    say(at="end")


if __name__ == "__main__":
    main()
    os._exit(0)  # a library's own tidying up at exit can hang too; all is said
