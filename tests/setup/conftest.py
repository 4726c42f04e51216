"""Checkouts for the tests of the set-up."""

from __future__ import annotations

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
    path = f"{bin}:{PERSON.get('PATH', '')}"
    return {"PATH": path, "UV_CACHE_DIR": str(cache), "UV_COMPILE_BYTECODE": "0"}


@pytest.fixture
def whole_checkout(tmp_path: Path) -> Callable[..., Checkout]:
    """Make a checkout that nobody has set up, in a folder of this name, with these settings."""

    def make(name: str = "checkout", **environ: str) -> Checkout:
        return Checkout(copy(tmp_path / name), environ)

    return make


@pytest.fixture
def light_checkout(whole_checkout: Callable[..., Checkout]) -> Callable[..., Checkout]:
    """The same without dependencies, its command line telling what reaches it."""

    def make(name: str = "checkout", **environ: str) -> Checkout:
        checkout = whole_checkout(name, **environ)
        checkout.lighten()
        return checkout

    return make


@pytest.fixture
def checkout(light_checkout: Callable[..., Checkout], uv_environ: dict[str, str]) -> Checkout:
    """A light checkout that nobody has set up, on a machine with uv."""
    return light_checkout(**uv_environ)


@pytest.fixture(scope="session")
def shared_ready(tmp_path_factory: pytest.TempPathFactory, uv_environ: dict[str, str]) -> Checkout:
    ready = Checkout(copy(tmp_path_factory.mktemp("ready") / "checkout"), uv_environ)
    ready.lighten()
    result = ready.run("--version")
    assert result.returncode == 0, result.stderr
    return ready


@pytest.fixture
def ready(shared_ready: Checkout) -> Checkout:
    """A light checkout that is set up; not to be changed."""
    assert shared_ready.finished(), "a test changed the shared checkout"
    return shared_ready


@pytest.fixture
def no_uv_environ() -> dict[str, str]:
    """Settings without any uv on the PATH; for use with ``base_python()``, beside which there must be none either."""
    if (base_python().parent / "uv").exists():
        pytest.skip("the installation behind the running Python comes with uv")
    folders = [folder for folder in PERSON.get("PATH", "").split(":") if not shutil.which("uv", path=folder)]
    return {"PATH": ":".join(folders)}
