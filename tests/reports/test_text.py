"""The report for a person."""

from __future__ import annotations

import functools

import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Goal, Report, State
from hfdoctor.reports.commands import command_line
from hfdoctor.reports.text import count_line, render, state_line
from tests import recorded


@functools.cache
def report_of(name: str) -> Report:
    return diagnose(recorded.load(name))


def test_healthy_is_three_lines() -> None:
    text = render(diagnose(recorded.build("linux")))
    assert text.count("\n") == 3, text
    assert text.startswith("Inspecting ")
    assert "No findings." in text


def test_a_finding_has_summary_evidence_and_next() -> None:
    text = render(report_of("shared-memory-tiny"))
    assert "warning  shared-memory" in text
    assert "8 MiB" in text
    assert "next: " in text


def test_sentences_fit_the_width() -> None:
    """Only the first and the last lines, and lines that are one unbreakable word or a command, may be longer.

    The stages of a run are a table of their own, which takes 65 columns.
    """
    for name in recorded.names():
        report = report_of(name)
        for width in (40, 60, 80) if not report.stages else (65, 80):
            for line in render(report, width=width).splitlines()[1:-2]:
                words = line.split()
                command = any(label in line for label in ("next: ", "run: ", "then: "))
                fits = len(line) <= width or len(words) <= 2 or max(map(len, words)) > width - 20
                assert command or fits, line


def test_colour_only_repeats_words() -> None:
    report = report_of("shared-memory-tiny")
    painted = render(report, paint=lambda text, role: f"<{role}>{text}</{role}>")
    import re

    assert re.sub(r"</?[a-z]+>", "", painted) == render(report)


def test_every_machine_in_every_code_page() -> None:
    for name in recorded.names():
        report = report_of(name)
        for verbose in (False, True):
            text = render(report, verbose=verbose)
            for encoding in ("cp1252", "cp949", "ascii", "utf-8"):
                text.encode(encoding, "backslashreplace")


def test_verbose_lists_every_condition() -> None:
    report = report_of("shared-memory-tiny")
    text = render(report, verbose=True)
    assert all(finding.condition in text for finding in report.findings)


@pytest.mark.parametrize(
    ("installed", "because", "says"),
    [
        (
            {"transformers": "5", "torch": "2"},
            None,
            "transformers 5 and torch 2: nothing found that stops them, as far as could be told.",
        ),
        ({"transformers": None, "torch": None}, [], "Nothing installed yet: ready for transformers and torch."),
        (
            {"transformers": None, "torch": None},
            ["disk-full"],
            "Nothing installed yet: not ready, because of disk-full.",
        ),
        ({"transformers": "5", "torch": None}, [], "transformers 5 installed, torch not yet: ready for torch."),
        ({"transformers": "5", "torch": "2"}, [], "transformers 5 and torch 2: nothing found that stops them."),
        ({"transformers": "5", "torch": "2"}, ["a", "a"], "transformers 5 and torch 2: not ready, because of a."),
        (None, [], "What is installed could not be told."),
    ],
)
def test_state(installed: dict[str, str | None] | None, because: list[str] | None, says: str) -> None:
    ready = None if because is None else not because
    report = Report("", "", None, Goal(), State(installed, ready, because or []), [], {}, 0, 0)  # type: ignore[arg-type]
    assert state_line(report) == says


def test_count_line_names_the_unknown() -> None:
    line = count_line(report_of("shared-memory-unreadable"))
    assert "could not be told (shared-memory" in line


def test_commands_are_quoted_for_their_shell() -> None:
    argv = ["C:\\Users\\김 철수\\python.exe", "-m", "pip", "install", "torch>=2.6"]
    assert command_line(argv, windows=True) == '"C:\\Users\\김 철수\\python.exe" -m pip install "torch>=2.6"'
    assert command_line(["/a b/python", "torch>=2.6"], windows=False) == "'/a b/python' 'torch>=2.6'"


def test_a_way_to_a_cure_is_shown_whole() -> None:
    """Taking a package away is no cure without the command that brings the right one."""
    text = render(report_of("torch-cpu-build-windows"))
    away, back = text.index(" -m pip uninstall -y torch"), text.index(" -m pip install ")
    assert "--index-url https://download.pytorch.org/whl/cu" in text[back:]
    assert away < back
    assert "next: " in text[:away] and "then: " in text[away:back]


def test_an_alternative_that_comes_first_is_none() -> None:
    """Where a policy of the organisation keeps the first way shut."""
    text = render(report_of("windows-long-path-policy"))
    assert "without an administrator, make an environment" in text
    assert "or, without" not in text


def test_an_alternative_is_shown_where_the_first_way_has_no_command() -> None:
    text = render(report_of("driver-too-old-470"), width=80)
    driver, other = text.index("install a newer driver"), text.index("or keep the driver")
    assert driver < other < text.index("run: ") < text.index("then: ")
