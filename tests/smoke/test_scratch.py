"""The scratch folder and the environment that leads there."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hfdoctor.smoke import scratch
from hfdoctor.smoke.environment import CACHES, child_environment
from hfdoctor.smoke.guard import marked, remove_tree
from hfdoctor.smoke.scratch import LOCK, NO_LOCK_S, PREFIX, YOUNG_S, Scratch, sweep, temporary_directory

ROOT = Path(__file__).parent.parent.parent
posix = pytest.mark.skipif(sys.platform == "win32", reason="rights, links and /tmp as POSIX has them")


@pytest.fixture
def temp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary directory with a short path, for whoever asks the module tempfile."""
    folder = Path(tempfile.mkdtemp(prefix="hfd-test-"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def aged(folder: Path, seconds: float) -> Path:
    """A folder of a run that ended ``seconds`` ago without cleaning up."""
    folder.mkdir()
    (folder / LOCK).touch()
    (folder / "some.bin").write_bytes(b"x")
    old = time.time() - seconds
    for path in (folder / LOCK, folder):
        os.utime(path, (old, old))
    return folder


# -- removing ---------------------------------------------------------------------------------------------------------


@pytest.mark.allow_subprocess
def test_the_folder_is_there_and_gone(temp: Path) -> None:
    with Scratch() as made:
        assert list(temp.iterdir()) == [Path(made.path)]
        assert all((Path(made.path) / folder).is_dir() for folder in {*CACHES.values(), "work"})
        if sys.platform != "win32":
            assert stat.S_IMODE(Path(made.path).stat().st_mode) == 0o700
    assert list(temp.iterdir()) == []
    made.remove()


@posix
def test_nothing_outside_is_touched(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("mine")
    (outside / "mine").chmod(0o444)
    outside.chmod(0o755)
    above = tmp_path / "above"
    folder = above / "scratch"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x")
    (folder / "deep" / "to-file").symlink_to(outside / "mine")
    (folder / "to-folder").symlink_to(outside)
    above.chmod(0o755)
    for path in (folder / "deep", folder):
        path.chmod(0o500)
    assert remove_tree(str(folder))
    assert (outside / "mine").read_text() == "mine"
    assert stat.S_IMODE((outside / "mine").stat().st_mode) == 0o444
    assert stat.S_IMODE(outside.stat().st_mode) == stat.S_IMODE(above.stat().st_mode) == 0o755


@posix
def test_what_cannot_be_removed_changes_nothing_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the rights of the temporary directory, which root could change."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    tmp_path.chmod(0o755)
    monkeypatch.setattr("hfdoctor.smoke.guard.PATIENCE_S", 0.2)

    def no(*_: object, **__: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(os, "rmdir", no)
    assert not remove_tree(str(folder))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@posix
@pytest.mark.allow_subprocess
def test_as_an_ordinary_user(temp: Path) -> None:
    """Root may remove anything: another user must have given itself the right first."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    temp.chmod(0o777)
    if not all(stat.S_IMODE(folder.stat().st_mode) & 1 for folder in temp.parents):
        pytest.skip("the temporary directory is root's alone")
    code = (
        f"import os, sys, tempfile\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from hfdoctor.smoke.guard import remove_tree\n"
        f"tempfile.tempdir = {str(temp)!r}; os.setgid(65534); os.setuid(65534)\n"
        "path = tempfile.mkdtemp()\nos.makedirs(path + '/a/b')\nopen(path + '/a/b/c', 'w').close()\n"
        "os.chmod(path + '/a/b/c', 0o400); os.chmod(path + '/a/b', 0o500); os.chmod(path + '/a', 0)\n"
        "os.makedirs(path + '/d/e'); os.chmod(path + '/d', 0o500)\n"
        "sys.exit(0 if remove_tree(path) else 1)"
    )
    if subprocess.run([sys.executable, "-c", code], check=False, cwd="/").returncode == 1:
        pytest.fail(f"left: {list(temp.rglob('*'))}")
    assert list(temp.iterdir()) == []


# -- sweeping ---------------------------------------------------------------------------------------------------------


def test_the_folder_of_a_dead_run_is_swept(temp: Path) -> None:
    dead = aged(temp / f"{PREFIX}dead", YOUNG_S + 10)
    young = aged(temp / f"{PREFIX}young", YOUNG_S - 30)
    other = aged(temp / "hfd-other", 10 * NO_LOCK_S)
    sweep(str(temp))
    assert not dead.exists() and young.exists() and other.exists()


@pytest.mark.allow_subprocess
def test_the_folder_of_a_live_run_is_not(temp: Path) -> None:
    """Also where its process has no number here: it may live in another container that shares the directory."""
    with Scratch() as live:
        old = time.time() - 10 * YOUNG_S
        os.utime(Path(live.path) / LOCK, (old, old))
        os.utime(live.path, (old, old))
        code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        code += f"from hfdoctor.smoke.scratch import sweep; sweep({str(temp)!r})"
        subprocess.run([sys.executable, "-c", code], check=True)
        sweep(str(temp))
        assert (Path(live.path) / "hf").is_dir()


def test_a_folder_without_its_lock_may_be_alive(temp: Path) -> None:
    folder = aged(temp / f"{PREFIX}odd", YOUNG_S + 10)
    (folder / LOCK).unlink()
    os.utime(folder, (time.time() - YOUNG_S - 10,) * 2)
    sweep(str(temp))
    assert folder.exists()
    os.utime(folder, (time.time() - NO_LOCK_S - 10,) * 2)
    sweep(str(temp))
    assert not folder.exists()


@posix
def test_links_and_files_are_not_followed(temp: Path, tmp_path: Path) -> None:
    outside = aged(tmp_path / "outside", NO_LOCK_S * 2)
    (temp / f"{PREFIX}link").symlink_to(outside)
    (temp / f"{PREFIX}file").write_text("x")
    trap = aged(temp / f"{PREFIX}trap", NO_LOCK_S * 2)
    (trap / LOCK).unlink()
    (trap / LOCK).symlink_to(outside / "some.bin")  # its lock would be another file
    sweep(str(temp))
    assert (outside / "some.bin").exists() and (temp / f"{PREFIX}link").is_symlink()
    assert (temp / f"{PREFIX}file").exists()


@posix
def test_another_users_folder_is_left_alone(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = aged(temp / f"{PREFIX}theirs", NO_LOCK_S * 2)
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
    sweep(str(temp))
    assert theirs.exists()


def test_a_directory_that_cannot_be_listed(tmp_path: Path) -> None:
    sweep(str(tmp_path / "none"))


# -- where ------------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.allow_subprocess
def test_a_long_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets below the folder that multiprocessing makes must still have a path that the system takes."""
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert temporary_directory() == "/tmp"
    with Scratch() as made:
        assert len(f"{made.path}/{CACHES['TMPDIR']}/pymp-abcdefgh/listener-abcdefgh") < 104
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert temporary_directory() == str(deep)


@pytest.mark.allow_subprocess
def test_odd_letters_in_the_temporary_directory(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = temp / "임시 'q' $HOME é"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    with Scratch() as made:
        assert made.path.startswith(str(odd))
    assert list(odd.iterdir()) == []


@posix
def test_a_directory_that_takes_nothing(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temp / "none"))
    with pytest.raises(OSError):
        Scratch()


@posix
def test_a_full_disk(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.os, "makedirs", full)
    with pytest.raises(OSError, match="No space left"):
        Scratch()
    monkeypatch.undo()
    assert list(temp.iterdir()) == []


# -- environment ------------------------------------------------------------------------------------------------------


def test_every_cache_leads_into_the_folder(tmp_path: Path) -> None:
    mine = dict.fromkeys(["HF_HUB_CACHE", "TRANSFORMERS_CACHE", "TORCH_TRACE", "HF_XET_CACHE", *CACHES], "/mine/cache")
    child = child_environment({**mine, "HOME": "/home/ana", "PATH": "/bin"}, str(tmp_path), online=False)
    assert "/mine/cache" not in {value for name, value in child.items() if name not in ("HF_TOKEN_PATH",)}
    assert child["PATH"] == "/bin" and child["HOME"] == "/home/ana"
    assert child["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in child_environment({}, str(tmp_path), online=True)
    assert child_environment({"HF_HUB_OFFLINE": "1"}, str(tmp_path), online=True)["HF_HUB_OFFLINE"] == "1"


@posix
@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"HOME": "/home/ana"}, "/home/ana/.cache/huggingface/token"),
        ({"HOME": "/home/ana", "XDG_CACHE_HOME": "/x"}, "/x/huggingface/token"),
        ({"HOME": "/home/ana", "HF_HOME": "~/hf"}, "/home/ana/hf/token"),
        ({"HOME": "/home/ana", "HF_HOME": "/hf", "HF_TOKEN_PATH": "/t"}, "/t"),
    ],
)
def test_the_token_stays_the_persons(environ: dict[str, str], path: str, tmp_path: Path) -> None:
    assert child_environment(environ, str(tmp_path), online=True)["HF_TOKEN_PATH"] == path


def test_a_single_process_waits_for_no_others(tmp_path: Path) -> None:
    child = child_environment({"RANK": "1", "WORLD_SIZE": "8", "PYTHONINSPECT": "1"}, str(tmp_path), online=False)
    assert not {"RANK", "WORLD_SIZE", "PYTHONINSPECT"} & set(child)


def test_keras_keeps_the_persons_settings(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "scratch"
    (home / ".keras").mkdir(parents=True)
    (home / ".keras" / "keras.json").write_text('{"backend": "torch"}')
    (folder / "keras").mkdir(parents=True)
    child = child_environment({"HOME": str(home), "USERPROFILE": str(home)}, str(folder), online=False)
    assert (Path(child["KERAS_HOME"]) / "keras.json").read_text() == '{"backend": "torch"}'


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.allow_subprocess
def test_processes_are_known_by_their_environment(tmp_path: Path) -> None:
    environ = {**os.environ, "SOMEWHERE": f"{tmp_path}/hf"}
    with subprocess.Popen(["sleep", "60"], env=environ) as sleeps:
        until = time.monotonic() + 5
        while sleeps.pid not in marked(str(tmp_path)) and time.monotonic() < until:
            time.sleep(0.01)  # the new program has not been loaded yet
        assert marked(str(tmp_path)) == [sleeps.pid]
        sleeps.kill()
