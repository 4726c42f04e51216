"""What transformers checks of the installed versions whenever it is imported, by the installed transformers' own files.

Its ``dependency_versions_check.py`` compares plain versions, not as pip does: ``<3.0`` admits 3.0.0rc1 there, and a
local part counts. An import fails exactly where that comparison does.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping

import msgspec

from ..facts.snapshot import Snapshot
from ..knowledge.versions import order
from .closure import damaged_names
from .requirement_lines import normalised

#: looked at only where they are new enough to be used at all: too old a one switches features off, not the import
NOT_AT_IMPORT = frozenset({"accelerate", "peft"})
#: looked at only where they are installed
OPTIONAL = frozenset({"tokenizers"})

_REQUIREMENT = r"^([^!=<>\s]+)\s*(.*)$"
_BOUND = r"^\s*([!=<>]{1,2})\s*(.+)$"
_OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


class ImportCheck(msgspec.Struct, frozen=True):
    """One row of the installed transformers' table that the installed version does not pass."""

    name: str
    specifier: str
    installed: str | None
    #: True: ``import transformers`` raises; False: only what leans on the package is switched off or raises
    stops_import: bool


def failing_checks(s: Snapshot) -> list[ImportCheck]:
    """The checks that fail, in the order in which transformers makes them; none where its table is not known.

    Raises FactMissing if the distributions are not known.
    """
    needs = s.packages.transformers_needs.maybe()
    installed = {entry.name: entry.version for entry in s.packages.installed().values() if not entry.problem}
    broken = damaged_names(s)
    if needs is None or "transformers" not in installed or installed["transformers"] != needs.version:
        return []
    found = []
    rows = {normalised(key.partition("[")[0]): text for key, text in needs.table.items()}
    at_import = [normalised(name) for name in needs.checked_at_import]
    for name in dict.fromkeys([*at_import, *sorted(NOT_AT_IMPORT)]):
        requirement = re.match(_REQUIREMENT, rows.get(name, ""))
        version = installed.get(name)
        if name == "python" or requirement is None or (version is None and name in broken):
            continue
        if version is None and (name in OPTIONAL or name in NOT_AT_IMPORT):
            continue
        if version is None or passes(version, requirement[2]) is False:
            found.append(ImportCheck(name, requirement[2], version, name not in NOT_AT_IMPORT))
    return found


def passes(version: str, bounds: str) -> bool | None:
    """What transformers' own comparison says of ``version``; None where it cannot be told."""
    try:
        for op, bound in _last_bounds(bounds).items():
            found = order(version, bound)
            if found is None:
                return None
            if not _OPERATORS[op](found, 0):
                return False
    except KeyError:
        return None
    return True


def _last_bounds(bounds: str) -> Mapping[str, str]:
    # of two bounds with one operator transformers keeps the last
    found: dict[str, str] = {}
    for part in bounds.split(",") if bounds.strip() else []:
        match = re.match(_BOUND, part)
        if match is None:
            raise KeyError(part)
        found[match[1]] = match[2].strip()
    return found
