"""Damaged packages in a real environment: found, healed by the real engine, found no more, and all of it taken back."""

from __future__ import annotations

import shutil
import sys

import pytest

from tests.facts.test_packages_libraries import elf

from .patient import Patient, heals, patient

__all__ = ["patient"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform == "win32", reason="tests/windows has its own"),
]


def sound(patient: Patient) -> None:
    """A small healthy environment."""
    code = "".join(f"x{number} = {number}\n" for number in range(200))
    for name in ("filelock", "packaging", "pyyaml", "regex", "requests", "tokenizers", "tqdm"):
        module = {"pyyaml": "yaml"}.get(name, name)
        files: dict[str, str | bytes] = {f"{module}/__init__.py": code, f"{module}/part.py": code}
        patient.make(name, "4.5.0", files={**files, f"{module}/native.so": elf(b"text" * 99)})
    torch = patient.torch("2.15.0", "filelock")
    needs = ("filelock", "packaging>=4.0", "pyyaml>=4", "regex", "requests", "tokenizers>=4,<=4.5", "tqdm>=4.0")
    patient.create(patient.transformers("5.23.0", *needs), torch)


def test_damage_of_seven_kinds(patient: Patient) -> None:
    sound(patient)
    assert patient.failed() == []
    library = patient.library
    # cut short, zeroed, gone
    (library / "filelock" / "part.py").write_bytes(b"")
    size = (library / "yaml" / "native.so").stat().st_size
    (library / "yaml" / "native.so").write_bytes(bytes(size))
    shutil.rmtree(library / "requests")
    # descriptions: emptied, lost with its folder, without a list of files, two at once
    (library / "tqdm-4.5.0.dist-info" / "METADATA").write_bytes(b"")
    shutil.rmtree(library / "tokenizers-4.5.0.dist-info")
    patient.make("tokenizers", "4.6.0")  # too new: not what its users ask for
    (library / "regex-4.5.0.dist-info" / "RECORD").unlink()
    shutil.copytree(library / "packaging-4.5.0.dist-info", library / "packaging-3.9.0.dist-info")
    old = library / "packaging-3.9.0.dist-info"
    for name in ("METADATA", "RECORD"):
        text = (old / name).read_text().replace("4.5.0", "3.9.0").replace("part.py", "old.py")
        (old / name).write_text(text)
    # what an interrupted removal leaves
    shutil.copytree(library / "tqdm", library / "~qdm")
    found = [finding.summary for finding in patient.failed() if finding.condition == "broken-install"]
    assert len(found) == 8, found
    after = heals(patient, "broken-install")
    assert set(after.values()) == {"4.5.0", "5.23.0", "2.15.0"}


def test_leftovers_of_a_removal_that_was_cut_short(patient: Patient) -> None:
    """transformers is gone but for its renamed halves, which still tell the version."""
    sound(patient)
    library = patient.library
    patient.transformers("5.24.0", "filelock")
    (library / "transformers").rename(library / "~ransformers")
    (library / "transformers-5.23.0.dist-info").rename(library / "~ransformers-5.23.0.dist-info")
    (finding,) = (one for one in patient.failed() if one.condition == "broken-install")
    assert "interrupted half-way" in finding.summary
    before = patient.files()
    (line,) = patient.heal("broken-install")["broken-install"]
    assert line.outcome == "fixed", line.reason
    assert (library / "transformers-5.23.0.dist-info").is_dir()
    assert not list(library.glob("~*"))
    patient.undo_all()
    assert patient.files() == before


def test_a_library_with_other_bytes(patient: Patient) -> None:
    """--deep reads every file: a bad disk shows in a library of the same length."""
    patient.make(
        "tokenizers", "0.23.0", files={"tokenizers/__init__.py": "Tokenizer = 1\n", "tokenizers/core.so": "x" * 9999}
    )
    patient.create(patient.transformers("5.23.0", "tokenizers"), patient.torch("2.15.0"))
    core = patient.library / "tokenizers" / "core.so"
    core.write_bytes(b"x" * 5000 + b"\0" + b"x" * 4998)
    patient.deep = True
    found = [finding.summary for finding in patient.failed()]
    assert any("tokenizers" in summary for summary in found), found
    heals(patient, "broken-install")
