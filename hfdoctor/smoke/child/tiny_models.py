"""The tiny models and what is recorded of them: loaded once for all stages of a process.

What is loaded without ``fresh`` is shared by the stages and must be left as it is: on the CPU, in float32, in eval
mode. Whoever trains, moves or casts a model loads a fresh one.
"""

from __future__ import annotations

import contextlib
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: head -> (folder, class of transformers)
HEADS = {
    "masked_lm": ("encoder", "AutoModelForMaskedLM"),
    "classifier": ("encoder", "AutoModelForSequenceClassification"),
    "causal_lm": ("decoder", "AutoModelForCausalLM"),
}
#: head -> how the names of the other head's weights begin: they lie in the same file and are left there
OTHERS = {"masked_lm": ("bert.pooler.", "classifier."), "classifier": ("cls.",), "causal_lm": ()}

_held: dict[tuple[str, str], Any] = {}


def golden(tiny: str) -> dict[str, Any]:
    """What is recorded of the tiny models (golden.json below ``tiny``, made by scripts/make_smoke_model.py)."""
    if (tiny, "golden") not in _held:
        with open(os.path.join(tiny, "golden.json"), encoding="utf-8") as file:
            _held[tiny, "golden"] = json.load(file)
    result: dict[str, Any] = _held[tiny, "golden"]
    return result


def load_tokenizer(tiny: str, folder: str = "encoder", fresh: bool = False) -> Any:
    """The tokenizer beside the encoder or the decoder: it is the same, read by ``AutoTokenizer``."""
    if fresh or (tiny, folder) not in _held:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(os.path.join(tiny, folder))
        if fresh:
            return tokenizer
        _held[tiny, folder] = tokenizer
    return _held[tiny, folder]


def load_model(tiny: str, head: str, fresh: bool = False) -> Any:
    """The model with ``head`` (a key of HEADS), in eval mode, float32, on the CPU."""
    return load_with_report(tiny, head, fresh)[0]


def load_with_report(tiny: str, head: str, fresh: bool = False) -> tuple[Any, dict[str, list[str]]]:
    """The model, and what transformers says of its weights: the names of those not found, not used, not fitting."""
    if fresh or (tiny, head) not in _held:
        import transformers

        folder, kind = HEADS[head]
        model, info = getattr(transformers, kind).from_pretrained(
            os.path.join(tiny, folder), use_safetensors=True, output_loading_info=True
        )
        said = {
            what: sorted(str(entry) for entry in info.get(what) or ())
            for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
        }
        if fresh:
            return model.eval(), said
        _held[tiny, head] = model.eval(), said
    result: tuple[Any, dict[str, list[str]]] = _held[tiny, head]
    return result


def golden_inputs(tiny: str, device: str = "cpu") -> dict[str, Any]:
    """The input of all recorded logits: two texts of different length, padded at the right, with attention mask."""
    import torch

    inputs = golden(tiny)["inputs"]
    return {name: torch.tensor(inputs[name], device=device) for name in ("input_ids", "attention_mask")}


def logits_of(model: Any, inputs: dict[str, Any]) -> Any:
    """The logits of a forward pass without gradients, on whichever device the model and the inputs are."""
    import torch

    with torch.no_grad():
        return model(**inputs).logits


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread meanwhile.

    For models this small more threads only wait for each other: a step takes ten times as long on a busy machine.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tolerance(tiny: str, dtype: str = "float32") -> float:
    """How far a logit may be off (absolute) with this type of number; golden.json says how that came about."""
    result: float = golden(tiny)["tolerances"][dtype]
    return result
