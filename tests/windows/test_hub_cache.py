"""A hub cache of copies, as the library makes it on Windows without links, seen by a Windows Python.

Wine 8 reports success for a symbolic link and makes none, so links themselves cannot be tried here; that a system
which does this is not believed is tested instead.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.facts.hub_caches import make_cache

from .machine import WindowsMachine, hfdoctor, windows_path

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]


def test_copies_and_their_damage(machine: WindowsMachine) -> None:
    pytest.importorskip("huggingface_hub")
    home = machine.scratch / "\ubaa8\ub378 \ubcf4\uad00"
    cache = make_cache(home, HF_HUB_DISABLE_SYMLINKS="1")
    environ = {"HF_HOME": windows_path(cache.parent), "HF_TOKEN": '"hf_xxx"', "hf_hub_offline": "true"}
    tool = machine.scratch / "\ub3c4\uad6c"
    tool.mkdir()
    (tool / "git.exe").write_bytes(b"MZ")
    (healthy,) = machine.run(hfdoctor("snapshot", environ={**environ, "PATH": f"C:\\gone;{windows_path(tool)}"}))
    assert healthy.code == 0, healthy.stderr
    hub = healthy.report["hub"]
    assert hub["cache"]["value"]["path"] == windows_path(cache)
    assert hub["cache"]["value"]["set_by"] == "HF_HOME"
    health = hub["health"]["value"]
    assert (health["repos"], health["copies"], health.get("troubles_total", 0)) == (3, 13, 0)
    longest = max((str(path.relative_to(cache)) for path in cache.glob("*/snapshots/**/*") if path.is_file()), key=len)
    assert len(health["longest_file"]) == len(longest)
    assert (cache / health["longest_file"].replace("\\", "/")).is_file()
    assert healthy.report["windows"]["git"]["value"].lower() == windows_path(tool / "git.exe").lower()
    assert hub["lock"]["value"]["ok"] is True
    assert hub["offline"]["value"] == {"on": True, "variable": "HF_HUB_OFFLINE", "value": "true"}
    assert hub["token"]["value"]["oddities"] == ["quoted", "placeholder"]
    assert not list(cache.glob(".hfdoctor*"))

    weights = next(cache.glob("models--ana--tiny/snapshots/*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-7])
    remains = cache / "models--gpt0" / "blobs" / ("a" * 64 + ".incomplete")
    remains.parent.mkdir(exist_ok=True)
    remains.write_bytes(b"half")
    os.utime(remains, (time.time() - 9999,) * 2)
    (damaged,) = machine.run(hfdoctor("snapshot", environ=environ))
    health = damaged.report["hub"]["health"]["value"]
    assert health["trouble_counts"] == {"cut-short": 1}
    assert health["incomplete"] == 1
    (trouble,) = health["troubles"]
    assert trouble["copy"] is True
    assert trouble["path"].startswith("models--ana--tiny\\snapshots\\")


def test_no_cache_yet_and_a_system_that_only_pretends_to_link(machine: WindowsMachine) -> None:
    empty = machine.scratch / "new"
    (fresh,) = machine.run(hfdoctor("snapshot", environ={"HF_HOME": windows_path(empty)}))
    hub = fresh.report["hub"]
    assert [hub[name]["status"] for name in ("health", "lock", "link")] == ["absent"] * 3
    assert not empty.exists()
    (empty / "hub").mkdir(parents=True)
    (made,) = machine.run(hfdoctor("snapshot", environ={"HF_HOME": windows_path(empty)}))
    link = made.report["hub"]["link"]["value"]
    assert link["ok"] or link["error"]
    assert list((empty / "hub").iterdir()) == []
