"""The stages of a smoke run for a person: one line each, as they end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..conditions.model import Report
from ..facts.sections.smoke import StageRun

Paint = Callable[[str, str], str]

#: columns of the outcome and of the stage's name
OUTCOME, NAME = 9, 24
#: facts that are worth a word behind the time of a stage that passed, and how they are said
SHOWN = (
    ("version", "{}"),
    ("largest_difference", "within {:.1e}"),
    ("loss", "loss {}"),
    ("devices", "{}"),
    ("class", "{}"),
    ("tokens_per_second", "{:.0f} tokens/s"),
    ("endpoint", "from {}"),
    ("note", "{}"),
)


def stage_line(stage: StageRun, width: int, paint: Paint) -> str:
    """``pass     import torch              1.88 s  2.13.0``, at most ``width`` columns."""
    seconds = f"{stage.seconds:7.2f} s" if stage.outcome != "skip" else " " * 9
    line = f"{stage.outcome.ljust(OUTCOME)}{stage.key.ljust(NAME)}{seconds}"
    rest = _rest(stage)
    if rest:
        room = max(20, width - len(line) - 2)
        line += "  " + (rest if len(rest) <= room else rest[: room - 3].rstrip() + "...")
    painted = paint(stage.outcome, "error" if stage.outcome == "fail" else stage.outcome)
    return (painted + line[len(stage.outcome) :]).rstrip()


def _rest(stage: StageRun) -> str:
    if stage.outcome == "skip":
        return stage.because
    if stage.outcome == "fail":
        return stage.error if stage.error.startswith(("signal", "exit")) or not stage.message else _one_line(stage)
    said = [form.format(value) for name, form in SHOWN if (value := stage.facts.get(name)) not in (None, "")]
    return ", ".join(said)


def _one_line(stage: StageRun) -> str:
    if stage.error in ("wrong result", "not installed", "timeout"):
        return stage.error
    return f"{stage.error}: {' '.join(stage.message.split())}"


def stage_lines(stages: Sequence[StageRun], width: int, paint: Paint) -> list[str]:
    """One line a stage."""
    return [stage_line(stage, width, paint) for stage in stages]


def worked(report: Report) -> str:
    """What the run as a whole has shown, where every stage that was reached passed; "" otherwise."""
    stages = report.stages
    if not isinstance(stages, list) or any(stage.outcome == "fail" for stage in stages):
        return ""
    done = [stage.name for stage in stages if stage.outcome == "pass"]
    if not done or any(finding.outcome == "fail" and finding.severity == "error" for finding in report.findings):
        return ""
    if set(done) <= {"import"}:
        words = "seen being imported"
    elif set(done) <= {"import", "tokenizer"}:
        words = "seen being imported, the tokenizer working"
    else:
        devices = [stage.subject for stage in stages if stage.name == "device" and stage.outcome == "pass"]
        words = "seen working on " + " and ".join(dict.fromkeys(["the processor", *filter(None, devices)]))
    left_out = [stage.key for stage in stages if stage.outcome == "skip"]
    return words + (f" (not run: {', '.join(left_out)})" if left_out else "")
