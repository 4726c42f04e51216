"""What the remedies for a damaged cache say is done for real, and the cache is healthy again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hfdoctor.conditions.cache import CACHE_CORRUPT, GIT_LFS_POINTER
from hfdoctor.conditions.engine import examine
from hfdoctor.conditions.model import Goal
from hfdoctor.facts.fact import known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import hub as hub_probe
from hfdoctor.facts.probes.hub_cache import scan_cache
from hfdoctor.facts.sections.target import Chosen
from hfdoctor.facts.snapshot import Snapshot
from tests.facts.hub_caches import SHARE, install, make_cache, run_python
from tests.facts.hub_server import hub

pytestmark = pytest.mark.allow_subprocess


def observe(cache: Path, library: Path | None) -> Snapshot:
    snapshot = Snapshot()
    folders = [str(library)] if library else [folder for folder in sys.path if folder]
    snapshot.target.sys_path = known(folders)
    snapshot.target.chosen = known(Chosen(sys.executable, "the tests' own"))
    environ = {"HF_HOME": str(cache.parent), "HOME": str(cache.parent.parent)}
    hub_probe.probe(Context(Request(cwd=cache.parent, environ=environ), snapshot, float("inf")))
    return snapshot


def damage(cache: Path) -> None:
    """One file of each kind that is fetched again, in a model and in a dataset, one of them below a folder."""
    files = next((cache / "models--ana--tiny" / "snapshots").iterdir())
    (files / "model.safetensors").resolve().unlink()
    (files / "config.json").resolve().write_bytes(b"")
    (files / "onnx" / "model.onnx").resolve().write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 4\n"
    )
    rows = next((cache / "datasets--ana--rows" / "snapshots").iterdir())
    (rows / "data" / "test.bin").resolve().unlink()


def heal(cache: Path, library: Path | None) -> int:
    """Run the commands of the findings; returns how many there were."""
    snapshot = observe(cache, library)
    commands = []
    for condition in (CACHE_CORRUPT, GIT_LFS_POINTER):
        for finding in examine(condition, snapshot, Goal()):
            if finding.outcome == "fail":
                assert finding.remedy is not None
                commands += [step.argv for step in finding.remedy.steps if step.argv]
    with hub() as address:
        environ = {"PATH": os.environ["PATH"], "HOME": str(cache.parent.parent), "HF_HOME": str(cache.parent)}
        environ |= {"HF_ENDPOINT": address, "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
        if library:
            environ["PYTHONPATH"] = str(library)
        for argv in commands:
            done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return len(commands)


RELEASES = ["", *(pytest.param(release, marks=pytest.mark.slow) for release in ("0.23.4", "0.36.2", "1.8.0"))]


@pytest.mark.parametrize("release", RELEASES)
def test_the_commands_heal_the_cache(release: str, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    library = install(release) if release else None
    cache = make_cache(tmp_path, library=library)
    damage(cache)
    assert scan_cache(str(cache)).trouble_counts
    assert heal(cache, library) == 3
    assert scan_cache(str(cache)).trouble_counts == {}
    assert heal(cache, library) == 0


FORGET_ONE_VERSION = """
from huggingface_hub import scan_cache_dir
info = scan_cache_dir()
(repo,) = [repo for repo in info.repos if repo.repo_id == "ana/tiny"]
info.delete_revisions(*[r.commit_hash for r in repo.revisions if len(r.files) > 1]).execute()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("release", "breaks"), [("0.36.2", True), ("", False)])
def test_what_cache_shared_versions_warns_of(release: str, breaks: bool, tmp_path: Path) -> None:
    """Two models share a file; a version of one is removed with an older and with a newer library."""
    pytest.importorskip("huggingface_hub.utils._shared_blobs")
    library = install(release) if release else None
    cache = make_cache(tmp_path)
    run_python(SHARE, tmp_path)
    files = next((cache / "models--ana--tiny" / "snapshots").iterdir())
    blob = files / (files / "model.safetensors").readlink()
    newer = files.with_name("d" * 40)
    newer.mkdir()
    (newer / "README.md").symlink_to((files / "README.md").readlink())
    other = cache / "models--other--copy"
    shutil.copytree(cache / "models--gpt0", other, symlinks=True)
    (other / "blobs" / blob.name).symlink_to(blob.readlink())
    store = (other / "blobs" / blob.name).resolve()
    with store.with_name(store.name + ".refs").open("a") as manifest:
        manifest.write(f"models--other--copy/blobs/{blob.name}\n")
    (next((other / "snapshots").iterdir()) / "shared.safetensors").symlink_to(f"../../blobs/{blob.name}")
    assert scan_cache(str(cache)).trouble_counts == {}
    run_python(FORGET_ONE_VERSION, tmp_path, library=library)
    assert (scan_cache(str(cache)).trouble_counts == {"dangling-link": 1}) is breaks
