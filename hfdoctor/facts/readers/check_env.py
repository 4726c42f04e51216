"""``python -m sglang.check_env``: ``GPU 0,1: NVIDIA H100``, ``GPU 0,1 Compute Capability: 9.0``, package rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..sections.gpu import Device
from .collect_env import flag
from .fields import Field
from .gpu_names import device
from .notes import Notes, PackageList, nothing
from .package_list import normalised, version_like

WHO = "SGLang check_env"

KEYS = {
    "cuda_home": "",
    "rocm_home": "",
    "nvcc": "",
    "hipcc": "",
    "rocm available": "cuda",
    "npu available": "",
    "cuda driver version": "driver",
    "cuda driver versions": "drivers",
    "rocm driver version": "",
    "nvidia topology": "",
    "ulimit soft": "",
    "hypervisor vendor": "",
    "sglang": "",
    "sgl_kernel": "",
    "flashinfer": "",
    "flashinfer_python": "",
    "module not found": "",
}
_GPUS = re.compile(r"(?:gpu|npu) (\d{1,2}(?:,\d{1,2}){0,64})( compute capability)?\Z")


def read(lines: Sequence[Field], notes: Notes) -> None:
    """Say what the fields say, if the text is of this format."""
    keys = {field.key for field in lines}
    if not keys & {"sglang", "sgl_kernel"} or not keys & {"cuda available", "rocm available", "npu available", "nvcc"}:
        return
    notes.format(WHO)
    names: dict[int, Device] = {}
    capabilities: dict[int, str] = {}
    entries: dict[str, tuple[str, str]] = {}
    for field in lines:
        match = _GPUS.match(field.key)
        if match:
            indices = [int(part) for part in match[1].split(",")]
            for index in indices:
                one = device(field.value)
                if match[2]:
                    capabilities[index] = field.value.split()[0] if field.value else ""
                elif one:
                    names[index] = one
        elif field.key == "rocm available":
            flag("cuda", field.value, notes, WHO)
        elif field.key == "cuda driver version":
            _driver(field.value, notes)
        elif field.key == "cuda driver versions":
            for part in field.value.split(","):
                _driver(part.strip(), notes)
        elif re.fullmatch(r"[a-z][a-z0-9_.-]{1,40}", field.key) and version_like(field.value):
            entries.setdefault(normalised(field.key), (field.value, "pip"))
    for index, one in names.items():
        capability = capabilities.get(index, "")
        if one.vendor == "nvidia" and re.fullmatch(r"\d{1,2}\.\d", capability):
            one.capability = capability
    if names:
        notes.list_devices(WHO, [names[index] for index in sorted(names)], whole=False)
    for name in ("python", "pytorch", "nvcc", "cuda-home", "architecture", "ulimit-soft"):
        entries.pop(name, None)
    if entries:
        notes.lists.append(PackageList(WHO, entries))


def _driver(value: str, notes: Notes) -> None:
    if re.fullmatch(r"\d{3}(?:\.\d{1,3}){1,2}", value):
        notes.say("driver", value, WHO)
    elif nothing(value):
        notes.blank("driver", WHO, value)
