"""Guards: a test that would touch the person's home, start a program or leave loopback must say so.

``@pytest.mark.allow_subprocess`` declares that a test starts programs. Connections beyond loopback are never allowed.
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# On a shared gate a change must not fail for an input that chance finds today in code that it does not touch; what
# chance finds on the way to there becomes an @example.
hypothesis.settings.register_profile("gate", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("gate")


class Forbidden(AssertionError):
    """A test did what it did not declare."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On several workers, files with slow tests come first: at the end no worker is left alone with a long one.

    They come by the name of the file, which mixes the folders: neighbours tend to start the same large programs.
    pytest-xdist keeps to it with --no-loadscope-reorder.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    slow = {item.path for item in items if any(item.get_closest_marker(name) for name in ("slow", "wine", "torch"))}
    items.sort(key=lambda item: (item.path not in slow, item.path.name, str(item.path)))


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Paths of one home after the other. A mktemp for each would look through all that were made before."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / f"home{number}" for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_home(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test gets an empty home, and none of the settings of whoever runs the tests."""
    home = next(_homes)
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING", "TRANSFORMERS_", "XDG_", "CONDA_")) or name in (
            "VIRTUAL_ENV",
            "PYTHONPATH",
            "PYTHONHOME",
            "HFDOCTOR_LAUNCHED_BY",
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    yield


@pytest.fixture(autouse=True)
def _no_undeclared_program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("allow_subprocess"):
        return

    class NoPopen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
            raise Forbidden(f"this test starts {args!r}; mark it allow_subprocess if it must")

    monkeypatch.setattr(subprocess, "Popen", NoPopen)


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if host and not (host.startswith("127.") or host in ("::1", "localhost")):
            raise Forbidden(f"this test connects to {host}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(scope="session")
def torch_env() -> Path:
    """A virtual environment with real torch and transformers; tests copy what they damage."""
    named = os.environ.get("HFDOCTOR_TORCH_ENV")
    if not named:
        pytest.skip("HFDOCTOR_TORCH_ENV does not name an environment with torch and transformers")
    return Path(named)


@pytest.fixture(scope="session")
def winpy() -> Path:
    """The launcher of the Windows Python under Wine."""
    named = os.environ.get("HFDOCTOR_WINPY")
    if not named:
        pytest.skip("HFDOCTOR_WINPY does not name the launcher of a Windows Python under Wine")
    return Path(named)
