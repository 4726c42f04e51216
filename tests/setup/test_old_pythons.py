"""A Python that is too old says which one is needed, instead of failing on the grammar."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .checkout import PERSON, ROOT, Checkout, told

pytestmark = pytest.mark.allow_subprocess

BOOTSTRAP = ROOT / "scripts" / "bootstrap.py"
VERSIONS = Path(PERSON.get("PYENV_ROOT") or Path(PERSON.get("HOME", "/")) / ".pyenv") / "versions"


def installed(*wanted: str) -> list[Path]:
    """The interpreters of these versions (major.minor) that pyenv has here."""
    every = sorted(VERSIONS.glob("*/bin/python"))
    return [path for path in every if ".".join(path.parent.parent.name.split(".")[:2]) in wanted]


OLD = installed("2.7", "3.5", "3.6", "3.7", "3.8", "3.9")


@pytest.mark.skipif(not OLD, reason="no Python older than 3.10 is installed here through pyenv")
@pytest.mark.parametrize("python", OLD, ids=lambda path: path.parent.parent.name)
@pytest.mark.parametrize("words", [[], ["test"]], ids=["doctor", "test"])
def test_says_which_python_it_needs(python: Path, words: list[str]) -> None:
    result = subprocess.run([python, BOOTSTRAP, *words], capture_output=True, text=True, check=False, env=PERSON)
    assert (result.returncode, result.stdout) == (2, "")
    version = python.parent.parent.name
    assert result.stderr == f"hfdoctor needs CPython 3.10 or newer; this is Python {version} ({python})\n"


def test_its_grammar_is_that_of_the_oldest() -> None:
    """What stands in for the old ones where none is installed: no syntax newer than 3.4, no f-string."""
    tree = ast.parse(BOOTSTRAP.read_text("ascii"), feature_version=(3, 4))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef, ast.Nonlocal, ast.YieldFrom)
    assert not [node for node in ast.walk(tree) if isinstance(node, newer)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert functions
    assert not [node.name for node in functions if node.returns or any(arg.annotation for arg in node.args.args)]


NEW = installed("3.10", "3.12", "3.13", "3.14")


@pytest.mark.slow
@pytest.mark.skipif(not NEW, reason="no other Python from 3.10 on is installed here through pyenv")
@pytest.mark.parametrize("python", NEW, ids=lambda path: path.parent.parent.name)
def test_every_python_that_is_new_enough(
    python: Path, whole_checkout: Callable[..., Checkout], uv_environ: dict[str, str]
) -> None:
    checkout = whole_checkout(**uv_environ)
    first = checkout.run("--version", python=python)
    assert (first.returncode, first.stdout[:9]) == (0, "hfdoctor "), first.stderr
    checkout.echo()
    answer = told(checkout.run(python=python))
    assert answer["by"] == os.fspath(python)
