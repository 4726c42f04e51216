"""Whether a folder can be a model as ``save_pretrained`` writes it."""

from __future__ import annotations

import os

#: files that hold weights, in the order in which transformers looks for them
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
    "flax_model.msgpack",
)


def trouble_with(path: str) -> str:
    """Why ``path`` is no model folder, in one line; "" if it is one."""
    if not os.path.exists(path):
        return f"there is no folder {path}"
    if not os.path.isdir(path):
        return f"{path} is a file; name the folder that holds it and config.json"
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}"
    missing = [] if "config.json" in names else ["config.json"]
    if not any(name in names for name in WEIGHTS):
        missing.append("a file of weights (model.safetensors)")
    if not missing:
        return ""
    if "adapter_config.json" in names and "config.json" not in names:
        return f"{path} is an adapter (PEFT); name the folder of the model that it was made for"
    if "snapshots" in names and "blobs" in names:
        return f"{path} is a repository in the hub cache; name one of the folders in its folder snapshots"
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") if names else "nothing"
    return f"{path} is no model folder: {' and '.join(missing)} missing; it holds {shown}"
