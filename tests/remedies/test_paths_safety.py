"""What a hostile cache or a swapped link could make a move do: nothing outside of the plan is ever touched."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hfdoctor
from hfdoctor.conditions.changes import PutAway, TreeMove
from hfdoctor.facts.fact import known
from hfdoctor.facts.sections.storage import Place
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.action import NothingToDo, Refused, quiet
from hfdoctor.remedies.anchored import open_folder
from hfdoctor.remedies.kinds.move import prepare_move
from hfdoctor.remedies.kinds.quarantine import prepare_quarantine
from hfdoctor.remedies.path_text import read_back, shown, written
from hfdoctor.remedies.trees import remove_tree

from .made import workplace
from .tree_states import make_tree, tree_state

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links that anybody may make")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """What nobody may touch, held against itself at the end."""
    folder = tmp_path / "outside"
    make_tree(folder)
    before = tree_state(folder, folder_times=True)
    yield folder
    assert tree_state(folder, folder_times=True) == before


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "models--x/../../outside/blobs",
        "models--x/refs/../../../outside",
        "out",
        "out/blobs",
        "out/blobs/aaaa",
    ],
)
def test_names_that_lead_out_of_a_cache(tmp_path: Path, outside: Path, name: str) -> None:
    cache = tmp_path / "cache"
    (cache / "models--x" / "refs").mkdir(parents=True)
    (cache / "out").symlink_to(outside)
    snapshot = Snapshot()
    snapshot.storage.places = known([Place("hf-cache", str(cache), True)], "test")
    place = workplace(tmp_path, snapshot=snapshot)
    path = f"{cache}/{name}"
    if name == "out":  # the link itself may go; what it leads to stays
        action = prepare_quarantine(PutAway(path), place)
        action.apply(quiet)
        assert not (cache / "out").is_symlink()
        action.forget()
        with pytest.raises(Refused, match="is a link to another place"):
            (cache / "out").symlink_to(outside)
            prepare_move(TreeMove(path, str(tmp_path / "new")), place)
        return
    for change in (PutAway(path), TreeMove(path, str(tmp_path / "new"))):
        with pytest.raises(Refused, match=r"not a plain path|follows none there"):
            if isinstance(change, PutAway):
                prepare_quarantine(change, place)
            else:
                prepare_move(change, place)


def test_a_cache_behind_the_persons_own_link(tmp_path: Path, outside: Path) -> None:
    real = tmp_path / "disk" / "hub"
    make_tree(real / "models--x")
    (tmp_path / "cache").symlink_to(tmp_path / "disk")
    snapshot = Snapshot()
    snapshot.storage.places = known([Place("hf-cache", str(tmp_path / "cache" / "hub"), True)], "test")
    place = workplace(tmp_path, snapshot=snapshot)
    action = prepare_quarantine(PutAway(str(tmp_path / "cache" / "hub" / "models--x")), place)
    assert action.path == str(real / "models--x"), "the plan names the real place"
    action.apply(quiet)
    assert not (real / "models--x").exists()
    action.undo(quiet)
    assert (real / "models--x" / "twin.json").exists()


@pytest.mark.parametrize(
    "swapped", ["source's folder", "a folder above", "source", "destination's folder", "same-named"]
)
@pytest.mark.parametrize("volume", ["put away", "same volume", "other volume"])
def test_swapped_between_plan_and_act(tmp_path: Path, outside: Path, other: Path, volume: str, swapped: str) -> None:
    source = tmp_path / "a" / "b" / "hub"
    make_tree(source)
    make_tree(outside.parent / "evil" / "hub")
    evil = tree_state(outside.parent / "evil")
    target = (other if volume == "other volume" else tmp_path / "there") / "to" / "new" / "hub"
    target.parent.parent.mkdir(parents=True)
    place = workplace(tmp_path)
    action = (
        prepare_quarantine(PutAway(str(source)), place)
        if volume == "put away"
        else prepare_move(TreeMove(str(source), str(target)), place)
    )
    moved = {
        "source's folder": source.parent,
        "a folder above": source.parent.parent,
        "source": source,
        "destination's folder": target.parent.parent,
        "same-named": source.parent,
    }[swapped]
    if swapped == "destination's folder" and volume == "put away":
        moved = source.parent
    aside = (other if moved.is_relative_to(other) else tmp_path) / "aside"
    moved.rename(aside)
    if swapped == "same-named":
        shutil.copytree(outside.parent / "evil", moved, symlinks=True)
    elif swapped == "a folder above":
        (tmp_path / "evil2").mkdir()
        (tmp_path / "evil2" / "b").symlink_to(outside.parent / "evil")
        moved.symlink_to(tmp_path / "evil2")
    else:
        moved.symlink_to(outside if swapped == "source" else outside.parent / "evil")
    with pytest.raises(Refused, match=r"is a link now|not the folder any more|not any more what it was"):
        action.apply(quiet)
    action.undo(quiet)
    assert tree_state(outside.parent / "evil") == evil
    assert not (target).exists()
    if moved != source and target.parent.parent != moved:
        assert aside.exists()


def test_swapped_before_the_undo(tmp_path: Path, outside: Path) -> None:
    source = tmp_path / "a" / "hub"
    make_tree(source)
    action = prepare_quarantine(PutAway(str(source)), workplace(tmp_path))
    action.apply(quiet)
    source.parent.rmdir()
    source.parent.symlink_to(outside)
    for force in (False, True):
        with pytest.raises(Refused, match="is a link now"):
            action.undo(quiet, force=force)
    source.parent.unlink()
    action.undo(quiet)
    assert (source / "twin.json").exists()


def test_a_link_swapped_in_while_it_is_copied(tmp_path: Path, outside: Path, other: Path) -> None:
    """The folder that is being copied into or from becomes a link: the handles stay where they were."""
    source = tmp_path / "hub"
    make_tree(source)
    (other / "new").mkdir()
    action = prepare_move(TreeMove(str(source), str(other / "new" / "hub")), workplace(tmp_path))
    done: list[int] = []

    def swap(what: str, count: int, total: int) -> None:
        if not done:
            done.append(1)
            (other / "new").rename(other / "aside")
            (other / "new").symlink_to(outside)
            (source / "snapshots").rename(tmp_path / "aside")
            (source / "snapshots").symlink_to(outside)

    with pytest.raises(Refused):
        action.apply(swap)
    with pytest.raises(Refused, match="is a link now"):
        action.undo(quiet)
    (other / "new").unlink()
    (other / "aside").rename(other / "new")
    action.undo(quiet)
    assert not list((other / "new").iterdir())
    assert (source / "snapshots").is_symlink()


def test_removing_never_leaves_the_tree(tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    make_tree(tree)
    (tree / "out").symlink_to(outside)
    (tree / "blobs" / "out").symlink_to(outside / "blobs")
    real = os.listdir

    def swap(folder: int) -> list[str]:
        """Right after a folder was listed, the last one in it becomes a link."""
        names = real(folder)
        if "모델" in names and (tree / "모델").is_dir() and not (tree / "모델").is_symlink():
            (tree / "모델").rename(tmp_path / "aside")
            (tree / "모델").symlink_to(outside)
        return names

    with monkeypatch.context() as patched, open_folder(str(tmp_path)) as folder:
        patched.setattr(os, "listdir", swap)
        remove_tree(folder, "tree")
    assert not tree.exists()
    assert (tmp_path / "aside" / "config.json").exists(), "what was moved out of the tree in time is somebody's"


def test_what_must_stay(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    place = workplace(tmp_path)
    package = Path(hfdoctor.__file__).parent
    for path, words in (
        (tmp_path, "your home folder"),
        (tmp_path.parent, "your home folder"),
        (state, "hfdoctor's journal"),
        (Path("/"), "whole drive"),
        (Path("/proc"), "volume of its own"),
        (package, "hfdoctor itself"),
        (Path(sys.prefix), "the Python that runs hfdoctor|hfdoctor itself"),
    ):
        with pytest.raises(Refused, match=words):
            prepare_quarantine(PutAway(str(path)), place)
        with pytest.raises(Refused, match=words):
            prepare_move(TreeMove(str(path), str(tmp_path / "new")), place)
    for text in ("relative", "", "C:\\cache", f"{tmp_path}/x/../y", f"{tmp_path}/nul\0x"):
        with pytest.raises(Refused, match="not a plain path"):
            prepare_quarantine(PutAway(text), place)
    with pytest.raises(NothingToDo):
        prepare_quarantine(PutAway(f"{tmp_path}/nothing"), place)


def test_the_environment_stays(tmp_path: Path) -> None:
    snapshot = Snapshot()
    env = tmp_path / "project" / ".venv"
    (env / "lib").mkdir(parents=True)
    snapshot.target.environment = known(str(env), "test")
    place = workplace(tmp_path, snapshot=snapshot)
    for path in (env, env.parent):
        with pytest.raises(Refused, match="the Python environment"):
            prepare_quarantine(PutAway(str(path)), place)
    prepare_quarantine(PutAway(str(env / "lib")), place)


def test_nobody_else_may_write_or_look(tmp_path: Path, other: Path) -> None:
    """With a umask that allows everything, what is made is still private."""
    source = tmp_path / "hub"
    make_tree(source)
    make_tree(other / "cache")
    modes: dict[str, int] = {}
    old = os.umask(0)
    try:
        move = prepare_move(TreeMove(str(source), str(other / "made" / "hub")), workplace(tmp_path))

        def watch(what: str, done: int, total: int) -> None:
            for path in [*other.iterdir(), *(other / "made").iterdir()] if what.startswith("copying") else []:
                modes[path.name] = stat.S_IMODE(path.stat().st_mode)

        move.apply(watch)
        away = prepare_quarantine(PutAway(str(other / "cache")), workplace(tmp_path, token="5e6f7a8b"))
        away.apply(quiet)
    finally:
        os.umask(old)
    try:
        (copy,) = (mode for name, mode in modes.items() if name.startswith(".hfdoctor"))
        assert copy == 0o700
        assert modes["made"] & 0o022 == 0
        spot = next(Path(spot.path) for spot in away.spots if Path(spot.path).exists())
        for folder in (spot, spot.parent, spot.parent.parent):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
        for path in (tmp_path / "state").rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    finally:
        away.undo(quiet)
    assert not spot.exists()


def test_a_quarantine_that_others_prepared(tmp_path: Path, outside: Path, other: Path) -> None:
    """Where the quarantine would be, there is a link, or a folder that everybody may write: the next best is taken."""
    if os.geteuid() == 0 and (Path("/dev/shm") / ".hfdoctor-quarantine").exists():
        pytest.skip("there is a quarantine in /dev/shm already")
    make_tree(other / "a" / "cache")
    before = tree_state(other, folder_times=False)
    place = workplace(tmp_path)
    action = prepare_quarantine(PutAway(str(other / "a" / "cache")), place)
    tops = [Path(read_back(spot.start)) for spot in action.spots]
    assert tops[-2:] == [other, other / "a"]
    traps = []
    for top in tops[:-1]:
        trap = top / ".hfdoctor-quarantine"
        if top == other:
            trap.mkdir()
            trap.chmod(0o777)
        else:
            trap.symlink_to(outside)
        traps.append(trap)
    try:
        action.apply(quiet)
        assert list((other / "a").iterdir()) == [other / "a" / ".hfdoctor-quarantine"]
        action.undo(quiet)
    finally:
        for trap in traps:
            if trap.is_symlink():
                trap.unlink()
            else:
                trap.rmdir()
    assert tree_state(other) == before


@pytest.mark.parametrize(
    "name", ["모델 캐시", os.fsdecode(b"caf\xe9"), "\ud800" if os.name == "nt" else "x\ny", "~ $HOME; rm"]
)
def test_names_of_any_kind(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    assert read_back(written(path)) == path
    written(path).encode()
    shown(path).encode()
    Path(path).mkdir()
    (Path(path) / "file").touch()
    for action in (
        prepare_quarantine(PutAway(path), workplace(tmp_path)),
        prepare_move(TreeMove(path, path + "2"), workplace(tmp_path)),
    ):
        for line in action.describe():
            for text in (line.what, line.old, line.new):
                text.encode()
        action.apply(quiet)
        assert not os.path.lexists(path)
        action.undo(quiet)
        assert (Path(path) / "file").exists()


@pytest.mark.allow_subprocess
def test_a_trees_depth(tmp_path: Path) -> None:
    """Deeper than any path may be long: put away and back; given up only by what can go so deep."""
    deep = tmp_path / "deep"
    deep.mkdir()
    handle = os.open(deep, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=handle)
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    with pytest.raises(Refused, match="more than 400 folders deep"):
        prepare_quarantine(PutAway(str(deep)), workplace(tmp_path))
    with pytest.raises(Refused, match="more than 400 folders deep"):
        prepare_move(TreeMove(str(deep), str(tmp_path / "new")), workplace(tmp_path))
    subprocess.run(["rm", "-rf", str(deep)], check=True)  # shutil goes no deeper than Python's own calls
