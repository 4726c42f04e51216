"""Write the JSON Schemas of the report, the snapshot and the fixes into the package, from their types.

python scripts/write_schema.py           writes them
python scripts/write_schema.py --check   exits with 1 if they are not what the types say
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hfdoctor.conditions.model import Report
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.outcome import FixReport, UndoReport

FOLDER = Path(__file__).resolve().parent.parent / "hfdoctor" / "reports" / "schemas"
DOCUMENTS: dict[str, type[msgspec.Struct]] = {
    "report-1.schema.json": Report,
    "snapshot-1.schema.json": Snapshot,
    "fix-1.schema.json": FixReport,
    "undo-1.schema.json": UndoReport,
}


def text_of(kind: type[msgspec.Struct]) -> str:
    """The schema of ``kind`` as it stands in the package."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(kind)}
    return json.dumps(schema, indent=1) + "\n"


def main() -> int:
    """Write or check; return the exit code."""
    stale = [name for name, kind in DOCUMENTS.items() if not _same(FOLDER / name, text_of(kind))]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"{name} is not what the types say; run python scripts/write_schema.py")
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        (FOLDER / name).write_text(text_of(DOCUMENTS[name]), "utf-8")
        print(f"wrote {name}")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
