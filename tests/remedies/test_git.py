"""Settings of git, with a real git and a home of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.changes import GitChange
from hfdoctor.remedies.action import NothingToDo, Refused, quiet
from hfdoctor.remedies.kinds.git import GitAction, prepare_git
from tests.thorough import MOMENTS

from .killed import every_moment
from .made import workplace

GIT = shutil.which("git")
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(GIT is None, reason="git is not installed"),
    pytest.mark.skipif(os.name == "nt", reason="told apart by its files, which are POSIX ones here"),
]

CONFIG = (
    '# mine\n[user]\n  name = Ana "Ä" ; odd\n[core]\n\tLongPaths=no\n[url "https://ana:geheim@x/"]\n\tinsteadOf = x:\n'
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return folder


def prepared(home: Path, name: str, value: str | None, **environ: str) -> GitAction:
    place = workplace(home.parent, environ={"PATH": os.environ["PATH"], **environ})
    return prepare_git(GitChange(name, value), msgspec.structs.replace(place, home=home))


def says(home: Path, name: str) -> str | None:
    ended = subprocess.run(
        [str(GIT), "config", "--global", "--get", name],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        timeout=60,
    )
    return ended.stdout.decode().strip() if ended.returncode == 0 else None


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    return {str(path): (path.lstat().st_mode, path.read_bytes()) for path in files}


def test_a_setting_where_there_was_no_file(home: Path) -> None:
    action = prepared(home, "core.longpaths", "true")
    assert action.look().state == "before"
    action.apply(quiet)
    assert says(home, "core.longpaths") == "true"
    assert action.look().state == "after"
    with pytest.raises(NothingToDo):
        prepared(home, "core.longpaths", "true")
    action.apply(quiet)
    action.undo(quiet)
    assert action.look().state == "before"
    assert tree(home.parent) == {}
    action.undo(quiet)


@pytest.mark.parametrize("value", ["true", 'a b; "c" # d \\e 한', "", None])
def test_a_file_is_put_back_byte_for_byte(home: Path, value: str | None) -> None:
    (home / ".gitconfig").write_text(CONFIG)
    (home / ".gitconfig").chmod(0o640)
    before = tree(home.parent)
    action = prepared(home, "core.longpaths", value)
    assert action.describe()[0].old == "no"
    assert b"geheim" not in msgspec.json.encode(action)
    action.apply(quiet)
    assert says(home, "core.longpaths") == value
    assert says(home, "user.name") == "Ana Ä"
    assert (home / ".gitconfig").stat().st_mode & 0o777 == 0o640
    assert all(not mode & 0o077 for name, (mode, _) in tree(home.parent).items() if "state" in name)
    action.undo(quiet)
    assert tree(home.parent) == before


def test_other_settings_made_since_stay(home: Path) -> None:
    (home / ".gitconfig").write_text(CONFIG)
    first, second = prepared(home, "core.longpaths", "true"), prepared(home, "core.symlinks", "true")
    first.apply(quiet)
    second.apply(quiet)
    first.undo(quiet)
    assert (says(home, "core.longpaths"), says(home, "core.symlinks")) == ("no", "true")
    second.undo(quiet)
    assert says(home, "core.symlinks") is None


def test_a_value_changed_since_is_somebody_elses(home: Path) -> None:
    action = prepared(home, "core.longpaths", "true")
    action.apply(quiet)
    (home / ".gitconfig").write_text("[core]\n\tlongpaths = maybe\n")
    seen = action.look()
    assert (seen.state, seen.shows[0].new) == ("other", "maybe")
    with pytest.raises(Refused, match="is now maybe"):
        action.undo(quiet)
    assert says(home, "core.longpaths") == "maybe"
    action.undo(quiet, force=True)
    assert says(home, "core.longpaths") is None


def test_links_and_the_other_place_of_the_file_are_kept(home: Path) -> None:
    real = home / "dotfiles" / "git"
    real.parent.mkdir()
    real.write_text(CONFIG)
    (home / ".config" / "git").mkdir(parents=True)
    (home / ".config" / "git" / "config").symlink_to(real)
    before = tree(home)
    action = prepared(home, "core.longpaths", "true")
    action.apply(quiet)
    assert (home / ".config" / "git" / "config").is_symlink()
    assert says(home, "core.longpaths") == "true"
    assert not (home / ".gitconfig").exists()
    action.undo(quiet)
    assert tree(home) == before


def test_where_git_is_missing_or_the_file_is_not_the_persons(home: Path) -> None:
    with pytest.raises(Refused, match="git is not installed"):
        prepare_git(GitChange("core.longpaths", "true"), workplace(home, environ={"PATH": str(home)}))
    (home / ".gitconfig").write_text("[core\nbroken")
    with pytest.raises(Refused, match="git cannot say"):
        prepared(home, "core.longpaths", "true")
    if os.geteuid() == 0:
        (home / ".gitconfig").write_text("")
        os.chown(home / ".gitconfig", 65534, 65534)
        with pytest.raises(Refused, match="belongs to another user"):
            prepared(home, "core.longpaths", "true")


def test_killed_at_any_moment_it_can_be_finished_and_taken_back(home: Path) -> None:
    (home / ".gitconfig").write_text(CONFIG)
    before = tree(home.parent)
    action = prepared(home, "core.longpaths", "true")
    told = msgspec.json.encode(action).decode()
    code = (
        "import msgspec; from hfdoctor.remedies.action import quiet; from hfdoctor.remedies.kinds.git import "
        f"GitAction as G; a = msgspec.json.decode({told!r}, type=G); arm(); a.DO(quiet)"
    )

    def undone() -> str:
        action.undo(quiet)
        assert tree(home.parent) == before
        return code.replace("DO", "apply")

    for number, _ in enumerate(every_moment(undone, at_most=MOMENTS)):
        if number % 2:
            action.apply(quiet)
            assert says(home, "core.longpaths") == "true"

    def done() -> str:
        action.apply(quiet)
        return code.replace("DO", "undo")

    for _ in every_moment(done, at_most=MOMENTS):
        action.undo(quiet)
        assert says(home, "core.longpaths") == "no"
        assert tree(home.parent) == before
