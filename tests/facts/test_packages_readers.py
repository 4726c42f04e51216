"""The readers of METADATA and RECORD, fed with anything; single files; which packages matter."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hfdoctor.facts.probes.closure import closure, required_names
from hfdoctor.facts.probes.distributions import LARGEST_HEADER, fields, normalised, read_distributions, read_header
from hfdoctor.facts.probes.file_state import FileJudge, part_of
from hfdoctor.facts.probes.installed_files import own_rows
from hfdoctor.facts.probes.record import parse_record, read_record
from hfdoctor.facts.sections.packages import FILE_PARTS, METADATA_PROBLEMS, Distribution

NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
REQUIREMENT = st.from_regex(
    r"[A-Za-z][A-Za-z0-9]{0,9}( ?[<>=]{1,2}[0-9.]{1,5})?(; [a-z_]+ == \"[a-z]*\")?", fullmatch=True
)


def judge() -> FileJudge:
    return FileJudge(float("inf"), (sys.version_info[0], sys.version_info[1]))


# -- METADATA ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(max_size=3000))
@example(b"Name: x\nVersion: 1")
@example(b"\0" * 100)
@example(b" \n\n")
def test_any_bytes_are_read_as_metadata(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("m")
    info = folder / "some_name-1.0.dist-info"
    info.mkdir()
    for file in ("METADATA", "WHEEL", "INSTALLER", "direct_url.json"):
        (info / file).write_bytes(data)
    [entry] = read_distributions([str(folder)])
    assert entry.problem in ("", *METADATA_PROBLEMS)
    assert entry.name == normalised(entry.name)
    entry.name.encode()


@settings(deadline=None)
@given(NAME, st.lists(REQUIREMENT, max_size=20), st.sampled_from(["\n", "\r\n"]), st.text(max_size=300))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, requires: list[str], line_end: str, about: str
) -> None:
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.2.3", *(f"Requires-Dist: {one}" for one in requires)]
    path = tmp_path_factory.mktemp("m") / "METADATA"
    path.write_bytes(
        (line_end.join(lines) + line_end * 2 + about + f"{line_end}Name: other{line_end}").encode("utf-8", "replace")
    )
    header, problem = read_header(str(path))
    assert problem == ""
    found = fields(header)
    assert [value for key, value in found if key == "name"] == [name]
    assert [value for key, value in found if key == "requires-dist"] == [" ".join(one.split()) for one in requires]


def test_folded_lines_and_other_cases() -> None:
    text = "name: x\nVERSION:1\nRequires-Dist: a\n >=1\n\t,<2\nX-Name: y\nSummary: Name: z\n"
    assert fields(text) == [("name", "x"), ("version", "1"), ("requires-dist", "a >=1 ,<2")]


def test_text_of_another_encoding(tmp_path: Path) -> None:
    info = tmp_path / "x-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_bytes(b"Name: x\nVersion: 1\nRequires-Dist: y\n\nby Jos\xe9\n")
    [entry] = read_distributions([str(tmp_path)])
    assert (entry.version, entry.requires, entry.problem) == ("1", ["y"], "not-utf8")
    # of a huge file only the beginning is read, and it may end in the midst of a letter
    (info / "METADATA").write_bytes(b"Name: x\nVersion: 1\n\n" + "한".encode() * LARGEST_HEADER)
    [entry] = read_distributions([str(tmp_path)])
    assert (entry.version, entry.problem) == ("1", "")


def test_a_header_longer_than_the_first_read(tmp_path: Path) -> None:
    lines = ["Name: x", "Version: 1", *(f"Requires-Dist: package{index}" for index in range(5000))]
    (tmp_path / "METADATA").write_text("\n".join(lines) + "\n\nRequires-Dist: no\n")
    header, problem = read_header(str(tmp_path / "METADATA"))
    assert (problem, len(fields(header))) == ("", 5002)


def test_a_header_without_an_end(tmp_path: Path) -> None:
    (tmp_path / "METADATA").write_bytes(b"Name: x\n" + b"X: y\n" * LARGEST_HEADER)
    assert read_header(str(tmp_path / "METADATA")) == ("", "oversized")


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000])
def test_names_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    assert read_header(f"{tmp_path}/{name}")[1] in ("no-metadata", "unreadable", "not-a-file")
    assert read_record(f"{tmp_path}/{name}")[1] in ("no-record", "unreadable")


# -- RECORD -----------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=3000))
@example(b",,")
@example(b'"')
@example(b"a,b,c\n")
@example(b"x,sha256=a,1\n\n\ny,sha256=b,2")
@example("x,sha256=a,\u0663\n".encode())
def test_any_bytes_are_read_as_record(data: bytes) -> None:
    record, problem = parse_record(data)
    assert problem in ("", "garbled")
    assert len(record.paths) == len(record.hashes) == len(record.sizes)
    for path, size in own_rows(record, "x-1.dist-info").items():
        assert path
        assert size is None or size >= 0


PATH = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\\:"), min_size=1, max_size=30)


@given(
    st.lists(st.tuples(PATH, st.sampled_from(["", "sha256=abc"]), st.one_of(st.none(), st.integers(0, 1 << 40)))),
    st.sampled_from(["\r\n", "\n"]),
)
def test_rows_that_are_written_are_read(rows: list[tuple[str, str, int | None]], line_end: str) -> None:
    rows = [(path.strip() or "x", digest, size) for path, digest, size in rows]
    text = io.StringIO()
    csv.writer(text, lineterminator=line_end).writerows((p, h, "" if s is None else s) for p, h, s in rows)
    record, problem = parse_record(text.getvalue().encode())
    if problem:
        assert not any(digest or size is not None for _, digest, size in rows)
        return
    found = list(zip(record.paths, record.hashes, record.sizes, strict=True))
    assert found == [(path, digest, "" if size is None else str(size)) for path, digest, size in rows]


def test_rows_that_do_not_count() -> None:
    record, _ = parse_record(
        b"a.py,sha256=x,1\n__pycache__/a.pyc,sha256=x,5\n../../bin/a,sha256=x,5\n/etc/a,sha256=x,5\n"
        b"a-1.dist-info/METADATA,sha256=x,5\na-1.dist-info/RECORD,,\nb.py,sha256=x,\na-1.data/scripts/x,sha256=x,5\n"
        b"lib\\c.py,sha256=x,7\nD:\\d.py,sha256=x,7\n"
    )
    assert own_rows(record, "a-1.dist-info") == {"a.py": 1, "b.py": None, "lib/c.py": 7}


# -- single files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected", "kind"),
    [
        (b"x = 1\n", 6, None),
        (b"", 0, None),
        (b"", 6, "empty"),
        (b"x = (1,", 20, "truncated"),
        (b"x = 1\n", 20, "altered"),
        (b"x = 1\n<<<<<<<\n", 6, "garbled"),
        (b"x = 1 # longer\n", 6, "altered"),
        (bytes(20), 20, "zeroed"),
        (bytes(10), 20, "zeroed"),
    ],
)
def test_one_module(data: bytes, expected: int, kind: str | None, tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_bytes(data)
    damage = judge().judge(str(path), "m.py", expected)
    assert (damage.kind if damage else None) == kind


def test_newer_syntax_than_ours_is_not_called_broken(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("lazy import of_the_future (\n")
    damage = FileJudge(float("inf"), (9, 9)).judge(str(tmp_path / "m.py"), "m.py", 5)
    assert damage is not None
    assert damage.kind == "altered"


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("torch/lib/libgomp.so.1", "code"),
        ("torch/_C.cp312-win_amd64.pyd", "code"),
        ("torch/testing/_internal/x.py", "code"),
        ("numpy/_core/tests/test_x.py", "extra"),
        ("tests/test_x.py", "extra"),
        ("torch/_C/__init__.pyi", "extra"),
        ("torch/include/c10/x.h", "headers"),
        ("torch/lib/c10.lib", "headers"),
        ("torch/_inductor/kernel/templates/x.jinja", "data"),
    ],
)
def test_what_a_file_is_for(path: str, part: str) -> None:
    assert part_of(path) == part
    assert part in FILE_PARTS


# -- which packages matter --------------------------------------------------------------------------------------------


def test_the_closure_leaves_extras_out_and_survives_circles() -> None:
    installed = {
        "transformers": Distribution("transformers", "5", "", requires=["A_b>=1", 'torch; extra == "torch"', "c"]),
        "a-b": Distribution("a-b", "1", "", requires=["transformers", "(broken", "missing"]),
        "c": Distribution("c", "1", "", requires=['win; sys_platform == "win32"']),
        "win": Distribution("win", "1", ""),
        "other": Distribution("other", "1", ""),
    }
    assert closure(installed) == {"transformers", "a-b", "c", "win"}
    assert required_names([" x[extra]>=1", "y @ https://e.org/y.whl", ""]) == ["x", "y"]
