"""Which fixes stand on the same things: the one that was made last has to go first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .action import Action


def shared(first: Sequence[Action], second: Sequence[Action]) -> str:
    """Something that both change, "" if there is none; a folder is shared with all that is in it."""
    others = [os.path.normcase(what) for action in second for what in action.stands_on()]
    for what in (what for action in first for what in action.stands_on()):
        one = os.path.normcase(what)
        if any(_within(one, other) or _within(other, one) for other in others):
            return what
    return ""


def _within(inner: str, outer: str) -> bool:
    """Whether ``inner`` is ``outer`` or, if that is a path, something below it."""
    return inner == outer or (inner.startswith(outer.rstrip(os.sep) + os.sep) and Path(outer).is_absolute())
