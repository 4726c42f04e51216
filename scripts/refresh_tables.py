"""Rebuild the knowledge tables: from the public package index, from the wheels' own binaries, from the list of PCI ids.

    python scripts/refresh_tables.py            show what would change
    python scripts/refresh_tables.py --check    the same, and exit 1 when anything differs
    python scripts/refresh_tables.py --write    write the tables into hfdoctor/knowledge

Name tables to rebuild only those. Nothing is installed, and no wheel is kept: directories and metadata are read by
range request. Only torch_builds needs a library as a whole (hundreds of megabytes for each build of torch that was not
measured yet, unpacked while it comes).

Rows that people wrote from documents are kept as they are, and the script says so. gpu_names needs a list of PCI ids
(Debian: the package pci.ids; or --pci-ids FILE).
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

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from registry_tables.companions_table import companion_rows
from registry_tables.gpu_names_table import PLACES, gpu_name_rows
from registry_tables.index import Index
from registry_tables.paths_table import path_rows, windows_closures
from registry_tables.sizes_table import size_rows
from registry_tables.tags_table import tag_rows
from registry_tables.torch_builds_table import torch_build_rows
from registry_tables.torch_releases_table import torch_release_rows
from registry_tables.transformers_table import transformers_rows

KNOWLEDGE = Path(__file__).parents[1] / "hfdoctor" / "knowledge"

Rows = list[dict[str, Any]]
Gaps = list[str]
Builder = Callable[[Index, str], tuple[dict[str, Rows], Gaps]]


def packaged(name: str) -> Rows:
    """The rows of the packaged table; none where there is no such file yet."""
    file = KNOWLEDGE / f"{name}.json"
    rows: Rows = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    return rows


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


def build_torch_releases(index: Index, as_of: str) -> tuple[dict[str, Rows], Gaps]:
    rows, gaps = torch_release_rows(index, as_of)
    return {"torch_releases": rows}, gaps


def build_torch_builds(most: int | None) -> Builder:
    def build(index: Index, as_of: str) -> tuple[dict[str, Rows], Gaps]:
        rows, gaps = torch_build_rows(index, packaged("torch_builds"), packaged("torch_releases"), as_of, most)
        return {"torch_builds": rows}, gaps

    return build


def build_transformers(index: Index, as_of: str) -> tuple[dict[str, Rows], Gaps]:
    rows, gaps = transformers_rows(index, packaged("transformers_torch"), as_of)
    return {"transformers_torch": rows}, gaps


def build_gpu_names(pci_ids: Path | None) -> Builder:
    def build(index: Index, as_of: str) -> tuple[dict[str, Rows], Gaps]:
        rows = packaged("gpu_names")
        file = pci_ids or next((Path(place) for place in PLACES if Path(place).exists()), None)
        if file is None:
            return {"gpu_names": rows}, ["gpu_names: there is no list of PCI ids here (Debian: the package pci.ids)"]
        rows, gaps = gpu_name_rows(rows, file, as_of)
        return {"gpu_names": rows}, gaps

    return build


def builders(pci_ids: Path | None = None, most: int | None = None) -> dict[str, Builder]:
    """Who rebuilds what: a table, or a group of tables under the name of one of them."""
    return {
        "wheel_paths": build_paths,
        "wheel_tags": build_tags,
        "install_sizes": build_sizes,
        "companions": build_companions,
        "torch_releases": build_torch_releases,
        "torch_builds": build_torch_builds(most),
        "transformers_torch": build_transformers,
        "gpu_names": build_gpu_names(pci_ids),
    }


def not_rebuilt() -> list[str]:
    """The packaged tables that nothing here rebuilds: their rows come from documents, or from trials that they name."""
    return sorted({file.stem for file in KNOWLEDGE.glob("*.json")} - {"closures", *builders()})


def as_text(name: str, rows: Rows) -> str:
    """The file's text: one short value a line, so that a change shows as a change of its own line."""
    return json.dumps({"table": name, "rows": rows}, indent=1, ensure_ascii=False) + "\n"


def without_dates(text: str) -> list[str]:
    return [line for line in text.splitlines() if '"as_of"' not in line]


def main(words: list[str] | None = None) -> int:
    known = builders()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"any of {', '.join(known)}")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="exit 1 when a packaged table differs")
    mode.add_argument("--write", action="store_true", help="write the tables")
    parser.add_argument("--pci-ids", type=Path, metavar="FILE", help="the list of PCI ids, for gpu_names")
    parser.add_argument("--most", type=int, metavar="N", help="torch_builds: measure at most N wheels now")
    options = parser.parse_args(words)
    unknown = sorted(set(options.tables) - set(known))
    if unknown:
        by_hand = [name for name in unknown if name in not_rebuilt()]
        parser.error(
            f"{by_hand[0]} is written by hand from the sources that its rows name"
            if by_hand
            else f"no such table: {', '.join(unknown)}"
        )

    index = Index()
    as_of = datetime.date.today().isoformat()
    different = False
    gaps: Gaps = []
    for name in options.tables or known:
        tables, missing = builders(options.pci_ids, options.most)[name](index, as_of)
        gaps += missing
        for table, rows in tables.items():
            unsourced = [row for row in rows if not row.get("as_of") or not row.get("source")]
            if unsourced:
                raise SystemExit(f"{table}: a row has no date or no source: {unsourced[0]}")
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
        print(f"not rebuilt: {gap}", file=sys.stderr)
    if not options.tables and not_rebuilt():
        print(f"not rebuilt: {', '.join(not_rebuilt())}: written by hand", file=sys.stderr)
    print(f"{index.requests_made} wheels and project pages read", file=sys.stderr)
    return 1 if options.check and different else 0


if __name__ == "__main__":
    sys.exit(main())
