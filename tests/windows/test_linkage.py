"""The DLL that WinError 126 does not name, on a Windows Python with real DLLs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.facts.test_packages_environments import install

from .machine import Result, WindowsMachine, windows_path
from .test_target import check, make

COMPILER = "x86_64-w64-mingw32-gcc"

pytestmark = [
    pytest.mark.wine,
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(not shutil.which(COMPILER), reason="no compiler for Windows"),
]


@pytest.fixture(scope="module")
def env(machine: WindowsMachine) -> Path:
    """An environment with a torch of three DLLs: torch_cpu needs fbgemm, and that needs libomp140.x86_64."""
    env = make(machine, "env")
    site = env / "Lib" / "site-packages"
    install(site, "torch", version="2.4.0")
    lib = site / "torch" / "lib"
    lib.mkdir(parents=True, exist_ok=True)
    (site / "torch" / "__init__.py").write_text("")
    (site / "torch" / "version.py").write_text("__version__ = '2.4.0+cpu'\ncuda = None\n")
    before: list[str] = []
    for name in ("libomp140.x86_64", "fbgemm", "torch_cpu"):
        function = name.partition(".")[0]
        called = before[-1].partition(".")[0] if before else ""
        code = f"int {called}_f(void); " if called else ""
        code += f"int {function}_f(void) {{ return {called + '_f() + ' if called else ''}1; }}"
        source = site.parent / "code.c"
        source.write_text(code)
        options = [str(lib / f"{one}.dll") for one in before[-1:]]
        subprocess.run([COMPILER, "-shared", "-o", str(lib / f"{name}.dll"), str(source), *options], check=True)
        before.append(name)
    return env


def linkage(result: Result) -> dict[str, Any]:
    fact = result.report["snapshot"]["native"]["linkage"]
    assert fact["status"] == "known", fact
    return dict(fact["value"])


def test_names_the_missing_dll_as_the_loader_stumbles(machine: WindowsMachine, env: Path) -> None:
    lib = env / "Lib" / "site-packages" / "torch" / "lib"
    code = "import ctypes,sys\ntry: ctypes.WinDLL(sys.argv[1], winmode=0x1100); print('loads')\n"
    code += "except OSError: print('fails')"
    load = {"argv": ["-c", code, windows_path(lib / "torch_cpu.dll")]}
    healthy, loads = machine.run(check(env), load)
    assert loads.stdout.strip() == b"loads"
    assert linkage(healthy).get("problems", []) == []
    assert linkage(healthy)["examined"] >= 3

    aside = lib.parent / "aside.dll"
    (lib / "libomp140.x86_64.dll").rename(aside)
    broken, fails = machine.run(check(env), load)
    assert fails.stdout.strip() == b"fails"
    (problem,) = linkage(broken)["problems"]
    assert (problem["kind"], problem["needs"]) == ("missing", "libomp140.x86_64.dll")
    assert problem["library"].lower().endswith("\\torch\\lib\\fbgemm.dll")
    assert problem["package"] == "torch"

    on_path = aside.parent / "tools" / "libomp140.x86_64.dll"
    on_path.parent.mkdir()
    shutil.copy(aside, on_path)
    step = check(env)
    step["environ"] = {**step.get("environ", {}), "PATH": windows_path(on_path.parent) + ";C:\\windows\\system32"}
    [found] = machine.run(step)
    assert linkage(found).get("problems", []) == []

    aside.rename(lib / "libomp140.x86_64.dll")
    library = lib / "fbgemm.dll"
    whole = library.read_bytes()
    library.write_bytes(whole[:1000])
    [cut] = machine.run(check(env))
    assert [(one["kind"], one["needs"]) for one in linkage(cut)["problems"]] == [("truncated", "fbgemm.dll")]
    changed = bytearray(whole)
    start = int.from_bytes(changed[60:64], "little")
    changed[start + 4 : start + 6] = (0xAA64).to_bytes(2, "little")
    library.write_bytes(bytes(changed))
    foreign, fails = machine.run(check(env), load)
    assert [(one["kind"], one["needs"]) for one in linkage(foreign)["problems"]] == [
        ("wrong-architecture", "fbgemm.dll")
    ]
    assert fails.stdout.strip() != b"loads"
    library.write_bytes(whole)
    linked = healthy.report["snapshot"]["native"]["linked_with"]
    assert linked["status"] == "absent"  # what this compiler makes needs no Visual C++ runtime
