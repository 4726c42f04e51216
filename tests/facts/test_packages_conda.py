"""Packages that conda installed are held against conda's own list of files."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.facts.probes.conda_meta import meta_folder, read_conda_record
from hfdoctor.facts.probes.distributions import read_distributions
from hfdoctor.facts.probes.file_state import FileJudge
from hfdoctor.facts.probes.installed_files import hold_files
from hfdoctor.facts.sections.packages import Distribution, PackageFiles

SOURCE = b"import os\nVALUE = 1\n" * 20


class Prefix:
    """A made conda environment with one package in it."""

    def __init__(
        self,
        folder: Path,
        name: str = "torch",
        conda_name: str = "pytorch",
        where: str = "lib/python3.12/site-packages/",
    ) -> None:
        self.site = folder / "lib" / "python3.12" / "site-packages"
        self.where = where
        self.name, self.meta = name, folder / "conda-meta" / f"{conda_name}-2.5.1-py3.12_cpu_0.json"
        self.meta.parent.mkdir(parents=True)
        info = f"{name}-2.5.1.dist-info"
        self.paths: list[dict[str, Any]] = []
        self.add(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5.1\n\n".encode())
        self.add(f"{info}/INSTALLER", b"conda")
        self.add(f"{info}/RECORD", f"{name}/__init__.py,sha256=AAAA,1\n".encode())  # as it was before conda
        self.add(f"{name}/__init__.py", SOURCE)
        self.add(f"{name}/data.json", b"{}")
        self.add(f"{name}/paths.py", b"PREFIX = '/opt/placeholder'\n", prefix_placeholder="/opt/placeholder")
        self.add(f"{name}/__pycache__/x.pyc", b"compiled", path_type="pyc_file")
        (self.site / name / "paths.py").write_bytes(b"PREFIX = '/home/ana/env'\n")
        (self.site / name / "__pycache__" / "x.pyc").unlink()
        self.paths.append({"_path": "bin/torchrun", "path_type": "hardlink", "size_in_bytes": 7})
        self.write()

    def add(self, path: str, content: bytes, **more: Any) -> None:
        (self.site / path).parent.mkdir(parents=True, exist_ok=True)
        (self.site / path).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        row = {"_path": self.where + path, "path_type": "hardlink", "size_in_bytes": len(content), "sha256": digest}
        self.paths.append({**row, **more})

    def write(self) -> None:
        document = {"name": "pytorch", "version": "2.5.1", "paths_data": {"paths": self.paths, "paths_version": 1}}
        self.meta.write_text(json.dumps(document))

    def entry(self) -> Distribution:
        [entry] = read_distributions([str(self.site)])
        return entry

    def hold(self, deep: bool = False) -> PackageFiles:
        judge = FileJudge(time.monotonic() + 30, (3, 10))
        [files] = hold_files([self.entry()], judge, deep)
        return files


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    return Prefix(tmp_path / "env")


@pytest.mark.parametrize("deep", [False, True])
def test_whole(prefix: Prefix, deep: bool) -> None:
    files = prefix.hold(deep)
    # __init__.py and data.json; what is rewritten, compiled, of the .dist-info or elsewhere is not counted
    assert (files.problem, files.files, files.checked, files.damaged, files.altered) == ("", 2, 2, 0, 0)
    assert files.hashed == (2 if deep else 0)


def test_a_file_that_is_missing_and_one_cut_short(prefix: Prefix) -> None:
    (prefix.site / "torch" / "data.json").unlink()
    (prefix.site / "torch" / "__init__.py").write_bytes(SOURCE[:-40] + b"x = (\n")
    kinds = {Path(damage.path).name: damage.kind for damage in prefix.hold().damages}
    assert kinds == {"data.json": "missing", "__init__.py": "truncated"}


def test_an_edited_file_is_altered_and_no_damage(prefix: Prefix) -> None:
    (prefix.site / "torch" / "__init__.py").write_bytes(SOURCE.replace(b"1", b"2"))
    files = prefix.hold(deep=True)
    assert (files.damaged, files.altered) == (0, 1)


@pytest.mark.parametrize("where", ["site-packages/", "Lib/site-packages/", "lib/python3.12/site-packages/"])
def test_every_layout(tmp_path: Path, where: str) -> None:
    record = read_conda_record(Prefix(tmp_path / "env", where=where).entry())
    assert record is not None
    assert dict(zip(record.paths, record.sizes, strict=True))["torch/data.json"] == "2"


def test_names_that_differ(tmp_path: Path) -> None:
    prefix = Prefix(tmp_path / "env", "huggingface_hub", "huggingface_hub")
    assert read_conda_record(prefix.entry()) is not None


def test_another_packages_list_is_not_taken(prefix: Prefix) -> None:
    """pip wrote another version over conda's: its list is of the old one."""
    (prefix.site / "torch-2.5.1.dist-info").rename(prefix.site / "torch-2.6.0.dist-info")
    assert read_conda_record(prefix.entry()) is None
    assert prefix.hold().problem == "managed"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"paths_data": {"paths": [{"_path": 7}]}}', '{"files": []}', "\0" * 99]
)
def test_a_list_that_cannot_be_read_is_none(prefix: Prefix, text: str) -> None:
    prefix.meta.write_text(text)
    assert read_conda_record(prefix.entry()) is None
    assert prefix.hold().problem == "managed"


def test_without_conda_meta(prefix: Prefix) -> None:
    prefix.meta.unlink()
    assert prefix.hold().problem == "managed"
    prefix.meta.parent.rmdir()
    assert meta_folder(prefix.entry().path) == ""
    assert prefix.hold().problem == "managed"
