"""The one reader of the packaged knowledge tables.

A table is a JSON file beside this module: ``{"table": NAME, "as_of": DATE, "rows": [...]}``. It is read and checked
against its Struct on first use and kept for the life of the process. Fields that this version does not know are
ignored, so that a newer table stays readable; a row that lacks a field, or has one of the wrong type, makes the whole
table unreadable: half a table would turn "not known" into "known not to be".
"""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class KnowledgeError(RuntimeError):
    """A packaged table is missing or damaged. Always a fault of hfdoctor's own installation, never of the machine."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What every row carries: when it was true, and where it was read."""

    as_of: datetime.date
    source: str


class _Table(msgspec.Struct, Generic[T], frozen=True):
    table: str
    rows: tuple[T, ...]


@cache
def load_table(name: str, row_type: Any) -> tuple[Any, ...]:
    """Return the rows of the table ``name`` as Structs of ``row_type``, read once in a process.

    Raises KnowledgeError when the file is missing, is not JSON, does not fit the row type, or names another table.
    """
    return read_table(Path(__file__).with_name(f"{name}.json"), name, row_type)


def read_table(file: Path, name: str, row_type: Any) -> tuple[Any, ...]:
    """Read one table file without the cache; raises KnowledgeError as load_table does."""
    try:
        table = msgspec.json.decode(file.read_bytes(), type=_Table[row_type])
    except OSError as error:
        raise KnowledgeError(f"hfdoctor's own table {file.name} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise KnowledgeError(f"hfdoctor's own table {file.name} is damaged: {error}") from error
    if table.table != name:
        raise KnowledgeError(f"hfdoctor's own table {file.name} is damaged: it holds the table {table.table!r}")
    return table.rows
