"""Installed packages on Windows: real Windows wheels, whole and damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.facts.test_packages_environments import install

from .machine import Result, WindowsMachine
from .test_target import check, make
from .wheels import install_for_windows

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]

REAL = ("numpy", "tokenizers", "safetensors", "pyyaml")


@pytest.fixture(scope="module")
def env(machine: WindowsMachine) -> Path:
    """An environment with real Windows builds, and a transformers that asks for them."""
    env = make(machine, "패키지 env")
    site = env / "Lib" / "site-packages"
    install_for_windows(site, *REAL, dependencies=False)
    install(site, "transformers", requires=" ".join(REAL))
    return env


def broken(result: Result) -> list[tuple[str, str]]:
    found = [f for f in result.report["findings"] if f["condition"] == "broken-install" and f["outcome"] == "fail"]
    return [(f["severity"], f["summary"]) for f in found]


def held(result: Result) -> dict[str, dict[str, Any]]:
    files = result.report["snapshot"]["packages"]["files"]
    assert files["status"] == "known", files
    return {one["name"]: one for one in files["value"]}


def test_whole_and_damaged(machine: WindowsMachine, env: Path) -> None:
    site = env / "Lib" / "site-packages"
    [library] = site.glob("tokenizers/*.pyd")
    whole = library.read_bytes()
    [first] = machine.run(check(env))
    assert broken(first) == []
    assert set(REAL) <= set(held(first))
    assert held(first)["numpy"]["files"] > 500
    assert all(one.get("damaged", 0) == 0 for one in held(first).values())
    assert {client["package"] for client in first.report["snapshot"]["packages"]["numpy_clients"]["value"]} == set()
    cases = {
        "truncated": whole[: len(whole) // 2],
        "zeroed": bytes(len(whole)),
        "foreign": b"<html>",
        "empty": b"",
    }
    for kind, data in cases.items():
        library.unlink()
        library.write_bytes(data)
        [result] = machine.run(check(env))
        [(severity, summary)] = broken(result)
        assert (severity, "tokenizers" in summary) == ("error", True), kind
        assert [damage["kind"] for damage in held(result)["tokenizers"]["damages"]] == [kind]
    library.unlink()
    [result] = machine.run(check(env))
    assert [damage["kind"] for damage in held(result)["tokenizers"]["damages"]] == ["missing"]
    library.write_bytes(whole)


def test_names_differ_only_in_case(machine: WindowsMachine, env: Path) -> None:
    site = env / "Lib" / "site-packages"
    (site / "yaml" / "__init__.py").rename(site / "yaml" / "__INIT__.PY")
    [result] = machine.run(check(env))
    (site / "yaml" / "__INIT__.PY").rename(site / "yaml" / "__init__.py")
    assert broken(result) == []


def test_leftover_of_a_library_in_use(machine: WindowsMachine, env: Path) -> None:
    left = env / "Lib" / "site-packages" / "~okenizers"
    left.mkdir()
    [result] = machine.run(check(env))
    left.rmdir()
    assert [severity for severity, _ in broken(result)] == ["note"]
