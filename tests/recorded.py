"""Recorded machines: tests/machines/<name>/facts.json and expected.json.

``facts.json`` is a whole snapshot, or ``{"base": "linux", "set": {"machine.shm": {fact}, ...}}``: the healthy
machine of that base (tests/machines/_linux/<section>.json, one file a section; those that ``_cuda`` does not have
are those of ``_linux``) with some facts replaced. A path may
name a whole section (``"windows"``) or a fact; ``{"status": "failed", "reason": ...}`` makes it missing. Beside
"set", ``"distributions": {"h11": null, "torch": {"version": "2.3.0"}, ...}`` takes installed distributions away,
changes fields of some, and adds those that are new.

``expected.json`` is ``{"about": "...", "fail": {"shared-memory": ["warning", "derived"]}, "unknown": [ids]}``:
``fail`` must be exactly the conditions that fail, with severity and basis; each of ``unknown`` must be unknown.
``"goal": {"require": "cuda", "min_vram": BYTES}`` is what was asked for.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import msgspec

from hfdoctor.facts.snapshot import SECTIONS, Snapshot

MACHINES = Path(__file__).parent / "machines"


def names() -> list[str]:
    """The names of all recorded machines."""
    return sorted(p.name for p in MACHINES.iterdir() if p.is_dir() and not p.name.startswith("_"))


@functools.cache
def _base_text(name: str) -> str:
    folder = MACHINES / f"_{name}"
    raw: dict[str, Any] = {"hfdoctor": "0", "elapsed_s": 0.25}
    for section in SECTIONS:
        path = folder / f"{section}.json"
        if not path.exists() and name == "cuda":
            path = MACHINES / "_linux" / f"{section}.json"
        if path.exists():
            raw[section] = json.loads(path.read_text("utf-8"))
    return json.dumps(raw)


def build(base: str, changes: dict[str, Any] | None = None, distributions: dict[str, Any] | None = None) -> Snapshot:
    """The healthy machine ``base`` with the facts at the given paths, and the given distributions, replaced."""
    raw = json.loads(_base_text(base))
    if distributions:
        fact = raw["packages"]["distributions"]
        installed = {entry["name"]: entry for entry in fact["value"]}
        folder = installed["transformers"]["path"].rpartition("transformers")[0]
        for name, fields in distributions.items():
            entry = installed.pop(name, {"name": name, "installer": "pip"})
            if fields is not None:
                entry = {**entry, **fields}
                installed[name] = {"path": f"{folder}{name.replace('-', '_')}-{entry['version']}.dist-info", **entry}
        fact["value"] = [installed[name] for name in sorted(installed)]
    for path, fact in (changes or {}).items():
        *parents, last = path.split(".")
        node = raw
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = fact
    return msgspec.convert(raw, Snapshot)


def load(name: str) -> Snapshot:
    """The snapshot of a recorded machine."""
    raw = json.loads((MACHINES / name / "facts.json").read_text("utf-8"))
    if "base" in raw:
        return build(raw["base"], raw.get("set"), raw.get("distributions"))
    return msgspec.convert(raw, Snapshot)


def expected(name: str) -> dict[str, Any]:
    """What the doctor must say about a recorded machine."""
    return json.loads((MACHINES / name / "expected.json").read_text("utf-8"))  # type: ignore[no-any-return]
