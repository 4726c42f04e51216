"""Volumes for tests: /dev/shm as a second one, and small ones of one's own where root may mount."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def second_volume(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on another volume than ``tmp_path``."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev or not os.access(shared, os.W_OK):
        pytest.skip("there is no second volume here (/dev/shm)")
    folder = Path(tempfile.mkdtemp(prefix="hfdoctor-test-", dir=shared))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def mounted(point: Path, *options: str, kind: str = "tmpfs") -> Iterator[Path]:
    """A volume of its own at ``point``, which is made; the test is skipped where none may be mounted."""
    point.mkdir()
    command = ["mount", "-t", kind, *(["-o", ",".join(options)] if options else []), kind, str(point)]
    try:
        ended = subprocess.run(command, capture_output=True, check=False, timeout=20)
    except FileNotFoundError:
        pytest.skip("there is no mount program here")
    if ended.returncode:
        pytest.skip(f"no volume may be mounted here: {ended.stderr.decode(errors='replace').strip()}")
    try:
        yield point
    finally:
        unmount(point)


def unmount(point: Path) -> None:
    """Take the volume away at once, also while it is in use."""
    subprocess.run(["umount", "-l", str(point)], capture_output=True, check=False, timeout=20)
