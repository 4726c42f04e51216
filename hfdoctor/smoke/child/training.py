"""One training run with ``transformers.Trainer``: the same steps in every version of the library."""

from __future__ import annotations

import dataclasses
import random

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Course:
    """What a training run went through, step by step."""

    def __init__(self) -> None:
        #: the loss of each batch, unrounded
        self.losses: list[float] = []
        #: the learning rate that each step was taken with
        self.rates: list[float] = []
        #: a number drawn from each global random state (Python, NumPy, torch) before each step
        self.draws: list[tuple[float, float, float]] = []


def learning_rates(recipe: dict[str, Any]) -> list[float]:
    """The rate of each step: up to its peak in a straight line, and down to 0 in another."""
    steps, warmup, peak = recipe["steps"], recipe["warmup_steps"], recipe["learning_rate"]
    return [
        peak * (step / warmup if step < warmup else (steps - step) / (steps - warmup)) for step in range(int(steps))
    ]


def examples(rows: Iterable[list[Any]], pad: int) -> list[dict[str, Any]]:
    """Rows of a label and token ids as a Trainer takes them, padded to one length."""
    import torch

    rows = list(rows)
    longest = max(len(ids) for _label, ids in rows)
    return [
        {
            "input_ids": torch.tensor(ids + [pad] * (longest - len(ids))),
            "attention_mask": torch.tensor([1] * len(ids) + [0] * (longest - len(ids))),
            "labels": torch.tensor(label),
        }
        for label, ids in rows
    ]


def arguments(recipe: dict[str, Any], folder: str, report_to: list[str]) -> Any:
    """TrainingArguments on the CPU with nothing outside ``folder``; what a version calls its fields is looked up."""
    from transformers import TrainingArguments

    fields = {field.name for field in dataclasses.fields(TrainingArguments)}
    half = recipe["steps"] // 2
    values: dict[str, Any] = {
        "output_dir": folder,
        "max_steps": recipe["steps"],
        "per_device_train_batch_size": recipe["batch_size"],
        "per_device_eval_batch_size": recipe["batch_size"],
        "optim": "adamw_torch",
        "learning_rate": recipe["learning_rate"],
        "weight_decay": recipe["weight_decay"],
        "adam_epsilon": recipe["adam_epsilon"],
        "lr_scheduler_type": "linear",
        "warmup_steps": recipe["warmup_steps"],
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": half,
        "eval_steps": half,
        "seed": recipe["seed"],
        # wandb, mlflow and their like belong to the person's own runs
        "report_to": report_to or "none",
        "disable_tqdm": True,
        # a pinned page would start CUDA, and this stage is about the CPU
        "dataloader_pin_memory": False,
        "push_to_hub": False,
        "eval_strategy" if "eval_strategy" in fields else "evaluation_strategy": "steps",
        "use_cpu" if "use_cpu" in fields else "no_cuda": True,
    }
    return TrainingArguments(**values)


def accuracy(prediction: Any) -> dict[str, float]:
    """The share of right answers, as ``compute_metrics`` of a Trainer."""
    answers = prediction.predictions.argmax(-1)
    return {"accuracy": float((answers == prediction.label_ids).mean())}


def make_trainer(
    model: Any,
    recipe: dict[str, Any],
    folder: str,
    report_to: list[str] | None = None,
) -> tuple[Any, Course]:
    """A Trainer for ``recipe`` (see golden_training.json) and the course that it will fill.

    The examples come in their order in every epoch: how they are shuffled differs from version to version.
    """
    import numpy
    import torch
    from transformers import PrinterCallback, Trainer, TrainerCallback

    course = Course()

    class InOrder(Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def training_step(self, *words: Any, **named: Any) -> Any:
            loss = super().training_step(*words, **named)
            course.losses.append(float(loss))
            return loss

    class Watch(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **named: Any) -> None:
            course.rates.append(float(named["optimizer"].param_groups[0]["lr"]))
            course.draws.append((random.random(), float(numpy.random.random()), float(torch.rand(()))))

    pad = model.config.pad_token_id or 0
    trainer = InOrder(
        model=model,
        args=arguments(recipe, folder, report_to or []),
        train_dataset=examples(recipe["train"], pad),
        eval_dataset=examples(recipe["evaluate"], pad),
        compute_metrics=accuracy,
        callbacks=[Watch()],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, course


def evaluations(trainer: Any) -> list[dict[str, float]]:
    """Step, loss and accuracy of each evaluation, from the Trainer's own log."""
    return [
        {"step": entry["step"], "loss": entry["eval_loss"], "accuracy": entry["eval_accuracy"]}
        for entry in trainer.state.log_history
        if "eval_loss" in entry
    ]
