"""Fills one fact of a section and survives whatever goes wrong on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .fact import Fact, from_error


def observe(section: msgspec.Struct, name: str, read: Callable[[], Fact[Any]], source: str = "") -> None:
    """Set the fact ``name`` of ``section`` to what ``read`` returns, or to the reason why it failed.

    ``source`` is where the fact would have been read, for the reason's sake.
    """
    try:
        fact = read()
    except Exception as error:  # one fact that cannot be read must not cost the others
        fact = from_error(error, source)
    setattr(section, name, fact)
