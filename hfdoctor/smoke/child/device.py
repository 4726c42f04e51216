"""The stage ``device``: without a subject it says which devices are meant, with one it computes on that device.

``device cuda:0`` runs what the earlier stages ran on the CPU, and what only a device can get wrong. Copies between
GPUs are made once both have proved themselves, in the stage of the later one: a broken GPU accuses no other.
"""

from __future__ import annotations

import copy
import os

from . import arithmetic
from .device_list import Sight, meant, questions
from .generate import generates_as_recorded
from .model import like_recorded
from .place import Place
from .tiny_models import HEADS, golden_inputs, load_model
from .tolerances import LOGITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .teller import Stage

TYPES = ("float32", "bfloat16", "float16")
#: file in the scratch folder: the devices that computed everything on their own as they should, one a line
PROVEN = "devices-that-work"


def run(stage: Stage) -> None:
    """Choose the devices, or try one. Raises Skip, Refused, and whatever torch says of a device."""
    import torch

    if stage.subject:
        torch_state = torch.get_rng_state()
        try:
            try_device(stage, Place(torch, stage.subject))
        finally:
            torch.set_rng_state(torch_state)
        return
    sight = Sight(torch)
    sight.tell(stage)
    stage.fact("devices", " ".join(meant(stage.plan["device"], sight, torch)))


def try_device(stage: Stage, place: Place) -> None:
    """Everything, from the simple to the composed. The fact ``doing`` says where it broke off."""
    doing(stage, "a first kernel")
    first_kernel(stage, place)
    types = [dtype for dtype in TYPES if known_to(stage, place, dtype)]
    for dtype in types:
        doing(stage, "a product of matrices")
        stage.fact(f"{dtype} products", arithmetic.products(stage, place, dtype))
    for dtype in types:
        doing(stage, "a convolution")
        stage.fact(f"{dtype} convolution", arithmetic.convolution(stage, place, dtype))
    doing(stage, "copies")
    arithmetic.copies(stage, place)
    doing(stage, "random numbers")
    arithmetic.random_numbers(stage, place)
    for dtype in types:
        doing(stage, f"the models in {dtype}")
        models(stage, place, dtype)
    doing(stage, "training steps")
    one_round(stage, place)
    doing(stage, "giving memory back")
    gives_back(stage, place)
    if place.kind in ("cuda", "xpu") and not stage.deviations:
        for other in proven(stage, place):
            doing(stage, f"copies between {other} and {place.name}")
            arithmetic.pair(stage, place, other)
    stage.facts.pop("doing", None)


def doing(stage: Stage, what: str) -> None:
    """Say what is under way."""
    stage.fact("doing", what)


def first_kernel(stage: Stage, place: Place) -> None:
    """The small computation of ``--deep``, whole numbers, exact in any precision."""
    verdict = questions().kernel(place.torch, place.name)
    if not verdict["ok"]:
        stage.deviates("whole numbers", device=place.name, got=verdict["error"])
    stage.fact("kernel", verdict["ok"])


def known_to(stage: Stage, place: Place, dtype: str) -> bool:
    """Whether the device computes with a type of number; a fact says why not."""
    lack = place.lacks(dtype)
    if lack:
        stage.fact(dtype, f"not tried: {lack}")
    return not lack


def models(stage: Stage, place: Place, dtype: str) -> None:
    """The tiny models against what is recorded of them; greedy generation in float32 besides."""
    tiny = stage.plan["tiny"]
    inputs = golden_inputs(tiny, place.name)
    rounded = dtype == "float32" and place.uses_tf32("matmul")
    for head in HEADS:
        model = copy.deepcopy(load_model(tiny, head)).to(device=place.name, dtype=getattr(place.torch, dtype))
        allowed = LOGITS[head].get("tf32" if rounded else dtype)
        off = like_recorded(stage, head, model, inputs, device=place.name, dtype=dtype, allowed=allowed)
        stage.fact(f"{dtype} {head}", off)
        # coarser numbers may well choose another token
        if head == "causal_lm" and dtype == "float32" and not rounded:
            generates_as_recorded(stage, model, place.name)


def one_round(stage: Stage, place: Place) -> None:
    """Training steps, in which whatever can stay behind on a device is made."""
    tiny = stage.plan["tiny"]
    off = arithmetic.train(stage, place, load_model(tiny, "causal_lm"), golden_inputs(tiny))
    stage.fact("float32 training", off)


def gives_back(stage: Stage, place: Place) -> None:
    """Memory must be back where it was: after a round like one before there may not be more of it in use.

    Libraries keep work space from their first use on, which is why nothing is compared with the very beginning, and
    why only what grows twice counts.
    """
    before = place.held()
    if before is None:
        return
    stage.fact("memory_kept", before)
    one_round(stage, place)
    then = place.held() or 0
    if then <= before:
        return
    one_round(stage, place)
    after = place.held() or 0
    if after > then:
        what = "memory that is not given back after training steps like those before"
        stage.deviates(what, device=place.name, expected="0 bytes", got=f"{after - then} bytes")


def proven(stage: Stage, place: Place) -> list[str]:
    """The GPUs of this kind that have proved themselves before, in this process or another one; adds this one."""
    path = os.path.join(stage.plan["scratch"], PROVEN)
    with open(path, "a+", encoding="ascii") as file:
        file.seek(0)
        names = file.read().split()
        file.write(place.name + "\n")
    return [name for name in names if name.partition(":")[0] == place.kind and name != place.name]


def works(plan: dict[str, Any]) -> list[str]:
    """The GPUs that have proved themselves in this run."""
    try:
        with open(os.path.join(plan["scratch"], PROVEN), encoding="ascii") as file:
            return file.read().split()
    except OSError:
        return []
