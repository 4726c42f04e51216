"""A person's environment variables on a real registry: the cases run inside Windows, all in one process."""

from __future__ import annotations

import pytest

from . import cases_variables, inside
from .machine import WindowsMachine

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]


@pytest.fixture(scope="module")
def outcomes(machine: WindowsMachine) -> dict[str, str]:
    # without a screen Wine makes windows, which hear of changes, only with this driver
    with (machine.prefix / "user.reg").open("a") as registry:
        registry.write('\n[Software\\\\Wine\\\\Drivers] 1\n"Graphics"="null"\n')
    return inside.outcomes(machine, cases_variables)


@pytest.mark.parametrize("name", inside.names(cases_variables))
def test_inside_windows(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] == ""
