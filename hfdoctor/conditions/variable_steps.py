"""Steps that set an environment variable or take it away, the same in words for all conditions."""

from __future__ import annotations

from collections.abc import Mapping

from ..facts.redaction import MASK
from .changes import VariableChange
from .model import Plain, Step

#: the templates of these steps; a condition that has such a step takes them into its words
WORDS: Mapping[str, str] = {
    "set_variable": "set {name} to [{wanted}]",
    "or_set_variable": "or set {name} to [{wanted}]",
    "unset_variable": "unset {name}",
    "or_unset_variable": "or unset {name}",
}


def set_variable(name: str, value: str, says: str = "set_variable", **fields: Plain) -> Step:
    """The step that gives the variable a value for good. One with masked credentials in it is a person's to type."""
    change = None if MASK in value else VariableChange(name, value)
    return Step(says=says, fields={**fields, "name": name, "wanted": value}, change=change)


def unset_variable(name: str, says: str = "unset_variable", **fields: Plain) -> Step:
    """The step that takes the variable away for good."""
    return Step(says=says, fields={**fields, "name": name}, change=VariableChange(name))
