"""Which CUDA a version of PTX came with."""

from __future__ import annotations

import doctest

from hfdoctor.knowledge import ptx
from hfdoctor.knowledge.ptx import cuda_of_ptx, load_ptx_isa


def test_examples_in_the_docstrings() -> None:
    tried = doctest.testmod(ptx)
    assert tried.attempted == 1 and tried.failed == 0


def test_both_columns_rise_together_and_no_version_stands_twice() -> None:
    rows = load_ptx_isa()
    pairs = [tuple(tuple(map(int, part.split("."))) for part in (row.isa, row.cuda)) for row in rows]
    assert pairs == sorted(pairs)
    assert len({isa for isa, _ in pairs}) == len({cuda for _, cuda in pairs}) == len(pairs) > 20


def test_from_cuda_11_to_12_4_both_have_the_same_minor_version() -> None:
    for minor in range(9):
        assert cuda_of_ptx(f"7.{minor}") == f"11.{minor}"
    for minor in range(5):
        assert cuda_of_ptx(f"8.{minor}") == f"12.{minor}"


def test_what_is_newer_than_the_table_is_not_known() -> None:
    assert cuda_of_ptx("10.0") is None
    assert cuda_of_ptx("") is None
