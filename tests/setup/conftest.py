"""Checkouts for the tests of the set-up."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .checkout import PERSON, Checkout, base_python, copy, find_uv


@pytest.fixture(scope="session")
def uv_environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings that put uv on the PATH, with one cache for all tests."""
    uv = find_uv()
    if uv is None:
        pytest.skip("no uv here")
    # a folder with nothing else: the rest of its own folder must not come before the person's PATH
    bin = tmp_path_factory.mktemp("uv")
    (bin / uv.name).symlink_to(uv)
    cache = tmp_path_factory.mktemp("uv-cache")
    return {"PATH": f"{bin}:{PERSON.get('PATH', '')}", "UV_CACHE_DIR": str(cache)}


@pytest.fixture
def new_checkout(tmp_path: Path) -> Callable[..., Checkout]:
    """Make a checkout nobody has set up, in a folder of this name."""
    count = itertools.count()

    def make(name: str = "", **environ: str) -> Checkout:
        return Checkout(copy(tmp_path / (name or f"checkout{next(count)}")), environ)

    return make


@pytest.fixture
def checkout(new_checkout: Callable[..., Checkout], uv_environ: dict[str, str]) -> Checkout:
    """A checkout nobody has set up, on a machine with uv (where a set-up takes 3 s)."""
    return new_checkout(**uv_environ)


@pytest.fixture(scope="session")
def shared_ready(tmp_path_factory: pytest.TempPathFactory, uv_environ: dict[str, str]) -> Checkout:
    ready = Checkout(copy(tmp_path_factory.mktemp("ready") / "checkout"), uv_environ)
    result = ready.run("--version")
    assert result.returncode == 0, result.stderr
    ready.echo()
    return ready


@pytest.fixture
def ready(shared_ready: Checkout) -> Checkout:
    """A checkout that is set up, whose command line echoes; not to be changed."""
    assert shared_ready.finished(), "a test changed the shared checkout"
    return shared_ready


@pytest.fixture
def no_uv_environ() -> dict[str, str]:
    """Settings without any uv on the PATH; for use with ``base_python()``, beside which there must be none either."""
    if (base_python().parent / "uv").exists():
        pytest.skip("the installation behind the running Python comes with uv")
    folders = [folder for folder in PERSON.get("PATH", "").split(":") if not shutil.which("uv", path=folder)]
    return {"PATH": ":".join(folders)}
