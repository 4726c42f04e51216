"""Real interpreters and environments for the tests of the target; what a machine lacks is skipped with its name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import target as target_probe
from hfdoctor.facts.sections.target import Target
from hfdoctor.facts.snapshot import Snapshot

#: where pyenv and the system keep interpreters; the tests' own is always there
PLACES = (Path(os.environ.get("PYENV_ROOT", Path("~/.pyenv").expanduser())) / "versions",)


def interpreter(version: str) -> Path:
    """A real interpreter of this minor version; skips the test where there is none."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
        return Path(sys.executable)
    for place in PLACES:
        for folder in sorted(place.glob(f"{version}.*")):
            python = folder / "bin" / "python"
            if python.is_file():
                return python
    named = shutil.which(f"python{version}")
    if named and "shims" not in named:
        return Path(named)
    pytest.skip(f"no Python {version} on this machine")


def make_venv(folder: Path, *options: str, python: Path | None = None) -> Path:
    """A real environment without pip, made by the standard library's own venv."""
    command = [str(python or sys.executable), "-m", "venv", "--without-pip", *options, str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def make_env_with_pip(folder: Path) -> Path:
    """A real environment with pip, made by virtualenv: venv makes the same in eight seconds of processor time."""
    words = ["-q", "--no-download", "--no-periodic-update", "--python", sys.executable]
    subprocess.run([sys.executable, "-m", "virtualenv", *words, str(folder)], check=True, capture_output=True)
    return folder


def python_of(environment: Path) -> Path:
    """The interpreter of an environment."""
    return environment / "Scripts" / "python.exe" if os.name == "nt" else environment / "bin" / "python"


def site_of(environment: Path) -> Path:
    """The site-packages of an environment."""
    if os.name == "nt":
        return environment / "Lib" / "site-packages"
    return next((environment / "lib").glob("python*")) / "site-packages"


def observe(
    python: Path | str | None,
    *,
    cwd: Path | None = None,
    environ: dict[str, str] | None = None,
    timeout_s: float = 60.0,
) -> Target:
    """The section ``target`` as the probe fills it. Only PATH and HOME are handed down unless ``environ`` is given."""
    if environ is None:
        environ = {
            name: os.environ[name] for name in ("PATH", "HOME", "USERPROFILE", "SYSTEMROOT") if name in os.environ
        }
    request = Request(
        python=None if python is None else str(python), cwd=cwd or Path.home(), environ=environ, timeout_s=timeout_s
    )
    context = Context(request, Snapshot(), time.monotonic() + timeout_s)
    target_probe.probe(context)
    return context.snapshot.target
