"""One run of ``hfdoctor smoke --level full`` in an environment, and what is kept of it: a row."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .environments import NotMade, versions_in

ROOT = Path(__file__).resolve().parents[2]
#: seconds that hfdoctor may take to notice that its own time is over
SPARE_S = 120.0
RUN_S = 1800.0

#: what is kept of a trial: plain values, as in JSON
Row = dict[str, Any]


def try_out(python: Path, asked: str) -> Row:
    """Run every stage in the environment of ``python``; ``asked`` is the pair that was asked for.

    Raises NotMade where hfdoctor gives no report.
    """
    version, versions = versions_in(python)
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    environ |= {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "hfdoctor", "smoke", "--python", str(python), "--level", "full"]
    command += ["--timeout", f"{RUN_S:g}", "--format", "json"]
    began = time.monotonic()
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    try:
        done = subprocess.run(
            command, env=environ, capture_output=True, encoding="utf-8", timeout=RUN_S + SPARE_S, check=False
        )
        report = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise NotMade("hfdoctor did not end") from None
    except ValueError:
        raise NotMade(f"hfdoctor gave no report and ended with {done.returncode}: {done.stderr[-400:]}") from None
    row = {
        "asked": asked,
        "python": version,
        "versions": versions,
        "on": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "hfdoctor": report["hfdoctor"],
        "machine": machine(),
        "exit_code": report["exit_code"],
        "seconds": round(time.monotonic() - began, 1),
        "load": load,
        "stages": [kept(stage) for stage in report["stages"]],
        "findings": [
            {"condition": one["condition"], "severity": one["severity"], "summary": one["summary"]}
            for one in report["findings"]
            if one["outcome"] in ("fail", "crash")
        ],
    }
    environment = str(python.parent.parent)
    words = json.dumps(row, ensure_ascii=False)
    for path, name in ((environment, "<environment>"), (str(ROOT), "<hfdoctor>"), (str(Path.home()), "~")):
        words = words.replace(json.dumps(path, ensure_ascii=False)[1:-1], name)
    cleaned: Row = json.loads(words)
    return cleaned


def kept(stage: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a stage: how it went, why, the deviations, and the facts that are numbers of a comparison."""
    row = {name: stage[name] for name in ("outcome", "because", "error", "deviations") if stage.get(name)}
    row["key"] = f"{stage['name']} {stage.get('subject', '')}".strip()
    row["seconds"] = round(stage.get("seconds", 0.0), 2)
    if stage.get("message"):
        first = stage["message"].strip().partition("\n")[0]
        # addresses, and marks for a terminal (torch writes parts of a message bold)
        row["message"] = re.sub(r"0x[0-9a-f]{6,}", "0x...", re.sub(r"\x1b\[[0-9;]*m", "", first))[:400].strip()
    facts = stage.get("facts", {})
    largest = {name.replace("_", " "): value for name, value in facts.items() if name.startswith("largest")}
    if largest:
        row["largest"] = largest
    if facts.get("during"):
        row["during"] = facts["during"]
    return row


def machine() -> str:
    """Cores, processor and operating system; no name of the machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = None
    with contextlib.suppress(OSError):
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    name = found.group(1).strip() if found else platform.processor()
    system = f"{platform.system()} {platform.release()}"
    with contextlib.suppress(OSError, KeyError):
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    words = [f"{cores} cores", name, platform.machine(), system]
    return ", ".join(word for word in words if word)
