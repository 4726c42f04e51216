"""scripts/smoke_matrix.py: its arguments, and the table it writes and reads again. Nothing is installed here."""

from __future__ import annotations

import copy
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import smoke_matrix
from scripts.version_matrix import environments, table, trial
from scripts.version_matrix.pairs import DEFAULT_PAIRS, NEWEST, Pair, pair

#: rows of real runs
RECORDED = Path(__file__).with_name("smoke_matrix_rows.json")


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    recorded: list[dict[str, Any]] = json.loads(RECORDED.read_text("utf-8"))
    return recorded


def other(row: dict[str, Any], python: str, **versions: str) -> dict[str, Any]:
    """The row as if it were of another Python or other packages."""
    changed = copy.deepcopy(row)
    changed["python"] = python
    changed["versions"].update(versions)
    return changed


def stage_of(row: dict[str, Any], key: str) -> dict[str, Any]:
    found: dict[str, Any] = next(stage for stage in row["stages"] if stage["key"] == key)
    return found


# -- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--pairs", "4.57.6:2.9.1"], "unrecognized arguments: --pairs"),
        (["--pear"], "unrecognized arguments: --pear"),
        (["--pair", "4.57.6"], "'4.57.6' is no pair like"),
        (["--pair", "4.57.6:latest"], "'4.57.6:latest' is no pair like"),
        (["--python", "3.8"], "'3.8' is no Python like \"3.12\", from 3.9 to 3.14"),
        (["--python", "python3"], "'python3' is no Python like"),
        (["--env", "x", "--python", "3.12"], "--env makes no environment"),
        (["--fresh", "--only-missing"], "--fresh forgets what --only-missing asks for"),
        (["--env", "/nowhere/at/all"], "no environment of Python in"),
        (["3.12"], "unrecognized arguments: 3.12"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        smoke_matrix.main([*arguments, "--output", str(tmp_path / "table.md")])
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert says in said[-1]
    assert len([line for line in said if "error:" in line]) == 1
    assert not list(tmp_path.iterdir())


def test_a_python_that_is_not_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments.Uv, "__init__", lambda self: None)
    monkeypatch.setattr(environments.Uv, "pythons", lambda self: {"3.9": Path("/p/3.9"), "3.12": Path("/p/3.12")})
    with pytest.raises(SystemExit):
        smoke_matrix.main(["--python", "3.14", "--output", str(tmp_path / "table.md")])
    assert capsys.readouterr().err.strip().endswith("there is no Python 3.14 here; there are 3.9, 3.12")


def test_a_file_beside_the_table_that_is_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beside = tmp_path / "table.json"
    for text in ("[]", "{", '{"rows": 1, "not_built": []}'):
        beside.write_text(text, "utf-8")
        with pytest.raises(SystemExit):
            smoke_matrix.main(["--output", str(tmp_path / "table.md")])
        assert capsys.readouterr().err.strip().endswith("table.json is not what this script writes")
        assert beside.read_text("utf-8") == text


@pytest.mark.allow_subprocess
def test_the_script_starts_as_a_script() -> None:
    script = Path(smoke_matrix.__file__)
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, encoding="utf-8", check=True)
    assert "--only-missing" in done.stdout
    assert DEFAULT_PAIRS[0] in done.stdout


def test_the_pairs_that_are_promised() -> None:
    pairs = [pair(text) for text in DEFAULT_PAIRS]
    assert len(pairs) >= 4
    assert pairs[0].transformers.startswith("4.40.")
    assert pairs[0].torch.startswith("2.1.")
    assert any(one.torch.startswith("2.13.") for one in pairs)
    assert pairs[-1] == Pair(NEWEST, NEWEST)


def test_what_is_installed() -> None:
    assert pair("4.40.2:2.1.2").requirements() == [
        *("transformers==4.40.2", "torch==2.1.2", "accelerate", "numpy<2", "setuptools<81")
    ]
    assert "setuptools<81" in pair("4.57.6:2.9.1").requirements()
    assert "numpy<2" not in pair("4.57.6:2.9.1").requirements()
    assert pair("5.23.0:2.13.0").requirements() == ["transformers==5.23.0", "torch==2.13.0", "accelerate"]
    assert pair("newest:newest").requirements() == ["transformers", "torch", "accelerate", "tensorboard"]


def test_uv_complains_in_one_line() -> None:
    said = """warning: Failed to inspect Python interpreter from search path
  cause: something long
  \u00d7 No solution found when resolving dependencies:
  \u2570\u2500\u25b6 Because torch==2.1.2 has no wheels with a matching Python ABI tag
      (e.g., `cp312`) and you require torch==2.1.2, we can conclude that your
      requirements are unsatisfiable.

      hint: You require CPython 3.12 (`cp312`), but we only found wheels ...
"""
    words = environments.complaint(said)
    assert words.startswith("Because torch==2.1.2 has no wheels")
    assert words.endswith("requirements are unsatisfiable.")
    assert environments.complaint("") == "uv failed and did not say why"


# -- rows -------------------------------------------------------------------------------------------------------------


def test_rows_are_merged_by_versions_and_python(rows: list[dict[str, Any]]) -> None:
    old = rows[0]
    newer = other(old, "3.12.1", torch="2.13.0+cpu")
    merged = table.merged([newer], old)
    assert [row["python"] for row in merged] == [old["python"], "3.12.1"]
    again = other(old, "3.12.7", torch="2.13.0")
    again["seconds"] = 1.0
    merged = table.merged(merged, again)
    assert [row["python"] for row in merged] == [old["python"], "3.12.7"], "a build of the same version, a later patch"
    assert len(table.merged(merged, other(old, "3.9.1"))) == 3
    tenth = table.merged(table.merged([], other(old, "3.10.1")), other(old, "3.9.1"))
    assert [row["python"] for row in tenth] == ["3.9.1", "3.10.1"]


def test_what_is_written_is_read_again(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    output = tmp_path / "table.md"
    refused = [{"asked": "4.40.2:2.1.2", "python": "3.13", "why": "no wheels"}]
    table.write(output, rows, refused)
    assert table.read(output) == (rows, refused)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.json", "table.md"]


def test_a_matrix_knows_what_it_has(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    output = tmp_path / "table.md"
    matrix = smoke_matrix.Matrix(output, fresh=False)
    matrix.refuse(Pair("4.40.2", "2.1.2"), "3.13", "no wheels")
    matrix.refuse(Pair("4.40.2", "2.1.2"), "3.13", "no wheels at all")
    assert [one["why"] for one in matrix.not_built] == ["no wheels at all"]
    row = dict(other(rows[0], "3.13.0", transformers="4.40.2", torch="2.1.2+cpu"), asked="4.40.2:2.1.2")
    matrix.add(row)
    assert matrix.not_built == []
    matrix = smoke_matrix.Matrix(output, fresh=False)
    assert matrix.has("4.40.2", "2.1.2", "3.13")
    assert not matrix.has("4.40.2", "2.1.2", "3.12")
    assert smoke_matrix.Matrix(output, fresh=True).rows == []


# -- the page ---------------------------------------------------------------------------------------------------------


def test_every_environment_is_a_row_with_every_stage(rows: list[dict[str, Any]]) -> None:
    page = table.page(rows, [])
    lines = [line for line in page.splitlines() if line.startswith("| 3.")]
    assert len(lines) == len(rows)
    header = next(line for line in page.splitlines() if line.startswith("| Python"))
    for line in lines:
        assert line.count("|") == header.count("|")
    for column in table.COLUMNS:
        assert f" {column} |" in header
    assert "Nothing." in page
    assert "not run" not in page


def test_a_failed_stage_is_told_with_its_finding(rows: list[dict[str, Any]]) -> None:
    row = rows[0]
    row["findings"] = [{"condition": "smoke-failed", "severity": "error", "summary": "it failed"}]
    stage_of(row, "train").update(
        outcome="fail", error="ValueError", message="no | such_thing", during="resuming from a checkpoint"
    )
    page = table.page(rows, [])
    assert "**FAIL** (" in page
    said = "train (resuming from a checkpoint): ValueError: no \\| such\\_thing"
    assert any(line.endswith(said) and line[0].isdigit() for line in page.splitlines())
    assert f"- {said} (`smoke-failed`): Python {row['python']} with" in page
    assert "Nothing." not in page


def test_words_of_a_library_are_words_of_markdown() -> None:
    assert table.code_of("<a_b> `c_d` *e*\n`f` g_h") == "&lt;a\\_b> `c_d` \\*e\\* `f` g\\_h"
    assert table.code_of("one ` alone_") == "one \\` alone\\_"


def test_a_wrong_number_is_told(rows: list[dict[str, Any]]) -> None:
    stage_of(rows[0], "model").update(
        outcome="fail", error="wrong result", deviations=[{"what": "logits of BertForMaskedLM", "difference": 1.0}]
    )
    rows[0]["findings"] = []
    page = table.page(rows, [])
    assert "model: wrong result [logits of BertForMaskedLM] (no finding)" in page


def test_a_finding_without_a_failed_stage_is_told(rows: list[dict[str, Any]]) -> None:
    rows[0]["findings"] = [{"condition": "numpy-abi", "severity": "warning", "summary": "built for NumPy 1"}]
    assert "no stage, but `numpy-abi`: built for NumPy 1: Python" in table.page(rows, [])


def test_the_largest_deviation_and_where_it_was(rows: list[dict[str, Any]]) -> None:
    worse = other(rows[0], "3.9.1")
    stage_of(worse, "model")["largest"] = {"largest difference": 0.0123}
    page = table.page([*rows, worse], [])
    assert "- logit: 1.2e-02, allowed 0.0005" in page
    assert "largest: Python 3.9.1" in page


def test_what_could_not_be_installed_is_told(rows: list[dict[str, Any]]) -> None:
    page = table.page(rows, [{"asked": "4.40.2:2.1.2", "python": "3.13", "why": "there is no wheel"}])
    assert "- Python 3.13, 4.40.2 and 2.1.2: there is no wheel" in page
    assert "could not be installed" not in table.page(rows, [])


def test_how_busy_the_machine_was(rows: list[dict[str, Any]]) -> None:
    busy = other(rows[0], "3.9.1")
    busy["load"], rows[0]["load"] = 12.5, 0.5
    assert "was 0.5 to 12.5." in table.page([*rows, busy], [])
    del busy["load"], rows[0]["load"]
    assert "load of the machine" not in table.page([*rows, busy], [])


def test_an_empty_table() -> None:
    assert "Nothing was run." in table.page([], [])


# -- a trial ----------------------------------------------------------------------------------------------------------


def test_what_is_kept_of_a_stage() -> None:
    stage = {
        "name": "train",
        "outcome": "fail",
        "seconds": 1.23456,
        "error": "ValueError",
        "message": "object at 0x7f0123456789 is \x1b[1mwrong\x1b[0m\nmore",
        "facts": {"largest_difference": 1e-6, "loss": "1 -> 0", "during": "resuming"},
        "printed": ["much"],
    }
    assert trial.kept(stage) == {
        "key": "train",
        "outcome": "fail",
        "seconds": 1.23,
        "error": "ValueError",
        "message": "object at 0x... is wrong",
        "largest": {"largest difference": 1e-6},
        "during": "resuming",
    }


def test_the_machine_is_told_without_its_name() -> None:
    said = trial.machine()
    assert "cores" in said
    assert platform.node() not in said.split(", ")


def test_the_table_of_the_project_is_the_one_that_its_rows_make() -> None:
    output = smoke_matrix.OUTPUT
    rows, not_built = table.read(output)
    assert len(rows) >= 4
    assert output.read_text("utf-8") == table.page(rows, not_built)
