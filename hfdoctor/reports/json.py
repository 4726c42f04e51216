"""The report as one JSON document (schema ``hfdoctor.report/1``)."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ..conditions.model import Report


def render(report: Report) -> str:
    """One ASCII JSON document with a final newline: it survives every code page on the way to its reader."""
    return json.dumps(msgspec.to_builtins(report), indent=1) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of the report, made from its types."""
    return msgspec.json.schema(Report)
