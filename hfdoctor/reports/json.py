"""The report as one JSON document: ``hfdoctor.report/1``, described by ``schemas/report-1.schema.json``."""

from __future__ import annotations

import json

import msgspec

from ..conditions.model import Report


def render(report: Report) -> str:
    """One ASCII JSON document with a final newline: it survives every code page on the way to its reader."""
    return json.dumps(msgspec.to_builtins(report), indent=1) + "\n"
