"""Describes machines for the tests of what is installed: the healthy Linux machine with packages added or replaced."""

from __future__ import annotations

from typing import Any

import msgspec

from hfdoctor.conditions.catalogue import CATALOGUE
from hfdoctor.conditions.engine import examine
from hfdoctor.conditions.model import Finding, Goal
from hfdoctor.facts.fact import known
from hfdoctor.facts.sections.packages import Distribution, ImportTrial
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded

SITE = "/home/ana/project/.venv/lib/python3.12/site-packages"


def dist(name: str, version: str, *requires: str, **more: Any) -> Distribution:
    """A distribution that pip installed, unless ``more`` says otherwise."""
    more = {"installer": "pip", **more}
    return Distribution(
        name, version, f"{SITE}/{name.replace('-', '_')}-{version}.dist-info", requires=[*requires], **more
    )


def only(*distributions: Distribution, base: str = "linux") -> Snapshot:
    """The healthy machine with these distributions and no others."""
    snapshot = recorded.build(base)
    snapshot.packages.distributions = known(list(distributions), "sys.path")
    return snapshot


def healthy_with(*distributions: Distribution, without: tuple[str, ...] = (), base: str = "linux") -> Snapshot:
    """The healthy machine with distributions added (or replaced, by name) and others taken away."""
    replaced = {entry.name for entry in distributions} | set(without)
    snapshot = recorded.build(base)
    kept = [entry for entry in snapshot.packages.distributions.need() if entry.name not in replaced]
    snapshot.packages.distributions = known(sorted([*kept, *distributions], key=lambda d: d.name), "sys.path")
    return snapshot


def changed(snapshot: Snapshot, name: str, **fields: Any) -> Snapshot:
    """The snapshot with fields of one distribution replaced."""
    entries = snapshot.packages.distributions.need()
    assert any(entry.name == name for entry in entries), name
    fresh = [msgspec.structs.replace(entry, **fields) if entry.name == name else entry for entry in entries]
    snapshot.packages.distributions = known(fresh, "sys.path")
    return snapshot


def tried(snapshot: Snapshot, *trials: ImportTrial) -> Snapshot:
    """The snapshot as --deep would have it."""
    snapshot.packages.imports = known(list(trials), "children")
    return snapshot


def findings(snapshot: Snapshot, condition: str, goal: Goal | None = None) -> list[Finding]:
    """What one condition of the catalogue says; never a crash."""
    (chosen,) = (one for one in CATALOGUE if one.id == condition)
    found = examine(chosen, snapshot, goal or Goal())
    assert not [finding.evidence for finding in found if finding.outcome == "crash"]
    return found


def finding(snapshot: Snapshot, condition: str, goal: Goal | None = None) -> Finding:
    """The one thing that a condition says."""
    (found,) = findings(snapshot, condition, goal)
    return found


#: the conditions that judge what is installed
JUDGES = (
    "version-skew",
    "dependency-conflict",
    "torch-too-old-for-transformers",
    "torch-companion-mismatch",
    "keras3",
    "hf-transfer-missing",
    "missing-optional-dependency",
    "extension-abi-mismatch",
    "pip-too-old",
    "glibc-too-old",
    "illegal-instruction",
)


def complaints(snapshot: Snapshot) -> dict[str, str]:
    """The fails and unknowns of all judges: empty for a machine that they find healthy."""
    found = [one for condition in JUDGES for one in findings(snapshot, condition)]
    return {one.condition: one.summary for one in found if one.outcome in ("fail", "unknown")}
