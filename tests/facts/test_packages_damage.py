"""A real environment with torch and transformers, damaged in every way we can think of, and undamaged."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hfdoctor.facts.collect import collect
from hfdoctor.facts.fact import known
from hfdoctor.facts.probes.file_state import FileJudge
from hfdoctor.facts.probes.installed_files import hold_files
from hfdoctor.facts.snapshot import Snapshot
from tests.facts.damaged_env import Patient, link_tree, look, verdicts

pytestmark = [pytest.mark.torch, pytest.mark.allow_subprocess]

OURS = ("broken-install", "numpy-abi", "openmp-duplicate")


@pytest.fixture(scope="module")
def copy(torch_env: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("damage")
    link_tree(torch_env, root / "env")
    # lib64 may be a link to lib
    [site] = {path.resolve() for path in (root / "env").glob("[Ll]ib*/**/site-packages")}
    return root, site


@pytest.fixture(scope="module")
def machine(copy: tuple[Path, Path]) -> Snapshot:
    """This machine and the environment as the other probes see them, once for all damages."""
    return collect(str(copy[0] / "env"), cwd=copy[0], environ={"PATH": os.environ["PATH"]})


@pytest.fixture
def patient(copy: tuple[Path, Path], tmp_path: Path) -> Iterator[Patient]:
    patient = Patient(copy[1], copy[0] / tmp_path.name)
    yield patient
    patient.heal()


# -- the damages ------------------------------------------------------------------------------------------------------


def cut(pattern: str, part: float) -> Callable[[Patient], None]:
    def damage(patient: Patient) -> None:
        path = patient.find(pattern)
        data = path.read_bytes()
        patient.write(path, data[: int(len(data) * part)])

    return damage


def cut_huge(patient: Patient) -> None:
    """The first 64 MiB of libtorch_cpu.so, as a full disk leaves them."""
    path = patient.find("torch/lib/libtorch_cpu.so")
    with path.open("rb") as file:
        head = file.read(64 << 20)
    patient.write(path, head)


def gone(*patterns: str) -> Callable[[Patient], None]:
    def damage(patient: Patient) -> None:
        for pattern in patterns:
            patient.remove(patient.find(pattern))

    return damage


def zeroed(pattern: str) -> Callable[[Patient], None]:
    def damage(patient: Patient) -> None:
        path = patient.find(pattern)
        patient.write(path, bytes(path.stat().st_size))

    return damage


def emptied(pattern: str) -> Callable[[Patient], None]:
    return lambda patient: patient.write(patient.find(pattern), b"")


def replaced(pattern: str, data: bytes) -> Callable[[Patient], None]:
    return lambda patient: patient.write(patient.find(pattern), data)


def folder_instead(pattern: str) -> Callable[[Patient], None]:
    return lambda patient: patient.make_folder(patient.find(pattern))


def sparse_metadata(patient: Patient) -> None:
    path = patient.find("tqdm-*.dist-info/METADATA")
    patient.write(path, b"")
    os.truncate(path, 2 << 30)


def endless_header(patient: Patient) -> None:
    patient.write(patient.find("tqdm-*.dist-info/METADATA"), b"Name: tqdm\nVersion: 4.70.1\n" + b"X-Y: z\n" * 300_000)


def leftover(patient: Patient) -> None:
    left = patient.added(patient.site / "~ransformers")
    left.mkdir()
    (left / "__init__.py").write_text("")


def half_removed(patient: Patient) -> None:
    for pattern in ("transformers", "transformers-*.dist-info"):
        path = patient.find(pattern)
        patient.remove(path)
        patient.added(path.with_name("~" + path.name[1:])).mkdir()


def second_version(patient: Patient) -> None:
    old = patient.added(patient.site / "transformers-4.57.6.dist-info")
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.4\nName: transformers\nVersion: 4.57.6\n\n")
    (old / "INSTALLER").write_text("pip\n")
    (old / "RECORD").write_text("transformers/gone.py,sha256=abc,12\ntransformers-4.57.6.dist-info/RECORD,,\n")


def mixed_versions(patient: Patient) -> None:
    second_version(patient)
    patient.remove(patient.find("transformers/modeling_utils.py"))


def empty_second_description(patient: Patient) -> None:
    patient.added(patient.site / "tokenizers-0.10.0.dist-info").mkdir()


def dangling(patient: Patient) -> None:
    path = patient.find("transformers/modeling_utils.py")
    patient.remove(path)
    patient.added(path).symlink_to("/nowhere/modeling_utils.py")


def all_links_dangling(patient: Patient) -> None:
    for path in sorted((patient.site / "safetensors").glob("*.py")):
        patient.remove(path)
        patient.added(path).symlink_to(f"/nowhere/{path.name}")
    for path in sorted((patient.site / "safetensors").glob("*.so")):
        patient.remove(path)
        patient.added(path).symlink_to(f"/nowhere/{path.name}")


def only_remains(patient: Patient) -> None:
    """A failed upgrade: the description is gone, and of the code only some file that pip did not know."""
    patient.remove(patient.find("transformers-*.dist-info"))
    path = patient.find("transformers")
    patient.remove(path)
    patient.added(path).mkdir()
    (path / "my_own_model.py").write_text("")


def many_zeroed(patient: Patient) -> None:
    """A power cut: some hundred modules of the right size that hold only zero bytes."""
    for path in sorted((patient.site / "transformers/models").glob("*/configuration_*.py"))[:300]:
        patient.write(path, bytes(path.stat().st_size))


def syntax_gone(patient: Patient) -> None:
    path = patient.find("transformers/pipelines/base.py")
    patient.write(path, path.read_bytes() + b"\n<<<<<<< HEAD\n")


ERRORS: dict[str, tuple[Callable[[Patient], None], str]] = {
    "big library cut off": (cut_huge, "torch 2"),
    "library cut by one block": (cut("torch/lib/libtorch_python.so", 0.9999), "torch 2"),
    "library removed": (gone("torch/lib/libc10.so"), "torch 2"),
    "library replaced by zeros": (zeroed("torch/lib/libc10.so"), "torch 2"),
    "extension replaced by zeros": (zeroed("tokenizers/tokenizers*.so"), "tokenizers"),
    "extension emptied": (emptied("safetensors/_safetensors_rust*.so"), "safetensors"),
    "extension is a git-lfs pointer": (
        replaced("numpy/_core/_multiarray_umath*.so", b"version https://git-lfs.github.com/spec/v1\n"),
        "numpy",
    ),
    "extension removed": (gone("yaml/_yaml*.so"), "pyyaml"),
    "__init__.py removed": (gone("transformers/__init__.py"), "transformers"),
    "__init__.py emptied": (emptied("torch/__init__.py"), "torch 2"),
    "__init__.py replaced by zeros": (zeroed("transformers/__init__.py"), "transformers"),
    "version.py replaced by zeros": (zeroed("torch/version.py"), "torch 2"),
    "module removed": (gone("transformers/modeling_utils.py"), "transformers"),
    "module cut off": (cut("transformers/modeling_utils.py", 0.5), "transformers"),
    "module with a conflict marker": (syntax_gone, "transformers"),
    "subpackage removed": (gone("transformers/utils"), "transformers"),
    "requirement's subpackage removed": (gone("huggingface_hub/utils"), "huggingface-hub"),
    "single-module package removed": (gone("typing_extensions.py"), "typing-extensions"),
    "package folder removed": (gone("tokenizers"), "tokenizers"),
    "package folder and RECORD removed": (gone("tokenizers", "tokenizers-*.dist-info/RECORD"), "tokenizers"),
    "torch removed by hand": (gone("torch"), "torch 2"),
    "modules replaced by zeros after a power cut": (many_zeroed, "transformers"),
    "module is a folder": (folder_instead("transformers/modeling_utils.py"), "transformers"),
    "module is a dangling link": (dangling, "transformers"),
    "package of dangling links": (all_links_dangling, "safetensors"),
    "METADATA of tqdm missing": (gone("tqdm-*.dist-info/METADATA"), "tqdm"),
    "METADATA of numpy empty": (emptied("numpy-*.dist-info/METADATA"), "numpy"),
    "METADATA of torch missing": (gone("torch-*.dist-info/METADATA"), "torch"),
    "METADATA is a folder": (folder_instead("regex-*.dist-info/METADATA"), "regex"),
    "METADATA of 2 GB": (sparse_metadata, "tqdm"),
    "METADATA of other text": (replaced("pyyaml-*.dist-info/METADATA", b"<html>404 not found</html>"), "pyyaml"),
    "METADATA of random bytes": (replaced("filelock-*.dist-info/METADATA", bytes(range(256)) * 9), "filelock"),
    ".dist-info of numpy removed": (gone("numpy-*.dist-info"), "numpy"),
    "mixture of two versions": (mixed_versions, "transformers"),
    "removal interrupted half-way": (half_removed, "transformers"),
}

WARNINGS: dict[str, tuple[Callable[[Patient], None], str]] = {
    "METADATA without an end": (endless_header, "tqdm"),
    "METADATA of transformers missing": (gone("transformers-*.dist-info/METADATA"), "transformers"),
    "METADATA of sympy missing": (gone("sympy-*.dist-info/METADATA"), "sympy"),
    "RECORD missing": (gone("transformers-*.dist-info/RECORD"), "transformers"),
    "RECORD garbled": (replaced("transformers-*.dist-info/RECORD", os.urandom(4000)), "transformers"),
    "RECORD empty": (emptied("torch-*.dist-info/RECORD"), "torch"),
    "RECORD is a folder": (folder_instead("torch-*.dist-info/RECORD"), "torch"),
    "two versions at once": (second_version, "transformers"),
    "an empty second description": (empty_second_description, "tokenizers"),
    ".dist-info of transformers removed": (gone("transformers-*.dist-info"), "transformers"),
    "remains of a failed upgrade": (only_remains, "transformers"),
}

NOTES: dict[str, tuple[Callable[[Patient], None], str]] = {
    "leftover of an upgrade": (leftover, "~ransformers"),
    "module edited by hand": (
        lambda p: p.write(p.find("transformers/modeling_utils.py"), b"print('mine')\n"),
        "transformers",
    ),
    "headers removed": (gone("torch/include/ATen"), "torch"),
}

HARMLESS: dict[str, Callable[[Patient], None]] = {
    "nothing": lambda patient: None,
    "compiled files removed": gone("transformers/__pycache__"),
    "licences removed": gone("torch-*.dist-info/licenses"),
    "type stubs removed": gone("torch/_C/__init__.pyi"),
    "tests removed": gone("numpy/_core/tests"),
    "METADATA loosened by hand": lambda patient: patient.write(
        patient.find("transformers-*.dist-info/METADATA"),
        patient.find("transformers-*.dist-info/METADATA").read_bytes().replace(b"<3.0,>=1.31.0", b">=1.31.0"),
    ),
    "library with something behind its end": lambda patient: patient.write(
        patient.find("torch/lib/libc10.so"), patient.find("torch/lib/libc10.so").read_bytes() + bytes(64)
    ),
    "foreign files": lambda patient: patient.write(patient.site / "notes.txt", b"mine"),
    "an empty folder of another name": lambda patient: patient.make_folder(patient.site / "build"),
}


def only_finding(snapshot: Snapshot, severity: str, word: str) -> None:
    [finding] = verdicts(snapshot, *OURS)
    assert finding.condition == "broken-install"
    assert (finding.outcome, finding.severity, finding.basis) == ("fail", severity, "derived"), finding.summary
    told = " ".join([finding.summary, *(clue.text for clue in finding.evidence)])
    assert word in told
    assert finding.evidence
    assert finding.remedy is not None
    assert finding.remedy.steps
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str, patient: Patient, machine: Snapshot) -> None:
    damage, word = ERRORS[name]
    damage(patient)
    only_finding(look(machine), "error", word)


@pytest.mark.parametrize("name", WARNINGS)
def test_warning(name: str, patient: Patient, machine: Snapshot) -> None:
    damage, word = WARNINGS[name]
    damage(patient)
    only_finding(look(machine), "warning", word)


@pytest.mark.parametrize("name", NOTES)
def test_note(name: str, patient: Patient, machine: Snapshot) -> None:
    damage, word = NOTES[name]
    damage(patient)
    only_finding(look(machine), "note", word)


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(name: str, patient: Patient, machine: Snapshot) -> None:
    HARMLESS[name](patient)
    assert not verdicts(look(machine), *OURS)


# -- what only --deep sees --------------------------------------------------------------------------------------------


def flipped(pattern: str, at: float) -> Callable[[Patient], None]:
    """One byte changed, the size kept: what a bad disk does."""

    def damage(patient: Patient) -> None:
        path = patient.find(pattern)
        data = bytearray(path.read_bytes())
        data[int(len(data) * at)] ^= 0xFF
        patient.write(path, bytes(data))

    return damage


def hashes(machine: Snapshot) -> Snapshot:
    """The files with their hashes, without importing anything."""
    snapshot = look(machine)
    found = snapshot.packages.distributions.need()
    held = hold_files(found, FileJudge(time.monotonic() + 120, (3, 11)), deep=True)
    snapshot.packages.files = known(held, "RECORD")
    return snapshot


def test_hashes_of_an_undamaged_environment(machine: Snapshot, patient: Patient) -> None:
    snapshot = hashes(machine)
    assert not verdicts(snapshot, *OURS)
    held = snapshot.packages.files.need()
    assert sum(files.hashed for files in held) == sum(files.files for files in held) > 10_000


@pytest.mark.parametrize(
    ("damage", "severity", "word"),
    [
        (flipped("tokenizers/tokenizers*.so", 0.5), "warning", "tokenizers"),
        (flipped("transformers/models/bert/modeling_bert.py", 0.9), "error", "modeling_bert.py"),
        (zeroed("transformers/models/bert/modeling_bert.py"), "error", "modeling_bert.py"),
    ],
    ids=["library", "module with a stray byte", "module of zero bytes"],
)
def test_altered(
    damage: Callable[[Patient], None], severity: str, word: str, machine: Snapshot, patient: Patient
) -> None:
    damage(patient)
    only_finding(hashes(machine), severity, word)
