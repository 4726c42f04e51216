"""The section hub, observed for real: which cache, which library, what the trials leave behind."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from hfdoctor.facts.fact import known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import hub, hub_trials
from hfdoctor.facts.sections.hub import Hub
from hfdoctor.facts.snapshot import Snapshot

CONSTANTS = {
    "2": 'HF_HUB_OFFLINE = _is_true(os.environ.get("HF_HUB_OFFLINE"))\n'
    'HF_HOME = os.path.expandvars(os.path.expanduser(os.getenv("HF_HOME")))\n'
    'HF_HUB_CACHE = os.path.expandvars(os.path.expanduser(os.getenv("HF_HUB_CACHE")))\n',
    "0.17": 'HF_HUB_OFFLINE = _is_true(os.environ.get("HF_HUB_OFFLINE"))\n'
    'hf_cache_home = os.path.expanduser(os.getenv("HF_HOME"))\n',
}


def install(site: Path, version: str, constants: str, *files: str) -> None:
    """The files of a huggingface_hub that the probe reads."""
    package = site / "huggingface_hub"
    (package / "utils").mkdir(parents=True)
    (package / "__init__.py").write_text(f'__version__ = "{version}"\n')
    (package / "constants.py").write_text(constants)
    for file in files:
        (package / file).parent.mkdir(exist_ok=True)
        (package / file).write_text("\n\ndef rm():\n    pass\n")


def observe(cwd: Path, sys_path: list[str] | None, **environ: str) -> Hub:
    snapshot = Snapshot()
    if sys_path is not None:
        snapshot.target.sys_path = known(sys_path)
    request = Request(cwd=cwd, environ=environ)
    hub.probe(Context(request, snapshot, deadline=float("inf")))
    return snapshot.hub


def test_nothing_installed_and_nothing_cached(tmp_path: Path) -> None:
    found = observe(tmp_path, [str(tmp_path)], HOME=str(tmp_path))
    location = found.cache.need()
    assert (location.path, location.set_by, location.kind) == (
        str(tmp_path / ".cache" / "huggingface" / "hub"),
        "default",
        "missing",
    )
    for fact in (found.library, found.variables_read, found.token, found.health, found.lock, found.link):
        assert fact.absent, fact
    assert found.other_users.need() == []
    assert list(tmp_path.iterdir()) == []  # nothing is made where nothing is


def test_a_target_that_did_not_answer(tmp_path: Path) -> None:
    found = observe(tmp_path, None, HOME=str(tmp_path))
    assert found.library.status == found.variables_read.status == "failed"
    assert found.cache.known


@pytest.mark.skipif(sys.platform == "win32", reason="paths of Linux")
def test_rules_and_abilities_come_from_the_installed_files(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    install(new, "2.4.0", CONSTANTS["2"], "utils/_shared_blobs.py", "_tree_cache.py", "cli/hf.py", "cli/cache.py")
    install(old, "0.17.3", CONSTANTS["0.17"], "commands/huggingface_cli.py")
    environ = {"HOME": "/h", "HF_HOME": "$BASE/hf", "HF_HUB_CACHE": "/hub", "BASE": "/b"}
    found = observe(tmp_path, ["", str(new), str(old)], **environ)
    library = found.library.need()
    assert (library.version, library.cli, library.cache_rm) == ("2.4.0", "huggingface_hub.cli.hf", True)
    assert library.shared_blobs
    assert library.trees
    assert found.cache.need().path == "/hub"
    assert found.cache.need().hf_home == "/b/hf"
    assert "HF_HUB_CACHE" in found.variables_read.need()
    assert found.transformers_variables_read.absent

    found = observe(tmp_path, [str(old)], **environ)
    library = found.library.need()
    assert (library.version, library.cache_rm, library.shared_blobs) == ("0.17.3", False, False)
    assert library.cli == "huggingface_hub.commands.huggingface_cli"
    assert found.cache.need().literal == "$BASE/hf/hub"
    assert found.cache.need().path == str(tmp_path / "$BASE/hf/hub")


def test_transformers_4_has_a_cache_of_its_own(tmp_path: Path) -> None:
    install(tmp_path, "0.36.2", CONSTANTS["2"])
    files = tmp_path / "transformers"
    (files / "utils").mkdir(parents=True)
    (files / "__init__.py").write_text("")
    (files / "utils" / "hub.py").write_text('TRANSFORMERS_CACHE = os.getenv("TRANSFORMERS_CACHE", x)\n')
    (files / "utils" / "logging.py").write_text('os.getenv("TRANSFORMERS_VERBOSITY")\n')
    models = tmp_path / "models"
    found = observe(tmp_path, [str(tmp_path)], HOME=str(tmp_path), TRANSFORMERS_CACHE=str(models))
    location = found.cache.need()
    assert (location.path, location.set_by) == (str(models), "TRANSFORMERS_CACHE")
    assert location.hub_path == str(tmp_path / ".cache" / "huggingface" / "hub")
    assert found.transformers_variables_read.need() == ["TRANSFORMERS_CACHE", "TRANSFORMERS_VERBOSITY"]


def test_files_of_the_library_that_say_nothing(tmp_path: Path) -> None:
    install(tmp_path, "2.4.0", "")
    (tmp_path / "huggingface_hub" / "__init__.py").write_text("")
    found = observe(tmp_path, [str(tmp_path)], HOME=str(tmp_path))
    assert found.library.status == "failed"
    assert found.variables_read.status == "failed"
    assert found.cache.known


def test_a_file_where_the_cache_must_be(tmp_path: Path) -> None:
    (tmp_path / "hf").write_text("")
    location = observe(tmp_path, [], HOME=str(tmp_path), HF_HOME=str(tmp_path / "hf")).cache.need()
    assert location.hf_home_kind == "file"
    assert location.kind in ("below-a-file", "missing")  # Windows does not tell the two apart
    found = observe(tmp_path, [], HOME=str(tmp_path), HF_HUB_CACHE=str(tmp_path / "hf"))
    assert found.cache.need().kind == "file"
    assert found.health.absent
    (tmp_path / "link").symlink_to("nowhere")
    location = observe(tmp_path, [], HOME=str(tmp_path), HF_HUB_CACHE=str(tmp_path / "link")).cache.need()
    assert location.kind == "dangling-link"


def test_what_an_old_transformers_has_left(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "transformers").mkdir()
    (tmp_path / "transformers" / ("a" * 64)).write_bytes(bytes(100))
    (tmp_path / "transformers" / ("a" * 64 + ".json")).write_bytes(bytes(20))
    health = observe(tmp_path, [], HOME=str(tmp_path), HF_HOME=str(tmp_path)).health.need()
    assert (health.old_transformers_bytes, health.repos, health.troubles_total) == (120, 0, 0)


def test_trials_leave_nothing_behind(tmp_path: Path) -> None:
    assert hub_trials.try_lock(str(tmp_path)).need().ok
    assert hub_trials.try_link(str(tmp_path)).known
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="flock")
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL])
def test_a_lock_that_is_refused(tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", refuse)
    trial = hub_trials.try_lock(str(tmp_path)).need()
    assert (trial.ok, trial.code, trial.error) == (False, code, os.strerror(code))
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.symlink", refuse)
    trial = hub_trials.try_link(str(tmp_path)).need()
    assert (trial.ok, trial.code) == (False, errno.EPERM)


@pytest.mark.skipif(sys.platform == "win32", reason="errno")
@pytest.mark.parametrize(
    ("code", "status"), [(errno.EROFS, "denied"), (errno.EACCES, "denied"), (errno.ENOSPC, "failed")]
)
def test_a_folder_that_takes_nothing(tmp_path: Path, code: int, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That nothing can be written says nothing about links and locks."""

    def refuse(*args: object, **options: object) -> int:
        raise OSError(code, os.strerror(code))

    (tmp_path / "hub").mkdir()
    monkeypatch.setattr("os.symlink", refuse)
    monkeypatch.setattr("os.open", refuse)
    monkeypatch.setattr("hfdoctor.facts.probes.hub._health", lambda *rest: known(None))
    found = observe(tmp_path, [], HOME=str(tmp_path), HF_HOME=str(tmp_path))
    assert (found.lock.status, found.link.status) == (status, status)


def test_other_users_of_the_cache(tmp_path: Path) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    site = ("Lib/site-packages",) if sys.platform == "win32" else ("lib/python3.11/site-packages",)
    tool = home / ".local" / "share" / "uv" / "tools" / "hf" / site[0]
    here = project / ".venv" / site[0]
    conda = tmp_path / "conda" / site[0]
    for place, version in ((tool, "0.23.4"), (here, "2.4.0"), (conda, "1.8.0")):
        install(place, version, CONSTANTS["2"])
    (home / ".conda").mkdir()
    (home / ".conda" / "environments.txt").write_text(f"{tmp_path / 'conda'}\n{tmp_path / 'gone'}\n\n")
    found = observe(project, [str(here)], HOME=str(home), USERPROFILE=str(home)).other_users.need()
    assert {user.version for user in found} == {"0.23.4", "1.8.0"}  # not the target itself


@pytest.mark.allow_subprocess
@pytest.mark.skipif(sys.platform == "win32", reason="users of Linux")
def test_folders_of_another_user(tmp_path: Path) -> None:
    """A cache that root has made, seen by somebody who is not root."""
    import json
    import subprocess

    if os.geteuid() != 0:
        pytest.skip("only root can make folders of another user")
    import hfdoctor

    cache = tmp_path / "hub"
    for name in ("models--a--root", "models--a--mine"):
        (cache / name / "snapshots" / ("a" * 40)).mkdir(parents=True)
        (cache / name / "snapshots" / ("a" * 40) / "config.json").write_text('{"a": 1}')
    for path in [cache, cache / "models--a--mine", *(cache / "models--a--mine").rglob("*")]:
        os.chown(path, 65534, 65534)
    (cache / "models--a--root" / "snapshots" / ("a" * 40) / "config.json").chmod(0o600)
    for parent in [tmp_path, *tmp_path.parents][:3]:
        parent.chmod(0o755)
    script = (
        "import os, sys; sys.path[:0] = sys.argv[2:]; import hashlib, msgspec\n"
        "from hfdoctor.facts.probes.hub_cache import scan_cache\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "print(msgspec.json.encode(scan_cache(sys.argv[1])).decode())\n"
    )
    source = str(Path(hfdoctor.__file__).parents[1])
    argv = [sys.executable, "-c", script, str(cache), source]
    health = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert health["unwritable_folders"] == 2
    assert health["unwritable_examples"] == ["models--a--root", "models--a--root/snapshots"]
    assert health["foreign_owner"] == 3
    assert health["trouble_counts"] == {"unreadable": 1}
    cache.chmod(0)
    ended = subprocess.run(argv, capture_output=True, check=False)
    assert b"PermissionError" in ended.stderr
    cache.chmod(0o755)
