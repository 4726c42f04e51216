"""The table transformers_torch.json: the oldest torch that releases of transformers ask for, by their own files.

Rows that are there stay as they are (some say more than the files do); the releases since the newest row are read, and
a row is added where what they ask for has changed.
"""

from __future__ import annotations

import re
from typing import Any

from packaging.version import Version

from registry_tables.index import PROJECT_PAGE, Index, PublishedFile

DECLARED = "transformers/dependency_versions_table.py"
ENFORCED = "transformers/utils/import_utils.py"

JsonRow = dict[str, Any]


def transformers_rows(index: Index, packaged: list[JsonRow], as_of: str) -> tuple[list[JsonRow], list[str]]:
    """Rows, newest releases first, and the releases whose files did not say."""
    rows, gaps = [dict(row) for row in packaged], []
    for wheel in _first_of_each_minor(index, Version(rows[0]["since"]) if rows else Version("4.48")):
        asked = asked_by(index.text_of(wheel, DECLARED), index.text_of(wheel, ENFORCED))
        if asked is None:
            gaps.append(f"transformers {wheel.version}: its {DECLARED} names no oldest torch")
        elif not rows or asked != (rows[0]["declared"], rows[0]["enforced"]):
            if rows:
                rows[0]["before"] = str(wheel.version)
            source = f"{PROJECT_PAGE}/transformers/ dependency_versions_table.py and utils/import_utils.py in the wheel"
            rows.insert(
                0,
                {
                    "as_of": as_of,
                    "source": f"{source} of {wheel.version}",
                    "since": str(wheel.version),
                    "before": None,
                    "declared": asked[0],
                    "enforced": asked[1],
                },
            )
    return rows, gaps


def asked_by(declared: str, enforced: str) -> tuple[str, str] | None:
    """``("2.6", "2.6.0")`` by the texts of the two files; None where no oldest torch is declared."""
    least = re.search(r"[\"']torch[\"'] *: *[\"']torch *>= *([\d.]+)", declared)
    if least is None:
        return None
    refused = re.search(r"PyTorch >= ([\d.]+\d) is required", enforced)
    return least[1], ".".join([*refused[1].split("."), "0", "0"][:3]) if refused else ""


def _first_of_each_minor(index: Index, since: Version) -> list[PublishedFile]:
    """The oldest wheel of each minor from ``since`` on, oldest minor first."""
    first: dict[tuple[int, ...], PublishedFile] = {}
    for file in index.files("transformers"):
        if file.is_wheel and not file.yanked and not file.version.is_prerelease and file.version >= since:
            first.setdefault(file.version.release[:2], file)
    return [first[minor] for minor in sorted(first)]
