"""Rebuilding the tables of torch and transformers: on wheels made here and served on loopback with range requests."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.binaries.built import container, elf, entry
from tests.knowledge.published import Published, make_wheel, serve

pytest.importorskip("remotezip")  # comes with the extra "dev", like the script that needs it

import refresh_tables
from registry_tables.index import Index
from registry_tables.torch_builds_table import torch_build_rows, wanted
from registry_tables.torch_releases_table import torch_release_rows, variant_of
from registry_tables.transformers_table import DECLARED, ENFORCED, asked_by, transformers_rows

DAY = "2030-01-02"


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    folder = tmp_path / "served"
    folder.mkdir()
    with serve(folder) as index:
        yield index


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        (
            "__version__ = '2.7.1+cu126'\ndebug = False\ncuda: Optional[str] = '12.6'\nhip: Optional[str] = None\n",
            "cu126",
        ),
        ("__version__ = '2.15.0'\ncuda: Optional[str] = '13.2'\n", "cu132"),
        ("__version__ = '1.12.1+cu102'\ndebug = False\ncuda = '10.2'\n", "cu102"),
        ("__version__ = '2.7.1+cpu'\ncuda: Optional[str] = None\n", "cpu"),
        ("__version__ = '1.13.1'\ncuda = None\n", "cpu"),
        ("__version__ = '2.9.1+rocm6.4'\ncuda: Optional[str] = None\nhip: Optional[str] = '6.4'\n", "rocm6.4"),
        ("__version__ = '2.9.1'\n", None),
        ("", None),
    ],
)
def test_the_variant_by_the_version_file(text: str, variant: str | None) -> None:
    assert variant_of(text) == variant


def torch_wheel(published: Published, name: str, cuda: str | None) -> None:
    text = f"__version__ = '9.1.0'\ncuda: Optional[str] = {cuda!r}\n"
    make_wheel(published.folder, name, {"torch/version.py": text, "torch/__init__.py": ""})


def test_what_the_index_has_of_each_release(published: Published) -> None:
    torch_wheel(published, "torch-9.1.0-cp312-cp312-manylinux_2_28_x86_64.whl", "14.0")
    torch_wheel(published, "torch-9.1.0-cp313-cp313t-manylinux_2_28_x86_64.whl", "14.0")
    torch_wheel(published, "torch-9.1.0-cp312-cp312-win_amd64.whl", None)
    torch_wheel(published, "torch-9.1.0-cp312-none-macosx_14_0_arm64.whl", None)
    torch_wheel(published, "torch-9.0.0-cp312-cp312-manylinux_2_28_aarch64.whl", None)
    torch_wheel(published, "torch-9.2.0rc1-cp312-cp312-win_amd64.whl", None)
    rows, gaps = torch_release_rows(Index(base=published.base), DAY)
    assert [row["release"] for row in rows] == ["9.1.0", "9.0.0"] and gaps == []
    assert rows[0]["defaults"] == {"linux_x86_64": "cu140", "windows_x86_64": "cpu", "macos_aarch64": "cpu"}
    assert rows[0]["pythons"] == ["3.12", "3.13t"]
    assert rows[1]["defaults"] == {"linux_aarch64": "cpu"}
    assert all(row["as_of"] == DAY and row["source"].startswith("https://pypi.org/project/torch/") for row in rows)


def release(number: str, **defaults: str) -> dict[str, Any]:
    return {"as_of": DAY, "source": "s", "release": number, "pythons": ["3.12"], "defaults": defaults}


def documented(variant: str) -> dict[str, Any]:
    row = {"since": "9.0", "until": "9.1", "variant": variant, "system": "linux", "machine": "x86_64"}
    return {
        "as_of": "2029-01-01",
        "source": "a document",
        **row,
        "code": ["sm_90"],
        "ptx": [],
        "few": [],
        "basis": "documented",
    }


def test_builds_are_measured_in_their_wheels_once(published: Published) -> None:
    name = "torch-9.1.0-cp312-cp312-manylinux_2_28_x86_64.whl"
    kernels = b"".join(container(entry(90), entry(120), entry(90, kind=1)) for _ in range(5))
    with zipfile.ZipFile(published.folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("torch/lib/libtorch_cuda.so", elf([(".nv_fatbin", kernels)]))
        archive.writestr("torch-9.1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 9.1.0\n")
    releases = [release("9.1.0", linux_x86_64="cu140", windows_x86_64="cpu"), release("9.0.0", linux_x86_64="cu140")]
    index = Index(base=published.base)

    rows, gaps = torch_build_rows(index, [documented("cu126")], releases, DAY)
    (measured,) = [row for row in rows if row["basis"] == "measured"]
    assert (measured["since"], measured["until"], measured["variant"]) == ("9.1.0", "9.1.0", "cu140")
    assert (measured["code"], measured["ptx"]) == (["sm_90", "sm_120"], ["compute_90"])
    assert measured["as_of"] == DAY and measured["source"].endswith(name)
    assert documented("cu126") in rows
    assert any("torch 9.0.0 cu140 linux_x86_64: no wheel" in gap for gap in gaps)
    assert any("1 rows from documents" in gap for gap in gaps)

    asked = len(published.requests)
    again, _ = torch_build_rows(index, rows, releases[:1], DAY)
    assert again == rows and len(published.requests) == asked  # what was measured is not read again
    later, gaps = torch_build_rows(index, [], releases, DAY, most=0)
    assert later == [] and any("left for another run" in gap for gap in gaps)


def test_a_wheel_without_gpu_code_is_a_gap(published: Published) -> None:
    torch_wheel(published, "torch-9.1.0-cp312-cp312-manylinux_2_28_x86_64.whl", "14.0")
    rows, gaps = torch_build_rows(Index(base=published.base), [], [release("9.1.0", linux_x86_64="cu140")], DAY)
    assert rows == [] and "no library with GPU code" in gaps[0]


def test_the_newest_patch_release_of_each_minor_is_measured() -> None:
    releases = [
        release("9.1.0", linux_x86_64="cu140"),
        release("9.1.2", linux_x86_64="cu140", linux_aarch64="cpu"),
        release("9.10.0", linux_x86_64="cu141"),
        release("1.13.1", linux_x86_64="cu117"),
    ]
    assert wanted(releases) == [("9.10.0", "linux_x86_64", "cu141"), ("9.1.2", "linux_x86_64", "cu140")]


def test_what_transformers_asks_for() -> None:
    refusal = 'logger.warning_once(f"PyTorch >= 2.6 is required but found {torch_version}")'
    assert asked_by('deps = {"torch": "torch>=2.6", "torchaudio": "torchaudio"}', refusal) == ("2.6", "2.6.0")
    assert asked_by('deps = {"torch": "torch>=2.0,!=2.1.0"}', "") == ("2.0", "")
    assert asked_by('deps = {"torch": "torch", "torchvision": "torchvision>=9"}', refusal) is None


def test_a_row_is_added_where_transformers_asks_for_more(published: Published) -> None:
    for number, least in (("8.0.0", "2.6"), ("8.1.0", "2.6"), ("8.2.0", "2.8"), ("8.2.1", "2.9"), ("8.3.0", "2.8")):
        members = {DECLARED: f'deps = {{"torch": "torch>={least}"}}', ENFORCED: f"PyTorch >= {least} is required"}
        make_wheel(published.folder, f"transformers-{number}-py3-none-any.whl", members)
    hand = {
        "as_of": "2029-01-01",
        "source": "a document",
        "since": "7.0.0",
        "before": "8.0.0",
        "declared": "2.1",
        "enforced": "",
    }
    newest = {**hand, "since": "8.0.0", "before": None, "declared": "2.6", "enforced": "2.6.0"}
    rows, gaps = transformers_rows(Index(base=published.base), [newest, hand], DAY)
    assert gaps == [] and rows[-1] == hand and newest["before"] is None  # what was given is not changed
    assert [(row["since"], row["before"], row["declared"], row["enforced"]) for row in rows[:-1]] == [
        ("8.2.0", None, "2.8", "2.8.0"),
        ("8.0.0", "8.2.0", "2.6", "2.6.0"),
    ]
    assert rows[0]["as_of"] == DAY and rows[0]["source"].endswith("in the wheel of 8.2.0")
    assert transformers_rows(Index(base=published.base), rows, DAY) == (rows, [])


def test_no_row_is_written_without_date_and_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh_tables, "KNOWLEDGE", tmp_path)
    for row in ({"as_of": DAY, "source": ""}, {"source": "s"}):
        monkeypatch.setattr(refresh_tables, "builders", lambda *words, row=row: {"t": lambda *_: ({"t": [row]}, [])})
        with pytest.raises(SystemExit, match="no date or no source"):
            refresh_tables.main(["--write"])
    assert not list(tmp_path.iterdir())


def test_tables_written_by_hand_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        refresh_tables.main(["drivers"])
    assert "drivers is written by hand" in capsys.readouterr().err


def test_what_is_not_rebuilt_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {"drivers", "driver_cuda", "cuda_gpus", "python_releases"} <= set(refresh_tables.not_rebuilt())
    assert not {"torch_builds", "gpu_names", "companions", "closures"} & set(refresh_tables.not_rebuilt())
    monkeypatch.setattr(refresh_tables, "KNOWLEDGE", tmp_path)
    monkeypatch.setattr(refresh_tables, "builders", lambda *words: {"t": lambda *_: ({"t": []}, [])})
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    refresh_tables.main([])
    assert "not rebuilt: other: written by hand" in capsys.readouterr().err


def test_without_a_list_of_pci_ids_the_names_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh_tables, "PLACES", ())
    tables, gaps = refresh_tables.build_gpu_names(None)(Index(), DAY)
    assert tables["gpu_names"] == refresh_tables.packaged("gpu_names")
    assert "no list of PCI ids" in gaps[0]
