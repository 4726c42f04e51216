"""One elevation for all that needs an administrator: the cases run inside Windows, all in one process."""

from __future__ import annotations

import pytest

from . import cases_elevation, inside
from .machine import WindowsMachine

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]


@pytest.fixture(scope="module")
def outcomes(machine: WindowsMachine) -> dict[str, str]:
    return inside.outcomes(machine, cases_elevation)


@pytest.mark.parametrize("name", inside.names(cases_elevation))
def test_inside_windows(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == ""
