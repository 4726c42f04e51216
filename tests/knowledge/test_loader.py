"""The loader reads late, once, and never half a table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.knowledge.loader import KnowledgeError, read_table
from hfdoctor.knowledge.settings import EnvVariable, changes_for, load_env_variables

ROW = {
    "as_of": "2026-11-22",
    "source": "https://pypi.org/project/x/1/",
    "name": "X",
    "library": "x",
    "change": "removed",
    "release": "2.0",
    "before": "1.9",
    "instead": None,
    "verified": True,
}


def table(folder: Path, content: Any, name: str = "t") -> Path:
    file = folder / "t.json"
    text = content if isinstance(content, str) else json.dumps({"table": name, "rows": content})
    file.write_text(text, encoding="utf-8")
    return file


def test_fields_of_a_newer_table_are_ignored(tmp_path: Path) -> None:
    file = table(tmp_path, [{**ROW, "added_later": [1, 2]}])
    (row,) = read_table(file, "t", EnvVariable)
    assert row.name == "X" and row.as_of.isoformat() == "2026-11-22"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"table": "t"}',
        [{key: value for key, value in ROW.items() if key != "source"}],
        [{**ROW, "as_of": "last year"}],
        [{**ROW, "verified": "yes"}],
        [{**ROW, "change": "vanished"}],
        [ROW, None],
    ],
)
def test_a_damaged_table_is_one_clear_error(tmp_path: Path, content: Any) -> None:
    with pytest.raises(KnowledgeError, match=r"hfdoctor's own table t\.json is damaged"):
        read_table(table(tmp_path, content), "t", EnvVariable)


def test_bytes_that_are_no_text_are_the_same_error(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_bytes(b'{"table": "t", "rows": [{"source": "\xff\xfe"}]}')
    with pytest.raises(KnowledgeError, match="is damaged"):
        read_table(file, "t", EnvVariable)


def test_a_missing_file_and_another_table_are_errors(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="cannot be read"):
        read_table(tmp_path / "t.json", "t", EnvVariable)
    with pytest.raises(KnowledgeError, match="cannot be read"):
        read_table(tmp_path, "t", EnvVariable)
    with pytest.raises(KnowledgeError, match="holds the table 'other'"):
        read_table(table(tmp_path, [ROW], name="other"), "t", EnvVariable)


def test_a_table_is_read_once() -> None:
    assert load_env_variables() is load_env_variables()


@pytest.mark.allow_subprocess
def test_importing_the_room_reads_no_table() -> None:
    code = (
        "import sys\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: event == 'open' and opened.append(str(args[0])))\n"
        "import hfdoctor.knowledge.wheels, hfdoctor.knowledge.paths, hfdoctor.knowledge.companions\n"
        "import hfdoctor.knowledge.settings, hfdoctor.knowledge.sizes, hfdoctor.knowledge.baselines\n"
        "print([name for name in opened if name.endswith('.json')])\n"
        "print(sorted({'packaging.tags', 'packaging.specifiers', 'ssl'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def test_changes_hold_from_their_release_on() -> None:
    (gone,) = changes_for("TRANSFORMERS_CACHE", "transformers", "5.23.0")
    assert (gone.change, gone.release, gone.instead) == ("removed", "5.0.0", "HF_HUB_CACHE")
    assert changes_for("TRANSFORMERS_CACHE", "transformers", "4.57.6") == ()
    assert changes_for("TRANSFORMERS_CACHE", "transformers", "not a version") == ()
    (young,) = changes_for("HF_HUB_DISABLE_SYMLINKS", "huggingface-hub", "1.8.0")
    assert young.change == "added"
    assert changes_for("HF_HUB_DISABLE_SYMLINKS", "huggingface-hub", "1.9.0") == ()


def test_a_change_is_not_claimed_for_releases_nobody_looked_at() -> None:
    # 4.57.6 still read it, 5.0.0 no longer does; a pre-release between them may do either
    assert changes_for("USE_TF", "transformers", "5.0.0rc1") == ()
