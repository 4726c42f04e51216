"""Rebuild the knowledge tables that are measured from the wheels on the public package index.

    python scripts/measure_wheels.py            show what would change
    python scripts/measure_wheels.py --check    the same, and exit 1 when anything differs
    python scripts/measure_wheels.py --write    write the tables into hfdoctor/knowledge

Name tables to rebuild only those. Only wheels' directories are read (by range request); nothing is installed.
Needs uv, requests, remotezip and packaging (pip install -e .[dev]).
"""

from __future__ import annotations

import argparse
import datetime
import difflib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from registry_tables.companions_table import companion_rows
from registry_tables.index import Index
from registry_tables.paths_table import path_rows, windows_closures
from registry_tables.sizes_table import size_rows
from registry_tables.tags_table import tag_rows

KNOWLEDGE = Path(__file__).parents[1] / "hfdoctor" / "knowledge"

Rows = list[dict[str, Any]]
Gaps = list[str]


def build_paths(index: Index, as_of: str) -> tuple[dict[str, Rows], Gaps]:
    closures, gaps = windows_closures(index, as_of)
    return {"closures": closures, "wheel_paths": path_rows(index, closures, as_of)}, gaps


def build_tags(index: Index, as_of: str) -> tuple[dict[str, Rows], Gaps]:
    return {"wheel_tags": tag_rows(index, as_of)}, []


def build_sizes(index: Index, as_of: str) -> tuple[dict[str, Rows], Gaps]:
    rows, gaps = size_rows(index, as_of)
    return {"install_sizes": rows}, gaps


def build_companions(index: Index, as_of: str) -> tuple[dict[str, Rows], Gaps]:
    return {"companions": companion_rows(index, as_of)}, []


BUILDERS: dict[str, Callable[[Index, str], tuple[dict[str, Rows], Gaps]]] = {
    "wheel_paths": build_paths,
    "wheel_tags": build_tags,
    "install_sizes": build_sizes,
    "companions": build_companions,
}


def as_text(name: str, rows: Rows) -> str:
    """The file's text: one short value a line, so that a change shows as a change of its own line."""
    return json.dumps({"table": name, "rows": rows}, indent=1, ensure_ascii=False) + "\n"


def without_dates(text: str) -> list[str]:
    return [line for line in text.splitlines() if '"as_of"' not in line]


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"any of {', '.join(BUILDERS)}")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="exit 1 when a packaged table differs")
    mode.add_argument("--write", action="store_true", help="write the tables")
    options = parser.parse_args(words)
    unknown = sorted(set(options.tables) - set(BUILDERS))
    if unknown:
        parser.error(f"no such table: {', '.join(unknown)}")

    index = Index()
    as_of = datetime.date.today().isoformat()
    different = False
    gaps: Gaps = []
    for name in options.tables or BUILDERS:
        tables, missing = BUILDERS[name](index, as_of)
        gaps += missing
        for table, rows in tables.items():
            file = KNOWLEDGE / f"{table}.json"
            old = file.read_text(encoding="utf-8") if file.exists() else ""
            new = as_text(table, rows)
            changes = list(
                difflib.unified_diff(
                    without_dates(old), without_dates(new), f"packaged {table}", f"published {table}", "", "", 2, ""
                )
            )
            different = different or bool(changes)
            print("\n".join(changes) if changes else f"{table}: {len(rows)} rows, no change")
            if options.write:
                file.write_text(new, encoding="utf-8", newline="\n")
    for gap in gaps:
        print(f"not available: {gap}", file=sys.stderr)
    print(f"{index.requests_made} wheels and project pages read", file=sys.stderr)
    return 1 if options.check and different else 0


if __name__ == "__main__":
    sys.exit(main())
