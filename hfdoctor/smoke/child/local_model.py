"""The stage ``local``: the person's own model folder, loaded as their script would, and used once."""

from __future__ import annotations

import json
import os

from .teller import Skip, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: files that make a folder hold a tokenizer
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model")
WEIGHTS = (".safetensors", ".bin")
#: what is asked of a model that reads text
TEXT = "The doctor reads 한국어 and English."
NEW_TOKENS = 4
#: weights that are named of those that are missing
NAMED = 5


def run(stage: Stage) -> None:
    """Load the folder ``local_model`` of the plan; forward pass and a few tokens where it reads text."""
    folder = os.path.abspath(stage.plan["local_model"])
    config = read_config(folder)
    sizes = [os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.endswith(WEIGHTS)]
    stage.fact("weights_bytes", sum(sizes))
    stage.fact("model_type", str(config.get("model_type", "")))
    if "AutoModel" in str(config.get("auto_map", "")):
        raise Skip("the model brings code of its own (auto_map in its config.json), which is not run unasked")
    check_files(folder)
    tokenizer = load_tokenizer(folder)
    model = load_model(stage, folder, config)
    stage.fact("class", type(model).__name__)
    stage.fact("parameters", sum(parameter.numel() for parameter in model.parameters()))
    use(stage, model, tokenizer)


class BadWeights(Exception):
    """The folder's files are not whole: the libraries' own words name no file, or the wrong trouble."""


def read_config(folder: str) -> dict[str, Any]:
    """The folder's config.json. Raises BadWeights if it is not a JSON object."""
    with open(os.path.join(folder, "config.json"), "rb") as file:
        text = file.read()
    try:
        config = json.loads(text.decode("utf-8"))
    except ValueError as error:
        pointer = text.startswith(b"version https://git-lfs")
        raise BadWeights(f"config.json is {'a Git LFS pointer' if pointer else f'no JSON: {error}'}") from None
    if not isinstance(config, dict):
        raise BadWeights("config.json holds no JSON object")
    return config


def check_files(folder: str) -> None:
    """Every shard that an index names, pointers of Git LFS, and safetensors files that end too early.

    Raises BadWeights. The format: https://huggingface.co/docs/safetensors#format
    """
    names = set(os.listdir(folder))
    for index in sorted(name for name in names if name.endswith(".index.json")):
        with open(os.path.join(folder, index), encoding="utf-8") as file:
            wanted = set(json.load(file).get("weight_map", {}).values())
        missing = sorted(wanted - names)
        if missing:
            raise BadWeights(f"{missing[0]} is missing, which {index} names ({len(missing)} of {len(wanted)} files)")
    for name in sorted(names):
        path = os.path.join(folder, name)
        if name.endswith(WEIGHTS) and os.path.isfile(path):
            check_file(path, name)


def check_file(path: str, name: str) -> None:
    """One file of weights. Raises BadWeights."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(8)
        if head == b"version ":
            first = (head + file.read(60)).splitlines()[0].decode("ascii", "replace")
            raise BadWeights(f"{name} is a Git LFS pointer of {size} bytes ({first}), not the weights")
        if not size:
            raise BadWeights(f"{name} is empty (HeaderTooSmall)")
        if not name.endswith(".safetensors"):
            return
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > size:
            raise BadWeights(f"{name} of {size} bytes does not begin as safetensors files do (InvalidHeaderLength)")
        try:
            header = json.loads(file.read(length))
            end = max([entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"] or [0])
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise BadWeights(f"{name} has a damaged header (InvalidHeaderDeserialization)") from None
    if size < 8 + length + end:
        raise BadWeights(f"{name} ends after {size} of {8 + length + end} bytes (MetadataIncompleteBuffer)")


def load_tokenizer(folder: str) -> Any:
    """The folder's tokenizer; None where it holds none."""
    if not any(os.path.exists(os.path.join(folder, name)) for name in TOKENIZERS):
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_model(stage: Stage, folder: str, config: dict[str, Any]) -> Any:
    """The model in the class that its config names, in the number type of its weights."""
    import transformers

    names = [name for name in config.get("architectures") or [] if hasattr(transformers, name)]
    kind = getattr(transformers, names[0]) if names else transformers.AutoModel
    # release 5 calls the argument by its new name, and those before 4.56 know the old one only
    dtype = {"dtype" if int(transformers.__version__.split(".")[0]) >= 5 else "torch_dtype": "auto"}
    told: dict[str, Any]
    model, told = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **dtype)
    missing = sorted(str(key) for key in told.get("missing_keys") or ())
    if names and missing:
        shown = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
        raise BadWeights(f"the folder lacks {len(missing)} weights of {names[0]}, which would be random: {shown}")
    stage.fact("dtype", str(getattr(model, "dtype", "")).replace("torch.", ""))
    place = device_of(stage.plan["device"])
    stage.fact("device", place)
    return model.eval().to(place)


def device_of(asked: str) -> str:
    """The device that was asked for by name; the processor where none was."""
    if asked in ("auto", "cpu", "all"):
        return "cpu"
    return asked if ":" in asked or asked == "mps" else asked + ":0"


def use(stage: Stage, model: Any, tokenizer: Any) -> None:
    """One forward pass, and a few tokens where the model writes text."""
    import torch

    if tokenizer is None or getattr(model, "main_input_name", "") != "input_ids":
        stage.fact("note", "loaded, not computed with: it reads something else than text, or has no tokenizer")
        return
    given = dict(tokenizer(TEXT, return_tensors="pt").to(model.device))
    with torch.no_grad():
        if getattr(model.config, "is_encoder_decoder", False) and "decoder_input_ids" not in given:
            start = getattr(model.config, "decoder_start_token_id", None) or 0
            given["decoder_input_ids"] = torch.full((1, 1), start, dtype=torch.long, device=model.device)
        result = model(**given)
        given.pop("decoder_input_ids", None)
        check_finite(stage, result)
        if writes_text(model):
            written = model.generate(**given, max_new_tokens=NEW_TOKENS, do_sample=False)
            stage.fact("generated_tokens", int(written.shape[-1]))


def writes_text(model: Any) -> bool:
    """Whether generate is meant for it: by its class, since every class has the method in some versions."""
    return type(model).__name__.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration"))


def check_finite(stage: Stage, result: Any) -> None:
    """NaN and infinity in the first tensor of the result are no result."""
    first = result[0]
    finite = first.isfinite()
    if not bool(finite.all()):
        count = int((~finite).sum())
        stage.deviates(
            f"the output of the model: {count} of {first.numel()} values",
            device=str(first.device),
            dtype=str(first.dtype).replace("torch.", ""),
            expected="numbers",
            got="NaN or infinity",
        )
