"""One elevation for all that needs an administrator: the cases run inside Windows."""

from __future__ import annotations

import pytest

from . import cases_elevated_child, cases_elevation, inside
from .machine import WindowsMachine

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]

MODULES = (cases_elevation, cases_elevated_child)


@pytest.fixture(scope="module")
def outcomes(machine: WindowsMachine) -> dict[str, str]:
    return {name: trace for module in MODULES for name, trace in inside.outcomes(machine, module).items()}


@pytest.mark.parametrize("name", [name for module in MODULES for name in inside.names(module)])
def test_inside_windows(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == ""
