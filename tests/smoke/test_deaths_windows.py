"""How libraries die on Windows, and what the report says of it. The libraries are made, the deaths are real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.smoke.made import SOUND, make
from tests.windows.conftest import machine, windows_site
from tests.windows.machine import WindowsMachine, hfdoctor, windows_path
from tests.windows.test_target import make as make_environment

__all__ = ["machine", "windows_site"]  # fixtures

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess, pytest.mark.slow]

#: in a thread of its own nothing catches what happens: ctypes would make an OSError of it
IN_A_THREAD = """
import ctypes, time
kernel = ctypes.WinDLL('kernel32')
kernel.VirtualAlloc.restype = ctypes.c_void_p
kernel.CreateThread.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_void_p] * 4
kernel.CreateThread.restype = ctypes.c_void_p
place = kernel.VirtualAlloc(None, 4096, 0x3000, 0x40)
code = bytes.fromhex({code!r})
ctypes.memmove(place, code, len(code))
kernel.CreateThread(None, 0, place, None, 0, None)
time.sleep(30)
"""
#: what torch 2 does on Windows where one of its libraries cannot be loaded
LOADING_FAILS = """
import ctypes
error = ctypes.WinError({number})
error.strerror += ' Error loading "C:\\\\torch\\\\lib\\\\c10.dll" or one of its dependencies.'
raise error
"""
#: package -> (what it does, error of the stage, condition). No import here needs another. A stack that overflows is
#: not among them: Wine ends such a process without a word, and with exit code 0
ACTS = {
    # mov rax, [0]
    "numpy": (IN_A_THREAD.format(code="488b042500000000"), "exit 0xC0000005", "smoke-failed"),
    # ud2
    "safetensors": (IN_A_THREAD.format(code="0f0b"), "exit 0xC000001D", "illegal-instruction"),
    "tokenizers": ("import os; os.abort()\n", "exit 3", "smoke-failed"),
    "torch": (LOADING_FAILS.format(number=126), "OSError", "dll-load-failed"),
}


def smoke(machine: WindowsMachine, env: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON report of ``hfdoctor smoke`` in a folder with a blank in its name."""
    work = machine.scratch / "my project"
    work.mkdir(exist_ok=True)
    argv = hfdoctor("smoke", "--python", windows_path(env), "--format", "json", "--with-facts", *words)
    (result,) = machine.run({**argv, "cwd": windows_path(work)})
    assert list(work.iterdir()) == []
    return result.code, result.report


def test_libraries_that_die(machine: WindowsMachine) -> None:
    env = make_environment(machine, "my venv")
    make(env, {package: code + SOUND[package] for package, (code, _, _) in ACTS.items()})
    exit_code, report = smoke(machine, env, "--level", "import")
    section = report["snapshot"]["smoke"]["stages"]
    assert section["status"] == "known", (section, report["snapshot"]["probes"])
    stages = {f"{one['name']} {one.get('subject', '')}": one for one in section["value"]}
    assert stages["import transformers"]["because"].endswith(" failed")
    failed = [one for one in report["findings"] if one["outcome"] == "fail"]
    for package, (_, error, condition) in ACTS.items():
        stage = stages[f"import {package}"]
        assert stage["error"] == error, stage
        found = [one for one in failed if one["condition"] == condition]
        assert [(one["severity"], one["basis"]) for one in found if package in str(one)] == [("error", "observed")], (
            failed
        )
    assert exit_code == 1
