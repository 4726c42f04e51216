"""Room and rights: the sums, and hfdoctor run on real disks that are too small, full or not one's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hfdoctor.conditions.byte_count import size
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding, Goal
from hfdoctor.conditions.outstanding import install_place, missing, room_needed
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.knowledge.sizes import install_size
from tests import recorded
from tests.real import ROOT, check, failed

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts file systems as Linux does")


def findings(s: Snapshot, condition: str) -> list[Finding]:
    return [found for found in diagnose(s).findings if found.condition == condition]


def test_an_empty_environment_needs_all_of_it() -> None:
    s = recorded.load("disk-full-cuda-build")
    assert missing(s, Goal()) == ["transformers", "torch"]
    room, row = room_needed(s, missing(s, Goal())), install_size("linux", "x86_64")
    assert room and row
    assert (room.download, room.unpacked, room.files) == (row.download, row.unpacked, row.files)
    assert 0 < room.least_unpacked < room.unpacked // 3


def test_only_what_is_missing_counts() -> None:
    s = recorded.build("linux")
    assert missing(s, Goal()) == []
    distributions = s.packages.distributions.need()
    distributions[:] = [entry for entry in distributions if entry.name != "transformers"]
    assert missing(s, Goal()) == ["transformers"]
    room = room_needed(s, ["transformers"])
    assert room and room.unpacked < 100_000_000  # torch is there, and its libraries with it
    distributions[:] = [entry for entry in distributions if entry.name != "torch"]
    assert room_needed(s, ["transformers", "torch"])


def test_platforms_without_figures_are_unknown() -> None:
    s = recorded.load("disk-full-nothing-fits")
    s.machine.libc.need().family = "musl"
    assert [found.outcome for found in findings(s, "disk-full")] == ["unknown"]
    s = recorded.load("disk-full-nothing-fits")
    s.target.interpreter.need().platform = "linux-armv7l"
    assert [found.outcome for found in findings(s, "disk-full")] == ["unknown"]


def test_a_goal_that_was_not_measured_is_unknown() -> None:
    s = recorded.load("disk-full-nothing-fits")
    report = diagnose(s, Goal(("tensorflow",)))
    assert [f.outcome for f in report.findings if f.condition == "disk-full"] == ["unknown"]


def test_the_sum_names_each_place() -> None:
    found = findings(recorded.load("disk-full-added-up"), "disk-full")[0]
    assert "11.9 GB" in found.summary
    text = found.evidence[0].text
    assert all(word in text for word in ("site-packages", "/tmp", "/home/ana/.cache/pip"))
    assert found.remedy and any("--no-cache-dir" in step.text for step in found.remedy.steps)


def test_uv_links_from_its_cache_and_needs_the_room_once() -> None:
    s = recorded.load("disk-full-added-up")
    s.target.pip.status, s.target.pip.value = "absent", None
    assert [found.outcome for found in findings(s, "disk-full")] == ["pass"]


def test_each_disk_is_judged_alone() -> None:
    found = findings(recorded.load("disk-full-small-tmp"), "disk-full")
    assert [f.severity for f in found] == ["warning"]
    assert "/tmp" in found[0].summary and "1.0 GB left" in found[0].summary


def test_shared_python_goes_to_the_user_site() -> None:
    s = recorded.load("permission-denied-user-site")
    place = install_place(s)
    assert place and place.role == "user-site"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (4096, "4 kB"), (999_000_000, "999 MB"), (10**9, "1.0 GB"), (5_618_602_369, "5.6 GB")],
)
def test_sizes_as_people_read_them(count: int, text: str) -> None:
    assert size(count) == text


def unshare(script: str) -> tuple[str, ...]:
    """A command that sets up mounts of its own with ``script`` and then runs what follows; skips if it may not."""
    program = shutil.which("unshare")
    if not program or subprocess.run([program, "-m", "sh", "-c", script], capture_output=True).returncode:
        pytest.skip("needs the right to mount file systems (unshare -m)")
    return (program, "-m", "sh", "-c", f'{script} && exec "$@"', "sh")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True, capture_output=True)
    return prefix


@linux_only
@pytest.mark.allow_subprocess
def test_an_environment_on_a_real_small_disk(empty: Path, tmp_path: Path) -> None:
    """A tmpfs of 8 MB with 64 inodes holds the environment: nothing can be installed there."""
    site = next(empty.glob("lib/python*/site-packages"))
    before = unshare(f"mount -t tmpfs -o size=8m,nr_inodes=64 tmpfs {site}")
    report = check("--python", str(empty), cwd=tmp_path, before=before)
    assert list(failed(report)) == ["disk-full"]
    found = next(f for f in report["findings"] if f["condition"] == "disk-full")
    assert (found["severity"], found["basis"]) == ("error", "derived")
    assert report["exit_code"] == 1


@linux_only
@pytest.mark.allow_subprocess
def test_a_full_folder_for_temporary_files(empty: Path, tmp_path: Path) -> None:
    # everything that is needed must lie elsewhere, or be put back
    copy = Path("/var/lib") / f"hfdoctor-test-{os.getpid()}"
    shutil.copytree(empty, copy, symlinks=True)
    temporary = ("/tmp", "/var/tmp")
    needed = [
        path for path in (str(ROOT), sys.prefix, sys.base_prefix) if path.startswith(tuple(f"{t}/" for t in temporary))
    ]
    kept = {path: Path(f"{copy}-keep{index}") for index, path in enumerate(dict.fromkeys(needed))}
    for keep in kept.values():
        keep.mkdir()
    steps = [f"mount --bind {path} {keep}" for path, keep in kept.items()]
    steps += [f"mount -t tmpfs -o size=64k tmpfs {folder}" for folder in temporary]
    steps += [f"mkdir -p {path} && mount --bind {keep} {path}" for path, keep in kept.items()]
    steps += [f"(head -c 200000 /dev/zero > {folder}/fill 2>/dev/null; true)" for folder in temporary]
    try:
        environ = {"HOME": str(copy), "TMPDIR": None, "TEMP": None, "TMP": None}
        before = unshare(" && ".join(steps))
        report = check("--python", str(copy), cwd=Path("/proc"), before=before, environ=environ)
    finally:
        shutil.rmtree(copy)
        for keep in kept.values():
            keep.rmdir()
    assert "disk-full" in failed(report)
    assert "is full" in failed(report)["disk-full"]


@linux_only
@pytest.mark.allow_subprocess
def test_an_environment_that_belongs_to_root(empty: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    setpriv = shutil.which("setpriv")
    if not setpriv:
        pytest.skip("needs setpriv")
    copy = Path("/var/lib") / f"hfdoctor-test-{os.getpid()}"
    shutil.copytree(empty, copy, symlinks=True)
    before = (setpriv, "--reuid=65534", "--regid=65534", "--clear-groups")
    readable = subprocess.run(
        [*before, sys.executable, "-c", f"open({str(ROOT / 'pyproject.toml')!r})"], capture_output=True
    )
    try:
        if readable.returncode:
            pytest.skip("another user can read neither this Python nor hfdoctor")
        report = check("--python", str(copy), cwd=Path("/"), before=before, environ={"HOME": "/nonexistent"})
    finally:
        shutil.rmtree(copy)
    assert "permission-denied" in failed(report)
