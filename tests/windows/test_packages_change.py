"""A package change on Windows: programs in Scripts, a file in use, everything back in its place."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from ..remedies.index import Index
from ..remedies.wheels import make_wheel
from .machine import WindowsMachine, windows_path

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]


def _link(source: str, target: str) -> None:
    os.link(source, target)


def _launchers(python: Path) -> None:
    """What a Python from python.org has for its virtual environments, and this one has not: here it is itself."""
    folder = python / "Lib" / "venv" / "scripts" / "nt"
    folder.mkdir(parents=True)
    for name in ("python.exe", "pythonw.exe"):
        os.link(python / "python.exe", folder / name)


def test_packages_are_changed_and_brought_back(machine: WindowsMachine, winpy: Path) -> None:
    target = machine.scratch / "Python 한글"
    left = shutil.ignore_patterns("test", "tkinter", "idlelib", "__pycache__", "tcl", "Doc", "pip*", "setuptools*")
    shutil.copytree(winpy.parent / "python", target, copy_function=_link, ignore=left)
    _launchers(target)
    with Index(machine.scratch / "wheels") as index:
        for version in ("1.0", "2.0"):
            files = {"hub/__init__.py": f"def main():\n    print('hub {version}')\n", "hub/part.py": f"v = {version}\n"}
            make_wheel(index.folder, "hub", version, files, scripts={"hub": "hub:main"})
        make_wheel(index.folder, "hub", "3.0", {"hub/__init__.py": "", "hub/PART.py": "v = 3\n"})
        inside = Path(__file__).with_name("change_packages.py")
        words = [windows_path(path) for path in (inside, target, machine.scratch / "work")]
        result = machine.run({"argv": [*words, index.url]})[0]
    assert result.code == 0, result.stderr.decode("utf-8", "replace")
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["script at first"] == "hub 1.0"
    assert told["describe"] == [{"what": "hub", "old": "1.0", "new": "2.0"}]
    assert told["looked only"]
    assert told["after"] == "after"
    assert told["script after"] == "hub 2.0"
    assert told["different after undo"] == []
    assert told["script after undo"] == "hub 1.0"
    assert told["other case"] == ["after", ["PART.py"]]
    assert told["different after other case"] == []
    assert "part.py is in use by another program" in told["in use"]
    assert told["look"] in ("before", "between")
    assert told["different after use"] == []
    assert told["new environment"] == ["hub 2.0", told["its folder"], "after"]
    assert told["left of it"] == ["before", False, True]
