"""Files that hide modules, console scripts, .pth files: held against what real interpreters do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hfdoctor.facts import inspect_python
from hfdoctor.facts.probes.environment_files import read_scripts
from hfdoctor.facts.probes.shadow_files import find_shadows
from hfdoctor.facts.probes.startup_errors import error_of_module, errors_of_pth_files, match_errors
from tests.facts.pythons import make_env_with_pip, make_venv, observe, python_of, site_of

posix = pytest.mark.skipif(os.name == "nt", reason="layouts of POSIX")


def lay(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_text("")


@pytest.mark.allow_subprocess
@posix
@pytest.mark.parametrize(
    ("files", "module", "kind"),
    [
        (["torch.py"], "torch", "module"),
        (["torch/__init__.py"], "torch", "package"),
        (["torch/"], "torch", ""),
        (["torch/x.py"], "torch", ""),
        (["torch.py", "torch/x.py"], "torch", "module"),
        (["torch.py", "torch/__init__.py"], "torch", "package"),
        (["Torch.py"], "torch", ""),
        (["torch.txt", "torch.pyi", "torch.py.bak", "mytorch.py"], "torch", ""),
        (["src/torch/__init__.py"], "torch", ""),
        (["tests/__init__.py", "utils/__init__.py"], "torch", ""),
        (["random.py"], "random", "module"),
        (["random/__init__.py"], "random", "package"),
        (["random/"], "random", ""),
        (["queue.py"], "queue", "module"),
        (["os.py"], "os", ""),
        (["sys.py"], "sys", ""),
        (["time.py"], "time", ""),
        (["abc.py"], "abc", ""),
    ],
)
def test_shadows_are_what_python_imports(tmp_path: Path, files: list[str], module: str, kind: str) -> None:
    """For each layout: reported if and only if a program there imports that file in place of the installed module."""
    env = make_venv(tmp_path / "env")
    if module == "torch":
        lay(site_of(env), "torch/__init__.py")
    here = tmp_path / "here"
    here.mkdir()
    lay(here, *files)
    code = f"import {module}; print(getattr({module}, '__file__', None))"
    said = subprocess.run([str(python_of(env)), "-B", "-c", code], cwd=here, capture_output=True, text=True, check=True)
    hidden = said.stdout.strip().startswith(str(here))
    shadows = observe(env, cwd=here).shadows.need()
    assert hidden == bool(shadows) == bool(kind)
    if shadows:
        assert [(s.module, s.kind, s.via, s.stdlib) for s in shadows] == [(module, kind, "cwd", module != "torch")]
        assert said.stdout.strip().startswith(shadows[0].path)


@pytest.mark.allow_subprocess
@posix
def test_shadows_through_pythonpath(tmp_path: Path) -> None:
    env = make_venv(tmp_path / "env")
    lay(tmp_path / "own", "torch.py")
    lay(tmp_path / "libs", "numpy/__init__.py", "numpy-1.26.4.dist-info/")
    settings = {"PYTHONPATH": f"own{os.pathsep}{tmp_path / 'libs'}{os.pathsep}{tmp_path / 'gone'}{os.pathsep}"}
    found = observe(env, cwd=tmp_path, environ=settings).shadows.need()
    assert [(s.module, s.via, s.version) for s in found] == [("torch", "sys.path", ""), ("numpy", "sys.path", "1.26.4")]


@pytest.mark.allow_subprocess
@posix
def test_working_inside_site_packages_hides_nothing(tmp_path: Path) -> None:
    env = make_venv(tmp_path / "env")
    lay(site_of(env), "torch/__init__.py")
    assert observe(env, cwd=site_of(env)).shadows.need() == []


def test_a_large_folder(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"file{number}.py").touch()
    (tmp_path / "torch.cpython-312-x86_64-linux-gnu.so").touch()
    (tmp_path / "yaml.pyd").touch()
    found = find_shadows(str(tmp_path), "cwd", ["random"], [])
    assert [(s.module, s.kind) for s in found] == [("torch", "extension"), ("yaml", "extension")]


# -- scripts -----------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    ("text", "python", "fits"),
    [
        ("#!{bin}/python3\nimport sys\n", "{bin}/python3", True),
        ("#!/old/env/bin/python3\n", "/old/env/bin/python3", False),
        ("#!/bin/sh\n'''exec' \"{bin}/python\" \"$0\" \"$@\"\n' '''\n", "{bin}/python", True),
        ("#!/bin/sh\n'''exec' '/old place/bin/python' \"$0\" \"$@\"\n' '''\n", "/old place/bin/python", False),
        ("#!/bin/sh\n'''exec' /old/bin/python \"$0\" \"$@\"\n' '''\n", "/old/bin/python", False),
        ("#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n", "", True),
        ("#!/usr/bin/env python3\n", "", True),
        ("#!/bin/bash\necho hello\n", "", True),
        ("import sys\n", "", True),
        ("", "", True),
    ],
)
def test_scripts(tmp_path: Path, text: str, python: str, fits: bool) -> None:
    folder = tmp_path / ("env with spaces" if "exec" in text else "env") / "bin"
    folder.mkdir(parents=True)
    (folder / "pip").write_text(text.replace("{bin}", str(folder)))
    (folder / "hf").mkdir()
    found = read_scripts(str(folder))
    if not python:
        assert found == []
        return
    assert [(s.path, s.fits) for s in found] == [(str(folder / "pip"), fits)]
    assert found[0].python == python.replace("{bin}", str(folder))


@posix
def test_two_names_of_one_folder_are_no_move(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "env" / "bin"
    folder.mkdir(parents=True)
    (tmp_path / "home").symlink_to(tmp_path / "data")
    (folder / "pip").write_text(f"#!{tmp_path / 'home' / 'env' / 'bin' / 'python'}\n")
    assert [script.fits for script in read_scripts(str(folder))] == [True]


@pytest.mark.allow_subprocess
@posix
def test_scripts_of_a_real_environment(tmp_path: Path) -> None:
    """pip's own program, in a folder whose name makes installers write the two-line form, before and after a move."""
    env = make_env_with_pip(tmp_path / "an environment")
    assert (env / "bin" / "pip").read_bytes().startswith(b"#!/bin/sh")
    assert {script.fits for script in observe(env).scripts.need()} == {True}
    env.rename(tmp_path / "moved")
    moved = observe(tmp_path / "moved")
    assert moved.start.need().ok
    assert {script.fits for script in moved.scripts.need()} == {False}
    assert moved.scripts.need()[0].python.startswith(str(env))


# -- .pth files and what Python prints ---------------------------------------------------------------------------------


def test_decoding_follows_the_version() -> None:
    text = "/가/site\n".encode()
    assert inspect_python.decode_pth(b"\xef\xbb\xbf" + text, (3, 13)) == "/가/site\n"
    assert inspect_python.decode_pth(text, (3, 12)) == text.decode(inspect_python.locale_encoding())


def test_pth_files_of_strange_kinds(tmp_path: Path) -> None:
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / ".hidden.pth").write_text("import hidden\n")
    (tmp_path / "null.pth").write_bytes(b"a\0b\n")
    (tmp_path / "dangling.pth").symlink_to(tmp_path / "gone")
    found = inspect_python.pth_files([str(tmp_path), str(tmp_path / "none")], (3, 12))
    assert {Path(entry["path"]).name: bool(entry["error"]) for entry in found} == {
        "dangling.pth": True,
        "folder.pth": True,
        "null.pth": True,
    }


def test_the_writer_of_json() -> None:
    import json

    value = {"a": [None, True, False, 3, 'é가\U0001f600"\\\n\x00\x7f'], "b": {}, "c": []}
    text = inspect_python.to_json(value)
    assert text.isascii() and json.loads(text) == value
    assert json.loads(inspect_python.to_json("\udcff")) == "\udcff"


def test_what_python_prints() -> None:
    stderr = (
        "Error processing line 2 of /e/bad one.pth:\n\n  Traceback (most recent call last):\n"
        "  ModuleNotFoundError: No module named 'x'\n\nRemainder of file ignored\n"
        "Error in sitecustomize; set PYTHONVERBOSE for traceback:\nValueError: boo\n"
    )
    assert errors_of_pth_files(stderr) == {"/e/bad one.pth": "line 2: ModuleNotFoundError: No module named 'x'"}
    assert match_errors(["/e/bad one.pth", "/e/b.pth"], stderr) == errors_of_pth_files(stderr)
    assert error_of_module("sitecustomize", stderr) == "ValueError: boo"
    assert error_of_module("usercustomize", stderr) == ""


def test_paths_in_the_code_page_of_the_output() -> None:
    path, other = "C:\\Users\\홍길동\\x.pth", "C:\\Users\\홍길동\\y.pth"
    for printed in (path, r"C:\Users\\ud64d\uae38\ub3d9\x.pth", "C:\\Users\\È«±æµ¿\\x.pth"):
        stderr = f"Error processing line 1 of {printed}:\n\n  ValueError: boo\n\nRemainder of file ignored\n"
        assert match_errors([path, other], stderr) == {path: "line 1: ValueError: boo"}, printed
    assert match_errors(["C:\\a\\x.pth", "C:\\b\\x.pth"], stderr) == {}
