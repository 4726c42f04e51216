"""Places: real disks that are full, read-only or not one's own; homes that are missing; folders that are none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.facts.fact import known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import filesystems, places, storage
from hfdoctor.facts.probes.filesystems import Mount, is_network, mount_of, mounts
from hfdoctor.facts.probes.places import Named
from hfdoctor.facts.sections.settings import ConfigValue, Settings
from hfdoctor.facts.sections.storage import Place, Storage
from hfdoctor.facts.sections.target import Paths
from hfdoctor.facts.snapshot import Snapshot, dump

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts file systems as Linux does")
posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX file modes and users")


def observed(environ: dict[str, str], cwd: Path, paths: Paths | None = None) -> Storage:
    snapshot = Snapshot()
    if paths is not None:
        snapshot.target.paths, snapshot.target.isolated = known(paths), known(True)
    storage.probe(Context(Request(environ=environ, cwd=cwd), snapshot, time.monotonic() + 20))
    return snapshot.storage


def place(section: Storage, role: str) -> Place:
    found = section.place(role)
    assert found is not None
    return found


def strangers(folder: Path) -> list[Path]:
    return list(folder.rglob(".hfdoctor-*"))


def test_places_are_measured_and_nothing_is_left_behind(tmp_path: Path) -> None:
    site = tmp_path / "venv/site-packages"
    site.mkdir(parents=True)
    (tmp_path / "home/.cache/huggingface").mkdir(parents=True)
    (tmp_path / "tmp").mkdir()
    environ = {name: str(tmp_path / "home") for name in ("HOME", "USERPROFILE", "LOCALAPPDATA")}
    environ |= {"TMPDIR": str(tmp_path / "tmp")}
    section = observed(environ, tmp_path, Paths(str(site), str(site), str(tmp_path / "venv/bin"), "", [str(site)]))
    roles = [entry.role for entry in section.places.need()]
    assert roles == [
        "site-packages",
        "scripts",
        "temp",
        "hf-home",
        "hf-cache",
        "xet-cache",
        "uv-cache",
        "pip-cache",
        "cwd",
    ]
    for entry in section.places.need():
        assert entry.space.need().total > entry.space.need().free > 0
        assert entry.filesystem.need().kind
    assert place(section, "site-packages").writable.need().proof == "created"
    assert place(section, "temp").path == str(tmp_path / "tmp")
    assert place(section, "temp").set_by == "TMPDIR"
    assert place(section, "hf-cache").exists is False
    assert place(section, "hf-cache").measured_at == str(tmp_path / "home/.cache/huggingface")
    assert strangers(tmp_path) == []
    assert not (tmp_path / "venv/bin").exists()


@posix_only
def test_a_file_where_a_folder_must_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    section = observed({"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "file")}, tmp_path)
    for role in ("hf-home", "hf-cache"):
        assert place(section, role).kind == "file"
        assert place(section, role).writable.need().why == "not-a-folder"


@posix_only
def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "unplugged/disk")
    entry = place(observed({"HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "link")}, tmp_path), "hf-cache")
    assert (entry.kind, entry.exists, entry.writable.need().ok) == ("dangling-link", False, False)


@posix_only
@pytest.mark.parametrize("home", [None, "", "/", "/nonexistent/ana", "relative", "~"])
def test_strange_homes(tmp_path: Path, home: str | None) -> None:
    environ = {} if home is None else {"HOME": home}
    section = observed(environ, tmp_path)
    assert place(section, "temp").writable.need().ok
    for entry in section.places.need():
        assert entry.space.known, entry
        assert Path(entry.path).is_absolute()
    dump(Snapshot(storage=section))


@posix_only
def test_quoted_relative_and_foreign_names(tmp_path: Path) -> None:
    (tmp_path / "모델/hub").mkdir(parents=True)
    section = observed({"HOME": str(tmp_path), "HF_HOME": "모델"}, tmp_path)
    assert place(section, "hf-cache").path == str(tmp_path / "모델/hub")
    assert place(section, "hf-cache").writable.need().proof == "created"
    section = observed({"HOME": str(tmp_path), "HF_HOME": '"/data/hf"'}, tmp_path)
    assert place(section, "hf-home").exists is False
    section = observed({"HOME": str(tmp_path), "HF_HOME": os.fsdecode(b"/data/\xb1")}, tmp_path)
    dump(Snapshot(storage=section))


@posix_only
def test_the_first_folder_that_takes_a_file_is_the_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environ = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path / "missing"), "TEMP": str(tmp_path / "file")}
    entry = place(observed({**environ, "TMP": str(tmp_path)}, tmp_path), "temp")
    assert (entry.path, entry.set_by) == (str(tmp_path), "TMP")


@posix_only
@pytest.mark.allow_subprocess
def test_python_agrees_on_the_temporary_folder(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    environ = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path / "missing"), "TMP": str(tmp_path / "good")}
    command = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
    python = subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout.strip()
    assert place(observed(environ, tmp_path), "temp").path == python


def inspect_in_child(script: str, *, command: tuple[str, ...] = (), uid: int | None = None) -> dict[str, Any]:
    """Run ``script`` with a helper ``places(environ, cwd)`` in a child; it prints one JSON document."""
    code = f"""
import json, os, sys, time
import msgspec
from hfdoctor.facts.fact import known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import storage
from hfdoctor.facts.sections.target import Paths
from hfdoctor.facts.snapshot import Snapshot
from pathlib import Path

def places(environ, cwd, site=None):
    snapshot = Snapshot()
    if site:
        snapshot.target.paths, snapshot.target.isolated = known(Paths(site, site, site, "", [site])), known(True)
    storage.probe(Context(Request(environ=environ, cwd=Path(cwd)), snapshot, time.monotonic() + 20))
    found = msgspec.to_builtins(snapshot.storage.places.need())
    return {{entry["role"]: entry for entry in found}}

{"os.setgroups([]); os.setgid(" + str(uid) + "); os.setuid(" + str(uid) + ")" if uid else ""}
{script}
"""
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        [*command, sys.executable, "-c", code],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if ended.returncode == 77:
        pytest.skip(ended.stdout.strip() or "cannot be set up here")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert isinstance(document, dict)
    return document


def private_mounts() -> tuple[str, ...]:
    """The command that gives a child mounts of its own; skips where that is not allowed."""
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to have mounts of one's own (unshare -m)")
    return (unshare, "-m")


@linux_only
@pytest.mark.allow_subprocess
def test_a_small_tmpfs_is_seen_with_its_bytes_and_inodes_and_when_it_is_full(tmp_path: Path) -> None:
    found = inspect_in_child(
        f"""
import subprocess
at = {str(tmp_path)!r}
made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=64", "tmpfs", at])
if made.returncode:
    print("mount is refused"); sys.exit(77)
os.mkdir(at + "/tmp"); os.mkdir(at + "/hf")
environ = {{"HOME": at, "TMPDIR": at + "/tmp", "HF_HOME": at + "/hf"}}
empty = places(environ, at)
with open(at + "/big", "wb") as stream:
    try:
        while True: stream.write(b"x" * 65536)
    except OSError: pass
full = places({{**environ, "TEMP": at + "/hf"}}, at)
os.unlink(at + "/big")
for number in range(100):
    try: open(f"{{at}}/file{{number}}", "w").close()
    except OSError: break
no_inodes = places(environ, at)
print(json.dumps({{"empty": empty, "full": full, "no_inodes": no_inodes, "left": sorted(os.listdir(at + "/hf"))}}))
""",
        command=private_mounts(),
    )
    empty, full, no_inodes = (found[key]["hf-home"] for key in ("empty", "full", "no_inodes"))
    assert empty["space"]["value"]["total"] == 8 * 2**20
    assert empty["space"]["value"]["inodes_total"] == 64
    assert empty["filesystem"]["value"]["kind"] == "tmpfs"
    assert empty["filesystem"]["value"]["mount"] == str(tmp_path)
    assert empty["writable"]["value"] == {"ok": True, "proof": "created"}
    assert full["space"]["value"]["free"] == 0
    assert full["writable"]["value"]["why"] == "full"
    assert no_inodes["space"]["value"]["inodes_free"] == 0
    assert no_inodes["writable"]["value"]["why"] == "full"
    assert found["left"] == []
    # Python goes on to /tmp where the folder it is told is full, and so does the doctor
    assert found["empty"]["temp"]["path"] == str(tmp_path / "tmp")
    assert found["full"]["temp"]["path"] != str(tmp_path / "tmp")
    assert (
        found["full"]["hf-home"]["filesystem"]["value"]["volume"]
        == found["full"]["hf-cache"]["filesystem"]["value"]["volume"]
    )


@linux_only
@pytest.mark.allow_subprocess
def test_a_disk_mounted_read_only(tmp_path: Path) -> None:
    (tmp_path / "venv/site-packages").mkdir(parents=True)
    (tmp_path / "home/.cache/huggingface/hub").mkdir(parents=True)
    found = inspect_in_child(
        f"""
import subprocess
at = {str(tmp_path)!r}
for command in (["mount", "--bind", at, at], ["mount", "-o", "remount,bind,ro", at]):
    if subprocess.run(command).returncode:
        print("mount is refused"); sys.exit(77)
print(json.dumps(places({{"HOME": at + "/home"}}, at, at + "/venv/site-packages")))
""",
        command=private_mounts(),
    )
    for role in ("site-packages", "hf-cache", "xet-cache", "cwd"):
        assert found[role]["writable"]["value"]["why"] == "read-only", role
        assert found[role]["filesystem"]["value"]["read_only"] is True
    assert found["site-packages"]["writable"]["value"]["proof"] == "created"
    assert found["temp"]["writable"]["value"]["ok"] is True


@linux_only
@pytest.mark.allow_subprocess
def test_somebody_elses_folders() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    import tempfile

    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:  # pytest's own folders are closed to others
        at = Path(name)
        at.chmod(0o755)
        (at / "venv").mkdir()
        (at / "home/.cache").mkdir(parents=True)
        (at / "closed/hub").mkdir(parents=True)
        (at / "closed").chmod(0o700)
        found = inspect_in_child(
            f"""
at = {name!r}
print(json.dumps(places({{"HOME": at + "/home", "HF_HUB_CACHE": at + "/closed/hub/x"}}, at, at + "/venv")))
""",
            uid=65534,
        )
    assert found["site-packages"]["writable"]["value"]["why"] == "permission"
    assert found["site-packages"]["writable"]["value"]["proof"] == "created"
    assert found["site-packages"]["owner"] == "root"
    assert found["hf-home"]["writable"]["value"] == {
        "ok": False,
        "proof": "access",
        "error": "Permission denied",
        "why": "permission",
    }
    assert "exists" in found["hf-cache"] and found["hf-cache"]["exists"] is None
    assert found["hf-cache"]["measured_at"] == f"{name}/closed"
    assert found["hf-cache"]["writable"]["value"]["why"] == "permission"
    assert found["temp"]["writable"]["value"]["ok"] is True


@linux_only
@pytest.mark.allow_subprocess
def test_nowhere_to_write_a_temporary_file(tmp_path: Path) -> None:
    found = inspect_in_child(
        """
import subprocess
for folder in ("/tmp", "/var/tmp", "/usr/tmp", "/root", "/opt"):
    if os.path.isdir(folder):
        for command in (["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]):
            if subprocess.run(command).returncode:
                print("mount is refused"); sys.exit(77)
print(json.dumps(places({"HOME": "/proc"}, "/proc")))
""",
        command=private_mounts(),
    )
    assert found["temp"]["path"] == "/tmp"
    assert found["temp"]["writable"]["value"]["why"] == "read-only"


def test_a_place_that_hangs_costs_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, release = storage.look, threading.Event()

    def look(named: Named, *rest: Any, **options: Any) -> Place:
        if named.role == "hf-cache":
            release.wait(30)
        return real(named, *rest, **options)

    monkeypatch.setattr(storage, "look", look)
    monkeypatch.setattr(storage, "PATIENCE_S", 0.5)
    began = time.monotonic()
    section = observed({"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}, tmp_path)
    release.set()
    assert time.monotonic() - began < 5
    entry = place(section, "hf-cache")
    assert (entry.exists, entry.space.status, entry.writable.status) == (None, "timeout", "timeout")
    assert entry.space is not entry.filesystem
    assert place(section, "hf-home").space.known


MOUNTINFO = r"""22 1 259:2 / / rw,relatime - ext4 /dev/nvme0n1p2 rw
30 22 0:41 / /home rw,relatime - nfs4 files:/export/home rw,vers=4.2
31 30 0:42 / /home/ana/my\040data ro,relatime - cifs //files/data rw
32 22 0:43 / /mnt/c rw,noatime - 9p C:\134 rw,aname=drvfs;path=C:\;uid=1000
33 22 0:44 / /lab rw - fuse.sshfs ana@lab:/ rw
34 22 0:45 / /scratch ro - lustre 10.0.0.1@tcp:/scratch rw
35 22 0:46 / /scratch rw - tmpfs tmpfs rw
not a mount
"""


def test_mounts_and_the_longest_of_them(tmp_path: Path) -> None:
    if sys.platform in ("win32", "darwin"):
        pytest.skip("Linux tells its mounts in a file")
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    table = mounts(tmp_path / "mountinfo")
    assert len(table) == 7

    def kind(path: str) -> tuple[str, bool, bool]:
        found = mount_of(path, table)
        assert found
        return found.kind, is_network(found.kind, found.source), found.read_only

    assert kind("/usr/lib") == ("ext4", False, False)
    assert kind("/home/ana/.cache") == ("nfs4", True, False)
    assert kind("/homestead") == ("ext4", False, False)
    assert kind("/home/ana/my data/x") == ("cifs", True, True)
    assert kind("/mnt/c/Users") == ("9p", False, False)
    assert kind("/lab") == ("fuse.sshfs", True, False)
    assert kind("/scratch/ana") == ("tmpfs", False, False)
    assert mounts(tmp_path / "none") == []
    assert mount_of("/x", []) is None


@pytest.mark.parametrize(
    ("kind", "source", "network"),
    [
        ("fuse.gcsfuse", "bucket", True),
        ("9p", "host", True),
        ("virtiofs", "share", False),
        ("overlay", "overlay", False),
    ],
)
def test_network_kinds(kind: str, source: str, network: bool) -> None:
    assert is_network(kind, source) is network


@linux_only
def test_a_file_system_that_does_not_tell_its_size() -> None:
    assert filesystems.space_of("/proc").status == "failed"
    fact = filesystems.filesystem_of("/proc", [Mount("/nowhere", "1:1", "ext4", "x", False)])
    assert fact.status == "failed"


def test_caches_by_setting(tmp_path: Path) -> None:
    settings = Settings(variables=known([]), pip_config=known([]), uv_config=known([]))
    home = str(tmp_path)

    def caches(environ: dict[str, str]) -> dict[str, tuple[str, str]]:
        found = places.installer_caches({"LOCALAPPDATA": home, **environ}, home, home, settings)
        return {entry.role: (entry.path, entry.set_by) for entry in found}

    assert caches({"UV_CACHE_DIR": "here"})["uv-cache"] == (str(tmp_path / "here"), "UV_CACHE_DIR")
    assert "uv-cache" not in caches({"UV_NO_CACHE": "1"})
    settings.pip_config = known([ConfigValue("global.cache-dir", "~/pips", "pip.conf")])
    assert caches({})["pip-cache"] == (str(tmp_path / "pips"), "pip.conf")
    settings.pip_config = known([ConfigValue("global.no-cache-dir", "true", "pip.conf")])
    assert "pip-cache" not in caches({})
    settings.uv_config = known([ConfigValue("cache-dir", "/big/uv", "uv.toml")])
    assert caches({})["uv-cache"][1] == "uv.toml"


@posix_only
@pytest.mark.allow_subprocess
def test_pip_and_uv_agree_on_their_caches(tmp_path: Path) -> None:
    for environ in ({"HOME": str(tmp_path)}, {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "xdg")}):
        ours = {entry.role: entry.path for entry in observed(environ, tmp_path).places.need()}
        full = {**environ, "PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull}
        command = [sys.executable, "-m", "pip", "cache", "dir"]
        pip = subprocess.run(command, env=full, capture_output=True, text=True)
        if pip.returncode == 0:
            assert pip.stdout.strip() == ours["pip-cache"]
        uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
        if uv:
            said = subprocess.run([uv, "cache", "dir"], env=full, capture_output=True, text=True, check=True).stdout
            assert said.strip() == ours["uv-cache"]


def test_user_site_only_for_shared_pythons() -> None:
    paths = Paths("/p", "/p", "/s", "/l", ["/p"], user_site="/u", user_site_enabled=True)
    assert [entry.role for entry in places.installed_places(paths, isolated=False)] == [
        "site-packages",
        "user-site",
        "scripts",
    ]
    assert [entry.role for entry in places.installed_places(paths, isolated=True)] == ["site-packages", "scripts"]
    assert places.installed_places(None, isolated=True) == []
