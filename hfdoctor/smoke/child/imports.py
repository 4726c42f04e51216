"""The stage ``import``: one package, on its own, with its version, its file and a first use."""

from __future__ import annotations

import importlib
import os

from .teller import Missing, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: what shows that the module is the library and not a namesake; most of transformers is imported on first use only
USES: dict[str, Callable[[Any], object]] = {
    "numpy": lambda module: module.zeros(2).sum(),
    "safetensors": lambda module: module.safe_open,
    "tokenizers": lambda module: module.Tokenizer,
    "torch": lambda module: module.ones(2).sum().item(),
    "transformers": lambda module: (module.AutoModel, module.AutoTokenizer),
    "tensorflow": lambda module: module.zeros(2).numpy(),
    "jax": lambda module: module.numpy.zeros(2).sum().item(),
    "flax": lambda module: module.linen,
}


def run(stage: Stage) -> None:
    """Import ``stage.subject``. Raises Missing if it is not installed."""
    name = stage.subject
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise Missing(name, f"{name} is not installed") from None
        raise
    # known before it is used: a namesake in the person's folder fails there, and its file says why
    stage.fact("version", str(getattr(module, "__version__", "")))
    stage.fact("file", os.path.abspath(getattr(module, "__file__", None) or ""))
    USES[name](module)
