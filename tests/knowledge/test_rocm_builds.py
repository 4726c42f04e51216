"""The table of the gfx targets in PyTorch's ROCm wheels."""

from __future__ import annotations

import itertools
import re

from hfdoctor.knowledge.rocm_builds import load_rocm_builds, newest_for, targets_of_rocm


def test_rows_do_not_overlap_and_go_from_new_to_old() -> None:
    rows = load_rocm_builds()
    spans = [tuple(float(end) for end in (row.since, row.until)) for row in rows]
    assert all(since <= until for since, until in spans)
    assert all(newer[0] > older[1] for newer, older in itertools.pairwise(spans))
    assert all(re.fullmatch(r"gfx[0-9a-f]{3,4}", target) for row in rows for target in row.targets)


def test_look_up() -> None:
    assert "gfx942" in (targets_of_rocm("6.4.2") or ())
    assert "gfx950" not in (targets_of_rocm("6.4") or ())
    assert targets_of_rocm("5.2") is None and targets_of_rocm("99.0") is None
    newest = newest_for("gfx942:sramecc+:xnack-")
    assert newest is not None and newest == load_rocm_builds()[0]
    assert newest_for("gfx1031") is None
