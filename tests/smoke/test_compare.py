"""How results are held against recorded ones."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest

from hfdoctor.facts.sections.smoke import Deviation
from hfdoctor.smoke.child import compare
from hfdoctor.smoke.child.teller import Stage


class Tensor:
    """What compare needs of one."""

    def __init__(self, lists: Any) -> None:
        self.lists = lists

    def detach(self) -> Tensor:
        return self

    def tolist(self) -> Any:
        return self.lists


@pytest.fixture
def stage() -> Stage:
    return Stage("model", {})


def told(stage: Stage) -> list[Deviation]:
    """The deviations as the parent reads them."""
    return msgspec.convert(json.loads(json.dumps(stage.deviations)), list[Deviation])


def test_equal_numbers_are_no_deviation(stage: Stage) -> None:
    assert compare.close(stage, "x", [[1.0, 2.0]], Tensor([[1.0, 2.0]]), 0.0) == 0.0
    assert told(stage) == []


def test_a_difference_within_tolerance_is_told_but_no_deviation(stage: Stage) -> None:
    assert compare.close(stage, "x", [1.0, 2.0], [1.0, 2.001], 0.01) == pytest.approx(0.001)
    assert told(stage) == []


def test_the_largest_difference_is_named_with_its_place_and_values(stage: Stage) -> None:
    compare.close(stage, "x", [[1.0, 2.0], [3.0, 4.0]], Tensor([[1.5, 2.0], [3.0, 2.0]]), 0.1, "cuda:1", "bfloat16")
    (one,) = told(stage)
    assert one == Deviation("x", "cuda:1", "bfloat16", 2.0, 0.1, [1, 1], "4", "2")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_always_deviates(stage: Stage, bad: float) -> None:
    assert compare.close(stage, "x", [1.0, 2.0], [1.0, bad], 1e9) is None
    (one,) = told(stage)
    assert (one.difference, one.at, one.got) == (None, [1], f"{bad:g}")


@pytest.mark.parametrize("got", [[1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], [], 1.0])
def test_another_shape_deviates(stage: Stage, got: Any) -> None:
    assert compare.close(stage, "x", [1.0, 2.0], got, 1e9) is None
    assert len(told(stage)) == 1


def test_the_first_place_where_ids_differ_is_named(stage: Stage) -> None:
    assert compare.same(stage, "ids", [[1, 2], [3, 4]], ([1, 2], (3, 4)))
    assert not compare.same(stage, "ids", [[1, 2], [3, 4]], [[1, 2], [3, 5]], dtype="int64")
    (one,) = told(stage)
    assert (one.at, one.expected, one.got, one.dtype) == ([1, 1], "4", "5", "int64")


def test_a_list_that_is_too_short_is_shown_whole(stage: Stage) -> None:
    assert not compare.same(stage, "ids", [1, 2, 3], [1, 2])
    (one,) = told(stage)
    assert (one.at, one.expected, one.got) == ([], "[1, 2, 3]", "[1, 2]")


def test_a_long_value_is_cut(stage: Stage) -> None:
    compare.same(stage, "text", "a" * 500, "")
    assert len(told(stage)[0].expected) == 120


def test_a_summary_sees_what_its_columns_do_not() -> None:
    logits = [[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]]
    recorded = compare.summary(logits, [[0, 0], [0, 1]], [0, 2])
    assert recorded["values"] == [[1.0, 3.0], [5.0, 7.0]]
    stage = Stage("model", {})
    assert compare.like_summary(stage, "logits", recorded, Tensor(logits), 0.01) == 0.0
    assert told(stage) == []
    changed = [[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 9.0]]]
    compare.like_summary(stage, "logits", recorded, changed, 0.01)
    (one,) = told(stage)
    assert (one.what, one.at) == ("length of the rows of logits", [0, 1])
    assert one.difference is not None and one.difference > one.tolerance


def test_a_summary_names_the_place_in_the_whole_tensor(stage: Stage) -> None:
    logits = [[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]]
    recorded = compare.summary(logits, [[0, 1]], [0, 2])
    compare.like_summary(stage, "logits", recorded, [[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.5, 8.0]]], 0.01)
    (one,) = told(stage)
    assert (one.what, one.at, one.difference, one.expected, one.got) == ("logits", [0, 1, 2], 0.5, "7", "7.5")


def test_a_summary_of_another_shape_deviates(stage: Stage) -> None:
    recorded = compare.summary([[1.0, 2.0]], [[0]], [0, 1])
    assert compare.like_summary(stage, "logits", recorded, [[1.0, 2.0, 3.0]], 0.01) is None
    assert told(stage)[0].what == "shape of logits"
