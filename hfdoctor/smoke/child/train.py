"""The stage ``train``: a few dozen examples through ``transformers.Trainer``, held against a recorded run.

The optimizer, the schedule of the learning rate, evaluation, a checkpoint in the middle and a run resumed from it, a
log for TensorBoard where that is installed. On the CPU, in one thread: at this size more threads only cost time.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import sys

from . import training
from .compare import close
from .put_back import everything_put_back
from .teller import Missing, Skip, Stage
from .tiny_models import load_model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

#: the last loss may be this share of the first one; in the recorded run it is a fourteenth
FALLS_TO = 0.5
#: largest difference of losses, parameters and states of the optimizer after resuming. They were the same to the last
#: bit wherever it was tried; where a sum comes out otherwise by a bit, 2e-5 is to be expected, and where the state of
#: the optimizer is lost, more than 8e-3
RESUMED = 1e-4
#: the Trainer logs losses rounded to four places
LOGGED = 1e-4


def run(stage: Stage) -> None:
    """Train, resume, log. Raises Skip or Missing without accelerate, and whatever the libraries raise."""
    wanted(stage)
    with open(os.path.join(stage.plan["tiny"], "golden_training.json"), encoding="utf-8") as file:
        golden = json.load(file)
    recipe = golden["recipe"]

    def model() -> Any:
        return load_model(stage.plan["tiny"], "classifier", fresh=True)

    with everything_put_back():
        import torch

        torch.set_num_threads(1)
        with doing(stage, "training"):
            trainer, course = training.make_trainer(model(), recipe, stage.folder("whole"))
            trainer.train()
        compare_course(stage, golden, trainer, course)
        with doing(stage, "resuming from a checkpoint"):
            checkpoint = os.path.join(stage.folder("whole"), f"checkpoint-{recipe['steps'] // 2}")
            resumed, second = training.make_trainer(model(), recipe, stage.folder("resumed"))
            resumed.train(resume_from_checkpoint=checkpoint)
        compare_resumed(stage, recipe, (trainer, course), (resumed, second))
        stage.fact("tensorboard", installed("tensorboard"))
        if installed("tensorboard"):
            with doing(stage, "training with a log for TensorBoard"):
                logged, _ = training.make_trainer(model(), dict(recipe, steps=2), stage.folder("log"), ["tensorboard"])
                logged.train()
            look_for_log(stage, stage.folder("log"))


def wanted(stage: Stage) -> None:
    """Raises Skip where training was not asked for by name and cannot be, Missing where it was."""
    if stage.plan["framework"] != "torch":
        raise Skip(f"transformers' Trainer trains models of torch only, not of {stage.plan['framework']}")
    if not installed("accelerate"):
        words = "accelerate is not installed; transformers' Trainer needs it"
        if stage.plan["level"] == "train":
            raise Missing("accelerate", words)
        raise Skip(words + ': pip install "transformers[torch]"')


def installed(package: str) -> bool:
    """Whether a package can be found; it is not imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # imported by hand, without a spec
        return package in sys.modules


@contextlib.contextmanager
def doing(stage: Stage, what: str) -> Iterator[None]:
    """Say what is under way: in the output, should Python die, and as the fact ``during`` of a failure."""
    print(what, file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        stage.fact("during", what)
        raise


# -- what came out ----------------------------------------------------------------------------------------------------


def compare_course(stage: Stage, golden: dict[str, Any], trainer: Any, course: training.Course) -> None:
    """Hold a whole run against the recorded one, and against what every training must do: its loss falls."""
    recipe, tolerance = golden["recipe"], golden["tolerance"]
    losses = course.losses
    if len(losses) != recipe["steps"]:
        stage.deviates("number of training steps", expected=str(recipe["steps"]), got=str(len(losses)))
        return
    stage.fact("loss", f"{losses[0]:.3f} -> {losses[-1]:.3f}")
    if not losses[-1] <= FALLS_TO * losses[0]:
        below = f"{FALLS_TO * losses[0]:.6g} or less"
        stage.deviates("training loss at the last step: it does not fall", expected=below, got=f"{losses[-1]:.6g}")
    sequence(stage, "training loss", golden["losses"], losses, tolerance, "largest difference of a loss")
    sequence(stage, "learning rate", training.learning_rates(recipe), course.rates, 1e-9)
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    sequence(stage, "loss in the Trainer's log", losses, logged, LOGGED)
    got = training.evaluations(trainer)
    for name in ("step", "loss", "accuracy"):
        sequence(
            stage,
            f"evaluation: {name}",
            [entry[name] for entry in golden["evaluations"]],
            [entry[name] for entry in got],
            tolerance if name == "loss" else 0.0,
        )
    stage.fact("accuracy", got[-1]["accuracy"] if got else None)


def compare_resumed(
    stage: Stage, recipe: dict[str, Any], whole: tuple[Any, training.Course], resumed: tuple[Any, training.Course]
) -> None:
    """Hold the end of a resumed run against that of the run which made its checkpoint."""
    (one, first), (two, second) = whole, resumed
    half = recipe["steps"] // 2
    rest = first.losses[half:]
    largest = "largest difference after resuming"
    sequence(stage, "training loss after resuming", rest, second.losses, RESUMED, largest, start=half)
    sequence(stage, "learning rate after resuming", first.rates[half:], second.rates, 1e-9, start=half)
    for place, source in enumerate(("Python's", "NumPy's", "torch's")):
        drawn, again = ([draw[place] for draw in draws] for draws in (first.draws[half:], second.draws))
        sequence(stage, f"{source} random numbers after resuming", drawn, again, 0.0, start=half)
    for what, get in (
        ("parameter", lambda trainer: trainer.model.state_dict()),
        ("state of the optimizer", lambda trainer: trainer.optimizer.state_dict()["state"]),
        ("state of the schedule", lambda trainer: {"last_epoch": trainer.lr_scheduler.state_dict()["last_epoch"]}),
    ):
        was, became = flat(get(one)), flat(get(two))
        if was.keys() != became.keys():
            odd = ", ".join(sorted(was.keys() ^ became.keys())[:3])
            stage.deviates(f"{what} after resuming: not the same parts", expected=str(len(was)), got=odd)
            continue
        differences = {name: apart(was[name], became[name]) for name in was}
        name = max(differences, key=lambda part: differences[part])
        if differences[name] > RESUMED:
            close(stage, f"{what} {name} after resuming", was[name], became[name], RESUMED)


def sequence(
    stage: Stage,
    what: str,
    expected: list[float],
    got: list[float],
    tolerance: float,
    largest: str = "",
    start: int = 0,
) -> None:
    """Note the first value that is not the expected one; ``largest`` is the name of a fact for the difference.

    ``start`` is the number of steps before the first value. A value that is no number differs from everything.
    """
    if len(expected) != len(got):
        stage.deviates(f"{what}: how many", expected=str(len(expected)), got=str(len(got)))
        return
    differences = [abs(a - b) if math.isfinite(b) else math.inf for a, b in zip(expected, got)]
    if largest and differences:
        stage.fact(largest, float(f"{max(differences):.2g}"))
    for place, difference in enumerate(differences):
        if difference > tolerance:
            stage.deviates(
                f"{what} at step {start + place + 1}",
                dtype="float32",
                difference=difference if math.isfinite(difference) else None,
                tolerance=tolerance,
                at=[start + place],
                expected=f"{expected[place]:.8g}",
                got=f"{got[place]:.8g}",
            )
            return


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """The tensors and numbers of nested dicts, by their place: ``3.exp_avg``."""
    if not isinstance(value, dict):
        return {name: value}
    parts: dict[str, Any] = {}
    for key, part in value.items():
        parts.update(flat(part, f"{name}.{key}" if name else str(key)))
    return parts


def apart(one: Any, two: Any) -> float:
    """The largest difference of two tensors or numbers; infinite where one is no number, or the shapes differ."""
    import torch

    first, second = torch.as_tensor(one).double(), torch.as_tensor(two).double()
    if first.shape != second.shape:
        return math.inf
    difference = float((first - second).abs().max()) if first.numel() else 0.0
    return difference if math.isfinite(difference) else math.inf


def look_for_log(stage: Stage, folder: str) -> None:
    """Note if no event file of TensorBoard below ``folder`` holds the loss."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            if "tfevents" in name:
                with open(os.path.join(place, name), "rb") as file:
                    found.append(b"train/loss" in file.read())
    if not any(found):
        got = "an event file without it" if found else "no event file"
        stage.deviates("log for TensorBoard", expected="an event file with train/loss", got=got)
