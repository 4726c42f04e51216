"""Which facts of a snapshot a piece of code reads: what it does not read cannot change what it answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from hfdoctor.facts.fact import Fact


class _Noted:
    """Stands in for a field of Fact: notes whose it is whenever it is read."""

    def __init__(self, field: Any, read: set[int]) -> None:
        self.field = field
        self.read = read

    def __get__(self, fact: Fact[Any] | None, owner: type) -> Any:
        if fact is None:
            return self
        self.read.add(id(fact))
        return self.field.__get__(fact, owner)

    def __set__(self, fact: Fact[Any], value: Any) -> None:
        self.field.__set__(fact, value)


@contextlib.contextmanager
def noting_reads() -> Iterator[set[int]]:
    """Yields the ids of the facts that were read since; clear it between two pieces of code.

    A fact that is only compared or encoded as a whole is not noted: that goes past the fields.
    """
    read: set[int] = set()
    fields = {name: Fact.__dict__[name] for name in Fact.__struct_fields__}
    try:
        for name, field in fields.items():
            setattr(Fact, name, _Noted(field, read))
        yield read
    finally:
        for name, field in fields.items():
            setattr(Fact, name, field)
