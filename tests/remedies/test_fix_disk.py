"""disk-full: the cache really moves to another disk, caches are really emptied, and all but that is taken back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.conditions import room
from hfdoctor.conditions.storage import DISK_FULL
from hfdoctor.facts.fact import known
from hfdoctor.facts.probes.hub_cache import scan_cache
from hfdoctor.facts.sections.storage import Volume
from hfdoctor.facts.snapshot import Snapshot
from tests.facts.hub_server import safetensors
from tests.real import ROOT

from .mended_cache import Machine
from .tree_states import tree_state

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="two volumes are made as Linux has them"),
]

MODEL = "models--ana--tiny"
OLD, NEW = "0" * 40, "1" * 40
BIG = 2_000_000


def make_cache(cache: Path) -> None:
    """A model in two versions of which one is nobody's any more, and what a download left."""
    repo = cache / MODEL
    for commit in (OLD, NEW):
        (repo / "snapshots" / commit).mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(NEW)
    weights = safetensors()
    for name, content in {"a": b"{}", "c": weights}.items():
        (repo / "blobs" / (name * 64)).write_bytes(content)
    (repo / "blobs" / ("b" * 64)).write_bytes(bytes(range(250)) * (BIG // 250))
    for commit, blobs in {OLD: "ab", NEW: "ac"}.items():
        for blob, name in zip(
            blobs, ("config.json", "notes.txt" if commit == OLD else "model.safetensors"), strict=True
        ):
            (repo / "snapshots" / commit / name).symlink_to(f"../../blobs/{blob * 64}")
    old = time.time() - 7200
    os.utime(repo / "snapshots" / OLD, (old, old))
    remains = repo / "blobs" / ("d" * 64 + ".incomplete")
    remains.write_bytes(bytes(2 * BIG))
    os.utime(remains, (old, old))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    home = tmp_path / "home"
    machine = Machine(home)
    make_cache(machine.cache)
    (home / ".bashrc").write_text("# mine\n")
    for name, value in machine.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setattr(room, "WORTH_FREEING", BIG // 2)
    return machine


def tight(machine: Machine, other: Path | None = None) -> Snapshot:
    """What is seen where the disk of the cache is full, with ``other`` as the disk that has room."""
    snapshot = machine.observe(storage=True)
    for place in snapshot.storage.places.need():
        if place.role in ("hf-cache", "pip-cache"):
            place.space.need().free = 50_000_000
    free = 10**12
    found = [Volume(str(other), "other", "ext4", str(other), free, free)] if other else []
    snapshot.storage.volumes = known(found)
    return snapshot


def ways(machine: Machine, snapshot: Snapshot) -> list[str]:
    (finding,) = machine.findings(DISK_FULL, snapshot)
    return [choice.text for choice in machine.choices(finding, snapshot) if choice.automatic]


def take(machine: Machine, snapshot: Snapshot, words: str) -> None:
    texts = ways(machine, snapshot)
    (number,) = [number for number, text in enumerate(texts, 1) if words in text]
    machine.mend(DISK_FULL, number, snapshot)


def test_the_cache_moves_to_the_other_disk_and_back(machine: Machine, other: Path) -> None:
    before, rc = tree_state(machine.cache), (machine.home / ".bashrc").read_bytes()
    snapshot = tight(machine, other)
    text = ways(machine, snapshot)[0]
    assert "move the hub cache" in text and "1.0 TB are free" in text
    choice = machine.mend(DISK_FULL, 1, snapshot)
    new = other / room.CACHE_FOLDER
    assert not machine.cache.exists()
    assert tree_state(new) == before
    environ = machine.environ
    for action in choice.actions:
        environ = action.environ_after(environ)
    seen = machine.observe(storage=True, environ=environ)
    assert seen.hub.cache.need().path == str(new)
    assert (seen.hub.health.need().files, seen.hub.health.need().trouble_counts) == (4, {})
    assert not machine.findings(DISK_FULL, seen)
    assert b"HF_HUB_CACHE" in (machine.home / ".bashrc").read_bytes()
    machine.undo()
    assert tree_state(machine.cache) == before
    assert (machine.home / ".bashrc").read_bytes() == rc
    assert list(other.iterdir()) == []


def in_own_mounts(script: str, argv: list[str], environ: dict[str, str] | None = None) -> str:
    """Run ``argv`` where ``script`` has mounted volumes that nobody else sees; skips where that may not be done."""
    program = shutil.which("unshare")
    if program is None or subprocess.run([program, "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount file systems (unshare -m)")
    wrapped = [program, "-m", "sh", "-c", f'{{ {script}; }} || exit 77; exec "$@"', "sh", *argv]
    done = subprocess.run(wrapped, capture_output=True, text=True, timeout=120, env=environ)
    if done.returncode == 77:
        pytest.skip(f"cannot mount here: {done.stderr[-300:]}")
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


def test_a_disk_that_turns_out_too_small_is_refused(machine: Machine) -> None:
    """The facts are old, or the volume takes less than it said: nothing is begun."""
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.remedies.mended_cache import Machine
from tests.remedies.test_fix_disk import tight
from tests.remedies.tree_states import tree_state
from hfdoctor.conditions.storage import DISK_FULL
machine = Machine(Path({str(machine.home)!r}))
before = tree_state(machine.cache)
snapshot = tight(machine, Path({str(machine.home)!r}) / "small")
(finding,) = machine.findings(DISK_FULL, snapshot)
choice = machine.choices(finding, snapshot)[0]
print(choice.refused)
assert choice.refused and not choice.actions
assert tree_state(machine.cache) == before
"""
    (machine.home / "small").mkdir()
    mount = f"mount -t tmpfs -o size=3m tmpfs {machine.home}/small"
    assert "small" in in_own_mounts(mount, [sys.executable, "-c", script])


def test_two_real_volumes_as_a_person_sees_them(machine: Machine, tmp_path: Path) -> None:
    """A small disk with the home on it, an ext4 with room: hfdoctor fix and undo.

    (Where the disk of the tests is itself too small for torch, that is another finding of this id.)
    """
    if not shutil.which("mkfs.ext4"):
        pytest.skip("needs mkfs.ext4 for a disk that is no tmpfs")
    disk, full = tmp_path / "disk", tmp_path / "full"
    disk.mkdir()
    full.mkdir()
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 1 << 40)  # sparse: more than any disk here, and it takes a few megabytes
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from tests.remedies.tree_states import tree_state
from hfdoctor.__main__ import main
def run(*words):
    sys.argv = ["hfdoctor", *words]
    try:
        main()
    except SystemExit as end:
        return end.code
cache = Path({str(full / "home" / "huggingface" / "hub")!r})
before = tree_state(cache)
run("fix", "disk-full", "--yes", "--python", sys.executable)
assert not cache.exists() and tree_state(Path({str(disk / room.CACHE_FOLDER)!r})) == before
assert not run("undo", "--to", "0", "--yes")
assert tree_state(cache) == before and not Path({str(disk / room.CACHE_FOLDER)!r}).exists()
"""
    mounts = " && ".join(
        [
            f"mkfs.ext4 -q -F -O ^has_journal -T largefile4 -E lazy_itable_init=1,nodiscard {image}",
            f"mount -o loop {image} {disk}",
            f"mount -t tmpfs -o size=64m tmpfs {full}",
            f"cp -a {machine.home} {full}/home",
        ]
    )
    environ = {**machine.environ, "HOME": str(full / "home"), "HF_HOME": str(full / "home" / "huggingface")}
    environ |= {"XDG_STATE_HOME": str(tmp_path / "state"), "PIP_CACHE_DIR": str(tmp_path / "pip")}
    said = in_own_mounts(mounts, [sys.executable, "-c", script], environ)
    assert "fixed    disk-full" in said


def test_an_empty_cache_only_gets_another_place(machine: Machine, other: Path) -> None:
    shutil.rmtree(machine.cache / MODEL)
    assert "keep models in" in ways(machine, tight(machine, other))[0]


def test_the_variable_that_decides_is_kept(machine: Machine, other: Path) -> None:
    machine.variables = {"HUGGINGFACE_HUB_CACHE": str(machine.cache)}
    (finding,) = machine.findings(DISK_FULL, tight(machine, other))
    assert finding.remedy
    assert any("HUGGINGFACE_HUB_CACHE" in step.text for step in finding.remedy.steps)


def test_the_same_disk_seen_twice_is_no_way_out(machine: Machine, other: Path) -> None:
    snapshot = tight(machine, other)
    space = next(p for p in snapshot.storage.places.need() if p.role == "hf-cache").space.need()
    (volume,) = snapshot.storage.volumes.need()
    volume.total, volume.free = space.total, space.free + 1_000_000
    assert not any("move the hub cache" in text for text in ways(machine, snapshot))


def test_old_versions_go_by_the_librarys_own_program(machine: Machine) -> None:
    pytest.importorskip("huggingface_hub")
    if not machine.observe().hub.library.need().cache_rm:
        pytest.skip("this huggingface_hub has no program for it")
    snapshot = tight(machine)
    take(machine, snapshot, "remove old versions of ana/tiny from the hub cache (2 MB)")
    repo = machine.cache / MODEL
    assert sorted(path.name for path in (repo / "snapshots").iterdir()) == [NEW]
    assert not (repo / "blobs" / ("b" * 64)).exists()
    health = scan_cache(str(machine.cache))
    assert (health.files, health.trouble_counts, health.old_revisions) == (2, {}, [])


def test_old_versions_are_put_away_where_the_library_is_older(machine: Machine) -> None:
    before = tree_state(machine.cache)
    snapshot = tight(machine)
    snapshot.hub.library.need().cache_rm = False
    take(machine, snapshot, "put away old versions of ana/tiny")
    health = scan_cache(str(machine.cache))
    assert (health.files, health.trouble_counts, health.old_revisions) == (2, {}, [])
    machine.undo()
    assert tree_state(machine.cache) == before


def test_what_downloads_left_is_put_away(machine: Machine) -> None:
    before = tree_state(machine.cache)
    snapshot = tight(machine)
    take(machine, snapshot, "remains of downloads that broke off (4 MB)")
    assert scan_cache(str(machine.cache)).incomplete == 0
    assert not any("broke off" in text for text in ways(machine, tight(machine)))
    machine.undo()
    assert tree_state(machine.cache) == before


def test_pips_cache_is_emptied_and_its_size_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pip")
    folder = machine.home / "pip-cache"
    monkeypatch.setenv("PIP_CACHE_DIR", str(folder))
    (folder / "wheels" / "ab").mkdir(parents=True)
    wheel = folder / "wheels" / "ab" / "x-1-py3-none-any.whl"
    wheel.write_bytes(bytes(BIG))
    snapshot = tight(machine)
    place = next(p for p in snapshot.storage.places.need() if p.role == "pip-cache")
    place.path, place.exists, place.bytes = str(folder), True, BIG
    take(machine, snapshot, f"empty {folder}, which is only a cache (2 MB)")
    assert not wheel.exists()


def test_temporary_files_elsewhere(machine: Machine, other: Path) -> None:
    before = tree_state(machine.home, times=False)
    snapshot = tight(machine, other)
    place = next(p for p in snapshot.storage.places.need() if p.role == "temp")
    place.writable.need().ok, place.writable.need().why = False, "full"
    place.space.need().free = 0
    finding = next(found for found in machine.findings(DISK_FULL, snapshot) if "temporary" in found.summary)
    assert finding.severity == "error"
    texts = [choice for choice in machine.choices(finding, snapshot) if choice.automatic]
    assert "temporary files" in texts[0].text
    machine.mend(DISK_FULL, 1, snapshot)
    folder = other / room.TEMP_FOLDER
    assert folder.stat().st_mode & 0o777 == 0o700
    assert str(folder) in (machine.home / ".bashrc").read_text()
    machine.undo()
    assert not folder.exists()
    assert tree_state(machine.home, besides={"state"}, times=False) == before


def test_somebody_elses_folder_is_not_taken_for_temporary_files(machine: Machine, other: Path) -> None:
    (other / "elsewhere").mkdir()
    (other / room.TEMP_FOLDER).symlink_to(other / "elsewhere")
    snapshot = tight(machine, other)
    place = next(p for p in snapshot.storage.places.need() if p.role == "temp")
    place.writable.need().ok, place.writable.need().why = False, "full"
    place.space.need().free = 0
    with pytest.raises(AssertionError, match="not a folder of your own"):
        machine.mend(DISK_FULL, 1, snapshot)
    assert "TMPDIR" not in (machine.home / ".bashrc").read_text()
