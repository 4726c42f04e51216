"""What tests of all kinds of changes may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .volumes_made import second_volume


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Path]:
    """A folder on another volume than ``tmp_path``."""
    with second_volume(tmp_path) as folder:
        yield folder
