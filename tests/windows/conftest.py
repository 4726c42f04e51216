"""Fixtures for the tests that run on a Windows Python under Wine."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .machine import REPOSITORY, WindowsMachine
from .wheels import install_for_windows


@pytest.fixture(scope="session")
def windows_site(winpy: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with the Windows builds of what hfdoctor needs, kept in pytest's cache between sessions."""
    # a list of plain strings, which Python reads too (tomllib came with 3.11)
    project = (REPOSITORY / "pyproject.toml").read_text("utf-8").partition("\ndependencies = ")[2]
    needed: list[str] = ast.literal_eval(project[: project.index("]") + 1])
    key = hashlib.sha256("\n".join(needed).encode()).hexdigest()[:12]
    folder = request.config.cache.mkdir(f"windows-site-{key}")
    ready = folder / "ready"
    # the first of several workers makes it
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            shutil.rmtree(folder / "site", ignore_errors=True)
            install_for_windows(folder / "site", *needed)
            ready.touch()
    return folder / "site"


@pytest.fixture(scope="module")
def machine(winpy: Path, windows_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WindowsMachine]:
    """A Windows with a registry of its own, for the tests of one module: a test puts back what it changes."""
    made = WindowsMachine(winpy, tmp_path_factory.mktemp("windows") / "한글 machine", windows_site)
    made.folder.mkdir()
    made.create()
    yield made
    made.remove()
