"""Run inside the target interpreter by test_training.py: stages on sound and on spoiled ground, one JSON line each.

python -B training_cases.py CHECKOUT SCRATCH
"""

# ruff: noqa: E402, B905 - run by the target's Python, which may be 3.9
from __future__ import annotations

import json
import os
import random
import shutil
import sys
import threading
from pathlib import Path

CHECKOUT, SCRATCH = map(Path, sys.argv[1:])
sys.path.insert(0, str(CHECKOUT))

import numpy
import torch
import transformers
from transformers.utils import logging

from hfdoctor.smoke.child import save, train, training
from hfdoctor.smoke.child.teller import Stage
from hfdoctor.smoke.child.tiny_models import load_model

TINY = CHECKOUT / "hfdoctor" / "smoke" / "tiny"


def stage(case: str, name: str = "train", tiny: Path = TINY) -> Stage:
    scratch = SCRATCH / case
    scratch.mkdir()
    return Stage(name, {"tiny": str(tiny), "level": "full", "framework": "torch", "scratch": str(scratch)})


def spoiled_tiny(case: str, spoil) -> Path:
    """A copy of the tiny models whose recorded training ``spoil`` has changed."""
    tiny = SCRATCH / f"tiny-{case}"
    shutil.copytree(TINY, tiny)
    golden = json.loads((tiny / "golden_training.json").read_text("utf-8"))
    spoil(golden)
    (tiny / "golden_training.json").write_text(json.dumps(golden), "utf-8")
    return tiny


def state() -> list[str]:
    """What a stage has to leave as it was."""
    return [
        repr(random.getstate()),
        repr(numpy.random.get_state()),
        repr(torch.get_rng_state().tolist()),
        repr(sorted(os.environ.items())),
        repr(torch.get_num_threads()),
        repr(torch.is_grad_enabled()),
        repr(torch.get_default_dtype()),
        repr(logging.get_verbosity()),
        repr(sorted(thread.name for thread in threading.enumerate() if "monitor" not in thread.name.lower())),
        str(Path.cwd()),
    ]


def tell(case: str, one: Stage, **more: object) -> None:
    print("CASE " + json.dumps({"case": case, "facts": one.facts, "deviations": one.deviations, **more}), flush=True)


# -- training ---------------------------------------------------------------------------------------------------------

random.seed(5)
numpy.random.seed(5)
torch.manual_seed(5)
before = state()
one = stage("sound")
train.run(one)
after = state()
from accelerate.state import PartialState

tell(
    "sound",
    one,
    changed=[a[:80] for a, b in zip(before, after) if a != b],
    accelerator=bool(PartialState._shared_state),
)


def other_curve(golden) -> None:
    golden["losses"][4] += 0.01


one = stage("other curve", tiny=spoiled_tiny("curve", other_curve))
train.run(one)
tell("other curve", one)


def no_learning(golden) -> None:
    golden["recipe"]["learning_rate"] = 0.0


one = stage("no learning", tiny=spoiled_tiny("rate", no_learning))
train.run(one)
tell("no learning", one)

# a checkpoint without the state of the optimizer: the Trainer resumes without a word
recipe = json.loads((TINY / "golden_training.json").read_text("utf-8"))["recipe"]
whole = training.make_trainer(load_model(str(TINY), "classifier", fresh=True), recipe, str(SCRATCH / "whole"))
whole[0].train()
checkpoint = SCRATCH / "whole" / f"checkpoint-{recipe['steps'] // 2}"
(checkpoint / "optimizer.pt").unlink()
resumed = training.make_trainer(load_model(str(TINY), "classifier", fresh=True), recipe, str(SCRATCH / "resumed"))
resumed[0].train(resume_from_checkpoint=str(checkpoint))
one = stage("forgetful")
train.compare_resumed(one, recipe, whole, resumed)
tell("forgetful", one)

one = stage("no log")
train.look_for_log(one, str(SCRATCH / "resumed"))
tell("no log", one)

# -- saving -----------------------------------------------------------------------------------------------------------

before = state()
one = stage("saved", "save")
save.run(one)
tell("saved", one, changed=[a[:80] for a, b in zip(before, state()) if a != b])

real = transformers.PreTrainedModel.save_pretrained


def forgets(self, folder, *words, **named) -> None:
    """Saves the model with one weight changed and its generation settings gone."""
    from safetensors.torch import load_file, save_file

    real(self, folder, *words, **named)
    file = Path(folder, "model.safetensors")
    if file.is_file():
        weights = load_file(file)
        name = sorted(weights)[0]
        weights[name][0] += 0.125
        save_file(weights, file, {"format": "pt"})
    Path(folder, "generation_config.json").unlink(missing_ok=True)


transformers.PreTrainedModel.save_pretrained = forgets
one = stage("spoiled", "save")
save.run(one)
tell("spoiled", one)
