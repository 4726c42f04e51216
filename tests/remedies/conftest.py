"""What tests of all kinds of changes may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .small_machine import SmallMachine
from .volumes_made import second_volume


@pytest.fixture
def machine(tmp_path: Path) -> SmallMachine:
    """A home with three things to fix; the tests of the hub's fixes have a machine of their own instead."""
    found = SmallMachine(tmp_path / "home")
    found.make()
    return found


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """A folder on another volume than ``tmp_path``."""
    with second_volume(tmp_path) as folder:
        yield folder
