"""The stages ``model`` and ``generate`` with TensorFlow or JAX, which transformers 4 has and transformers 5 has not."""

from __future__ import annotations

import os

from .compare import like_summary, same
from .teller import Dropped, Stage
from .tiny_models import golden, tolerance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: framework -> (class of transformers by head, name that a person knows it by)
CLASSES = {
    "tensorflow": {
        "masked_lm": "TFBertForMaskedLM",
        "classifier": "TFBertForSequenceClassification",
        "writer": "TFBertLMHeadModel",
    },
    "jax": {
        "masked_lm": "FlaxBertForMaskedLM",
        "classifier": "FlaxBertForSequenceClassification",
        "causal_lm": "FlaxLlamaForCausalLM",
    },
}
NAMES = {"tensorflow": "TensorFlow", "jax": "JAX"}
#: tokens that are appended, to one prompt: each step is traced or compiled anew, which takes its time
TOKENS = 4


def model(stage: Stage) -> None:
    """The encoder with both heads: the logits must be the recorded ones, which PyTorch computed."""
    framework = stage.plan["framework"]
    load = tensorflow_model if framework == "tensorflow" else flax_model
    recorded = golden(stage.plan["tiny"])
    largest = 0.0
    for head in ("masked_lm", "classifier"):
        loaded = load(stage, head)
        inputs = {name: arrays(framework)(recorded["inputs"][name]) for name in ("input_ids", "attention_mask")}
        logits = loaded(**inputs).logits
        what = f"logits of {type(loaded).__name__}"
        limit = tolerance(stage.plan["tiny"])
        largest = max(largest, like_summary(stage, what, recorded["logits"][head], as_numbers(logits), limit) or 0.0)
    stage.fact("largest_difference", largest)


def generate(stage: Stage) -> None:
    """Greedy generation: with JAX the recorded tokens, with TensorFlow those that its own forward passes give.

    TensorFlow never had a model of Llama's kind: there the encoder is made to write, which nothing is recorded of.
    """
    prompt = golden(stage.plan["tiny"])["generation"]["prompts"][0]
    ids = prompt["ids"]
    if stage.plan["framework"] == "jax":
        got = continued(stage, flax_model(stage, "causal_lm"), ids, TOKENS)
        same(stage, "generated tokens", prompt["new_ids"][:TOKENS], got, dtype="int32")
        return
    writer = tensorflow_model(stage, "writer", is_decoder=True)
    got = continued(stage, writer, ids, TOKENS)
    steps = list(ids)
    for _ in range(len(got)):  # it may stop early: at the end-of-text token
        last = as_numbers(writer(input_ids=arrays("tensorflow")([steps])).logits)[0][-1]
        steps.append(max(range(len(last)), key=last.__getitem__))
    same(stage, "generated tokens", steps[len(ids) :], got, dtype="int32")


def continued(stage: Stage, writer: Any, ids: list[int], count: int) -> list[int]:
    """What greedy generation appends to ``ids``."""
    make = arrays(stage.plan["framework"])
    pad = writer.config.pad_token_id
    said = writer.generate(
        make([ids]), attention_mask=make([[1] * len(ids)]), max_new_tokens=count, do_sample=False, pad_token_id=pad
    )
    new: list[int] = as_numbers(getattr(said, "sequences", said))[0][len(ids) :]
    return new


def arrays(framework: str) -> Callable[[Any], Any]:
    """What makes the framework's own integers of nested lists."""
    if framework == "tensorflow":
        import tensorflow

        return lambda lists: tensorflow.constant(lists, dtype=tensorflow.int32)
    import jax.numpy

    return lambda lists: jax.numpy.array(lists, dtype="i4")


def as_numbers(values: Any) -> Any:
    """Nested lists of plain numbers."""
    import numpy

    return numpy.asarray(values).tolist()


def class_of(stage: Stage, head: str) -> Any:
    """The class of transformers. Raises Dropped where this transformers has none for the framework."""
    import transformers

    framework = stage.plan["framework"]
    name = CLASSES[framework][head]
    if not hasattr(transformers, name):
        raise Dropped(f"transformers {transformers.__version__} has no class {name}: {NAMES[framework]} was dropped")
    return getattr(transformers, name)


def tensorflow_model(stage: Stage, head: str, **config: Any) -> Any:
    """The encoder for TensorFlow.

    Releases at the end of transformers 4 cannot read PyTorch's safetensors without PyTorch. Whether they can is noted;
    the weights are set one by one then, saved in TensorFlow's own form and loaded from there.
    """
    kind = class_of(stage, head)
    folder = os.path.join(stage.plan["tiny"], "encoder")
    try:
        return kind.from_pretrained(folder, **config)
    except Exception as error:
        said = " ".join(str(error).split())[:120]
        stage.fact("note", f"PyTorch's safetensors cannot be loaded without PyTorch ({type(error).__name__}: {said})")
    from safetensors.numpy import load_file
    from transformers import BertConfig
    from transformers.modeling_tf_pytorch_utils import load_pytorch_state_dict_in_tf2_model

    weights = load_file(os.path.join(folder, "model.safetensors"))
    empty = kind(BertConfig.from_pretrained(folder, **config))
    filled = load_pytorch_state_dict_in_tf2_model(empty, weights, allow_missing_keys=True)
    place = stage.folder(head)
    filled.save_pretrained(place, safe_serialization=False)
    return kind.from_pretrained(place)


def flax_model(stage: Stage, head: str) -> Any:
    """The encoder or the decoder for JAX. Flax ties no weights: the decoder's last layer is given its embeddings."""
    kind = class_of(stage, head)
    loaded = kind.from_pretrained(os.path.join(stage.plan["tiny"], "decoder" if head == "causal_lm" else "encoder"))
    if head == "causal_lm" and loaded.config.tie_word_embeddings:
        params = loaded.params
        params["lm_head"]["kernel"] = params["model"]["embed_tokens"]["embedding"].T
        loaded.params = params
    return loaded
