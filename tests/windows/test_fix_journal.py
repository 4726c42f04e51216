"""The journal and the engine on Windows: the cases run inside it, all in one process."""

from __future__ import annotations

import pytest

from . import cases_journal, inside
from .machine import WindowsMachine

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]


@pytest.fixture(scope="module")
def outcomes(machine: WindowsMachine) -> dict[str, str]:
    return inside.outcomes(machine, cases_journal)


@pytest.mark.parametrize("name", inside.names(cases_journal))
def test_inside_windows(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == ""
