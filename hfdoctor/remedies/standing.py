"""Which fixes stand on the same things: the one that was made last has to go first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .action import Action


def shared(first: Sequence[Action], second: Sequence[Action]) -> str:
    """Something that both change, "" if there is none; a folder is shared with all that is in it."""
    for one in (what for action in first for what in action.stands_on()):
        for other in (what for action in second for what in action.stands_on()):
            if _within(one, other) or _within(other, one):
                return one
    return ""


def _within(inner: str, outer: str) -> bool:
    inner, outer = os.path.normcase(inner), os.path.normcase(outer)
    return inner == outer or (Path(outer).is_absolute() and inner.startswith(outer.rstrip(os.sep) + os.sep))
