"""``python -m torch.utils.collect_env`` of every age, vLLM's variant with it, and the same typed by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..sections.gpu import Device
from .fields import Field
from .gpu_names import device, devices_in
from .notes import Notes, nothing
from .systems import ARCHITECTURES, read_kernel, read_os, read_platform

WHO = "torch collect_env"

#: key -> what the value is about
KEYS = {
    "pytorch version": "torch",
    "torch version": "torch",
    "pytorch": "torch",
    "torch.version": "torch",
    "torch.__version__": "torch",
    "is debug build": "",
    "cuda used to build pytorch": "built_cuda",
    "torch.version.cuda": "built_cuda",
    "rocm used to build pytorch": "built_hip",
    "xpu used to build pytorch": "built_xpu",
    "os": "os",
    "operating system": "os",
    "gcc version": "",
    "clang version": "",
    "cmake version": "",
    "libc version": "libc",
    "python version": "python",
    "python": "python",
    "python platform": "platform",
    "is cuda available": "cuda",
    "cuda available": "cuda",
    "torch.cuda.is_available()": "cuda",
    "torch.cuda.is_available": "cuda",
    "is mps available": "mps",
    "is xpu available": "xpu",
    "cuda runtime version": "",
    "cuda_module_loading set to": "",
    "gpu models and configuration": "gpus",
    "gpu model": "gpus",
    "gpu models": "gpus",
    "gpu": "gpus",
    "gpus": "gpus",
    "gpu name": "gpus",
    "nvidia driver version": "driver",
    "nvidia driver": "driver",
    "gpu driver": "driver",
    "driver version": "driver",
    "driver": "driver",
    "cudnn version": "",
    "hip runtime version": "",
    "miopen runtime version": "",
    "is xnnpack available": "",
    "caching allocator config": "",
    "versions of relevant libraries": "",
    "version of relevant libraries": "",
    "rocm version": "rocm",
    "neuron sdk version": "",
    "vllm version": "",
    "vllm build flags": "",
    "cuda archs": "",
    "gpu topology": "",
    "architecture": "architecture",
    "model name": "cpu_model",
    "cpu(s)": "cpu_count",
    "flags": "flags",
    "kernel": "kernel",
    "kernel version": "kernel",
    "intel gpu driver version": "",
    "intel gpu models onboard": "",
    "intel gpu models detected": "",
}
#: keys that only the script itself prints
_ITS_OWN = frozenset(
    {"cuda used to build pytorch", "is debug build", "gpu models and configuration", "is cuda available"}
)
_VERSION = re.compile(r"v?(\d+(?:\.\d+){1,3}[\w.+-]*)")
_GPU_LINE = re.compile(r"GPU (\d{1,2})\s*:\s*(\S.*)")
_OF_SGLANG = re.compile(r"gpu \d{1,2}(?:,\d{1,2})+(?: compute capability)?\Z")
_MIG_LINE = re.compile(r"\s*MIG (\S{3,20})\s+Device\s+\d+\s*:")
_XPU_LINE = re.compile(r"\s*\*\s\[\d+\]\s_XpuDeviceProperties\(name='([^']{1,100})'(?:.{0,400}?total_memory=(\d+)MB)?")
_VARIABLE = re.compile(r"\s*(?:export |set )?([A-Z][A-Z0-9_]{2,60})=(.*)")
_OF_INTEREST = re.compile(
    r"CUDA_|NVIDIA_|HIP_|ROCR_|ROCM_|GPU_|LD_LIBRARY|PYTORCH_|TORCH_|NCCL_|HF_|VLLM_|TRANSFORMERS_|OMP_|MKL_|KMP_"
    r"|HSA_|ONEAPI_|ZE_|SYCL_|TF_|XLA_|PYTHON|CONDA_|VIRTUAL_ENV"
)


def read(lines: Sequence[Field], notes: Notes) -> None:
    """Say what the fields say; GPU, MIG, XPU and variable lines need no key."""
    own = {field.key for field in lines} & _ITS_OWN
    if len(own) >= 2 or (own and any(field.key == "pytorch version" for field in lines)):
        vllm = any(field.key == "vllm version" for field in lines)
        notes.format("vLLM collect_env" if vllm else WHO)
    for field in lines:
        what = KEYS.get(field.key)
        if what:
            _READ[what](field.value, notes)
    _gpu_lines(lines, notes)
    _variables(lines, notes)


def _torch(value: str, notes: Notes) -> None:
    if value.upper().startswith("N/A") or value.lower() in ("none", "not installed"):
        notes.blank("torch", WHO, value)
        return
    match = _VERSION.match(value.lstrip("= "))
    if match:
        notes.say("torch", match[1].rstrip(".,;"), WHO)
        rest = value[match.end() :].strip()
        if re.search(r"\b(?:and|&|also|pip|conda)\b|\d\.\d+\.\d", rest):
            notes.say("torch_doubt", f"PyTorch version: {value}"[:150], WHO)


def _built_cuda(value: str, notes: Notes) -> None:
    lower = value.lower()
    if lower in ("none", "could not collect"):
        notes.say("cuda_build", "", WHO)
        return
    versions = re.findall(r"\d+\.\d+(?:\.\d+)?", value)
    if lower.startswith("n/a") or not versions:
        return
    if len(set(versions)) > 1:
        notes.say("torch_doubt", f"CUDA used to build PyTorch: {value}"[:150], WHO)
        return
    notes.say("cuda_build", versions[0], WHO)


def _built_hip(value: str, notes: Notes) -> None:
    if not nothing(value) and value[0].isdigit():
        notes.say("hip_build", value.split()[0], WHO)


def _built_xpu(value: str, notes: Notes) -> None:
    if not nothing(value):
        notes.say("xpu_build", value.split()[0], WHO)


def _libc(value: str, notes: Notes) -> None:
    match = re.match(r"(glibc|musl)-(\d+(?:\.\d+)+)\s*\Z", value)
    if match:
        notes.say("libc", (match[1], match[2]), WHO)


def python(value: str, notes: Notes, who: str = WHO) -> None:
    """A Python version as the interpreter prints it, short or long."""
    match = re.match(
        r"(?:Python\s+|CPython\s+)?v?(\d\.\d{1,2}(?:\.\d{1,2})?(?:(?:a|b|rc)\d+|\+)?)(?![\d.])", value, re.I
    )
    if match:
        notes.say("python", match[1], who)
    machine = re.search(r"64 bit \((AMD64|ARM64)\)", value)
    if machine and match:
        notes.say("python_machine", ARCHITECTURES[machine[1].lower()], who)
    bits = re.search(r"(32|64)[- ]bit(?: runtime)?", value)
    if bits and match:
        notes.say("bits", int(bits[1]), who)


def flag(topic: str, value: str, notes: Notes, who: str = WHO) -> None:
    """A yes or no; anything else says nothing."""
    word = re.match(r"(true|yes|false|no)\b", value.strip().lower())
    if word:
        notes.say(topic, word[1] in ("true", "yes"), who)


def _gpus(value: str, notes: Notes) -> None:
    if nothing(value):
        if value:
            notes.blank("devices", WHO, value)
        return
    if _GPU_LINE.match(value):
        return  # read with the others of that form
    found = devices_in(value)
    if found:
        notes.list_devices(WHO, found, whole=False)


def _driver(value: str, notes: Notes) -> None:
    match = re.match(r"v?(\d{3}(?:\.\d{1,3}){1,2})\b", value)
    if match:
        notes.say("driver", match[1], WHO)
    elif value:
        notes.blank("driver", WHO, value)


def _rocm(value: str, notes: Notes) -> None:
    if not nothing(value) and value[0].isdigit():
        notes.say("rocm", value.split()[0], WHO)


def _architecture(value: str, notes: Notes) -> None:
    name = ARCHITECTURES.get(value.strip().lower())
    if name:
        notes.say("architecture", name, WHO)


def _cpu_model(value: str, notes: Notes) -> None:
    if value:
        notes.say("cpu_model", value[:120], WHO, weak=True)


def _cpu_count(value: str, notes: Notes) -> None:
    if value.isdigit():
        notes.say("cpu_count", int(value), WHO, weak=True)


def _flags(value: str, notes: Notes) -> None:
    words = value.split()
    # a list that was cut would look like a processor without AVX
    if words[:1] == ["fpu"] and len(words) > 40:
        notes.say("cpu_flags", words, WHO, weak=True)


def _kernel(value: str, notes: Notes) -> None:
    if re.match(r"\d+\.\d+", value):
        read_kernel(value.split()[0], WHO, notes)


_READ = {
    "torch": _torch,
    "built_cuda": _built_cuda,
    "built_hip": _built_hip,
    "built_xpu": _built_xpu,
    "os": lambda value, notes: read_os(value, WHO, notes),
    "libc": _libc,
    "python": python,
    "platform": lambda value, notes: read_platform(value, WHO, notes),
    "cuda": lambda value, notes: flag("cuda", value, notes),
    "mps": lambda value, notes: flag("mps", value, notes),
    "xpu": lambda value, notes: flag("xpu", value, notes),
    "gpus": _gpus,
    "driver": _driver,
    "rocm": _rocm,
    "architecture": _architecture,
    "cpu_model": _cpu_model,
    "cpu_count": _cpu_count,
    "flags": _flags,
    "kernel": _kernel,
}


def _gpu_lines(lines: Sequence[Field], notes: Notes) -> None:
    """``GPU 0: NVIDIA A100 (UUID: GPU-...)`` with the MIG slices below it, as nvidia-smi -L prints them."""
    current: list[Device] = []
    whole = True
    last = -1
    lists: list[tuple[list[Device], bool]] = []
    for field in lines:
        text = field.line.strip()
        for lead in ("gpu models and configuration", "gpu models", "gpu"):
            if field.key == lead and field.value.startswith("GPU "):
                text = field.value
        match = _GPU_LINE.search(text) if text.lstrip("-*> ").startswith("GPU") else None
        if match and len(text) < 250:
            one = device(match[2])
            index = int(match[1])
            if one is None or "Compute Capability" in text:
                continue
            if index <= last and current:
                if len(lists) < 40 and (current, whole) not in lists:
                    lists.append((current, whole))
                current, whole, last = [], True, -1
            # without those before it the list was cut, or is one of SGLang's, which name several in a line
            whole = whole and index == last + 1
            current.append(one)
            last = index
            continue
        slice_ = _MIG_LINE.match(field.line)
        if slice_ and current:
            current[-1].mig = "enabled"
            current[-1].mig_slices.append(slice_[1])
            continue
        xpu = _XPU_LINE.match(field.line)
        if xpu:
            memory = int(xpu[2]) * 1024 * 1024 if xpu[2] else None
            one = Device(vendor="intel", name=xpu[1], seen="text", memory_total=memory)
            notes.list_devices("torch.xpu", [one], whole=False)
    if current:
        lists.append((current, whole))
    for found, complete in lists[:40]:
        if len(found) <= 128 and (complete or not any(_OF_SGLANG.match(field.key) for field in lines)):
            notes.list_devices("nvidia-smi -L", found, whole=complete)
            if WHO not in notes.formats and "vLLM collect_env" not in notes.formats:
                notes.format("a list of GPUs")


def _variables(lines: Sequence[Field], notes: Notes) -> None:
    for field in lines:
        match = _VARIABLE.match(field.line) if "=" in field.line else None
        if match and "==" not in field.line[:40] and _OF_INTEREST.match(match[1]) and len(notes.variables) < 500:
            notes.variables.setdefault(match[1], match[2].strip().strip("'\""))
