"""A damaged cache of copies is mended by a Windows Python, and what other drives it finds."""

from __future__ import annotations

import json

import pytest

from tests.facts.hub_caches import make_cache
from tests.remedies.tree_states import tree_state

from .machine import WindowsMachine, hfdoctor, windows_path

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]


@pytest.mark.slow
def test_damaged_copies_are_put_away_and_put_back(machine: WindowsMachine) -> None:
    pytest.importorskip("huggingface_hub")
    cache = make_cache(machine.scratch / "\ubaa8\ub378", HF_HUB_DISABLE_SYMLINKS="1")
    environ = {"HF_HOME": windows_path(cache.parent)}
    weights = next(cache.glob("models--ana--tiny/snapshots/*/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-7])
    stray = cache / "models--ana--tiny" / "snapshots" / "stray"
    stray.write_text("not a folder")
    before = tree_state(cache)
    fix = ("fix", "cache-corrupt", "--yes", "--format", "json")
    mended, undone = machine.run(hfdoctor(*fix, environ=environ), hfdoctor("undo", "--yes", environ=environ))
    assert mended.code == 0, (mended.stdout, mended.stderr)
    (one,) = mended.report["fixes"]
    assert one["outcome"] == "fixed" and [weights.name in str(one), stray.name in str(one)] == [True, True]
    assert undone.code == 0, undone.stderr
    assert tree_state(cache) == before


def test_the_drives_on_which_one_can_keep_files(machine: WindowsMachine) -> None:
    script = (
        "import json; from hfdoctor.facts.probes.volumes_windows import fixed_drives; "
        "print(json.dumps([[v.mount, v.folder, v.kind, v.free, v.total] for v in fixed_drives('C:\\\\users\\\\ana')]))"
    )
    (told,) = machine.run({"argv": ["-c", script]})
    assert told.code == 0, told.stderr
    for mount, folder, kind, free, total in json.loads(told.stdout):
        assert folder.startswith(mount) and kind in ("NTFS", "ReFS") and 0 < free <= total
    assert not list(machine.drive_c.glob(".hfdoctor-*"))
