"""What pip and uv do with names that do not fit: tried, since the words of hfdoctor rest on it.

A name of more than 255 characters fits into no folder on Linux, macOS and Windows alike; it fails with the same kind of
error (OSError while the file is made) as a path beyond Windows' limit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.knowledge.published import make_wheel, serve

pytestmark = [pytest.mark.slow, pytest.mark.allow_subprocess]

FITS = "m" * 245  # with .py 248 characters, with .cpython-311.pyc 261
ONLY_TEMPORARY = "t" * 238  # .cpython-311.pyc makes 254: only the temporary name of the compiled file is too long


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    for name, module in (("compiled", FITS), ("temporary", ONLY_TEMPORARY), ("source", "m" * 253)):
        members = {f"{name}/__init__.py": "", f"{name}/first.py": "", f"{name}/{module}.py": "answer = 42\n"}
        make_wheel(folder, f"{name}-1.0-py3-none-any.whl", members)
    return folder


def environment(folder: Path, *words: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", *words, str(folder)], check=True, env=clean(), capture_output=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.fixture(scope="module")
def with_pip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("pip") / "v")


@pytest.fixture
def without_pip(tmp_path: Path) -> Path:
    return environment(tmp_path / "v", "--without-pip")


def pip(python: Path, wheels: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "pip", "--isolated", "install", "--no-index", "--find-links", str(wheels), name]
    return subprocess.run(command, capture_output=True, text=True, env=clean())


def installed(python: Path) -> set[str]:
    """The installed files outside pip's and setuptools' own folders."""
    (packages,) = python.parents[1].glob("Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages")
    own = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
    return {
        str(file.relative_to(packages).as_posix())
        for file in packages.rglob("*")
        if file.is_file() and not str(file.relative_to(packages)).startswith(own)
    }


@pytest.mark.parametrize(("name", "module"), [("compiled", FITS), ("temporary", ONLY_TEMPORARY)])
def test_pip_installs_without_the_compiled_file_that_does_not_fit(
    with_pip: Path, wheels: Path, name: str, module: str
) -> None:
    done = pip(with_pip, wheels, name)
    assert done.returncode == 0, done.stderr
    assert "Successfully installed" in done.stdout and "rror" not in done.stderr
    files = installed(with_pip)
    assert f"{name}/{module}.py" in files
    assert f"{name}-1.0.dist-info/RECORD" in files
    assert not [file for file in files if module in file and file.endswith(".pyc")]
    assert any(file.startswith(f"{name}/__pycache__/first.") for file in files)  # the others are compiled
    code = f"import {name}.{module} as m; print(m.answer)"
    ran = subprocess.run([str(with_pip), "-c", code], capture_output=True, text=True, env=clean())
    assert (ran.returncode, ran.stdout.strip()) == (0, "42")


def test_pip_fails_on_a_file_that_does_not_fit_and_leaves_the_rest_behind(with_pip: Path, wheels: Path) -> None:
    done = pip(with_pip, wheels, "source")
    assert done.returncode == 1
    assert "Could not install packages due to an OSError" in done.stderr
    left = {file for file in installed(with_pip) if file.startswith("source")}
    assert left == {"source/__init__.py", "source/first.py"}  # no .dist-info: pip does not know of them


def uv(python: Path, wheels: Path, cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("uv")
    from uv import find_uv_bin

    with serve(wheels) as index:
        command = [find_uv_bin(), "pip", "install", "--no-config", "--python", str(python), "--cache-dir", str(cache)]
        return subprocess.run(
            [*command, "--default-index", index.base, *words], capture_output=True, text=True, env=clean()
        )


def test_uv_unpacks_below_its_cache_first(without_pip: Path, wheels: Path, tmp_path: Path) -> None:
    from hfdoctor.knowledge.installers import load_installer_places

    cache = tmp_path / "c"
    done = uv(without_pip, wheels, cache, "compiled")
    assert done.returncode == 0, done.stderr
    (unpacked,) = (cache / "archive-v0").glob(f"*/compiled/{FITS}.py")
    archive = next(row for row in load_installer_places() if row.template.startswith("archive-v0"))
    assert len(str(unpacked.parents[1].relative_to(cache))) == archive.length
    assert not [file for file in installed(without_pip) if file.endswith(".pyc")]  # uv compiles nothing unless asked

    failed = uv(without_pip, wheels, cache, "source")
    assert failed.returncode != 0
    assert f"{cache}{os.sep}.tmp" in failed.stderr  # it fails in the cache, before site-packages
    assert not [file for file in installed(without_pip) if "source" in file]


def test_uv_asked_to_compile_passes_over_the_file_as_well(without_pip: Path, wheels: Path, tmp_path: Path) -> None:
    done = uv(without_pip, wheels, tmp_path / "c", "--compile-bytecode", "compiled")
    assert done.returncode == 0, done.stderr
    compiled = [file for file in installed(without_pip) if file.endswith(".pyc")]
    assert compiled and not [file for file in compiled if FITS in file]
