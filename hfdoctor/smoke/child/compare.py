"""Holds results against recorded ones: how far apart, where, and whether that is too far.

Everything is compared in plain Python numbers, so that neither a device nor a kernel has a part in the comparison.
"""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from .teller import Stage


def as_lists(values: Any) -> Any:
    """Nested lists of plain numbers; a tensor or an array of any device and type is brought over first."""
    if hasattr(values, "detach"):
        values = values.detach()
    return values.tolist() if hasattr(values, "tolist") else values


def shape_of(lists: Any) -> list[int]:
    """The lengths of nested lists, outermost first; the first of each is taken for all."""
    shape = []
    while isinstance(lists, (list, tuple)):
        shape.append(len(lists))
        if not lists:
            break
        lists = lists[0]
    return shape


def numbers(lists: Any, place: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Each innermost value with its index."""
    if isinstance(lists, (list, tuple)):
        for number, part in enumerate(lists):
            yield from numbers(part, (*place, number))
    else:
        yield place, lists


def same(stage: Stage, what: str, expected: Any, got: Any, device: str = "cpu", dtype: str = "") -> bool:
    """Whether ``got`` is exactly ``expected`` (token ids, text, a truth); notes a deviation with the first place."""
    expected, got = as_plain(expected), as_plain(got)
    if expected == got:
        return True
    place: list[int] = []
    while (
        isinstance(expected, list)
        and isinstance(got, list)
        and (found := next((n for n, (a, b) in enumerate(zip(expected, got)) if a != b), None)) is not None
    ):
        place.append(found)
        expected, got = expected[found], got[found]
    stage.deviates(what, device=device, dtype=dtype, at=place, expected=short(expected), got=short(got))
    return False


def close(
    stage: Stage, what: str, expected: Any, got: Any, tolerance: float, device: str = "cpu", dtype: str = "float32"
) -> float | None:
    """Compare numbers one by one; notes a deviation where one is further off than ``tolerance``.

    ``expected`` and ``got`` are tensors, arrays, nested lists or single numbers of the same shape. Returns the largest
    difference, None where there is none to tell: another shape, or not a finite number.
    """
    expected, got = as_lists(expected), as_lists(got)
    return _closest(stage, what, list(numbers(expected)), list(numbers(got)), tolerance, device, dtype)


def _closest(
    stage: Stage,
    what: str,
    expected: Sequence[tuple[tuple[int, ...], Any]],
    got: Sequence[tuple[tuple[int, ...], Any]],
    tolerance: float,
    device: str,
    dtype: str,
) -> float | None:
    if [place for place, _ in expected] != [place for place, _ in got]:
        counts = f"{len(expected)} numbers", f"{len(got)} numbers, or another shape"
        stage.deviates(what, device=device, dtype=dtype, expected=counts[0], got=counts[1])
        return None
    largest, worst = 0.0, None
    for (place, want), (_, have) in zip(expected, got):
        off = abs(have - want)
        if not off < math.inf:  # neither NaN nor infinity is in order anywhere
            about = {"expected": short(want), "got": short(have), "at": list(place)}
            stage.deviates(what, device=device, dtype=dtype, tolerance=tolerance, **about)
            return None
        if off > largest:
            largest, worst = off, (place, want, have)
    if worst is not None and largest > tolerance:
        place, want, have = worst
        about = {"expected": short(want), "got": short(have), "at": list(place)}
        stage.deviates(what, device=device, dtype=dtype, difference=largest, tolerance=tolerance, **about)
    return largest


def summary(logits: Any, rows: Sequence[Sequence[int]], columns: Sequence[int]) -> dict[str, Any]:
    """What is recorded of a large tensor: of the named rows their lengths (Euclid's) and the named columns.

    ``rows`` are indices into all dimensions but the last. The lengths see a change in any column.
    """
    lists = as_lists(logits)
    chosen = [_row(lists, row) for row in rows]
    return {
        "shape": shape_of(lists),
        "rows": [list(row) for row in rows],
        "columns": list(columns),
        "values": [[row[column] for column in columns] for row in chosen],
        "lengths": [math.sqrt(sum(value * value for value in row)) for row in chosen],
    }


def like_summary(
    stage: Stage,
    what: str,
    recorded: dict[str, Any],
    logits: Any,
    tolerance: float,
    device: str = "cpu",
    dtype: str = "float32",
) -> float | None:
    """Compare a tensor with its recorded summary; notes deviations. Returns the largest difference of a number.

    The lengths may differ by what they differ at most when every number of the row is within ``tolerance``.
    """
    lists = as_lists(logits)
    if not same(stage, f"shape of {what}", recorded["shape"], shape_of(lists), device, dtype):
        return None
    got = summary(lists, recorded["rows"], recorded["columns"])
    places = [(*row, column) for row in recorded["rows"] for column in recorded["columns"]]
    expected = [value for row in recorded["values"] for value in row]
    values = [value for row in got["values"] for value in row]
    largest = _closest(stage, what, list(zip(places, expected)), list(zip(places, values)), tolerance, device, dtype)
    if largest is None or largest > tolerance:
        return largest  # said already; the lengths would say it again
    rows = [tuple(row) for row in recorded["rows"]]
    wider = tolerance * math.sqrt(recorded["shape"][-1])
    lengths = list(zip(rows, recorded["lengths"])), list(zip(rows, got["lengths"]))
    _closest(stage, f"length of the rows of {what}", *lengths, wider, device, dtype)
    return largest


def _row(lists: Any, place: Sequence[int]) -> list[float]:
    for number in place:
        lists = lists[number]
    return list(lists)


def as_plain(value: Any) -> Any:
    """Tuples as lists, tensors as lists: what JSON would make of them."""
    value = as_lists(value)
    return [as_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def short(value: Any, longest: int = 120) -> str:
    """A value as a person reads it in a report."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = repr(value)
    return text if len(text) <= longest else text[: longest - 3] + "..."
