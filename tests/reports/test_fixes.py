"""How the ways, their prices, their changes and what became of them are worded for a person."""

from __future__ import annotations

import msgspec
import pytest

from hfdoctor.conditions.model import RemedyStep
from hfdoctor.remedies.action import Difference, Needs
from hfdoctor.remedies.outcome import ChoiceLine, Fixed
from hfdoctor.reports.fixes import change_line, choice_lines, outcome_lines, price_of


def way(text: str, *, automatic: bool = True, refused: str = "", needs: Needs | None = None) -> ChoiceLine:
    return ChoiceLine(text, automatic, True, needs or Needs(), [], [], refused)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (Difference("LongPathsEnabled", "not set", "1"), "LongPathsEnabled: not set -> 1"),
        (Difference("run", "", "hf download gpt2"), "run: hf download gpt2"),
        (Difference("run", "mkdir /scratch", ""), "taken back: mkdir /scratch"),
    ],
)
def test_a_change(change: Difference, told: str) -> None:
    assert change_line(change) == told


@pytest.mark.parametrize(
    ("needs", "price"),
    [
        (Needs(), "no administrator needed, can be undone"),
        (Needs(administrator=True), "asks for an administrator, can be undone"),
        (
            Needs(network=True, download_bytes=23_000_000, disk_bytes=65_000_000),
            "no administrator needed, downloads 23 MB, needs 65 MB of disk, can be undone",
        ),
        (Needs(network=True, for_good="hf download gpt2 cannot be undone"), "what is run cannot be undone"),
        (Needs(disk_bytes=-5_000_000_000), "frees 5.0 GB"),
    ],
)
def test_a_price(needs: Needs, price: str) -> None:
    assert price in price_of(way("do it", needs=needs))


def test_by_hand_costs_nothing_that_could_be_told() -> None:
    assert price_of(way("do it", automatic=False)) == "by hand"
    assert price_of(way("do it", refused="there is no network")) == ""


def test_one_step_by_hand_is_said_once() -> None:
    def lines(*steps: RemedyStep) -> list[str]:
        choice = msgspec.structs.replace(way("free some space", automatic=False), by_hand=list(steps))
        return choice_lines(1, choice, 80, windows=False)

    step = RemedyStep("or free some space", [], False, False)
    assert len(lines(step)) == 1
    assert len(lines(step, msgspec.structs.replace(step, text="look again"))) == 3
    assert len(lines(msgspec.structs.replace(step, argv=["du", "-sh"]))) == 3


@pytest.mark.parametrize(("outcome", "told"), [("failed", True), ("not-held", True), ("fixed", False)])
def test_where_one_way_led_nowhere_the_others_are_named(outcome: str, told: bool) -> None:
    choices = [way("fetch it"), way("only move it out"), way("wait", automatic=False), way("pip", refused="no pip")]
    line = Fixed("cache-corrupt", "warning", "a file is damaged", outcome, choices, "no network", 1)  # type: ignore[arg-type]
    lines = outcome_lines(line, 80)
    other = [text.strip() for text in lines if "another way" in text]
    assert other == (["another way: hfdoctor fix cache-corrupt --choice 2: only move it out"] if told else [])
