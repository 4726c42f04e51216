"""Runs hfdoctor against real environments, as a person would: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WINDOWS = os.name == "nt"


def python_of(prefix: Path) -> Path:
    """The interpreter of the environment ``prefix``."""
    return prefix / ("Scripts/python.exe" if WINDOWS else "bin/python")


def check(
    *words: str,
    cwd: Path | None = None,
    environ: dict[str, str | None] | None = None,
    before: Sequence[str] = (),
    codes: Sequence[int] = (0, 1),
) -> dict[str, Any]:
    """The JSON report of ``hfdoctor check WORDS``; ``environ`` changes the environment (None: unset).

    ``before`` is put in front of the command line (``unshare ...``). Fails if the exit code is not one of ``codes``.
    """
    environment = {**os.environ, "PYTHONPATH": "", "HFDOCTOR_TEST_ROOT": str(ROOT)}
    for name, value in (environ or {}).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    # hfdoctor is put on the path inside, so that PYTHONPATH stays the person's own: the target sees that variable
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from hfdoctor.__main__ import main; main()"
    done = subprocess.run(
        [*before, sys.executable, "-c", start, "check", "--format", "json", *words],
        capture_output=True,
        env={k: v for k, v in environment.items() if v or k != "PYTHONPATH"},
        cwd=cwd,
        check=False,
        timeout=300,
    )
    assert done.returncode in codes, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def failed(report: dict[str, Any]) -> dict[str, str]:
    """The failed conditions of a report with their summaries, crashes among them."""
    return {f["condition"]: f["summary"] for f in report["findings"] if f["outcome"] in ("fail", "crash")}


def unknown(report: dict[str, Any]) -> dict[str, str]:
    """The conditions that could not be told, with the reason."""
    return {f["condition"]: f["summary"] for f in report["findings"] if f["outcome"] == "unknown"}
