"""Files of the person's that would be imported in place of a library or of the standard library.

What Python does, in one folder of sys.path: a folder with ``__init__`` wins over a compiled module, that over a .py
file. A folder without ``__init__`` hides nothing: a regular package further down the path wins over it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable

from ..sections.target import Shadow

#: import names of the libraries that matter, and of what they import
# fmt: off
LIBRARIES = frozenset({
    "accelerate", "anyio", "bitsandbytes", "certifi", "charset_normalizer", "click", "datasets", "diffusers",
    "einops", "evaluate", "filelock", "flax", "fsspec", "functorch", "hf_xet", "httpcore", "httpx",
    "huggingface_hub", "idna", "jax", "jinja2", "keras", "markupsafe", "mpmath", "networkx", "numpy",
    "packaging", "pandas", "peft", "PIL", "protobuf", "psutil", "pyarrow", "regex", "requests", "rich",
    "safetensors", "scipy", "sentencepiece", "sklearn", "sympy", "tensorflow", "tiktoken", "timm", "tokenizers",
    "torch", "torchaudio", "torchgen", "torchvision", "tqdm", "transformers", "triton", "trl", "typer",
    "typing_extensions", "urllib3", "yaml",
})
# fmt: on
#: import name -> the distribution that brings it, where the two differ
DISTRIBUTIONS = {
    "PIL": "pillow",
    "functorch": "torch",
    "sklearn": "scikit_learn",
    "torchgen": "torch",
    "yaml": "pyyaml",
}
COMPILED = r"\.((cpython|pypy)[\w-]*\.so|cp\d+[\w-]*\.pyd|abi3\.so|so|pyd)$"


def find_shadows(
    folder: str, via: str, stdlib: Collection[str], fixed: Collection[str], extra: Iterable[str] = ()
) -> list[Shadow]:
    """What in ``folder`` hides a module of ``stdlib`` (but not of ``fixed``) or of the LIBRARIES and ``extra``.

    Raises OSError if the folder cannot be listed.
    """
    names = os.listdir(folder)
    watched = LIBRARIES.union(extra)
    hidden = frozenset(stdlib).difference(fixed)
    found: dict[str, Shadow] = {}
    for name in names:
        stem, dot, ending = name.partition(".")
        if stem not in watched and stem not in hidden:
            continue
        kind = _kind(folder, name, dot + ending)
        if not kind or (stem in found and _RANK[found[stem].kind] <= _RANK[kind]):
            continue
        version = _installed_version(names, stem) if stem in watched else ""
        found[stem] = Shadow(stem, os.path.join(folder, name), via, kind, stem in hidden, version)
    return [found[stem] for stem in sorted(found)]


_RANK = {"package": 0, "extension": 1, "module": 2}


def _kind(folder: str, name: str, ending: str) -> str:
    path = os.path.join(folder, name)
    if not ending:
        inits = ("__init__.py", "__init__.pyc")
        return "package" if any(os.path.isfile(os.path.join(path, init)) for init in inits) else ""
    if ending in (".py", ".pyc"):
        return "module" if os.path.isfile(path) else ""
    return "extension" if re.fullmatch(COMPILED, ending) and os.path.isfile(path) else ""


def _installed_version(names: Iterable[str], module: str) -> str:
    """The version in the name of ``module``'s .dist-info in the same listing."""
    wanted = DISTRIBUTIONS.get(module, module).lower()
    for name in names:
        if name.endswith((".dist-info", ".egg-info")) and name.partition("-")[0].lower() == wanted:
            return name.partition("-")[2].rpartition(".")[0].partition("-py")[0] or "unknown"
    return ""
