"""Environments as other tools make them: uv, conda, Debian, editable installs, user site, links, no permission."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hfdoctor.facts.fact import known
from hfdoctor.facts.probes.distributions import read_distributions, read_leftovers, read_orphans
from hfdoctor.facts.probes.packages import search_folders
from hfdoctor.facts.sections.packages import Distribution
from hfdoctor.facts.sections.target import Paths, Target
from hfdoctor.facts.snapshot import Snapshot
from tests.facts.damaged_env import look, verdicts


def snapshot_of(*folders: Path | str, version: tuple[int, ...] = sys.version_info[:3]) -> Snapshot:
    """A machine whose target has these folders on sys.path."""
    from tests.recorded import build

    snapshot = build("linux")
    paths = msgspec.structs.replace(snapshot.target.paths.need(), site_packages=[str(f) for f in folders])
    paths.purelib = paths.platlib = str(folders[0])
    snapshot.target.paths = known(paths)
    snapshot.target.sys_path = known([str(folder) for folder in folders])
    snapshot.target.interpreter.need().version_info = list(version)
    return snapshot


def install(site: Path, name: str, version: str = "1.0", requires: str = "", installer: str = "pip") -> Path:
    """A sound little package with its .dist-info; returns the latter."""
    code = site / name.replace("-", "_")
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    code.mkdir(parents=True)
    info.mkdir()
    (code / "__init__.py").write_text("x = 1\n")
    lines = [f"Requires-Dist: {one}" for one in requires.split()]
    header = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]
    (info / "METADATA").write_text("\n".join(header) + "\n\nAbout it.\n")
    (info / "INSTALLER").write_text(f"{installer}\n")
    (info / "RECORD").write_text(f"{code.name}/__init__.py,,6\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")
    return info


def the(distributions: list[Distribution], name: str) -> Distribution:
    [found] = [entry for entry in distributions if entry.name == name]
    return found


# -- what the distributions are ---------------------------------------------------------------------------------------


def test_names_are_normalised_and_extras_kept(tmp_path: Path) -> None:
    info = install(tmp_path, "Ruamel.Yaml_clib", requires="")
    (info / "METADATA").write_text('Name: Ruamel.Yaml_clib\nVersion: 1.0\nRequires-Dist: a; extra == "b"\n\nName: no\n')
    entry = the(read_distributions([str(tmp_path)]), "ruamel-yaml-clib")
    assert entry.requires == ['a; extra == "b"']


def test_an_earlier_folder_shadows_a_later_one(tmp_path: Path) -> None:
    install(tmp_path / "venv", "numpy", "2.0")
    install(tmp_path / "system", "numpy", "1.26.4")
    found = read_distributions([str(tmp_path / "venv"), str(tmp_path / "system")])
    assert [(entry.version, entry.shadowed) for entry in found] == [("2.0", False), ("1.26.4", True)]
    assert not verdicts(look(snapshot_of(tmp_path / "venv", tmp_path / "system")), "broken-install")


def test_old_kinds_of_description(tmp_path: Path) -> None:
    (tmp_path / "single-3.4-py3.11.egg-info").write_text("Name: single\nVersion: 3.4\n\n")
    folder = tmp_path / "folder.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Name: Folder\nVersion: 2\n\n")
    source = tmp_path / "source"
    (source / "linked.egg-info").mkdir(parents=True)
    (source / "linked.egg-info/PKG-INFO").write_text("Name: linked\nVersion: 5\n")
    (tmp_path / "linked.egg-link").write_text(f"{source}\n.")
    egg = tmp_path / "old-1.2-py3.11.egg"
    (egg / "EGG-INFO").mkdir(parents=True)
    (egg / "EGG-INFO/PKG-INFO").write_text("Name: old\nVersion: 1.2\n\n")
    found = read_distributions([str(tmp_path), str(egg)])
    assert {(e.name, e.version, e.editable, e.problem) for e in found} == {
        ("single", "3.4", False, ""),
        ("folder", "2", False, ""),
        ("linked", "5", True, ""),
        ("old", "1.2", False, ""),
    }


def test_editable_installs_are_not_held_against_record(tmp_path: Path) -> None:
    info = install(tmp_path, "transformers")
    (tmp_path / "transformers/__init__.py").unlink()
    (tmp_path / "transformers").rmdir()
    (tmp_path / "__editable__.transformers-1.0.pth").write_text(str(tmp_path / "src"))
    origin = {"url": "file:///home/ana/transformers", "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(origin))
    (info / "RECORD").write_text("__editable__.transformers-1.0.pth,sha256=x,99\n")
    snapshot = look(snapshot_of(tmp_path))
    assert snapshot.packages.distributions.need()[0].editable
    assert [files.problem for files in snapshot.packages.files.need()] == ["editable"]
    assert not verdicts(snapshot, "broken-install")


def test_credentials_of_an_origin_are_not_kept(tmp_path: Path) -> None:
    info = install(tmp_path, "torch")
    url = "https://ana:s3cret@example.org/torch.whl?token=s3cret"
    (info / "direct_url.json").write_text(json.dumps({"url": url, "archive_info": {}}))
    entry = the(read_distributions([str(tmp_path)]), "torch")
    assert entry.direct_url == "https://example.org/torch.whl"
    assert b"s3cret" not in msgspec.json.encode(look(snapshot_of(tmp_path)))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"url": 5}', b"\xff", b'{"dir_info": []}', b'{"url": "x", "dir_info": 1}']
)
def test_odd_origins(data: bytes, tmp_path: Path) -> None:
    (install(tmp_path, "torch") / "direct_url.json").write_bytes(data)
    assert not the(read_distributions([str(tmp_path)]), "torch").editable


def test_leftovers_are_guessed_back(tmp_path: Path) -> None:
    for name in ("~ransformers", "~ransformers-4.57.1.dist-info", "~-nsformers", "~orch", "~weird"):
        (tmp_path / name).mkdir()
    found = read_leftovers([str(tmp_path)], ["transformers", "torch", "tensorflow"])
    assert [left.package for left in found] == ["~-nsformers", "torch", "transformers", "transformers", "~weird"]


def test_orphans(tmp_path: Path) -> None:
    install(tmp_path, "numpy")
    for name in ("torch", "transformers", "tokenizers"):
        (tmp_path / name).mkdir()
    (tmp_path / "torch/__init__.py").write_text("")
    (tmp_path / "transformers/my_model.py").write_text("")
    (tmp_path / "tokenizers/__pycache__").mkdir()
    found = read_orphans([str(tmp_path)], ["numpy"])
    assert {(orphan.package, orphan.importable) for orphan in found} == {("torch", True), ("transformers", False)}


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"~\xff\xfe")).mkdir()
        (tmp_path / os.fsdecode(b"x\xff-1.dist-info")).mkdir()
    except OSError:
        pytest.skip("this file system takes Unicode only")
    snapshot = look(snapshot_of(tmp_path))
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot


# -- folders ----------------------------------------------------------------------------------------------------------


def test_one_folder_under_two_names_counts_once(tmp_path: Path) -> None:
    install(tmp_path / "lib/site-packages", "numpy")
    try:
        (tmp_path / "lib64").symlink_to("lib")
    except OSError:
        pytest.skip("no links here")
    folders = [tmp_path / "lib/site-packages", tmp_path / "lib64/site-packages", tmp_path / "gone"]
    assert search_folders(snapshot_of(*folders).target)[0] == [str(folders[0])]


def test_a_target_that_does_not_start_is_still_looked_at(tmp_path: Path) -> None:
    install(tmp_path / "site", "numpy")
    install(tmp_path / "user", "torch")
    for enabled in (False, True):
        paths = Paths("", "", "", "", [str(tmp_path / "site")], str(tmp_path / "user"), enabled)
        folders, _ = search_folders(Target(paths=known(paths, "pyvenv.cfg")))
        assert len(folders) == 1 + enabled


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_closed_folder_of_pythonpath_costs_nothing_else(open_folder: Path) -> None:
    install(open_folder / "site", "numpy")
    install(open_folder / "closed", "torch")
    snapshot = snapshot_of(open_folder / "closed", open_folder / "site")
    paths = snapshot.target.paths.need()
    paths.site_packages = [str(open_folder / "site")]
    paths.purelib = paths.platlib = paths.site_packages[0]
    look(snapshot)
    (open_folder / "closed").chmod(0)
    seen = msgspec.json.decode(as_nobody(lambda: msgspec.json.encode(look(snapshot))), type=Snapshot)
    assert list(seen.packages.installed()) == ["numpy"]


def test_nothing_known_of_the_folders_is_unknown_and_no_pass() -> None:
    snapshot = snapshot_of("/")
    snapshot.target.paths = snapshot.target.sys_path = msgspec.structs.replace(Target().paths)
    found = verdicts(look(snapshot), "broken-install", "numpy-abi", "openmp-duplicate")
    assert {finding.outcome for finding in found} == {"unknown"}


def test_an_empty_environment_has_nothing_broken(tmp_path: Path) -> None:
    assert not verdicts(look(snapshot_of(tmp_path)), "broken-install", "numpy-abi", "openmp-duplicate")


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_file_of_two_packages_is_no_damage(tmp_path: Path) -> None:
    """nvidia-nccl-cu11 and -cu12 write one library: the later one wins, and neither is broken."""
    first, second = install(tmp_path, "torch"), install(tmp_path, "accelerate")
    (tmp_path / "shared.py").write_text("abc\n")
    for info, size in ((first, 99), (second, 4)):
        (info / "RECORD").write_text((info / "RECORD").read_text() + f"shared.py,sha256=x,{size}\n")
    assert not verdicts(look(snapshot_of(tmp_path)), "broken-install")
    (tmp_path / "shared.py").unlink()
    assert len(verdicts(look(snapshot_of(tmp_path)), "broken-install")) == 2


def test_separators_and_line_ends_of_windows(tmp_path: Path) -> None:
    info = install(tmp_path, "torch")
    rows = [
        "torch\\__init__.py,sha256=x,6",
        "..\\..\\Scripts\\torchrun.exe,sha256=x,108000",
        "C:\\elsewhere\\x.py,sha256=x,5",
        '"torch/a, b.py",sha256=x,2',
    ]
    (tmp_path / "torch/a, b.py").write_text("x\n")
    (info / "RECORD").write_bytes("\r\n".join(rows).encode())
    snapshot = look(snapshot_of(tmp_path))
    [files] = snapshot.packages.files.need()
    assert (files.files, files.damaged, files.problem) == (2, 0, "")


@pytest.mark.parametrize("installer", ["conda", "debian", "rpm"])
def test_other_package_managers_rewrite_their_files(installer: str, tmp_path: Path) -> None:
    info = install(tmp_path, "torch", installer=installer)
    (info / "RECORD").write_text("torch/__init__.py,sha256=x,4711\ntorch/lib/gone.so,sha256=x,5\n")
    snapshot = look(snapshot_of(tmp_path))
    assert [files.problem for files in snapshot.packages.files.need()] == ["managed"]
    assert not verdicts(snapshot, "broken-install")
    (tmp_path / "torch/__init__.py").unlink()
    assert [finding.severity for finding in verdicts(look(snapshot_of(tmp_path)), "broken-install")] == ["error"]


def test_no_record_and_no_installer_is_a_distribution_s_way(tmp_path: Path) -> None:
    info = install(tmp_path, "numpy")
    (info / "RECORD").unlink()
    (info / "INSTALLER").unlink()
    assert not verdicts(look(snapshot_of(tmp_path)), "broken-install")


@pytest.mark.skipif(not Path("/usr/lib/python3/dist-packages").is_dir(), reason="no Debian here")
def test_debian_s_own_packages() -> None:
    snapshot = look(snapshot_of("/usr/lib/python3/dist-packages"))
    assert snapshot.packages.distributions.need()
    assert not verdicts(snapshot, "broken-install")


@pytest.mark.allow_subprocess
def test_an_environment_of_uv(tmp_path: Path) -> None:
    """Real wheels installed by uv (hard links into its cache) are whole; a truncated one is named with uv's command."""
    uv = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")
    if not uv.exists():
        pytest.skip("uv is not installed beside this Python")
    env = tmp_path / "env"
    environ = {**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache")}
    made = subprocess.run([uv, "venv", "-q", "--python", sys.executable, env], env=environ)
    command = [uv, "pip", "install", "-q", "--python", env, "tqdm", "numpy", "safetensors", "pyyaml"]
    if made.returncode or subprocess.run(command, env=environ, timeout=300).returncode:
        pytest.skip("uv found no index to install from")
    [site] = {path.resolve() for path in env.glob("[Ll]ib*/**/site-packages")}
    install(site, "transformers", requires="tqdm numpy safetensors pyyaml", installer="uv")
    snapshot = look(snapshot_of(site))
    assert len(snapshot.packages.files.need()) == 5
    assert not verdicts(snapshot, "broken-install", "numpy-abi")
    [library] = site.glob("safetensors/*.so") if os.name != "nt" else site.glob("safetensors/*.pyd")
    data = library.read_bytes()
    library.unlink()
    library.write_bytes(data[: len(data) // 2])
    [finding] = verdicts(look(snapshot_of(site)), "broken-install")
    assert finding.severity == "error"
    assert finding.remedy is not None
    assert finding.remedy.steps[0].argv[:3] == ["uv", "pip", "install"]


# -- without permission -----------------------------------------------------------------------------------------------


def as_nobody(work: Callable[[], bytes]) -> bytes:
    """Run ``work`` in a child that is not root, and return what it answers."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            os.write(write, work())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        data = answer.read()
    os.waitpid(child, 0)
    return data


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(
    ("closed", "outcome", "severity"),
    [
        ("torch", "fail", "error"),
        ("torch/__init__.py", "fail", "error"),
        ("torch-1.0.dist-info", "fail", "error"),
        ("torch-1.0.dist-info/METADATA", "fail", "error"),
        ("torch-1.0.dist-info/RECORD", "fail", "warning"),
        (".", "unknown", None),
    ],
)
def test_closed_to_us(closed: str, outcome: str, severity: str | None, open_folder: Path) -> None:
    site = open_folder / "site"
    install(site, "torch")
    needs = install(site, "transformers", requires="torch")
    assert needs.is_dir()
    (site / "transformers/dependency_versions_table.py").write_text('deps = {\n    "torch": "torch>=2.6",\n}\n')
    look(snapshot_of(site))  # everything that is imported on demand is there before the rights are gone
    (site / closed).chmod(0)
    snapshot = msgspec.json.decode(as_nobody(lambda: msgspec.json.encode(look(snapshot_of(site)))), type=Snapshot)
    (site / closed).chmod(0o755)
    [finding] = verdicts(snapshot, "broken-install")
    assert (finding.outcome, finding.severity) == (outcome, severity), finding.summary
