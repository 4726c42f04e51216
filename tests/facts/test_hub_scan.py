"""The scan of the hub cache: real caches of several releases are healthy; every damage done to them is named."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hfdoctor.facts.probes.hub_cache import scan_cache
from hfdoctor.facts.sections.hub import CacheHealth

from .hub_caches import SHARE, install, make_cache, run_python
from .hub_server import MODEL, safetensors, torch_zip

pytestmark = pytest.mark.allow_subprocess

TINY = "models--ana--tiny"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("huggingface_hub")
    return make_cache(tmp_path_factory.mktemp("made"))


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    """A copy of a real cache, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "hub", symlinks=True))


def snapshot(cache: Path) -> Path:
    return next((cache / TINY / "snapshots").iterdir())


def blob(cache: Path, name: str) -> Path:
    return (snapshot(cache) / name).resolve()


def kinds(health: CacheHealth) -> dict[str, int]:
    assert health.troubles_total == sum(health.trouble_counts.values())
    return health.trouble_counts


def test_a_real_cache_is_healthy(made: Path) -> None:
    health = scan_cache(str(made))
    assert kinds(health) == {}
    assert (health.repos, health.revisions, health.strangers) == (3, 3, [])
    assert health.files == health.links == health.measured == len(MODEL.files) + 1 + 3
    assert health.listed == 2
    assert (health.incomplete, health.incomplete_recent, health.foreign_owner, health.unwritable_folders) == (0,) * 4


@pytest.mark.slow
@pytest.mark.parametrize("release", ["0.17.3", "0.23.4", "0.36.2", "1.8.0"])
def test_caches_of_other_releases_are_healthy(release: str, tmp_path: Path) -> None:
    library = install(release)
    health = scan_cache(str(make_cache(tmp_path, library=library)), deep=True)
    assert kinds(health) == {}
    assert (health.repos, health.links, health.strangers) == (3, 13, [])


def test_copies_instead_of_links_are_healthy(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    health = scan_cache(str(make_cache(tmp_path, HF_HUB_DISABLE_SYMLINKS="1")))
    assert kinds(health) == {}
    assert (health.copies, health.links) == (13, 0)


def test_the_store_of_shared_files(cache: Path) -> None:
    pytest.importorskip("huggingface_hub.utils._shared_blobs")
    run_python(SHARE, cache.parent, HF_HUB_CACHE=str(cache))
    health = scan_cache(str(cache))
    assert health.shared_blobs
    assert health.shared_blobs_version == "1"
    assert kinds(health) == {}
    assert health.strangers == []
    victim = blob(cache, "model.safetensors")
    assert victim.parent.parent == cache / "blobs"
    victim.unlink()
    assert kinds(scan_cache(str(cache))) == {"dangling-link": 1}


def damage_pointer(cache: Path) -> None:
    target = blob(cache, "model.safetensors")
    target.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 548105171\n")


def damage_html(cache: Path) -> None:
    blob(cache, "pytorch_model.bin").write_text("<!DOCTYPE html><title>Sign in</title>" + " " * 5000)


def damage_listed(cache: Path) -> None:
    blob(cache, "README.md").write_bytes(b"x")


def cut(name: str, by: int) -> Callable[[Path], None]:
    def damage(cache: Path) -> None:
        target = blob(cache, name)
        target.write_bytes(target.read_bytes()[:-by])

    return damage


def empty(name: str) -> Callable[[Path], None]:
    return lambda cache: blob(cache, name).write_bytes(b"") and None


def damage_zeroed(cache: Path) -> None:
    target = blob(cache, "model.safetensors")
    target.write_bytes(bytes(target.stat().st_size))


def damage_loop(cache: Path) -> None:
    link = snapshot(cache) / "config.json"
    link.unlink()
    link.symlink_to("config.json")


def damage_folder(cache: Path) -> None:
    target = blob(cache, "config.json")
    target.unlink()
    target.mkdir()


def damage_blobs_is_a_file(cache: Path) -> None:
    shutil.rmtree(cache / TINY / "blobs")
    (cache / TINY / "blobs").write_text("")


def damage_refs(cache: Path) -> None:
    (cache / TINY / "refs" / "main").write_text("f" * 40)


DAMAGES: list[tuple[Callable[[Path], object], dict[str, int]]] = [
    (lambda cache: blob(cache, "config.json").unlink(), {"dangling-link": 1}),
    (empty("model.safetensors"), {"empty": 1}),
    (empty("config.json"), {"empty": 1}),
    (damage_pointer, {"lfs-pointer": 1}),
    (damage_html, {"html-instead": 1}),
    (damage_listed, {"shorter-than-listed": 1}),
    (cut("model.safetensors", 1), {"cut-short": 1}),
    (cut("model.safetensors", 300), {"cut-short": 1}),
    (cut("pytorch_model.bin", 30), {"cut-short": 1}),
    (cut("tokenizer.json", 1), {"cut-short": 1}),
    (cut("onnx/model.onnx", 1), {"shorter-than-listed": 1}),
    (damage_zeroed, {"zeroed": 1}),
    (damage_loop, {"dangling-link": 1}),
    (damage_folder, {"folder-instead": 1}),
    (damage_blobs_is_a_file, {"dangling-link": len(MODEL.files), "file-instead": 1}),
    (damage_refs, {"no-refs-target": 1}),
    (lambda cache: (cache / TINY / "refs" / "main").write_text("e" * 40 + "\n"), {"bad-ref": 1}),
    (lambda cache: (snapshot(cache).parent / "stray").write_text(""), {"file-instead": 1}),
    (lambda cache: (cache / "models--x").write_text("not a folder"), {"file-instead": 1}),
    (lambda cache: (cache / "models--moved").symlink_to("/mnt/gone"), {"dangling-link": 1}),
]


@pytest.mark.parametrize(("damage", "expected"), DAMAGES)
def test_each_damage_is_named(cache: Path, damage: Callable[[Path], object], expected: dict[str, int]) -> None:
    damage(cache)
    health = scan_cache(str(cache))
    assert kinds(health) == expected
    assert all((cache / trouble.path).parent.is_dir() or ".." in trouble.path for trouble in health.troubles)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md"])
def test_the_sizes_are_told(cache: Path, name: str) -> None:
    right = len(MODEL.files[name])
    cut(name, 2)(cache)
    trouble = scan_cache(str(cache)).troubles[0]
    assert trouble.path.endswith(name)
    assert trouble.actual_bytes == right - 2
    if name != "config.json":  # its own end says that something is missing, not how much
        assert trouble.expected_bytes == right


def test_what_the_hub_itself_has_is_no_damage(tmp_path: Path) -> None:
    """Files whose name is the hash of their content are as the repository has them, however odd."""
    import hashlib

    repo = tmp_path / TINY
    (repo / "blobs").mkdir(parents=True)
    (repo / "snapshots" / ("a" * 40)).mkdir(parents=True)
    odd = {"pytorch_model.bin": b"", "model.h5": bytes(700), "config.json": b"<html>", "a.gguf": b"\0" * 9}
    odd["model.safetensors"] = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"b" * 64 + b"\nsize 9\n"
    for name, content in odd.items():
        etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        (repo / "blobs" / etag).write_bytes(content)
        (repo / "snapshots" / ("a" * 40) / name).symlink_to(f"../../blobs/{etag}")
    assert kinds(scan_cache(str(tmp_path))) == {"lfs-pointer-upstream": 1}


def test_a_header_of_text_is_not_a_header(tmp_path: Path) -> None:
    files = tmp_path / TINY / "snapshots" / ("a" * 40)
    files.mkdir(parents=True)
    (files / "model.safetensors").write_bytes(b"Not a model at all, but long enough to be looked at")
    (files / "longer.safetensors").write_bytes(safetensors() + b"more")
    (files / "whole.safetensors").write_bytes(safetensors())
    (files / "whole.bin").write_bytes(torch_zip())
    assert kinds(scan_cache(str(tmp_path))) == {"not-weights": 1, "too-long": 1}


def test_leftovers_of_downloads(cache: Path) -> None:
    blobs = cache / TINY / "blobs"
    old = time.time() - 3 * 86400
    for name in ("a" * 64 + ".incomplete", "b" * 64 + ".1a2b3c4d.incomplete"):
        (blobs / name).write_bytes(bytes(1000))
        os.utime(blobs / name, (old, old))
    (blobs / ("c" * 64 + ".incomplete")).write_bytes(bytes(10))
    health = scan_cache(str(cache))
    assert (health.incomplete, health.incomplete_bytes, health.incomplete_recent) == (2, 2000, 1)
    assert kinds(health) == {}


def test_other_things_in_the_folder(cache: Path) -> None:
    for name in ("CACHEDIR.TAG", "version.txt", ".DS_Store"):
        (cache / name).write_text("")
    (cache / "\ubaa8\ub378 \ubc31\uc5c5").mkdir()
    (cache / "blobs").mkdir()
    (cache / "tmp1234").write_text("")
    health = scan_cache(str(cache))
    assert sorted(health.strangers) == ["blobs", "tmp1234", "\ubaa8\ub378 \ubc31\uc5c5"]
    assert kinds(health) == {}


def test_a_repository_that_lies_elsewhere(cache: Path, tmp_path: Path) -> None:
    shutil.move(cache / TINY, tmp_path / "big disk")
    (cache / TINY).symlink_to(tmp_path / "big disk")
    health = scan_cache(str(cache))
    assert (kinds(health), health.repos, health.links) == ({}, 3, 13)


@pytest.mark.skipif(sys.platform == "win32", reason="names are text there")
def test_names_that_are_no_text(cache: Path) -> None:
    (cache / os.fsdecode(b"caf\xe9")).mkdir()
    (snapshot(cache) / os.fsdecode(b"\xff.bin")).symlink_to("nowhere")
    health = scan_cache(str(cache))
    assert kinds(health) == {"dangling-link": 1}
    health.strangers[0].encode()
    health.troubles[0].path.encode()


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan_cache(str(tmp_path / "none"))
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        scan_cache(str(tmp_path / "file"))


def test_only_some_of_many_troubles_are_listed(tmp_path: Path) -> None:
    files = tmp_path / TINY / "snapshots" / ("a" * 40)
    files.mkdir(parents=True)
    for i in range(600):
        (files / f"{i:03}.txt").symlink_to(f"../../blobs/{i}")
    (files / "config.json").write_bytes(b"")
    health = scan_cache(str(tmp_path))
    assert kinds(health) == {"dangling-link": 600, "empty": 1}
    assert len(health.troubles) == 400
    assert {trouble.kind for trouble in health.troubles} == {"dangling-link", "empty"}
    assert health.troubles[0].path.endswith("000.txt")


def test_beyond_the_bounds_links_are_still_followed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfdoctor.facts.probes.hub_cache.ORDINARY_LIMIT", 0)
    blob(cache, "README.md").unlink()
    cut("model.safetensors", 1)(cache)
    health = scan_cache(str(cache))
    assert kinds(health) == {"dangling-link": 1, "cut-short": 1}
    assert health.measured < health.files == 13
    assert scan_cache(str(cache), deep=True).measured == 12


def test_trees_that_cannot_be_read_are_ignored(cache: Path) -> None:
    for tree in cache.glob("*/trees/*.json"):
        tree.write_text('{"format_version": 1, "files": {"README.md": ')
    health = scan_cache(str(cache))
    assert (health.listed, kinds(health)) == (0, {})


def test_a_download_and_a_clean_up_that_run_meanwhile(tmp_path: Path) -> None:
    """New files appear in the library's order, other repositories vanish: nothing of it is damage, nothing raises."""
    repo = tmp_path / TINY
    files = repo / "snapshots" / ("a" * 40)
    (repo / "blobs").mkdir(parents=True)
    files.mkdir(parents=True)
    stop = threading.Event()

    def download() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            name = f"{number:040x}"
            part = repo / "blobs" / f"{name}.1a2b3c4d.incomplete"
            part.write_bytes(b"{}")
            part.rename(repo / "blobs" / name)
            (files / f"{number}.json").symlink_to(f"../../blobs/{name}")
            gone = tmp_path / f"models--gone--{number}"
            (gone / "snapshots" / ("b" * 40)).mkdir(parents=True)
            part = gone / "config.tmp"
            part.write_bytes(b"{}")
            part.rename(gone / "snapshots" / ("b" * 40) / "config.json")
            shutil.rmtree(gone)

    worker = threading.Thread(target=download, daemon=True)
    worker.start()
    try:
        deadline = time.monotonic() + 1.5
        scans = 0
        while time.monotonic() < deadline or scans < 3:
            assert kinds(scan_cache(str(tmp_path))) == {}
            scans += 1
    finally:
        stop.set()
        worker.join()
