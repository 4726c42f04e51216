"""The stage ``model``: load the tiny models, run them, hold the logits against the recorded ones."""

from __future__ import annotations

import time

from .compare import like_summary, same
from .tiny_models import HEADS, OTHERS, golden, golden_inputs, load_with_report, logits_of, tolerance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .teller import Stage


def run(stage: Stage) -> None:
    """Load each head, check that it has all its weights, run it once on the CPU and compare."""
    if stage.plan.get("framework", "torch") != "torch":
        from . import other_frameworks

        other_frameworks.model(stage)
        return
    tiny = stage.plan["tiny"]
    began = time.perf_counter()
    inputs = golden_inputs(tiny)
    largest = 0.0
    for head in HEADS:
        model, said = load_with_report(tiny, head)
        if has_its_weights(stage, head, model, said):
            difference = like_recorded(stage, head, model, inputs)
            largest = max(largest, difference or 0.0)
    stage.fact("largest_difference", largest)
    stage.fact("seconds_of_work", round(time.perf_counter() - began, 3))


def has_its_weights(stage: Stage, head: str, model: Any, said: dict[str, list[str]]) -> bool:
    """Whether every weight came from the file; one that was made up instead would give other numbers each time."""
    name = type(model).__name__
    spare = [key for key in said["unexpected_keys"] if not key.startswith(OTHERS[head])]
    good = same(stage, f"weights of {name} that its file lacks", [], said["missing_keys"])
    good &= same(stage, f"weights in the file of {name} that it does not know", [], spare)
    good &= same(stage, f"weights of {name} of another shape", [], said["mismatched_keys"])
    good &= same(stage, f"errors while the weights of {name} were loaded", [], said["error_msgs"])
    types = sorted({str(weight.dtype).replace("torch.", "") for weight in model.parameters()})
    good &= same(stage, f"number type of the weights of {name}", ["float32"], types)
    good &= same(stage, f"training mode of {name}", False, model.training)
    return good


def like_recorded(
    stage: Stage,
    head: str,
    model: Any,
    inputs: dict[str, Any],
    device: str = "cpu",
    dtype: str = "float32",
    allowed: float | None = None,
) -> float | None:
    """Run ``model`` on ``inputs`` (the recorded ones, on its device) and compare its logits with the recorded ones.

    ``allowed`` is the tolerance, None for the recorded one of ``dtype``. Deviations are noted; returns the largest
    difference of a logit, None where there is none to tell.
    """
    tiny = stage.plan["tiny"]
    what = f"logits of {type(model).__name__}"
    recorded = golden(tiny)["logits"][head]
    limit = tolerance(tiny, dtype) if allowed is None else allowed
    return like_summary(stage, what, recorded, logits_of(model, inputs), limit, device, dtype)
