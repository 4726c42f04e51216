"""cache-corrupt and git-lfs-pointer: what is damaged goes, the library fetches it again, an undo brings it back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hfdoctor.conditions.cache import CACHE_CORRUPT, GIT_LFS_POINTER
from hfdoctor.conditions.model import Condition
from hfdoctor.facts.probes.hub_cache import scan_cache
from hfdoctor.remedies.action import Refused, quiet
from tests.facts.hub_caches import SHARE, install, make_cache, run_python
from tests.facts.hub_server import MODEL, hub
from tests.facts.test_hub_scan import DAMAGES, TINY, blob, cut, damage_pointer
from tests.real import ROOT
from tests.thorough import THOROUGH, WHY_NOT

from .mended_cache import Machine
from .tree_states import tree_state

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="the cache has no links there; its copies are tested below"),
]

LOAD = """
import os
from huggingface_hub import snapshot_download
folder = snapshot_download("ana/tiny")
snapshot_download("ana/rows", repo_type="dataset")
os.environ["HF_HUB_OFFLINE"] = "1"
print(folder)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a real cache of the library's."""
    pytest.importorskip("huggingface_hub")
    home = tmp_path_factory.mktemp("made")
    make_cache(home)
    return home


@pytest.fixture
def machine(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A copy of it, to be damaged and mended."""
    home = tmp_path / "home"
    shutil.copytree(made, home, symlinks=True)
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    return Machine(home)


def snapshot(cache: Path) -> Path:
    return cache / TINY / "snapshots" / MODEL.commit


def whole(cache: Path) -> None:
    """Every file of the model is there with the bytes that the hub has."""
    assert scan_cache(str(cache), deep=True).trouble_counts == {}
    for name, content in MODEL.files.items():
        assert (snapshot(cache) / name).read_bytes() == content, name


def fetch(machine: Machine) -> None:
    """The person's next program."""
    with hub() as address:
        run_python(LOAD, machine.home, HF_ENDPOINT=address)


def damage_stray(cache: Path) -> None:
    (cache / "models--ana--tiny" / "refs").rename(cache / "away")
    (cache / "models--ana--tiny" / "refs").write_text("not a folder")
    shutil.rmtree(cache / "away")


MENDED = [
    *[(damage, kinds) for damage, kinds in DAMAGES if "no-refs-target" not in kinds],
    (damage_stray, {"file-instead": 1}),
]


@pytest.mark.parametrize(("damage", "kinds"), MENDED)
def test_what_is_damaged_goes_and_comes_back(
    machine: Machine, damage: Callable[[Path], object], kinds: dict[str, int]
) -> None:
    damage(machine.cache)
    before = tree_state(machine.cache)
    condition = GIT_LFS_POINTER if "lfs-pointer" in kinds else CACHE_CORRUPT
    machine.mend(condition, -1)
    assert scan_cache(str(machine.cache)).trouble_counts == {}
    assert not machine.findings(condition)
    after = tree_state(machine.cache)
    assert {name: after[name] for name in after} == {name: before[name] for name in after}, "what stays is untouched"
    machine.undo()
    assert tree_state(machine.cache) == before
    assert scan_cache(str(machine.cache)).trouble_counts == kinds


def damage_much(cache: Path) -> None:
    """One of each kind, some of them shared by two revisions."""
    cut("model.safetensors", 5)(cache)
    blob(cache, "config.json").write_bytes(b"")
    blob(cache, "tokenizer.json").unlink()
    blob(cache, "onnx/model.onnx").write_text("<html>sign in</html>")
    target = blob(cache, "README.md")
    target.unlink()
    target.mkdir()
    (cache / "models--ana--tiny" / "refs" / "main").write_text("nonsense of a ref\n")
    shutil.rmtree(cache / "datasets--ana--rows" / "blobs")
    files = snapshot(cache)
    other = files.with_name("e" * 40)
    other.mkdir()
    for name in ("config.json", "model.safetensors", "README.md"):
        (other / name).symlink_to((files / name).readlink())


def test_the_library_makes_it_whole_again(machine: Machine) -> None:
    damage_much(machine.cache)
    assert len(scan_cache(str(machine.cache)).trouble_counts) >= 4
    machine.mend(CACHE_CORRUPT, -1)
    assert scan_cache(str(machine.cache)).trouble_counts == {}
    assert not (machine.cache / "datasets--ana--rows" / "refs" / "main").exists(), "nothing points at what is gone"
    fetch(machine)
    whole(machine.cache)
    with pytest.raises(Refused, match="is now something new"):
        machine.undo()
    whole(machine.cache)


def test_another_revision_with_the_same_file_is_mended_with_it(machine: Machine) -> None:
    """The hub's list says of one revision alone that a file is too short; the other's link goes, too."""
    cut("README.md", 1)(machine.cache)
    files = snapshot(machine.cache)
    other = files.with_name("e" * 40)
    other.mkdir()
    (other / "notes.md").symlink_to((files / "README.md").readlink())
    health = scan_cache(str(machine.cache))
    assert health.trouble_counts == {"shorter-than-listed": 1}
    assert len(health.troubles[0].entries) == 3
    machine.mend(CACHE_CORRUPT, -1)
    assert scan_cache(str(machine.cache)).trouble_counts == {}
    assert not os.path.lexists(other / "notes.md")
    fetch(machine)
    whole(machine.cache)


def test_files_in_the_store_of_all_models(machine: Machine) -> None:
    pytest.importorskip("huggingface_hub.utils._shared_blobs")
    run_python(SHARE, machine.home)
    cache = machine.cache
    files = snapshot(cache)
    name = files.joinpath("model.safetensors").readlink().name
    copy = cache / "datasets--other--copy"  # of a data set no file is looked into
    (copy / "blobs").mkdir(parents=True)
    (copy / "snapshots" / ("d" * 40)).mkdir(parents=True)
    (copy / "blobs" / name).symlink_to((cache / "models--ana--tiny" / "blobs" / name).readlink())
    (copy / "snapshots" / ("d" * 40) / "rows.bin").symlink_to(f"../../blobs/{name}")
    store = (copy / "blobs" / name).resolve()
    with store.with_name(f"{store.name}.refs").open("a") as references:
        references.write(f"datasets--other--copy/blobs/{name}\n../../etc/passwd\nmodels--x/blobs/..\n")
    store.chmod(0o644)
    store.write_bytes(store.read_bytes()[:-7])
    before = tree_state(cache)
    machine.mend(CACHE_CORRUPT, -1)
    assert not store.exists()
    assert scan_cache(str(cache)).trouble_counts == {}
    machine.undo()
    assert tree_state(cache) == before
    machine.mend(CACHE_CORRUPT, -1)
    fetch(machine)
    whole(cache)


def test_copies_instead_of_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows without Developer Mode; in offline mode they are only put away."""
    pytest.importorskip("huggingface_hub")
    machine = Machine(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    make_cache(tmp_path, HF_HUB_DISABLE_SYMLINKS="1")
    weights = snapshot(machine.cache) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])
    before = tree_state(machine.cache)
    for variables, ways in (({}, 2), ({"HF_HUB_OFFLINE": "1"}, 1)):
        machine.variables = variables
        seen = machine.observe()
        assert len(machine.choices(machine.findings(CACHE_CORRUPT, seen)[0], seen)) == ways
        machine.mend(CACHE_CORRUPT, -1, seen)
        assert not weights.exists()
        machine.undo()
        assert tree_state(machine.cache) == before
    machine.variables = {}
    machine.mend(CACHE_CORRUPT, -1)
    make_cache(tmp_path, HF_HUB_DISABLE_SYMLINKS="1")
    whole(machine.cache)


def test_put_away_and_fetched_in_one_go(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    damage_much(machine.cache)
    with hub() as address:
        for name, value in {**machine.environ, "HF_ENDPOINT": address}.items():
            monkeypatch.setenv(name, value)  # a program that is run has hfdoctor's own
        choice = machine.mend(CACHE_CORRUPT, 1)
    assert choice.needs().network
    whole(machine.cache)
    rows = machine.cache / "datasets--ana--rows"
    assert (rows / "snapshots" / (rows / "refs" / "main").read_text() / "data" / "test.bin").read_bytes() == bytes(600)
    assert not machine.findings(CACHE_CORRUPT)


def test_what_the_hub_has_no_more_is_put_back(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    cut("model.safetensors", 5)(machine.cache)
    (machine.cache / TINY).rename(machine.cache / "models--ana--withdrawn")
    before = tree_state(machine.cache, besides={".locks"})
    with hub() as address:
        for name, value in {**machine.environ, "HF_ENDPOINT": address}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(AssertionError, match="failed"):
            machine.mend(CACHE_CORRUPT, 1)
    assert tree_state(machine.cache, besides={".locks"}) == before
    assert not machine.journal.read().open_runs()


def outside(tmp_path: Path, machine: Machine) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"x" * 100)
    return folder


def test_what_lies_outside_of_the_cache_stays(machine: Machine, tmp_path: Path) -> None:
    """Links that lead out of the cache go themselves, what they lead to stays; behind linked folders nothing goes."""
    folder = outside(tmp_path, machine)
    kept = tree_state(folder)
    cache, files = machine.cache, snapshot(machine.cache)
    link = files / "model.safetensors"
    inside = cache / "models--ana--tiny" / "blobs" / "inner"
    inside.symlink_to(folder / "weights.safetensors")
    link.unlink()
    link.symlink_to("../../blobs/inner")
    straight = files / "other.safetensors"
    straight.symlink_to(folder / "weights.safetensors")
    up = files / "up.safetensors"
    up.symlink_to("../../blobs/../../../../../outside/weights.safetensors")
    (files / "sub").symlink_to(folder)
    health = scan_cache(str(cache))
    entries = [entry for trouble in health.troubles for entry in trouble.entries]
    assert entries and not [entry for entry in entries if ".." in entry or "outside" in entry]
    before = tree_state(cache)
    machine.mend(CACHE_CORRUPT, -1)
    assert tree_state(folder) == kept
    assert not os.path.lexists(link) and not os.path.lexists(inside) and not os.path.lexists(straight)
    machine.undo()
    assert (tree_state(cache), tree_state(folder)) == (before, kept)


def test_a_repository_that_lies_elsewhere_is_left_to_the_library(machine: Machine, tmp_path: Path) -> None:
    cut("model.safetensors", 5)(machine.cache)
    repo = machine.cache / "models--ana--tiny"
    shutil.move(repo, tmp_path / "big disk")
    repo.symlink_to(tmp_path / "big disk")
    assert [trouble.entries for trouble in scan_cache(str(machine.cache)).troubles] == [[]]
    finding = machine.findings(CACHE_CORRUPT)[0]
    assert finding.remedy and [step.argv[3] for step in finding.remedy.steps] == ["download"]


@pytest.mark.parametrize("swapped", ["blobs", "snapshots"])
def test_a_folder_that_becomes_a_link_after_the_plan(machine: Machine, tmp_path: Path, swapped: str) -> None:
    folder = outside(tmp_path, machine)
    cut("model.safetensors", 5)(machine.cache)
    seen = machine.observe()
    choice = machine.choices(machine.findings(CACHE_CORRUPT, seen)[0], seen)[-1]
    part = machine.cache / "models--ana--tiny" / swapped
    paths = [Path(action.describe()[0].what.partition(" ")[2]) for action in choice.actions]
    for path in paths:
        (folder / path.name).write_bytes(b"not yours")
    part.rename(tmp_path / "moved")
    part.symlink_to(folder)
    kept = tree_state(folder)
    behind = [action for action, path in zip(choice.actions, paths, strict=True) if part in path.parents]
    assert behind
    for action in behind:
        with pytest.raises((Refused, OSError)):
            action.apply(quiet)
    assert tree_state(folder) == kept


def test_names_that_look_like_options(machine: Machine) -> None:
    """A program is never given a name from the cache that it would take for an option."""
    files = snapshot(machine.cache)
    target = (files / "model.safetensors").readlink()
    (files / "--local-dir=x.safetensors").symlink_to(target)
    cut("model.safetensors", 5)(machine.cache)
    finding = machine.findings(CACHE_CORRUPT)[0]
    assert finding.remedy
    commands = [step.argv for step in finding.remedy.steps if step.argv]
    assert commands and not [word for argv in commands for word in argv if "local-dir" in word]


@pytest.mark.parametrize("condition", [CACHE_CORRUPT, GIT_LFS_POINTER])
def test_a_healthy_cache_has_nothing_to_mend(made: Path, condition: Condition) -> None:
    assert not Machine(made).findings(condition)


def test_the_program_as_a_person_runs_it(machine: Machine) -> None:
    damage_pointer(machine.cache)
    before = tree_state(machine.cache)
    environ = {**machine.environ, "XDG_STATE_HOME": str(machine.home / "state")}
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from hfdoctor.__main__ import main; main()"

    def hfdoctor(*words: str) -> str:
        argv = [sys.executable, "-c", start, *words]
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=120, cwd=machine.home)
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    said = hfdoctor("fix", "git-lfs-pointer", "--yes", "--choice", "2", "--python", sys.executable)
    assert "put away" in said
    assert scan_cache(str(machine.cache)).trouble_counts == {}
    hfdoctor("undo", "--yes")
    assert tree_state(machine.cache) == before


@pytest.mark.slow
@pytest.mark.skipif(not THOROUGH, reason=WHY_NOT)
@pytest.mark.parametrize("release", ["0.19.4", "0.36.2", "1.8.0"])
def test_other_releases_make_it_whole_again(release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    machine = Machine(home, library=install(release))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    make_cache(home, library=machine.library)
    damage_much(machine.cache)
    machine.mend(CACHE_CORRUPT, -1)
    with hub() as address:
        run_python(LOAD, home, library=machine.library, HF_ENDPOINT=address)
    whole(machine.cache)
