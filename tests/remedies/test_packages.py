"""Package changes on real environments: what they do, that they are undone, and whom they leave alone."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from hfdoctor.remedies.action import Difference, NothingToDo, Refused, quiet

from .package_room import Room, room
from .tree_states import tree_state

__all__ = ["room"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="tests/windows has its own"),
]


def test_a_change_is_shown_done_and_undone(room: Room) -> None:
    room.two_versions()
    room.create("hub==1.0")
    room.says("import hub.old_part")  # which leaves compiled files
    before = room.state()
    action = room.prepare("hub>=2")
    assert room.state() == before
    assert action.describe() == [Difference("hub", "1.0", "2.0"), Difference("needed", "not installed", "1.5")]
    assert action.needs().network
    assert action.look().state == "before"

    action.apply(quiet)

    assert action.look().state == "after"
    assert room.says("import hub, hub.new_part, needed; print(hub.__version__, hub.__file__)").startswith("2.0 ")
    assert not (room.library / "hub" / "old_part.py").exists()
    assert action.look().state == "after"  # what Python compiled since is nobody's change
    with pytest.raises(NothingToDo):
        room.prepare("hub>=2")

    action.undo(quiet)

    assert room.state() == before
    assert action.look().state == "before"
    action.undo(quiet)
    assert room.state() == before


def test_what_it_leaves_is_what_uv_leaves(room: Room) -> None:
    room.two_versions()
    room.create("hub==1.0")
    twin = Room(room.folder, room.index, Path(room.environ["UV_CACHE_DIR"]))
    twin.env = room.folder / "twin" / "env"
    twin.create("hub==1.0")
    twin.install("hub>=2")
    action = room.prepare("hub>=2")
    action.apply(quiet)

    def files(one: Room) -> dict[str, object]:
        found = {}
        for path in sorted(one.env.rglob("*")):
            name = str(path.relative_to(one.env))
            if path.is_file() and not name.startswith(".hfdoctor") and "__pycache__" not in name:
                text = path.read_bytes().replace(str(one.env).encode(), b"ENV")
                if path.name != "RECORD" and path.parent.name != "bin":
                    found[name] = (path.stat().st_mode, text)
                else:  # the script's hash differs with the path in it
                    found[name] = (path.stat().st_mode, b"\n".join(sorted(t.split(b",")[0] for t in text.split(b"\n"))))
        return found

    assert files(room) == files(twin)
    script = (room.env / "bin" / "hub").read_text()
    assert script.startswith(f"#!{room.env}/bin/python")
    assert (room.env / "share" / "hub.txt").read_text() == "2"


def test_packages_are_taken_away(room: Room) -> None:
    room.two_versions()
    room.create("hub==2.0")
    room.says("import hub")
    before = room.state()
    action = room.prepare(remove=("hub", "not-there"))
    assert action.describe() == [Difference("hub", "2.0", "taken away")]
    assert not action.needs().network
    action.apply(quiet)
    assert action.look().state == "after"
    assert not (room.library / "hub").exists()
    assert not (room.env / "share").exists()
    action.undo(quiet)
    assert room.state() == before
    with pytest.raises(NothingToDo):
        room.prepare(remove=("not-there",))


def test_another_build_of_the_same_release_takes_its_place(room: Room) -> None:
    room.wheel("torchy", "2.0+cpu", {"torchy/__init__.py": "build = 'cpu'\n"})
    room.create("torchy")
    room.wheel("torchy", "2.0+cu126", {"torchy/__init__.py": "build = 'cu126'\n"})
    before = room.state()
    action = room.prepare("torchy==2.0", remove=("torchy",), index=room.index.url)
    assert action.describe() == [Difference("torchy", "2.0+cpu", "2.0+cu126")]
    action.apply(quiet)
    assert room.says("import torchy; print(torchy.build)") == "cu126"
    action.undo(quiet)
    assert room.state() == before


@pytest.mark.parametrize("damage", ["cut", "no-metadata", "empty-metadata", "no-record", "two-infos", "alone", "whole"])
def test_a_reinstallation_heals_and_its_undo_brings_the_damage_back(room: Room, damage: str) -> None:
    room.two_versions()
    room.create("hub==1.0")
    room.says("import hub")
    info = room.library / "hub-1.0.dist-info"
    if damage == "cut":
        (room.library / "hub" / "old_part.py").unlink()
        (room.library / "hub" / "__init__.py").unlink()  # not cut in place: uv's cache may share the file
        (room.library / "hub" / "__init__.py").write_text("__ver")
        (room.library / "hub" / "mine.txt").write_text("the person's own")
    elif damage == "no-metadata":
        (info / "METADATA").unlink()
    elif damage == "empty-metadata":
        (info / "METADATA").unlink()
        (info / "METADATA").touch()
    elif damage == "no-record":
        (info / "RECORD").unlink()
        (room.library / "hub" / "stale.py").write_text("left of some other version")
    elif damage == "two-infos":
        shutil.copytree(info, room.library / "hub-0.9.dist-info")
    elif damage == "alone":
        shutil.rmtree(info)
    before = room.state()
    if damage == "whole":
        with pytest.raises(NothingToDo):
            room.prepare("hub==1.0", reinstall=True, no_deps=True)
        return
    action = room.prepare("hub==1.0", reinstall=True, no_deps=True)
    action.apply(quiet)
    assert room.says("import hub, hub.old_part; print(hub.__version__)") == "1.0"
    assert [path.name for path in room.library.glob("hub-*")] == ["hub-1.0.dist-info"]
    assert (room.library / "hub" / "mine.txt").exists() == (damage == "cut")
    assert not (room.library / "hub" / "stale.py").exists()
    with pytest.raises(NothingToDo):
        room.prepare("hub==1.0", reinstall=True, no_deps=True)
    action.undo(quiet)
    assert room.state() == before


def test_a_damaged_cache_of_uv_heals_nothing_so_another_is_used(room: Room) -> None:
    """uv links files from its cache: who breaks one in the environment breaks that in the cache with it."""
    room.two_versions()
    room.create("hub==1.0")
    os.truncate(room.library / "hub" / "old_part.py", 2)
    before = room.state()
    action = room.prepare("hub==1.0", reinstall=True, no_deps=True)
    action.apply(quiet)
    assert (room.library / "hub" / "old_part.py").read_text() == "x = 1\n"
    action.undo(quiet)
    assert room.state() == before


def test_a_package_that_would_break_is_taken_along(room: Room) -> None:
    room.two_versions()
    room.wheel("former", "1.0", requires=["hub<2"])
    room.wheel("former", "2.0", requires=["hub>=2"])
    room.create("hub==1.0", "former==1.0")
    action = room.prepare("hub>=2")
    assert action.describe() == [
        Difference("former", "1.0", "2.0"),
        Difference("hub", "1.0", "2.0"),
        Difference("needed", "not installed", "1.5"),
    ]
    action.apply(quiet)
    assert action.look().state == "after"


def test_the_smallest_change_keeps_what_can_stay(room: Room) -> None:
    room.wheel("hub", "1.0")
    room.wheel("hub", "2.0")
    room.wheel("hub", "3.0")
    room.wheel("former", "1.0", requires=["hub>=1,<3"])
    room.create("hub==1.0", "former==1.0")
    assert room.prepare("hub>=2").describe() == [Difference("hub", "1.0", "2.0")]


def test_what_cannot_fit_is_said(room: Room) -> None:
    room.two_versions()
    room.wheel("former", "1.0", requires=["hub<2"])
    room.create("hub==1.0", "former==1.0")
    assert room.prepare("hub>=2", no_deps=True).describe()[1:] == [
        Difference("former 1.0, which needs hub<2", "fits", "will not fit hub 2.0")
    ]
    assert room.prepare("hub>=2").breaks


def test_files_of_two_packages_stay_while_one_needs_them(room: Room) -> None:
    shared = {"nv/__init__.py": ""}
    room.wheel("nv-one", "1", {**shared, "nv/one.py": "a = 1"})
    room.wheel("nv-two", "1", {**shared, "nv/two.py": "a = 2"})
    room.create("nv-one", "nv-two")
    before = room.state()
    action = room.prepare(remove=("nv-one",))
    action.apply(quiet)
    assert (room.library / "nv" / "__init__.py").exists()
    assert not (room.library / "nv" / "one.py").exists()
    action.undo(quiet)
    assert room.state() == before


def test_who_changed_it_since_is_asked(room: Room) -> None:
    room.two_versions()
    room.wheel("hub", "3.0", {"hub/__init__.py": "__version__ = '3.0'\n", "hub/third.py": ""})
    room.create("hub==1.0")
    before = room.state()
    action = room.prepare("hub==2.0")
    action.apply(quiet)
    room.install("hub==3.0")
    assert action.look().state == "other"
    assert action.look().shows == [Difference("hub", "2.0", "3.0")]
    there = tree_state(room.library, folder_times=True)
    with pytest.raises(Refused):
        action.undo(quiet)
    assert tree_state(room.library, folder_times=True) == there
    action.undo(quiet, force=True)
    assert room.says("import hub; print(hub.__version__)") == "1.0"
    assert not (room.library / "hub" / "third.py").exists()
    assert action.look().state == "before"
    assert next(Path(action.room, "x").iterdir())  # what was in the way is kept ...
    action.forget()
    assert not Path(action.room).exists()  # ... until it is given up
    room.says("import hub")
    shutil.rmtree(room.library / "hub" / "__pycache__")
    after = room.state()
    assert isinstance(after, dict)
    assert isinstance(before, dict)
    assert {key: value[3:] for key, value in after.items()} == {key: value[3:] for key, value in before.items()}


def test_an_edited_file_is_nobodys_to_drop(room: Room) -> None:
    room.two_versions()
    room.create("hub==1.0")
    action = room.prepare("hub==2.0")
    action.apply(quiet)
    edited = room.library / "hub" / "new_part.py"
    edited.unlink()
    edited.write_text("y = 3  # mine\n")
    (room.library / "hub" / "own.py").write_text("mine\n")
    seen = action.look()
    assert seen.state == "other"
    assert seen.shows == [Difference(str(edited), "as it was installed", "another file")]
    action.undo(quiet, force=True)
    assert any(path.read_text() == "y = 3  # mine\n" for path in Path(action.room, "x").iterdir())
    assert (room.library / "hub" / "own.py").read_text() == "mine\n"


def test_what_is_forgotten_is_gone(room: Room) -> None:
    room.two_versions()
    room.create("hub==1.0")
    action = room.prepare("hub==2.0")
    action.apply(quiet)
    action.forget()
    assert not list(room.env.glob(".hfdoctor*"))
    assert room.says("import hub; print(hub.__version__)") == "2.0"


def test_a_persons_own_packages_beside_a_python_that_all_share(room: Room) -> None:
    """A user site: the packages are in the person's home, the interpreter is not a virtual environment."""
    shared = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    marker = Path(sys.base_prefix, "lib", shared.name, "EXTERNALLY-MANAGED")
    if not shared.exists() or marker.exists():
        pytest.skip("there is no Python here that all share")
    room.two_versions()
    base = room.folder / "own"
    library = base / "lib" / shared.name / "site-packages"
    library.mkdir(parents=True)
    (base / "bin").mkdir()
    room.environ["PYTHONUSERBASE"] = str(base)
    room.uv("pip", "install", "--quiet", "--python", str(shared), "--prefix", str(base), "hub==1.0")
    before = tree_state(base, folder_times=True)
    action = room.prepare("hub>=2", python=shared)
    assert tree_state(base, folder_times=True) == before
    assert action.describe() == [Difference("hub", "1.0", "2.0"), Difference("needed", "not installed", "1.5")]
    action.apply(quiet)
    assert action.look().state == "after"
    assert Path(action.room).parent == base
    assert (library / "needed").is_dir()
    assert (base / "bin" / "hub").read_text().startswith(f"#!{shared}")
    action.undo(quiet)
    assert tree_state(base, folder_times=True) == before
