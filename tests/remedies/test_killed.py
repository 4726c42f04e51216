"""The tool that kills: it stops at each change, and leaves what was there before that."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from .killed import every_moment, killed_after, killed_at, moments_of

pytestmark = pytest.mark.allow_subprocess


def test_each_change_is_a_moment(tmp_path: Path) -> None:
    def fresh() -> str:
        for path in tmp_path.iterdir():
            path.unlink()
        return f"""
import os
os.chdir({str(tmp_path)!r})
arm()
descriptor = os.open("a", os.O_RDWR | os.O_CREAT)
os.write(descriptor, b"0123456789")
os.fsync(descriptor)
with open("b", "wb") as file:
    file.write(b"xy")
os.replace("a", "c")
"""

    seen = [
        (str(m.what).split()[0], {p.name: p.stat().st_size for p in tmp_path.iterdir()}) for m in every_moment(fresh)
    ]
    assert seen == [
        ("open", {}),
        ("os.write", {"a": 0}),
        ("os.write", {"a": 5}),
        ("os.fsync", {"a": 10}),
        ("open", {"a": 10}),
        ("write", {"a": 10, "b": 0}),
        ("os.rename", {"a": 10, "b": 2}),
    ]
    assert {p.name for p in tmp_path.iterdir()} == {"b", "c"}
    assert moments_of(fresh()) == 7
    assert [int(m) for m in every_moment(fresh, at_most=3)] == [1, 4, 7]


def test_code_that_fails_by_itself_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        killed_at("1 / 0", 1)
    assert killed_at("1 / 1", 1)


def test_what_was_started_dies_with_it() -> None:
    sleep = f"import subprocess\narm()\nsubprocess.run([{sys.executable!r}, '-c', 'import time; time.sleep(77.125)'])"
    began = time.monotonic()
    assert not killed_after(sleep, 0.5)
    assert time.monotonic() - began < 30
    assert not [p for p in psutil.process_iter() if any("77.125" in word for word in _words(p))]
    assert killed_after("print(1)", 60.0)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
