"""The Windows conditions, from the damage to the cure and back: real registry values, real folders, one terminal after
another, in folders with Korean names and with output in two code pages.

Wine lets every path be as long as it likes. So that a path can be too long here as it can on Windows, the Python that
is inspected holds itself to the limit: it reads the real value when it starts, as Windows does for each process.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from . import cases_conditions, inside
from .exports import differing
from .machine import Step, WindowsMachine, hfdoctor, windows_path

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]

FILE_SYSTEM = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
ONEDRIVE = r"HKCU\Software\Microsoft\OneDrive\Accounts\Business1"
ENVIRONMENT = r"HKCU\Environment"
WANTED = ("windows-long-path", "onedrive-folder", "cache-symlink")

#: of the site-packages folder: too long for modules of transformers, short enough for every library (.dll)
LENGTH = 175

#: at the end of json, which the process that tries a long path imports first (os itself is part of the interpreter):
#: what Windows refuses while long paths are off
LIMIT = r"""
def _hold_to_the_limit():
    import builtins, os, winreg
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            if winreg.QueryValueEx(key, "LongPathsEnabled") == (1, winreg.REG_DWORD):
                return
    except FileNotFoundError:
        pass

    def held(call, limit):
        def checked(path, *args, **options):
            if isinstance(path, str) and path[:4] != "\\\\?\\" and len(path) > limit:
                raise FileNotFoundError(2, "No such file or directory", path)
            return call(path, *args, **options)
        return checked

    builtins.open, os.mkdir = held(builtins.open, 259), held(os.mkdir, 247)

_hold_to_the_limit()
"""


@pytest.fixture(scope="module")
def cases(machine: WindowsMachine) -> dict[str, str]:
    return inside.outcomes(machine, cases_conditions)


@pytest.mark.parametrize("name", inside.names(cases_conditions))
def test_inside_windows(cases: dict[str, str], name: str) -> None:
    assert cases[name] == ""


def deep_environment(machine: WindowsMachine) -> Path:
    """A virtual environment whose site-packages folder has LENGTH characters, with a Python that keeps to the limit."""
    base = machine.winpy.parent / "python"
    held = machine.folder / "python"
    shutil.copytree(base, held, copy_function=os.link, ignore=shutil.ignore_patterns("site-packages", "__pycache__"))
    module = held / "Lib" / "json" / "__init__.py"
    source = module.read_text("utf-8")
    module.unlink()
    module.write_text(source + LIMIT, "utf-8")
    room = LENGTH - len(windows_path(machine.scratch / "x" / "Lib" / "site-packages"))
    env = machine.scratch / ("깊은 폴더 ".ljust(room + 1, "x"))
    (env / "Scripts").mkdir(parents=True)
    (env / "Lib" / "site-packages").mkdir(parents=True)
    assert len(windows_path(env / "Lib" / "site-packages")) == LENGTH
    for path in base.iterdir():
        if path.suffix in (".exe", ".dll") and path.is_file():
            shutil.copy2(path, env / "Scripts" / path.name)
    config = f"home = {windows_path(held)}\r\ninclude-system-site-packages = false\r\nversion = 3.11.9\r\n"
    (env / "pyvenv.cfg").write_bytes(config.encode())
    return env


#: where settings are; the whole registry is test_fix_registry.py's
PARTS = ("HKCU", r"HKLM\SYSTEM", r"HKLM\SOFTWARE\Policies", r"HKLM\SOFTWARE\Microsoft\Windows")
EXPORT: Step = {"argv": ["-m", "tests.windows.exports", *PARTS]}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_three_conditions_fixed_and_taken_back(machine: WindowsMachine) -> None:
    env = deep_environment(machine)
    (user,) = [path for path in (machine.drive_c / "users").iterdir() if path.name != "Public"]
    models = user / "OneDrive - 한국상사" / "모델"
    (models / "hub" / "models--ana--tiny" / "refs").mkdir(parents=True)
    (models / "hub" / "version.txt").write_text("1")
    (models / "token").write_text("hf_" + 34 * "x")
    cache = user / ".cache" / "huggingface"
    assert not cache.exists()
    name = f"C:\\users\\{user.name}\\OneDrive - 한국상사"
    python = windows_path(env)
    fix = ("fix", *WANTED, "--yes", "--format", "json", "--python", python)
    damage: Step = {
        "delete": [[FILE_SYSTEM, "LongPathsEnabled"]],
        "set": [[ONEDRIVE, "UserFolder", "REG_SZ", name], [ENVIRONMENT, "HF_HOME", "REG_EXPAND_SZ", name + "\\모델"]],
    }
    (registry_before,) = machine.run({**damage, **EXPORT})
    files_before = tree(user / "OneDrive - 한국상사")

    machine.new_terminal()  # its programs have HF_HOME from the registry
    (fixed,) = machine.run(hfdoctor(*fix, environ={"PYTHONIOENCODING": "cp949"}))
    became = [(one["condition"], one["outcome"], one.get("reason", "")) for one in fixed.report["fixes"]]
    assert sorted(became) == sorted((one, "fixed", "") for one in WANTED), fixed.stderr.decode("cp949")
    assert fixed.code == 0
    moved = {path.partition("/")[2]: data for path, data in files_before.items()}
    assert tree(cache) == moved

    machine.new_terminal()  # nothing is found any more, and nothing changes
    again, registry_then = machine.run(hfdoctor(*fix, environ={"PYTHONIOENCODING": "cp1252"}), EXPORT)
    assert [one["outcome"] for one in again.report["fixes"]] == ["nothing"] * len(WANTED)
    assert again.code == 0
    assert tree(cache) == moved
    assert differing(registry_before.report, registry_then.report).keys() == {
        f"{ENVIRONMENT.upper()} HF_HOME",
        f"{ENVIRONMENT.upper()} HF_HUB_DISABLE_SYMLINKS_WARNING",
        f"{FILE_SYSTEM.upper()} LongPathsEnabled",
    }

    undo = hfdoctor("undo", "--to", "0", "--yes", environ={"PYTHONIOENCODING": "cp1252"})
    undone, registry_after = machine.run(undo, EXPORT)
    assert undone.code == 0, undone.stderr
    assert differing(registry_before.report, registry_after.report) == {}
    assert tree(user / "OneDrive - 한국상사") == files_before
    assert not cache.exists()
