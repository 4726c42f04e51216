"""What the GPU family costs a check: its two probes, as the report says, and loading and asking its conditions."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping

LIMIT_MS = 60.0

#: prints the milliseconds that loading and asking the family's conditions takes, after all others were asked
_CONDITIONS = """
import importlib, sys, time
from hfdoctor.conditions.engine import Paths, examine
from hfdoctor.conditions.model import Goal
from hfdoctor.facts.snapshot import load
snapshot = load(sys.stdin.buffer.read())
paths = Paths(snapshot)

def ask(modules):
    for name in modules:
        for condition in importlib.import_module(name).CONDITIONS:
            examine(condition, snapshot, Goal(), paths)

others, family = (word.split(",") for word in sys.argv[1:])
ask(others)
started = time.perf_counter()
ask(family)
print((time.perf_counter() - started) * 1000)
"""


def modules() -> tuple[list[str], list[str]]:
    """The modules with conditions: those of other families, those of this one."""
    from hfdoctor.conditions import catalogue

    found = [module for module in vars(catalogue).values() if hasattr(module, "CONDITIONS")]
    own = [module.__name__ for module in found if module.CONDITIONS[0].family == "gpu"]
    return [module.__name__ for module in found if module.__name__ not in own], own


def family_cost(report: bytes, probes_s: Mapping[str, float], environ: Mapping[str, str], rounds: int) -> float:
    """Milliseconds: the probes ``gpu`` and ``native`` (their medians, in seconds) and the conditions of the family.

    ``report`` is a JSON report with facts. An upper bound: the probes run beside others, and wait for them.
    """
    taken = []
    argv = [sys.executable, "-c", _CONDITIONS, *(",".join(names) for names in modules())]
    for _ in range(rounds):
        done = subprocess.run(argv, input=report, env=dict(environ), capture_output=True, check=True)
        taken.append(float(done.stdout))
    return (probes_s["gpu"] + probes_s["native"]) * 1000 + statistics.median(taken)


def judged(cost_ms: float, report: bytes) -> tuple[str, bool]:
    """The line for the table of limits; the limit holds for machines without a driver."""
    driver = json.loads(report)["snapshot"]["gpu"]["driver"]["status"]
    limit = f"less than {LIMIT_MS:g}" if driver == "absent" else "no limit: there is a driver"
    return f"the GPU family costs {cost_ms:.0f} ms, {limit}", cost_ms < LIMIT_MS or driver != "absent"
