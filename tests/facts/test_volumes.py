"""Other disks with room, what emptying a cache frees, and versions that nothing points at: on folders made for it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.facts.fact import known
from hfdoctor.facts.probes import volumes as module
from hfdoctor.facts.probes.cache_sizes import bytes_below, measure
from hfdoctor.facts.probes.filesystems import Mount
from hfdoctor.facts.probes.hub_cache import scan_cache
from hfdoctor.facts.probes.volumes import TIGHT, volumes
from hfdoctor.facts.sections.machine import Space
from hfdoctor.facts.sections.storage import FileSystem, Place, Volume, Writable
from hfdoctor.knowledge.sizes import load_install_sizes

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounted as Linux does it")
posix_only = pytest.mark.skipif(os.name == "nt", reason="links and their numbers as on POSIX")


def place(role: str = "hf-cache", free: int = 10**9, kind: str = "ext4", network: bool = False) -> Place:
    made = Place(role, "/home/ana/.cache", True)
    made.space = known(Space(10**12, free))
    made.filesystem = known(FileSystem(kind, "/", "1:1", network))
    made.writable = known(Writable(True, "created"))
    return made


def found(table: list[Mount], home: Path) -> list[Volume]:
    return volumes([place()], table, str(home)).need()


def test_nothing_is_looked_for_where_there_is_room(tmp_path: Path) -> None:
    table = [Mount(str(tmp_path), "8:1", "ext4", "/dev/sda1", False)]
    for seen in (place(free=TIGHT), place("cwd", free=0)):
        assert volumes([seen], table, str(tmp_path)).status == "not-run"
    assert volumes([place(free=TIGHT, network=True)], table, str(tmp_path)).known


@linux_only
def test_disks_on_which_one_can_keep_files(tmp_path: Path) -> None:
    (data, own) = (tmp_path / "data", tmp_path / "data" / "ana")
    own.mkdir(parents=True)
    (found_one,) = found([Mount(str(data), "8:1", "ext4", "/dev/sda1", False)], tmp_path / "elsewhere" / "ana")
    assert (found_one.mount, found_one.folder, found_one.kind) == (str(data), str(own), "ext4")
    assert 0 < found_one.free <= found_one.total


@linux_only
@pytest.mark.parametrize(
    ("kind", "read_only"),
    [("tmpfs", False), ("overlay", False), ("nfs4", False), ("squashfs", True), ("vfat", False), ("ext4", True),
     ("fuse.sshfs", False), ("iso9660", True), ("9p", False)],
)  # fmt: skip
def test_what_is_no_disk_of_this_machine(tmp_path: Path, kind: str, read_only: bool) -> None:
    assert found([Mount(str(tmp_path), "8:1", kind, "x", read_only)], tmp_path) == []


@linux_only
def test_what_is_plugged_in_or_the_systems_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for point in ("/media/ana/stick", "/run/media/ana/stick", "/boot", "/snap/core/1", "/var/lib/docker", "/etc/hosts"):
        assert found([Mount(point, "8:1", "ext4", "/dev/sdb1", False)], tmp_path) == []
    monkeypatch.setattr(module, "_pulled", lambda device: True)
    assert found([Mount(str(tmp_path), "8:1", "ext4", "/dev/sdb1", False)], tmp_path) == []


@linux_only
def test_one_disk_seen_twice_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    table = [Mount(str(tmp_path / name), f"0:{n}", "btrfs", "/dev/sda1", False) for n, name in enumerate("ab")]
    assert len(found(table, tmp_path)) == 1


@linux_only
def test_where_anybody_could_swap_a_folder(tmp_path: Path) -> None:
    table = [Mount(str(tmp_path), "8:1", "ext4", "/dev/sda1", False)]
    try:
        for mode in (0o777, 0o1777):
            tmp_path.chmod(mode)
            assert found(table, Path("/nonexistent/ana")) == []
        (tmp_path / "ana").mkdir(mode=0o755)
        assert [one.folder for one in found(table, Path("/nonexistent/ana"))] == [str(tmp_path / "ana")]
    finally:
        tmp_path.chmod(0o700)


@linux_only
def test_of_the_systems_own_disk_only_a_home_is_a_persons(tmp_path: Path) -> None:
    table = [Mount("/", "8:1", "ext4", "/dev/sda1", False)]
    for home in ("/nonexistent/home", "/nonexistent/tmp", "/"):
        assert found(table, Path(home)) == []
    if tmp_path.stat().st_dev == Path("/").stat().st_dev:
        assert [one.folder for one in found(table, tmp_path)] == [str(tmp_path)]


@linux_only
def test_a_mount_that_is_gone_costs_only_itself(tmp_path: Path) -> None:
    table = [Mount(str(tmp_path / name), "8:1", "ext4", "x", False) for name in ("gone", "file")]
    (tmp_path / "file").write_text("")
    assert found(table, tmp_path) == []


def test_no_install_needs_more_than_what_counts_as_tight() -> None:
    """pip keeps what it downloads in its cache and in the temporary folder, and compiles what it unpacks."""
    needed = {row.platform: row.unpacked + row.python_bytes * 4 // 3 + 2 * row.download for row in load_install_sizes()}
    assert needed and max(needed.values()) < TIGHT


@posix_only
def test_caches_are_measured_where_room_is_short(tmp_path: Path) -> None:
    (tmp_path / "wheel").write_bytes(bytes(1000))
    places = [
        place("pip-cache"),
        place("uv-cache", free=TIGHT),
        place("xet-cache", network=True),
        place("hf-cache"),
    ]
    for one in places:
        one.path = str(tmp_path)
    measure(places)
    assert [(one.bytes, one.at_least) for one in places] == [(1000, False), *[(None, False)] * 3]
    measure(places, patience_s=-1)
    assert (places[0].bytes, places[0].at_least) == (0, True)


@posix_only
def test_what_emptying_a_cache_frees(tmp_path: Path) -> None:
    """Files that an environment shares with uv's cache stay on the disk."""
    cache = tmp_path / "cache"
    (cache / "a" / "b").mkdir(parents=True)
    (cache / "a" / "alone").write_bytes(bytes(1000))
    (cache / "a" / "b" / "shared").write_bytes(bytes(5000))
    os.link(cache / "a" / "b" / "shared", tmp_path / "in the environment")
    (cache / "link").symlink_to(tmp_path)
    assert bytes_below(str(cache), time.monotonic() + 60) == (1000, True)
    assert bytes_below(str(cache), time.monotonic() - 1) == (0, False)
    assert bytes_below(str(tmp_path / "gone"), time.monotonic() + 60) == (0, True)


def revision(repo: Path, commit: str, blobs: str, age_s: float) -> None:
    files = repo / "snapshots" / commit
    files.mkdir(parents=True)
    (repo / "blobs").mkdir(exist_ok=True)
    for number, blob in enumerate(blobs):
        (repo / "blobs" / blob).write_bytes(bytes(1000))
        (files / f"{number}.txt").symlink_to(f"../../blobs/{blob}")
    at = time.time() - age_s
    os.utime(files, (at, at))


@posix_only
def test_versions_that_nothing_points_at(tmp_path: Path) -> None:
    repo = tmp_path / "models--ana--tiny"
    for commit, blobs, age_s in (
        ("a" * 40, "123", 400.0),
        ("b" * 40, "145", 300),
        ("c" * 40, "16", 200),
        ("d" * 40, "7", 1),
    ):
        revision(repo, commit, blobs, age_s)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("c" * 40)
    (old,) = scan_cache(str(tmp_path)).old_revisions
    assert (old.repo, old.commits, old.bytes) == (repo.name, ["a" * 40, "b" * 40], 4000)
    assert sorted(old.entries) == sorted(
        [f"{repo.name}/snapshots/{'a' * 40}", f"{repo.name}/snapshots/{'b' * 40}"]
        + [f"{repo.name}/blobs/{blob}" for blob in "2345"]
    )


@posix_only
@pytest.mark.parametrize("trouble", ["a branch that holds nothing", "a file for the branches"])
def test_where_a_part_cannot_be_read_nothing_is_called_old(tmp_path: Path, trouble: str) -> None:
    """Who knows what that part points at."""
    repo = tmp_path / "models--ana--tiny"
    revision(repo, "a" * 40, "12", 400)
    revision(repo, "b" * 40, "13", 1)
    assert [one.commits for one in scan_cache(str(tmp_path)).old_revisions] == [["a" * 40]]
    if trouble == "a branch that holds nothing":
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text("")
    else:
        (repo / "refs").write_text("")
    assert scan_cache(str(tmp_path)).old_revisions == []


@posix_only
def test_a_link_in_another_form_uses_its_blob_too(tmp_path: Path) -> None:
    repo = tmp_path / "models--ana--tiny"
    revision(repo, "a" * 40, "12", 400)
    revision(repo, "b" * 40, "3", 1)
    (repo / "snapshots" / ("b" * 40) / "whole.txt").symlink_to(repo / "blobs" / "1")
    (old,) = scan_cache(str(tmp_path)).old_revisions
    assert [entry for entry in old.entries if "/blobs/" in entry] == [f"{repo.name}/blobs/2"]


@posix_only
def test_one_version_is_never_old(tmp_path: Path) -> None:
    revision(tmp_path / "models--ana--pinned", "a" * 40, "12", 10**7)
    assert scan_cache(str(tmp_path)).old_revisions == []


@posix_only
def test_old_copies_count_as_what_they_are(tmp_path: Path) -> None:
    repo = tmp_path / "models--ana--tiny"
    for commit, age_s in (("a" * 40, 100.0), ("b" * 40, 1)):
        files = repo / "snapshots" / commit
        files.mkdir(parents=True)
        (files / "notes.txt").write_bytes(bytes(700))
        os.utime(files, (time.time() - age_s,) * 2)
    (old,) = scan_cache(str(tmp_path)).old_revisions
    assert (old.commits, old.bytes) == (["a" * 40], 700)
