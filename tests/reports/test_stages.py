"""The stages of a run for a person: one line each, and what all of them together have shown."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from hfdoctor.cli.stage_view import StageView
from hfdoctor.conditions.engine import diagnose
from hfdoctor.facts.sections.smoke import StageRun
from hfdoctor.reports import terminal
from hfdoctor.reports.stages import stage_line, worked
from hfdoctor.reports.text import render
from tests import recorded


def plain(text: str, role: str) -> str:
    return text


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (
            StageRun("import", "torch", seconds=1.885, facts={"version": "2.13.0+cpu"}),
            "pass     import torch               1.89 s  2.13.0+cpu",
        ),
        (
            StageRun("train", outcome="skip", because="accelerate is not installed"),
            "skip     train                              accelerate is not installed",
        ),
        (
            StageRun("import", "numpy", "fail", 0.02, error="signal SIGILL", message="x"),
            "fail     import numpy               0.02 s  signal SIGILL",
        ),
        (
            StageRun("model", outcome="fail", seconds=90.0, error="timeout", message="no end"),
            "fail     model                     90.00 s  timeout",
        ),
        (StageRun("save", seconds=0.2), "pass     save                       0.20 s"),
    ],
)
def test_one_line(stage: StageRun, line: str) -> None:
    assert stage_line(stage, 80, plain) == line


def test_a_long_message_is_cut_to_the_width() -> None:
    stage = StageRun("generate", outcome="fail", seconds=1.0, error="ValueError", message="word " * 60)
    for width in (65, 80, 100):
        line = stage_line(stage, width, plain)
        assert len(line) <= width and line.endswith("...") and "\n" not in line


def said(*stages: StageRun) -> str:
    snapshot = recorded.load("smoke-all-passed")
    snapshot.smoke.stages.value = list(stages)
    return worked(diagnose(snapshot))


def test_no_more_is_claimed_than_was_seen() -> None:
    loaded, tokenizer, model = StageRun("import", "torch"), StageRun("tokenizer"), StageRun("model")
    skipped = StageRun("compile", outcome="skip", because="no compiler")
    assert said(loaded) == "seen being imported"
    assert said(loaded, tokenizer) == "seen being imported, the tokenizer working"
    assert said(loaded, tokenizer, model) == "seen working on the processor"
    assert said(loaded, model, skipped) == "seen working on the processor (not run: compile)"
    on_gpu = StageRun("device"), StageRun("device", "cuda:0"), StageRun("device", "cuda:1")
    assert said(loaded, model, *on_gpu) == "seen working on the processor and cuda:0 and cuda:1"
    assert said(loaded, StageRun("model", outcome="fail", error="ValueError", message="x")) == ""
    assert said() == ""


def test_the_report_shows_each_stage_once() -> None:
    report = diagnose(recorded.load("smoke-all-passed"))
    text = render(report)
    assert text.count("import torch") == 1 and "seen working on the processor (not run: device)" in text
    rest = render(report, begun=True)
    assert "import torch" not in rest and not rest.startswith("Inspecting") and rest.startswith("\n")


class Terminal(io.StringIO):
    """Standard error that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_what_runs_is_shown_on_a_terminal_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, lines = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with StageView(lines, lines=True, header=True) as view:
        view.inspects(recorded.load("smoke-all-passed"))
        view.begins("import torch")
        view.ends(StageRun("import", "torch", seconds=1.0))
        view.begins("model")
    assert view.begun
    assert lines.getvalue().splitlines()[0].startswith("Inspecting /home/ana/project")
    assert "pass     import torch" in lines.getvalue() and "running" not in lines.getvalue()
    assert "running import torch" in screen.getvalue() and "running model" in screen.getvalue()
    assert "\x1b[2K" in screen.getvalue(), "the line is taken away again"


def test_in_a_pipe_there_are_plain_lines_alone(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    lines = io.StringIO()
    with StageView(lines, lines=True, ascii_only=True) as view:
        view.begins("import torch")
        view.ends(StageRun("import", "torch", "fail", error="ImportError", message="한국어"))
    assert lines.getvalue() == terminal.to_ascii("fail     import torch               0.00 s  ImportError: 한국어\n")
    assert not capsys.readouterr().err
