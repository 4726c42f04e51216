"""A virtual environment on Windows: whole, below a Korean name, and damaged."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from .machine import Result, Step, WindowsMachine, hfdoctor, windows_path

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]


def make(machine: WindowsMachine, name: str) -> Path:
    """An environment as venv made it before it had a launcher: python.exe and its DLLs copied, pyvenv.cfg beside."""
    base = machine.winpy.parent / "python"
    env = machine.scratch / name
    (env / "Scripts").mkdir(parents=True)
    (env / "Lib" / "site-packages").mkdir(parents=True)
    for path in base.iterdir():
        if path.suffix in (".exe", ".dll") and path.is_file():
            shutil.copy2(path, env / "Scripts" / path.name)
    (env / "Scripts" / "activate.bat").write_text("set VIRTUAL_ENV=somewhere\r\n")
    configure(env, windows_path(base))
    return env


def configure(env: Path, home: str) -> None:
    text = f"home = {home}\r\ninclude-system-site-packages = false\r\nversion = 3.11.9\r\n"
    (env / "pyvenv.cfg").write_bytes(text.encode())


def check(env: Path | str, **step: Any) -> Step:
    named = env if isinstance(env, str) else windows_path(env)
    return hfdoctor("check", "--format", "json", "--with-facts", "--python", named, **step)


def target_of(result: Result) -> dict[str, Any]:
    target: dict[str, Any] = result.report["snapshot"]["target"]
    return target


def fails(result: Result) -> set[str]:
    own = ("python-", "module-", "externally-", "platform-")
    found = {f["condition"] for f in result.report["findings"] if f["outcome"] == "fail"}
    return {condition for condition in found if condition.startswith(own)}


def test_whole(machine: WindowsMachine) -> None:
    env = make(machine, "환경 하나")
    folder, python, active = machine.run(
        check(env),
        check(env / "Scripts" / "python.exe", environ={"PYTHONIOENCODING": "cp949"}),
        hfdoctor(
            *("check", "--format", "json", "--with-facts"),
            environ={"VIRTUAL_ENV": windows_path(env), "PATH": windows_path(env / "Scripts")},
        ),
    )
    for result in (folder, python, active):
        assert not fails(result)
        target = target_of(result)
        assert target["chosen"]["value"]["python"] == windows_path(env / "Scripts" / "python.exe")
        assert target["environment"]["value"] == windows_path(env) == target["interpreter"]["value"]["prefix"]
        assert target["kind"]["value"] == "venv"
        paths = target["paths"]["value"]
        assert paths["purelib"] == windows_path(env / "Lib" / "site-packages")
        assert paths["scripts"] == windows_path(env / "Scripts")
        assert target["interpreter"]["value"]["platform"] == "win-amd64"
        assert target["interpreter"]["value"]["soabi"] == "cp311-win_amd64"
    assert "VIRTUAL_ENV" in target_of(active)["chosen"]["value"]["because"]


def test_damaged(machine: WindowsMachine) -> None:
    gone, nothing, text, config = (make(machine, name) for name in ("gone", "nothing", "text", "config"))
    configure(gone, r"Z:\nowhere\Python311")
    (nothing / "Scripts" / "python.exe").unlink()
    (text / "Scripts" / "python.exe").write_text("hello")
    (config / "pyvenv.cfg").unlink()
    results = machine.run(*(check(env) for env in (gone, nothing, text, config)))
    assert [(fails(result), target_of(result)["start"]["value"]["trouble"]) for result in results] == [
        ({"python-environment-moved"}, "base-gone"),
        ({"python-environment-moved"}, "no-interpreter"),
        ({"python-does-not-start"}, "not-python"),
        ({"python-environment-moved"}, "broken-config"),
    ]
    assert target_of(results[0])["paths"]["value"]["purelib"] == windows_path(gone / "Lib" / "site-packages")


def test_start_up_files(machine: WindowsMachine) -> None:
    """Also what Python prints about a file below a Korean name, in the code page of Windows."""
    ends, raises = make(machine, "ends"), make(machine, "오류")
    (ends / "Lib" / "site-packages" / "x.pth").write_text("import os; os._exit(3)\n")
    (raises / "Lib" / "site-packages" / "x.pth").write_text("import nothing_of_that_name\n")
    stopped, *printed = machine.run(
        check(ends),
        check(raises),
        check(raises, environ={"PYTHONIOENCODING": "cp949"}),
        check(raises, environ={"PYTHONIOENCODING": "utf-8"}),
    )
    start = target_of(stopped)["start"]["value"]
    culprit = windows_path(ends / "Lib" / "site-packages" / "x.pth")
    assert (fails(stopped), start["trouble"], start["culprit"]) == ({"python-settings"}, "startup-file", culprit)
    for result in printed:
        assert target_of(result)["start"]["value"]["ok"]
        assert fails(result) == {"python-settings"}


def test_console_scripts(machine: WindowsMachine) -> None:
    env = make(machine, "scripts")
    for name, python in (("pip", env / "Scripts" / "python.exe"), ("hf", Path("/old/Scripts/python.exe"))):
        tail = f"#!{windows_path(python)}\r\n".encode() + b"PK\x03\x04" + bytes(300)
        (env / "Scripts" / f"{name}.exe").write_bytes(b"MZ" + bytes(40000) + tail)
    (result,) = machine.run(check(env))
    scripts = target_of(result)["scripts"]["value"]
    assert [(script["python"], script["fits"]) for script in scripts] == [
        (windows_path(env / "Scripts" / "python.exe"), True),
        (r"Z:\old\Scripts\python.exe", False),
    ]
    assert fails(result) == {"python-environment-moved"}


def test_what_is_no_interpreter(machine: WindowsMachine) -> None:
    results = machine.run(check(r"C:\windows\system32\notepad.exe"), check("nothing-of-that-name"))
    assert [result.code for result in results] == [2, 2]
    assert all(len(result.stderr.splitlines()) == 1 for result in results)
