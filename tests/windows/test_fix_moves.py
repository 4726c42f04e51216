"""Moves and putting away on Windows: the cases run inside it, all in one process."""

from __future__ import annotations

import pytest

from . import cases_moves, inside
from .machine import WindowsMachine

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]


@pytest.fixture(scope="module")
def outcomes(machine: WindowsMachine) -> dict[str, str]:
    return inside.outcomes(machine, cases_moves)


@pytest.mark.parametrize("name", inside.names(cases_moves))
def test_inside_windows(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == ""
