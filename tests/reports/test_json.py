"""The machine format: its schema ships with the package and every report keeps to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.reports.json import render
from tests import recorded

ROOT = Path(__file__).parent.parent.parent
SCHEMA = json.loads((ROOT / "hfdoctor/reports/schemas/report-1.schema.json").read_text("utf-8"))


VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


#: findings that keep to the schema: most machines have most of theirs from their base
KEPT: set[str] = set()


@pytest.mark.parametrize("name", recorded.names())
def test_every_report_keeps_to_the_schema(name: str) -> None:
    """A finding that was held against the schema before is left out: each of the list stands for itself there."""
    assert SCHEMA["$defs"]["Report"]["properties"]["findings"] == {
        "type": "array",
        "items": {"$ref": "#/$defs/Finding"},
    }
    document = json.loads(render(diagnose(recorded.load(name))))
    texts = {json.dumps(finding): finding for finding in document["findings"]}
    document["findings"] = [finding for text, finding in texts.items() if text not in KEPT]
    VALIDATOR.validate(document)
    KEPT.update(texts)


@pytest.mark.parametrize("name", recorded.names()[::12])
def test_facts_keep_to_the_schema(name: str) -> None:
    snapshot = recorded.load(name)
    report = diagnose(snapshot)
    assert "snapshot" not in json.loads(render(report))
    report.snapshot = snapshot
    document = json.loads(render(report))
    VALIDATOR.validate(document)
    assert "snapshot" in document


@pytest.mark.allow_subprocess
def test_the_shipped_schemas_are_what_the_types_say() -> None:
    script = ROOT / "scripts" / "write_schema.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_keys_that_others_rely_on() -> None:
    document = json.loads(render(diagnose(recorded.load("shared-memory-tiny"))))
    assert list(document) == [
        "schema",
        "hfdoctor",
        "target",
        "goal",
        "state",
        "findings",
        "counts",
        "exit_code",
        "elapsed_s",
    ]
    assert document["schema"] == "hfdoctor.report/1"
    finding = next(f for f in document["findings"] if f["condition"] == "shared-memory")
    assert {"condition", "title", "outcome", "severity", "basis", "summary", "examined", "evidence", "remedy"} <= set(
        finding
    )
    assert {"fact", "value", "source", "text"} == set(finding["evidence"][0])
    assert render(diagnose(recorded.load("shared-memory-tiny"))).isascii()
