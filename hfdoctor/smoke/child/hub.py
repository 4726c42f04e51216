"""The stage ``hub``: a tiny public model and a few rows of a tiny public data set, fetched as the person's programs do.

Through the configured address, proxy, certificates and token; into the cache of the run. What arrived is held against
its hash, asked for a second time without the network, loaded, and used.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import re
import time

from .hub_files import Repository, Wrong, check
from .hub_reason import Cleaner, describe, proxy_for, token
from .teller import Skip, Stage
from .wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: bytes of a model that the person names: more belongs into their own cache, not into one that is removed
LARGEST = 2 * 1000**3
#: rows of the data set that are read
ROWS = 3
WEIGHTS = re.compile(r"model\.safetensors|model-\d+-of-\d+\.safetensors|model\.safetensors\.index\.json")
OLD_WEIGHTS = re.compile(r"pytorch_model\.bin|pytorch_model-\d+-of-\d+\.bin|pytorch_model\.bin\.index\.json")
#: what a tokenizer and a configuration consist of
SMALL = re.compile(r"[^/]+\.(?:json|txt|jinja|model)")
#: asked for where the address does not list a repository's files
USUAL = ("generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
PUBLIC = "https://huggingface.co"
TEXT = "The doctor reads what the hub sent."


def run(stage: Stage) -> None:
    """Fetch, hold against the hashes, fetch again from the cache, load, run. The libraries' own errors come through."""
    stage.clean = Cleaner().text
    try:
        model, data = fetch(stage)
        rows(stage, data)
        load(stage, model)
        del stage.facts["step"]  # says where it failed
    except (Skip, Wrong):
        raise
    except BaseException as error:
        for name, value in describe(error).items():
            stage.fact(name, value)
        if is_gone(stage):
            raise Skip(
                f"the public model {stage.facts['model']} is no longer at {PUBLIC}: name another with --hub-model"
            ) from None
        raise


def is_gone(stage: Stage) -> bool:
    """Whether our own choice of a model is what was not found: that says nothing of the person's machine."""
    facts = stage.facts
    return facts.get("why") == "not-found" and not facts.get("own_model") and facts.get("endpoint") == PUBLIC


def fetch(stage: Stage) -> tuple[Repository, Repository]:
    """Download the model and the data set's file, check them, and find them again without a request."""
    import huggingface_hub
    from huggingface_hub import constants

    examples = stage.plan["hub"]
    named = stage.plan.get("hub_model") or ""
    stage.fact("endpoint", Cleaner().text(constants.ENDPOINT))
    stage.fact("model", named or examples["model"])
    stage.fact("own_model", bool(named))
    stage.fact("dataset", examples["dataset"])
    stage.fact("huggingface_hub", huggingface_hub.__version__)
    stage.fact("proxy", proxy_for(constants.ENDPOINT))
    stage.fact("token", bool(token()))
    stage.fact("download_timeout_s", constants.HF_HUB_DOWNLOAD_TIMEOUT)
    began = time.monotonic()
    stage.fact("step", "model")
    model = Repository(named or examples["model"], "model")
    # the first thing that from_pretrained asks for: what is wrong on the way shows here, in the words people search for
    model.get("config.json")
    model.list_files()
    for name in wanted(model, {} if named else examples["files"]):
        model.get(name, needed=model.listed is not None or (not named and name in examples["files"]))
    stage.fact("step", "dataset")
    data = Repository(examples["dataset"], "dataset")
    data.get(examples["dataset_file"], needed=False)
    data.list_files()
    seconds = time.monotonic() - began
    size = sum(os.path.getsize(path) for repository in (model, data) for path in repository.files.values())
    stage.fact("files", len(model.files) + len(data.files))
    stage.fact("bytes", size)
    stage.fact("seconds", round(seconds, 3))
    stage.fact("bytes_per_second", round(size / max(seconds, 1e-3)))
    stage.fact("commit", os.path.basename(os.path.dirname(model.files["config.json"])))
    stage.fact("files_listed", model.listed is not None)
    stage.fact("step", "check")
    checked = [found for repository in (model, data) for found in check(stage, repository)]
    stage.fact("files_checked", len(checked))
    again(stage, model, data)
    return model, data


def wanted(model: Repository, expected: dict[str, Any]) -> list[str]:
    """The files that loading takes: all small ones, and the weights in one form. Raises Skip if they are too much."""
    if model.listed is None:
        return list(expected) or [*USUAL, "model.safetensors"]
    names = [name for name in model.listed if SMALL.fullmatch(name) and not name.endswith(".index.json")]
    weights = [name for name in model.listed if WEIGHTS.fullmatch(name)]
    if "model.safetensors" in weights:
        weights = ["model.safetensors"]
    names += weights or [name for name in model.listed if OLD_WEIGHTS.fullmatch(name)]
    size = sum(model.listed[name].size or 0 for name in names)
    if size > LARGEST:
        raise Skip(f"{model.name} has {size / 1e9:.1f} GB, more than the {LARGEST / 1e9:.0f} GB that are fetched here")
    return [name for name in names if name != "config.json"]


def again(stage: Stage, *repositories: Repository) -> None:
    """Ask for the same files with the network ruled out; whoever connects nevertheless is counted."""
    stage.fact("step", "cache")
    close_connections()
    began = time.monotonic()
    with Wire() as wire:
        for repository in repositories:
            for name, path in repository.files.items():
                found = repository.from_cache(name)
                if os.path.realpath(found) != os.path.realpath(path):
                    raise Wrong(f"{name} of {repository.name} is another file the second time: {found}, not {path}")
    stage.fact("second_time_seconds", round(time.monotonic() - began, 3))
    stage.fact("second_time_connections", wire.connections)
    if wire.connections:
        raise Wrong(f"{wire.connections} connections were made for files that were in the cache: {wire.first}")


def close_connections() -> None:
    """Drop what huggingface_hub keeps open: a request over it would be no new connection."""
    from huggingface_hub.utils import _http

    for name in ("close_session", "reset_sessions"):
        close = getattr(_http, name, None)
        if close is not None:
            close()


def rows(stage: Stage, data: Repository) -> None:
    """Read the first rows of the data set: through ``datasets`` where it is installed, else as the CSV file it is."""
    name, file = data.name, stage.plan["hub"]["dataset_file"]
    stage.fact("step", "rows")
    if file not in data.files:
        stage.fact("rows", 0)  # a company's mirror may well have no data sets: models are what is asked for
        return
    found: list[dict[str, Any]]
    installed = importlib.util.find_spec("datasets") is not None
    if installed and data.listed is not None:
        import datasets

        stage.fact("datasets", getattr(datasets, "__version__", ""))
        table = datasets.load_dataset(name, data_files={"train": file}, split="train")
        found = [table[place] for place in range(min(ROWS, len(table)))]
    else:
        # the library needs the list of a repository's files; an address that serves files alone has none
        stage.fact("datasets", "not tried: the address lists no files" if installed else "not installed")
        with open(data.files[file], encoding="utf-8", newline="") as opened:
            found = [row for row, _ in zip(csv.DictReader(opened), range(ROWS))]
    stage.fact("rows", len(found))
    stage.fact("columns", " ".join(str(column) for column in found[0]) if found else "")
    if not found:
        raise Wrong(f"{file} of {name} has no rows")


def load(stage: Stage, model: Repository) -> None:
    """Load tokenizer and model from the cache by the model's name, and compute something."""
    stage.fact("step", "load")
    if stage.plan["framework"] != "torch":
        stage.fact("loaded", "no: only torch loads it here")
        return
    if not any(WEIGHTS.fullmatch(name) or OLD_WEIGHTS.fullmatch(name) for name in model.files):
        stage.fact("loaded", "no: the repository has no weights that transformers loads")
        return
    import torch
    from transformers import AutoModel, AutoTokenizer

    with Wire() as wire:
        network = AutoModel.from_pretrained(model.name, local_files_only=True)
        network.eval()
        stage.fact("loaded", type(network).__name__)
        if any(name.startswith(("tokenizer", "vocab", "spiece", "sentencepiece")) for name in model.files):
            tokenizer = AutoTokenizer.from_pretrained(model.name, local_files_only=True)
            stage.fact("tokenizer", type(tokenizer).__name__)
            batch = tokenizer(TEXT, return_tensors="pt")
        else:
            batch = network.dummy_inputs
    stage.fact("loading_connections", wire.connections)
    with torch.no_grad():
        first = network(**batch)[0]
    stage.fact("output", "x".join(str(length) for length in first.shape))
    if not bool(torch.isfinite(first.float()).all()):
        stage.deviates(f"the output of {model.name}", expected="finite numbers", got="infinity or not a number")
