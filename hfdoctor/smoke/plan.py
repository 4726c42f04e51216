"""What a run consists of: its stages for a level, what each needs, and how long each may take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..facts.sections.smoke import StageRun

#: each level holds those before it
LEVELS = ("import", "tokenizer", "model", "generate", "train", "full")
FRAMEWORKS = ("torch", "tensorflow", "jax")
#: what each framework is imported as, the leaves first: the first that fails is then the one to blame
PACKAGES = {
    "torch": ("numpy", "safetensors", "tokenizers", "torch", "transformers"),
    "tensorflow": ("numpy", "safetensors", "tokenizers", "tensorflow", "transformers"),
    "jax": ("numpy", "safetensors", "tokenizers", "jax", "flax", "transformers"),
}
#: seconds a stage may take: libraries come from cold disks and may be compiled anew, compilers take their time
DEADLINES_S = {
    "import": 180.0,
    "tokenizer": 60.0,
    "model": 180.0,
    "generate": 120.0,
    "train": 180.0,
    "save": 90.0,
    "local": 600.0,
    "device": 180.0,
    "compile": 240.0,
    "hub": 180.0,
}
#: stage -> the stages without which it means nothing
NEEDS: dict[str, tuple[str, ...]] = {
    "tokenizer": ("import",),
    "model": ("import",),
    "generate": ("import", "tokenizer", "model"),
    "train": ("import", "model"),
    "save": ("import", "tokenizer", "model"),
    "local": ("import",),
    "device": ("import", "model"),
    "compile": ("import",),
    "hub": ("import",),
}
#: package -> those whose import it cannot do without; torch goes without NumPy
IMPORT_NEEDS: dict[str, tuple[str, ...]] = {
    "transformers": ("numpy", "safetensors", "tokenizers", "torch", "tensorflow", "jax", "flax"),
    "flax": ("jax",),
}


class Ask(msgspec.Struct, frozen=True):
    """What a person asks for."""

    level: str = "full"
    device: str = "auto"
    framework: str = "torch"
    online: bool = False
    hub_model: str = ""
    local_model: str = ""
    #: seconds for each stage instead of its own deadline
    stage_timeout_s: float | None = None


class Step(msgspec.Struct, frozen=True):
    """One stage of a run: its key ("import torch"), and the seconds it may take."""

    key: str
    deadline_s: float

    @property
    def name(self) -> str:
        """The stage without its subject."""
        return self.key.partition(" ")[0]


def first_steps(ask: Ask) -> list[Step]:
    """The steps in their order. The devices are not known before torch was asked: ``device`` stands for all of them."""
    reached = LEVELS[: LEVELS.index(ask.level) + 1]
    keys = [f"import {package}" for package in PACKAGES[ask.framework]]
    torch = ask.framework == "torch"
    # Trainer is PyTorch's alone
    keys += [
        name for name in ("tokenizer", "model", "generate", "train") if name in reached and (torch or name != "train")
    ]
    named = ask.device not in ("auto", "cpu")
    if ask.level == "full" and torch:
        keys.append("save")
    if ask.local_model:
        keys.append("local")
    if torch and "model" in reached and (ask.level == "full" or named) and ask.device != "cpu":
        keys.append("device")
    if ask.level == "full" and torch:
        keys.append("compile")
    if ask.online:
        keys.append("hub")
    # TensorFlow and JAX compile what they compute
    patience = 1.0 if torch else 3.0
    return [Step(key, ask.stage_timeout_s or patience * DEADLINES_S[key.partition(" ")[0]]) for key in keys]


def obstacle(step: Step, gone_wrong: Sequence[StageRun]) -> str:
    """The key of the first stage in ``gone_wrong`` without which ``step`` means nothing; "" where there is none.

    A package whose requirement is not installed is tried all the same: it says itself what it lacks. One whose
    requirement dies would die of the same.
    """
    if step.name == "import":
        wanted = IMPORT_NEEDS.get(step.key.partition(" ")[2], ())
        causes = [stage for stage in gone_wrong if stage.name == "import" and stage.error != "not installed"]
        return next((stage.key for stage in causes if stage.subject in wanted), "")
    causes = [stage for stage in gone_wrong if stage.name in NEEDS[step.name]]
    named = [stage for stage in causes if stage.subject in FRAMEWORKS]  # what a person knows by name comes first
    return next((stage.key for stage in [*named, *causes]), "")


def hub_examples() -> dict[str, Any]:
    """The public model and data set that the stage ``hub`` fetches, as the child needs them."""
    from ..knowledge.hub_examples import load_hub_examples

    example = load_hub_examples()[0]
    names = ("model", "model_commit", "files", "dataset", "dataset_commit", "dataset_file")
    return {name: msgspec.to_builtins(getattr(example, name)) for name in names}
