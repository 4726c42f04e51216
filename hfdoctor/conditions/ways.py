"""The alternatives of a remedy, and which of them hfdoctor can do itself.

A person reads the steps of a finding; ``hfdoctor fix`` does them. Both come from one list, so that they cannot drift:
a step's change is the one it names, or the one that its own command (pip's or uv's) spells out.
"""

from __future__ import annotations

from collections.abc import Sequence

from .changes import Change
from .install_commands import change_in
from .model import Remedy, RemedyStep

#: how the first step of an alternative is worded
_OR = ("or, ", "or ")


def ways(steps: Sequence[RemedyStep]) -> list[list[RemedyStep]]:
    """The steps by alternatives: one begins with each step that is worded so."""
    found: list[list[RemedyStep]] = [[]]
    for step in steps:
        if step.text.startswith(_OR) and found[-1]:
            found.append([])
        found[-1].append(step)
    return found


def as_first(text: str) -> str:
    """The words of an alternative where nothing stands before it: without their "or"."""
    return next((text.removeprefix(word) for word in _OR if text.startswith(word)), text)


def change_of(step: RemedyStep) -> Change | None:
    """What the step changes if hfdoctor can do it, else None: it is a person's."""
    if isinstance(step.change, Change):
        return step.change
    return change_in(step.argv) if step.argv and not step.administrator else None


def automatic(way: Sequence[RemedyStep]) -> bool:
    """Whether hfdoctor can do what this alternative needs; steps without a command or a change are shown beside it.

    A command that hfdoctor would have to leave to the person (sudo's, conda's) leaves the whole way to them.
    """
    if any(step.argv and change_of(step) is None for step in way):
        return False
    return any(change_of(step) is not None for step in way)


def fixable(remedy: Remedy | None) -> bool:
    """Whether ``hfdoctor fix`` can do at least one alternative of this remedy by itself."""
    if remedy is None or remedy.fix_class == "print-only":
        return False
    return any(automatic(way) for way in ways(remedy.steps))
