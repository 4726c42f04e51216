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
            if not isinstance(item, msgspec.Struct) or not _has_facts(item):
                return  # lists are of one type: hundreds of distributions need not be gone through
            label = getattr(item, "role", None) or getattr(item, "name", None) or index
            yield from _walk(item, f"{path}[{label}]")


def _has_facts(item: msgspec.Struct) -> bool:
    return any(isinstance(getattr(item, name), Fact) for name in item.__struct_fields__)


def path_of(root: msgspec.Struct, fact: Fact[Any]) -> str:
    """Return the path of ``fact`` (the very object) below ``root``, or ``""`` if it is not there."""
    for path, found in walk_facts(root):
        if found is fact:
            return path
    return ""
