"""Runs inside the Windows Python: prints the section ``windows`` after each of several changes, all in one process.

The argument is a list of steps as driver.py reads them, without programs.
"""

import json
import os
import sys
import time
from pathlib import Path

import msgspec
from driver import perform

from hfdoctor.facts.collect import run_probes
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import all_probes
from hfdoctor.facts.sections.windows import Windows
from hfdoctor.facts.snapshot import Snapshot


def look(step):
    perform(step)
    request = Request(environ={**os.environ, **step.get("environ", {})}, cwd=Path.cwd())
    context = Context(request, Snapshot(windows=Windows()), time.monotonic() + 60.0)
    run_probes([probe for probe in all_probes() if probe.section in ("target", "windows")], context)
    return context.snapshot.windows


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode([look(step) for step in json.loads(sys.argv[1])]))
