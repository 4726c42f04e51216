"""Which of the installed distributions matter for transformers and torch: those whose files are worth a look.

By names alone, and rather one too many than too few: no marker is evaluated and no version compared, since that would
cost more than looking at the files. What is asked of whom, and whether it is met, is judged by conditions/closure.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..sections.packages import Distribution
from .distributions import normalised

ROOTS = ("transformers", "torch")

#: what transformers uses beside its own requirements where it is installed: a damaged one breaks what leans on it
COMPANIONS = (
    "accelerate",
    "bitsandbytes",
    "datasets",
    "diffusers",
    "evaluate",
    "flash-attn",
    "hf-xet",
    "jax",
    "jaxlib",
    "keras",
    "kernels",
    "pandas",
    "peft",
    "pillow",
    "protobuf",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "sentence-transformers",
    "sentencepiece",
    "tensorflow",
    "tf-keras",
    "tiktoken",
    "timm",
    "torchao",
    "torchaudio",
    "torchvision",
    "triton",
    "trl",
    "xformers",
)

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


def required_names(requires: Iterable[str]) -> list[str]:
    """The normalised names in Requires-Dist lines, without those of extras.

    Other markers are not evaluated: what is meant for another platform is not installed here, or was wanted.
    """
    names = []
    for line in requires:
        requirement, _, marker = line.partition(";")
        match = _NAME.match(requirement)
        if match and "extra" not in marker:
            names.append(normalised(match[1]))
    return names


def closure(installed: Mapping[str, Distribution], roots: Iterable[str] = ROOTS) -> set[str]:
    """The names among ``installed`` that ``roots`` need, themselves included."""
    found: set[str] = set()
    waiting = [name for name in roots if name in installed]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [need for need in required_names(installed[name].requires) if need in installed]
    return found
