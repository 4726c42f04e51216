"""Real Windows builds of packages, put into a folder without a Windows Python, which takes many times as long."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from uv import find_uv_bin


def install_for_windows(site: Path, *needed: str, dependencies: bool = True) -> None:
    """Install for the Windows Python of the tests; skips the test where the packages cannot be had."""
    command = [find_uv_bin(), "pip", "install", "--quiet", "--target", str(site), "--link-mode", "copy"]
    command += ["--python-platform", "x86_64-pc-windows-msvc", "--python-version", "3.11", "--only-binary", ":all:"]
    command += [] if dependencies else ["--no-deps"]
    ended = subprocess.run([*command, *needed], stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
    if ended.returncode:
        pytest.skip(f"the packages for Windows could not be had: {ended.stderr.decode(errors='replace')[-300:]}")
