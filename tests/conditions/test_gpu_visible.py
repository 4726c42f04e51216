"""CUDA_VISIBLE_DEVICES by CUDA's rules, whatever is written in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdoctor.conditions.visible_devices import visible

UUIDS = ["GPU-5c2d8f0e-3b1a-4c57-9a43-0c5d7e1f2a61", "GPU-5c2d9999-0000-4c57-9a43-0c5d7e1f2a61"]


@pytest.mark.parametrize(
    ("value", "left", "trouble"),
    [
        ("0", 1, ""),
        ("1,0", 2, ""),
        (" 0 , 1 ", 2, ""),
        ("0,", 1, ""),
        ("0,-1,1", 1, ""),
        ("0,7", 1, ""),
        ("0abc", 1, ""),
        ("", 0, "empty"),
        ("  ", 0, "empty"),
        ("-1", 0, "minus-one"),
        ("-1,0", 0, "minus-one"),
        ("2", 0, "out-of-range"),
        ("cuda:0", 0, "nonsense"),
        ('"0"', 0, "nonsense"),
        ("all", 0, "nonsense"),
        ("NoDevFiles", 0, "none"),
        ("0,0", 0, "twice"),
        (UUIDS[0], 1, ""),
        ("GPU-5c2d8", 1, ""),
        ("GPU-5c2d", 0, "unknown-uuid"),  # two begin so
        ("GPU-ffff", 0, "unknown-uuid"),
    ],
)
def test_what_is_left(value: str, left: int, trouble: str) -> None:
    found = visible(value, 2, UUIDS)
    assert (found.count_seen, found.trouble) == (left, trouble)


def test_what_cannot_be_told() -> None:
    assert visible("GPU-ffff", 2, UUIDS[:1]).count_seen is None
    assert visible("GPU-ffff", None).count_seen is None
    assert visible("MIG-1234", 2, UUIDS).count_seen is None
    assert visible("MIG-1234", 1, UUIDS[:1], mig=True).count_seen == 1
    assert visible("5", None).count_seen == 1
    assert visible("3", 1, mig=True).count_seen == 1


@given(st.lists(st.integers(0, 5), unique=True, min_size=1), st.integers(1, 6))
def test_numbers_end_at_the_first_that_is_not_there(chosen: list[int], count: int) -> None:
    first = next((place for place, number in enumerate(chosen) if number >= count), len(chosen))
    assert visible(",".join(map(str, chosen)), count).count_seen == first


@given(st.text(max_size=30), st.one_of(st.none(), st.integers(0, 9)), st.booleans())
def test_any_text_has_an_answer(value: str, count: int | None, mig: bool) -> None:
    found = visible(value, count, UUIDS, mig=mig)
    assert bool(found.trouble) == (found.count_seen == 0)
