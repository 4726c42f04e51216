"""The stage ``save``: what was loaded is saved, in one file and in parts, and loaded again as it was."""

from __future__ import annotations

import json
import os

from .compare import close, same
from .teller import Skip, Stage
from .tiny_models import HEADS, golden_inputs, load_model, load_tokenizer, logits_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: heads (see tiny_models.py) that are saved, and the name of what is saved
SAVED = {"classifier": "encoder", "causal_lm": "decoder"}
#: weights must come back as the same bits; the results of a multiplication may depend on where in memory they lie
TOLERANCE = 1e-5
#: into how many parts a model is cut, at least
PARTS = 3
TEXT = "The sea is calm, 바다가 잔잔하다."


def run(stage: Stage) -> None:
    """Save and load again: both models, the tokenizer, and a state dict with ``torch.save``."""
    if stage.plan["framework"] != "torch":
        raise Skip("models of torch are saved here, and torch was not asked for")
    import torch
    import transformers

    tiny = stage.plan["tiny"]
    for head, name in SAVED.items():
        auto = getattr(transformers, HEADS[head][1])
        model = load_model(tiny, head, fresh=True)
        whole, parts = stage.folder(name), stage.folder(name + "-parts")
        model.save_pretrained(whole)
        files = ["config.json", "model.safetensors"] + ["generation_config.json"] * (head == "causal_lm")
        expect_files(stage, name, whole, files)
        same_model(stage, f"{name} after save_pretrained and from_pretrained", model, auto.from_pretrained(whole))
        total = sum(value.numel() * value.element_size() for value in model.parameters())
        model.save_pretrained(parts, max_shard_size=total // PARTS)
        index_of_parts(stage, name, parts)
        same_model(stage, f"{name} after being saved in parts", model, auto.from_pretrained(parts))
        file = os.path.join(stage.folder("state"), name + ".pt")
        torch.save(model.state_dict(), file)
        read = torch.load(file, map_location="cpu", weights_only=True)
        same_tensors(stage, f"{name} after torch.save and torch.load", model.state_dict(), read)
    same_tokenizer(stage)


def expect_files(stage: Stage, name: str, folder: str, files: list[str]) -> None:
    """Note a file that save_pretrained did not write."""
    there = sorted(os.listdir(folder))
    for file in files:
        if file not in there:
            stage.deviates(f"{name} saved: a file is missing", expected=file, got=", ".join(there) or "no file")


def index_of_parts(stage: Stage, name: str, folder: str) -> None:
    """Note an index that is missing, or that names parts which are."""
    index = "model.safetensors.index.json"
    expect_files(stage, f"{name} in parts,", folder, ["config.json", index])
    if not os.path.isfile(os.path.join(folder, index)):
        return
    with open(os.path.join(folder, index), encoding="utf-8") as file:
        parts = sorted(set(json.load(file)["weight_map"].values()))
    stage.fact(f"parts of the {name}", len(parts))
    if len(parts) < PARTS:
        stage.deviates(f"{name} in parts: how many", expected=f"{PARTS} or more", got=str(len(parts)))
    expect_files(stage, f"{name} in parts,", folder, parts)


def same_model(stage: Stage, what: str, model: Any, read: Any) -> None:
    """Hold a model that was loaded again against the one that was saved."""
    read = read.eval()
    same_tensors(stage, what, model.state_dict(), read.state_dict())
    same(stage, f"{what}: output matrix is the embedding matrix", shared(model), shared(read))
    was, became = kept(model), kept(read)
    for key in sorted(was.keys() | became.keys()):
        same(stage, f"{what}: generation_config.{key}", was.get(key), became.get(key))
    inputs = golden_inputs(stage.plan["tiny"])
    close(stage, f"{what}: logits", logits_of(model, inputs), logits_of(read, inputs), TOLERANCE)


def same_tensors(stage: Stage, what: str, saved: dict[str, Any], read: dict[str, Any]) -> None:
    """Note the names that differ, or the first tensor that is not the same to the last bit."""
    import torch

    if not same(stage, f"{what}: names of the weights", sorted(saved), sorted(read)):
        return
    for name, tensor in saved.items():
        if torch.equal(tensor, read[name]) and tensor.dtype == read[name].dtype:
            continue
        if same(stage, f"{what}: type of {name}", str(tensor.dtype), str(read[name].dtype)):
            close(stage, f"{what}: {name}", tensor, read[name], 0.0)
        return


def shared(model: Any) -> bool:
    """Whether a model's input and output embeddings are one tensor."""
    into, out = model.get_input_embeddings(), model.get_output_embeddings()
    return into is not None and out is not None and into.weight.data_ptr() == out.weight.data_ptr()


def kept(model: Any) -> dict[str, Any]:
    """The settings for generation that a model carries; none where it does not generate."""
    config = getattr(model, "generation_config", None)
    return {} if config is None else {key: value for key, value in config.to_dict().items() if key[0] != "_"}


def same_tokenizer(stage: Stage) -> None:
    """Save the tokenizer, load it again, and hold what both make of a text against each other."""
    from transformers import AutoTokenizer

    folder = stage.folder("tokenizer")
    tokenizer = load_tokenizer(stage.plan["tiny"], fresh=True)
    tokenizer.save_pretrained(folder)
    expect_files(stage, "tokenizer", folder, ["tokenizer.json", "tokenizer_config.json"])
    read = AutoTokenizer.from_pretrained(folder)
    for what, get in (
        ("token ids", lambda entry: entry(TEXT)["input_ids"]),
        ("special tokens", lambda entry: sorted(entry.special_tokens_map.items(), key=str)),
        ("decoded text", lambda entry: entry.decode(entry(TEXT)["input_ids"])),
        ("length", len),
    ):
        same(stage, f"tokenizer after being saved: {what}", get(tokenizer), get(read))
