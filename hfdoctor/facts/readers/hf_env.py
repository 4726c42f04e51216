"""What transformers, accelerate, diffusers, datasets and huggingface_hub print with their ``env`` commands."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .collect_env import flag, python
from .fields import Field
from .gpu_names import device, devices_in
from .notes import Notes, PackageList, nothing
from .package_list import version_like
from .systems import read_kernel, read_platform

#: the library that speaks -> how the report names it; the first that is there speaks (the others are its packages)
_SPEAKERS = {
    "diffusers version": "diffusers env",
    "transformers version": "transformers env",
    "datasets version": "datasets env",
    "accelerate version": "accelerate env",
    "huggingface_hub version": "huggingface_hub env",
}
#: key -> the distribution whose version it gives
_PACKAGES = {
    "transformers version": "transformers",
    "diffusers version": "diffusers",
    "datasets version": "datasets",
    "accelerate version": "accelerate",
    "huggingface_hub version": "huggingface-hub",
    "safetensors version": "safetensors",
    "tokenizers version": "tokenizers",
    "peft version": "peft",
    "trl version": "trl",
    "bitsandbytes version": "bitsandbytes",
    "xformers version": "xformers",
    "deepspeed version": "deepspeed",
    "numpy version": "numpy",
    "pyarrow version": "pyarrow",
    "pandas version": "pandas",
    "fsspec version": "fsspec",
    "tensorflow version (gpu?)": "tensorflow",
    "jax version": "jax",
    "jaxlib version": "jaxlib",
    "httpx2": "httpx2",
    "hf_xet": "hf-xet",
    "torchvision version": "torchvision",
    "torchaudio version": "torchaudio",
}
_OTHERS = {
    "platform": "platform",
    "pytorch version (gpu?)": "torch",
    "pytorch version (accelerator?)": "torch",
    "pytorch accelerator": "accelerator",
    "pytorch xpu available": "xpu",
    "pytorch npu available": "",
    "using gpu in script?": "",
    "using gpu in script": "",
    "using distributed or parallel set-up in script?": "",
    "gpu type": "gpu",
    "xpu type": "gpu",
    "accelerator": "smi",
    "system ram": "",
    "accelerate config": "",
    "accelerate default config": "",
    "flax version (cpu?/gpu?/tpu?)": "",
    "running on google colab?": "",
    "running in google colab ?": "",
    "has saved token ?": "",
    "installation method": "",
    "endpoint": "",
    "accelerate bash location": "",
}
KEYS = {**dict.fromkeys(_PACKAGES, ""), **_OTHERS}


def read(lines: Sequence[Field], notes: Notes) -> None:
    """Say what the fields say, if one of the libraries speaks."""
    keys = {field.key for field in lines}
    speakers = [name for key, name in _SPEAKERS.items() if key in keys]
    its_own = keys & set(_OTHERS)
    if "huggingface_hub env" in speakers and len(speakers) > 1:
        speakers.remove("huggingface_hub env")
    if not speakers and not its_own & {"pytorch version (gpu?)", "pytorch version (accelerator?)"}:
        return
    who = speakers[0] if speakers and its_own else "a list of versions" if not its_own else "transformers env"
    notes.format(who)
    entries: dict[str, tuple[str, str]] = {}
    for field in lines:
        package = _PACKAGES.get(field.key)
        first = field.value.split()[0].rstrip(",;") if field.value else ""
        if package and version_like(first):
            entries.setdefault(package, (first, "pip"))
            continue
        what = _OTHERS.get(field.key)
        if what == "platform":
            read_platform(field.value, who, notes)
            if re.match(r"\d+\.\d+\S*-", field.value):
                read_kernel(field.value.split()[0], who, notes)
        elif what == "torch":
            _torch(field.value, notes, who)
        elif what == "accelerator":
            _accelerator(field.value, notes, who)
        elif what == "xpu":
            flag("xpu", field.value, notes, who)
        elif what == "gpu":
            found = devices_in(field.value)
            if found:
                notes.list_devices(who, found, whole=False)
        elif what == "smi":
            _memory(field.value, notes, who)
        elif field.key == "python version":
            python(field.value, notes, who)
    if entries:
        notes.lists.append(PackageList(who, entries))


def _torch(value: str, notes: Notes, who: str) -> None:
    """``2.3.0+cu121 (True)``; since transformers 4.50 ``2.9.0+cu128 (CUDA)``, with ``(NA)`` where there is none."""
    match = re.match(r"v?(\d+\.\d+[\w.+-]*)\s*(?:\(([^()]{1,40})\))?", value)
    if match is None:
        notes.blank("torch", who, value)
        return
    notes.say("torch", match[1], who)
    word = (match[2] or "").strip().lower()
    if word in ("true", "false", "yes", "no"):
        notes.say("cuda", word in ("true", "yes"), who)
    else:
        _accelerator(word, notes, who)


def _accelerator(word: str, notes: Notes, who: str) -> None:
    word = word.strip().lower()
    if word in ("cuda", "na", "n/a"):
        notes.say("cuda", word == "cuda", who)
    elif word in ("xpu", "mps"):
        notes.say(word, True, who)


def _memory(value: str, notes: Notes, who: str) -> None:
    """diffusers gives what nvidia-smi lists: ``NVIDIA GeForce RTX 3060, 12288 MiB``, several joined."""
    found = []
    for name, memory in re.findall(r"([A-Z][^,]{2,60}), (\d{3,7}) MiB", value):
        one = device(name)
        if one:
            one.memory_total = int(memory) * 1024 * 1024
            found.append(one)
    if found and not nothing(value):
        notes.list_devices(who, found, whole=True)
