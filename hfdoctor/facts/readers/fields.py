"""Lines of the form ``key: value``, whatever stands around the key and wherever the line was broken."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_BULLET = re.compile(r"\s*(?:(?:[-*+\u2022\u25cf\u2013\u2014#>]|\d{1,2}[.)]|\[[ xX]\])\s+){0,3}")
_EMOJI = re.compile(r"[^\w(`\[*\"'/<.-]+")
_MARKS = str.maketrans("", "", "`*\"'")


class Field(NamedTuple):
    """A line with a key: ``key`` is lower-case without marks, ``line`` the whole line."""

    key: str
    value: str
    line: str


def split(line: str) -> Field | None:
    """The key and the value of a line, or None if it has no key."""
    start = _BULLET.match(line)
    rest = line[start.end() if start else 0 :]
    if rest.startswith("|") and rest.count("|") >= 3 and ":" not in rest.partition("|")[2].partition("|")[0]:
        cells = [cell.strip() for cell in rest.strip("| ").split("|")]
        return Field(normal(cells[0]), cells[1].strip("`* "), line) if len(cells) == 2 else None
    key, colon, value = rest.partition(":")
    if not colon or len(key) > 80:
        return None
    # **Key:** value leaves its second pair of stars before the value
    return Field(normal(key), value.strip().removeprefix("**").strip().strip("`").strip(), line)


def normal(key: str) -> str:
    """A key as the tables below have it."""
    key = key.strip()
    lead = _EMOJI.match(key)
    if lead:
        key = key[lead.end() :]
    return " ".join(key.translate(_MARKS).lower().split())


def fields(lines: Sequence[str], keys: Iterable[str]) -> list[Field]:
    """All lines as fields (those without a key have the key ""); known ones whose line was broken are put together.

    ``keys`` are the keys that any reader knows: a line that begins with none of them goes on with the one before it,
    where that one is known and long enough to have been wrapped, or has brackets that are still open.
    """
    known = frozenset(keys)
    first_words = {key.split()[0] for key in known}
    done: list[Field] = []
    pending = ""  # the first words of a key whose rest stands on the next line
    for line in lines:
        field = split(line)
        if pending:
            joined = split(f"{pending} {line.strip()}")
            if joined and joined.key in known:
                done[-1] = joined
                pending = ""
                continue
            pending = ""
        if field and field.key in known:
            done.append(field)
            continue
        if done and _continues(done[-1], line, known):
            last = done[-1]
            done[-1] = Field(last.key, f"{last.value} {line.strip()}", f"{last.line} {line.strip()}")
            continue
        done.append(field or Field("", line.strip(), line))
        words = normal(line).split()
        if ":" not in line and 0 < len(words) <= 5 and words[0] in first_words:
            pending = line.strip()
    return done


def _continues(last: Field, line: str, known: frozenset[str]) -> bool:
    text = line.strip()
    if (
        (last.key not in known and not last.key.startswith("gpu "))
        or not text
        or not last.value
        or len(last.value) > 600
    ):
        return False
    if text.startswith(("[pip", "[conda", "GPU ", "MIG ", "|", "+", "=", "#", "-", "*", ">>>", "/")) or "==" in text:
        return False
    value = last.value
    if value.count("(") > value.count(")") or value.count("[") > value.count("]"):
        return True
    # broken by a mail program: the line before was near its margin, and this one is no line of its own
    head = text.split()[0]
    return 55 <= len(last.line.rstrip()) <= 100 and ":" not in head and len(text) < 60 and split(line) is None
