"""Every packaged table is readable, dated, sourced, and free of what must not be in it."""

from __future__ import annotations

import datetime
import importlib
import json
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hfdoctor import knowledge
from hfdoctor.knowledge.companions import load_companions
from hfdoctor.knowledge.paths import load_closures, load_wheel_paths
from hfdoctor.knowledge.sizes import load_install_sizes
from hfdoctor.knowledge.wheels import load_wheel_tags

FOLDER = Path(knowledge.__file__).parent
PUBLIC_HOSTS = {
    "pypi.org",
    "github.com",
    "devguide.python.org",
    "docs.nvidia.com",
    "developer.nvidia.com",
    "pci-ids.ucw.cz",
    "pytorch.org",
    "rocm.docs.amd.com",
    "huggingface.co",
}


def loaders() -> dict[str, Callable[[], tuple[Any, ...]]]:
    """Every ``load_NAME`` of the room, by NAME; each belongs to the table NAME.json."""
    found = {}
    for module in pkgutil.iter_modules(knowledge.__path__, f"{knowledge.__name__}."):
        if module.name.endswith(".loader"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if name.startswith("load_") and value.__module__ == module.name:
                found[name.removeprefix("load_")] = value
    return found


LOADERS = loaders()


def test_every_table_has_a_loader() -> None:
    assert {file.stem for file in FOLDER.glob("*.json")} == set(LOADERS)


@pytest.mark.parametrize("name", LOADERS)
def test_every_row_is_dated_and_sourced(name: str) -> None:
    rows = LOADERS[name]()
    assert rows
    for row in rows:
        assert datetime.date(2026, 1, 1) <= row.as_of <= datetime.date.today() + datetime.timedelta(days=1)
        assert len(row.source) > 10 and row.source.isprintable()


@pytest.mark.parametrize("name", LOADERS)
def test_the_loader_reads_every_row_and_drops_no_field(name: str) -> None:
    written = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    rows = LOADERS[name]()
    assert len(rows) == len(written["rows"])
    assert set(written["rows"][0]) == set(rows[0].__struct_fields__)


@pytest.mark.parametrize("name", LOADERS)
def test_no_address_but_public_ones_and_no_local_path(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    hosts = set(re.findall(r"https?://([^/\s\"]+)", text))
    assert hosts <= PUBLIC_HOSTS
    assert not re.search(r"(?<![\w.])/(tmp|root|work|opt|home)/", text)


@pytest.mark.parametrize("name", LOADERS)
def test_no_row_is_there_twice(name: str) -> None:
    rows = [json.dumps(row, sort_keys=True) for row in json.loads((FOLDER / f"{name}.json").read_bytes())["rows"]]
    assert len(rows) == len(set(rows))


def test_lengths_are_those_of_the_paths() -> None:
    for row in load_wheel_paths():
        for kind in (row.files, row.directories, row.bytecode, row.libraries, row.outside):
            assert [entry.length for entry in kind] == sorted((entry.length for entry in kind), reverse=True)
            for entry in kind:
                path = entry.path.replace("{cache_tag}", "cpython-311")
                assert entry.length == len(path.encode("utf-16-le")) // 2
                assert "\\" not in path and not path.startswith("/")


def test_every_wheel_of_a_closure_was_measured() -> None:
    measured = {wheel for row in load_wheel_paths() for wheel in (row.wheel, *row.same_lengths)}
    for closure in load_closures():
        assert set(closure.wheels.values()) <= measured
        assert set(closure.roots) <= set(closure.wheels)


def test_totals_are_the_sums_of_their_parts() -> None:
    for row in load_install_sizes():
        for name in ("download", "unpacked", "files", "python_bytes", "python_files"):
            assert getattr(row, name) == sum(getattr(part, name) for part in row.parts) > 0
        assert all(part.python_bytes <= part.unpacked for part in row.parts)


def test_releases_come_newest_first() -> None:
    from packaging.version import Version

    for rows in (load_wheel_tags(), load_companions()):
        for package in {row.package for row in rows}:
            releases = [Version(row.release) for row in rows if row.package == package]
            assert releases == sorted(releases, reverse=True)
