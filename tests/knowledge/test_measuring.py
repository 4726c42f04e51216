"""Measuring published wheels: on real wheels made here and served on loopback with range requests."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from tests.knowledge.published import Published, make_wheel, serve

pytest.importorskip("remotezip")  # comes with the extra "dev", like the script that needs it

import refresh_tables
from registry_tables.closure import Unresolvable, find_uv, resolve, wheel_for
from registry_tables.companions_table import companion_rows, torch_requirement
from registry_tables.contents import measure, utf16_length
from registry_tables.index import Index, members_of
from registry_tables.paths_table import newest_for, path_rows
from registry_tables.tags_table import tag_rows


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    folder = tmp_path / "served"
    folder.mkdir()
    with serve(folder) as index:
        yield index


def lengths(names: list[object]) -> list[tuple[str, int]]:
    return [tuple(name) for name in names]  # type: ignore[arg-type]


def test_the_longest_names_of_each_kind(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        "pkg-1.0-cp311-cp311-win_amd64.whl",
        {
            "pkg/__init__.py": "",
            "pkg/deep/er/module.py": "",
            "pkg/native.cp311-win_amd64.pyd": "",
            "pkg/lib/THING.DLL": "",
            "pkg-1.0.data/purelib/pkg/pure_part_of_the_data_folder.py": "",
            "pkg-1.0.data/platlib/pkg/plat.py": "",
            "pkg-1.0.data/scripts/pkg-tool": "",
            "pkg-1.0.data/data/share/man/man1/a_rather_long_name_indeed_for_a_page.1": "",
        },
    )
    with zipfile.ZipFile(wheel) as archive:
        contents = measure(member.name for member in members_of(archive))
    assert contents.files[0] == ("pkg/pure_part_of_the_data_folder.py", 35)
    assert ("pkg/plat.py", 11) not in contents.files  # five are kept, and the .dist-info names are longer
    assert lengths(contents.directories) == [
        ("pkg-1.0.dist-info", 17),
        ("pkg/deep/er", 11),
        ("pkg/deep", 8),
        ("pkg/lib", 7),
        ("pkg", 3),
    ]
    assert contents.bytecode[0] == ("pkg/__pycache__/pure_part_of_the_data_folder.{cache_tag}.pyc", 35 + 12 + 13)
    assert [name.path for name in contents.libraries] == ["pkg/native.cp311-win_amd64.pyd", "pkg/lib/THING.DLL"]
    assert [(scheme, name.path) for scheme, name in contents.outside] == [
        ("data", "share/man/man1/a_rather_long_name_indeed_for_a_page.1"),
        ("scripts", "pkg-tool"),
    ]


def test_lengths_count_utf16_units() -> None:
    assert utf16_length("한국어.py") == 6
    assert utf16_length("\N{GRINNING FACE}") == 2
    assert measure(["p/\N{GRINNING FACE}.py"]).files[0].length == 7


def test_a_name_that_is_only_a_folder_does_not_count() -> None:
    contents = measure(["pkg/a.py"])
    assert lengths(contents.directories) == [("pkg", 3)] and contents.libraries == [] and contents.outside == []


def test_only_the_directory_of_a_large_wheel_is_read(published: Published) -> None:
    noise = random.Random(7).randbytes(3_000_000).hex()  # 6 MB of text that does not compress below 3 MB
    make_wheel(published.folder, "big-1.0-py3-none-any.whl", {"big/__init__.py": "", "big/data.txt": noise})
    index = Index(base=published.base)
    (wheel,) = index.files("big")
    assert wheel.size > 2_500_000 and wheel.uploaded == "2026-01-02T03:04:05Z"
    sizes = {member.name: member.size for member in index.members(wheel)}
    assert sizes["big/data.txt"] == 6_000_000
    assert index.members(wheel) is index.members(wheel)
    asked = [request for request in published.requests if "/files/" in request]
    assert asked and all("bytes=" in request for request in asked)
    assert index.metadata(wheel).startswith("Metadata-Version")


def test_wheels_for_other_pythons_share_a_row_only_with_the_same_names(published: Published) -> None:
    def wheel(python: str, more: str = "") -> None:
        name = f"pkg-1.0-{python}-{python}-win_amd64.whl"
        make_wheel(published.folder, name, {f"pkg/native.{python}-win_amd64.pyd": "", f"pkg/x{more}.py": ""})

    wheel("cp311")
    wheel("cp312")
    wheel("cp313", more="_and_a_longer_name_than_before")
    closure = [
        {"wheels": {"pkg": f"pkg-1.0-{python}-{python}-win_amd64.whl"}}
        for python in ("cp313", "cp311", "cp312", "cp311")
    ]
    measured = path_rows(Index(base=published.base), closure, "2026-11-22", also=())
    assert [(row["wheel"].split("-")[2], len(row["same_lengths"])) for row in measured] == [("cp311", 1), ("cp313", 0)]
    assert measured[0]["source"] == "https://pypi.org/project/pkg/1.0/ pkg-1.0-cp311-cp311-win_amd64.whl"
    assert measured[1]["files"][0]["path"] == "pkg/x_and_a_longer_name_than_before.py"


def test_releases_are_kept_where_they_are_the_last_to_support_something(published: Published) -> None:
    def release(version: str, requires: str, *tags: str, sdist: bool = False) -> None:
        for tag in tags:
            name = f"pkg-{version}-{tag}.whl"
            make_wheel(published.folder, name, {"pkg/__init__.py": ""})
            published.requires_python[name] = requires
        if sdist:
            (published.folder / f"pkg-{version}.tar.gz").write_bytes(b"x")
            published.requires_python[f"pkg-{version}.tar.gz"] = requires

    release("4.0rc1", ">=3.13", "cp313-cp313-win_amd64")  # pre-releases do not count
    release("3.0", ">=3.10", "cp310-abi3-win_amd64", "cp310-abi3-manylinux_2_28_x86_64")
    release("2.1", ">=3.10", "cp310-cp310-win_amd64", "cp311-cp311-win_amd64")  # nothing that 3.0 does not support
    release("2.0", ">=3.9", "cp39-cp39-win_amd64", "cp310-cp310-win_amd64")  # the last for 3.9
    release("1.1", ">=3.9", "cp39-cp39-win_amd64")
    release("1.0", ">=3.9", "cp310-cp310-manylinux2014_x86_64", sdist=True)  # the last for old glibc, and an sdist
    rows = tag_rows(Index(base=published.base), "2026-11-22", packages=("pkg",))
    assert [row["release"] for row in rows] == ["3.0", "2.0", "1.0"]
    assert rows[0]["wheels"] == ["cp310-abi3 manylinux_2_28_x86_64 win_amd64"]
    assert [row["sdist"] for row in rows] == [False, False, True]
    assert rows[1]["requires_python"] == ">=3.9" and rows[1]["uploaded"] == "2026-01-02"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Requires-Dist: torch==2.13.0", "==2.13.0"),
        ("Requires-Dist: torch (==2.13.0)", "==2.13.0"),
        ("Requires-Dist: torch>=2.14.0", ">=2.14.0"),
        ("Requires-Dist: torch", None),
        ("Requires-Dist: torchdata==1.0", None),
        ("Requires-Dist: torch==1.0; extra == 'old'", None),
        ("Requires-Dist: !!!", None),
        ("Name: torch==2.13.0", None),
    ],
)
def test_the_torch_a_companion_asks_for(line: str, expected: str | None) -> None:
    assert torch_requirement(f"Metadata-Version: 2.1\n{line}\n\nRequires-Dist: torch==9.9\n") == expected


def test_companions_are_read_from_metadata(published: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    oldest = {"torchaudio": Version("2.1"), "torchvision": Version("0.16")}
    monkeypatch.setattr("registry_tables.companions_table.COMPANIONS", oldest)
    for name, requires in (("torchvision-0.29.0", "torch==2.14.0"), ("torchvision-0.29.2", "torch>=2.14.0")):
        make_wheel(published.folder, f"{name}-py3-none-any.whl", {"torchvision/__init__.py": ""}, (requires,))
    make_wheel(published.folder, "torchvision-0.9.0-py3-none-any.whl", {"torchvision/__init__.py": ""})
    make_wheel(published.folder, "torchaudio-2.11.0-py3-none-any.whl", {"torchaudio/__init__.py": ""})
    rows = companion_rows(Index(base=published.base), "2026-11-22")
    assert [(row["package"], row["release"], row["torch"]) for row in rows] == [
        ("torchaudio", "2.11.0", None),
        ("torchvision", "0.29.2", ">=2.14.0"),
        ("torchvision", "0.29.0", "==2.14.0"),
    ]


@pytest.mark.allow_subprocess
def test_a_closure_is_resolved_for_another_platform(published: Published) -> None:
    try:
        find_uv()
    except SystemExit:
        pytest.skip("uv is not installed")
    requires = ("helper; sys_platform == 'win32'", "native>=1; python_version < '3.13'")
    make_wheel(published.folder, "app-1.0-py3-none-any.whl", {"app/__init__.py": ""}, requires)
    make_wheel(published.folder, "helper-2.0-py3-none-any.whl", {"helper.py": ""})
    make_wheel(published.folder, "native-1.5-cp311-cp311-win_amd64.whl", {"native/__init__.py": ""})
    make_wheel(published.folder, "native-1.4-py3-none-any.whl", {"native/__init__.py": ""})
    index = Index(base=published.base)
    found = resolve(["app"], "win_amd64", "3.11", index)
    assert {name: str(release) for name, release in found.items()} == {"app": "1.0", "helper": "2.0", "native": "1.5"}
    wheel = wheel_for(index, "native", found["native"], "win_amd64", "3.11")
    assert wheel is not None and wheel.filename == "native-1.5-cp311-cp311-win_amd64.whl"
    assert wheel_for(index, "native", found["native"], "linux_x86_64", "3.11") is None
    assert set(resolve(["app"], "linux_x86_64", "3.13", index)) == {"app"}
    assert str(newest_for(index, "native", "win_amd64", "3.12")) == "1.4"
    with pytest.raises(Unresolvable, match="app"):
        resolve(["app==9"], "win_amd64", "3.11", index)


def test_check_and_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"as_of": "2026-11-22", "source": "s", "value": 1}]
    monkeypatch.setattr(refresh_tables, "KNOWLEDGE", tmp_path)
    monkeypatch.setattr(refresh_tables, "builders", lambda *words: {"t": lambda index, as_of: ({"t": rows}, ["a gap"])})

    assert refresh_tables.main(["--check"]) == 1  # not there yet
    assert not list(tmp_path.iterdir())
    assert refresh_tables.main(["--write"]) == 0
    written = (tmp_path / "t.json").read_text(encoding="utf-8")
    assert json.loads(written) == {"table": "t", "rows": rows}
    capsys.readouterr()

    assert refresh_tables.main(["--check", "t"]) == 0
    said = capsys.readouterr()
    assert "no change" in said.out and "not rebuilt: a gap" in said.err

    rows[0]["as_of"] = "2027-01-01"  # the same value read on another day is no difference
    assert refresh_tables.main(["--check"]) == 0
    rows[0]["value"] = 2
    assert refresh_tables.main(["--check"]) == 1
    assert '+   "value": 2' in capsys.readouterr().out
    assert refresh_tables.main([]) == 0  # only shows
    assert (tmp_path / "t.json").read_text(encoding="utf-8") == written


def test_an_unknown_table_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        refresh_tables.main(["no_such_table"])
    assert stopped.value.code == 2
    assert "no such table: no_such_table" in capsys.readouterr().err
