"""Walk all facts of a snapshot with their paths, such as ``storage.places[temp].space``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from .fact import Fact


def walk_facts(root: msgspec.Struct, prefix: str = "") -> Iterator[tuple[str, Fact[Any]]]:
    """Yield ``(path, fact)`` for each fact below ``root``, facts inside other facts' values included."""
    for name in root.__struct_fields__:
        value = getattr(root, name)
        if isinstance(value, (Fact, msgspec.Struct, list)):  # nearly all fields are plain: this is the inner loop
            yield from _walk(value, f"{prefix}.{name}" if prefix else name)


def _walk(value: Any, path: str) -> Iterator[tuple[str, Fact[Any]]]:
    if isinstance(value, Fact):
        yield path, value
        if isinstance(value.value, (msgspec.Struct, list)):
            yield from _walk(value.value, path)
    elif isinstance(value, msgspec.Struct):
        yield from walk_facts(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            label = getattr(item, "role", None) or getattr(item, "name", None) or index
            found = list(_walk(item, f"{path}[{label}]"))
            if not found:
                return  # lists are of one type: what the first holds none of, none of them holds
            yield from found
