"""Real environments through the whole doctor: whole ones stay silent, damaged ones get the right name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from hfdoctor.conditions import python_environment, python_settings, python_wheels
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Report
from hfdoctor.facts.collect import collect
from tests.facts.pythons import interpreter, make_env_with_pip, make_venv, python_of, site_of

pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(os.name == "nt", reason="environments of POSIX are damaged here"),
]

FAMILY = {
    condition.id for module in (python_environment, python_settings, python_wheels) for condition in module.CONDITIONS
}


def examine(python: Path, cwd: Path, environ: Mapping[str, str] | None = None) -> Report:
    settings = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} if environ is None else environ
    return diagnose(collect(str(python), cwd=cwd, environ=settings, timeout_s=60))


def found(report: Report) -> dict[str, str | None]:
    """The fails of the python family, with their severities. No condition of it may crash."""
    own = [finding for finding in report.findings if finding.condition in FAMILY]
    assert {finding.condition for finding in own} == FAMILY
    assert not [finding.evidence for finding in own if finding.outcome == "crash"]
    return {finding.condition: finding.severity for finding in own if finding.outcome == "fail"}


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return make_venv(tmp_path / "env")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


# -- healthy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"])
def test_every_python_is_silent(tmp_path: Path, here: Path, version: str) -> None:
    python = interpreter(version)
    environment = make_venv(tmp_path / "env", python=python)
    for asked in (python, environment):
        report = examine(asked, here)
        wrong = found(report)
        wrong.pop("externally-managed", None)  # true of a system's own interpreter with nothing installed
        assert not wrong
        assert "unknown" not in {f.outcome for f in report.findings if f.condition in FAMILY}


def test_environments_of_every_maker_are_silent(tmp_path: Path, here: Path) -> None:
    environments = [make_venv(tmp_path / "wide", "--system-site-packages"), make_venv(tmp_path / "copies", "--copies")]
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "with pip")], check=True, capture_output=True)
    environments.append(tmp_path / "with pip")
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv:
        for name, options in (("uv", []), ("uv-seed", ["--relocatable"])):
            command = [uv, "venv", "-q", "--offline", *options, "--python", sys.executable, str(tmp_path / name)]
            subprocess.run(command, check=True)
            environments.append(tmp_path / name)
    try:
        import virtualenv
    except ImportError:
        pass
    else:
        virtualenv.cli_run([str(tmp_path / "virtualenv"), "--no-periodic-update"])
        environments.append(tmp_path / "virtualenv")
    for environment in environments:
        assert not found(examine(environment, here)), environment.name


def test_awkward_surroundings_are_silent(tmp_path: Path, here: Path) -> None:
    korean = make_venv(tmp_path / "프로젝트 하나" / "환경")
    assert not found(examine(korean, here))
    assert not found(examine(korean, here, {}))
    assert not found(examine(korean, here, {"LC_ALL": "C", "PATH": os.environ["PATH"]}))
    assert not found(examine(korean, tmp_path / "프로젝트 하나"))
    assert not found(examine(korean, tmp_path / "gone"))
    renamed = tmp_path / "link"
    renamed.symlink_to(tmp_path / "프로젝트 하나")
    assert not found(examine(renamed / "환경", here))


def test_harmless_settings_are_silent(tmp_path: Path, env: Path, here: Path) -> None:
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "mine.py").write_text("")
    (site_of(env) / "gone.pth").write_text("/nowhere\n")
    (site_of(env) / "sitecustomize.py").write_text("import os\n")
    settings = {
        "PYTHONPATH": str(tmp_path / "libs"),
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "PYTHONHOME": sys.base_prefix,
    }
    assert not found(examine(env, here, settings))


def test_ordinary_projects_are_silent(env: Path, here: Path) -> None:
    """Files and folders as people have them; the folders named like libraries are no packages."""
    for name in ("src/transformers/__init__.py", "tests/__init__.py", "utils/__init__.py", "train.py", "model.py"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("")
    for name in ("datasets", "torch", "tokenizers", "data", "safetensors/src"):
        (here / name).mkdir(parents=True)
    assert not found(examine(env, here))


@pytest.mark.torch
def test_an_environment_with_torch_is_silent(torch_env: Path, here: Path) -> None:
    report = examine(torch_env, here)
    assert not found(report)
    assert not [f.summary for f in report.failed() if f.condition in FAMILY]


# -- damaged -----------------------------------------------------------------------------------------------------------


def test_moved(tmp_path: Path, here: Path) -> None:
    make_env_with_pip(tmp_path / "before").rename(tmp_path / "after")
    assert found(examine(tmp_path / "after", here)) == {"python-environment-moved": "warning"}
    # a second name for the old place makes it whole again
    (tmp_path / "before").symlink_to(tmp_path / "after")
    assert not found(examine(tmp_path / "after", here))


def test_base_gone(tmp_path: Path, env: Path, here: Path) -> None:
    for link in (env / "bin").glob("python*"):
        link.unlink()
    python_of(env).symlink_to(tmp_path / "gone")
    assert found(examine(env, here)) == {"python-environment-moved": "error"}


def test_base_replaced_by_another_version(tmp_path: Path, here: Path) -> None:
    old, new = interpreter("3.11"), interpreter("3.12")
    environment = make_venv(tmp_path / "env", python=old)
    for link in (environment / "bin").glob("python*"):
        link.unlink()
    python_of(environment).symlink_to(new)
    assert found(examine(environment, here)) == {"python-environment-moved": "error"}


@pytest.mark.parametrize("content", [None, b"\x80\x81"])
def test_config(env: Path, here: Path, content: bytes | None) -> None:
    (env / "pyvenv.cfg").unlink()
    if content is not None:
        (env / "pyvenv.cfg").write_bytes(content)
    assert found(examine(env, here)) == {"python-environment-moved": "error"}


@pytest.mark.parametrize(
    ("name", "content", "severity"),
    [
        ("x.pth", "import nothing_of_that_name\n", "warning"),
        ("x.pth", "import os; os._exit(3)\n", "error"),
        ("sitecustomize.py", "raise ValueError\n", "warning"),
        ("sitecustomize.py", "raise SystemExit(1)\n", "error"),
    ],
)
def test_start_up_files(env: Path, here: Path, name: str, content: str, severity: str) -> None:
    (site_of(env) / name).write_text(content)
    report = examine(env, here)
    assert found(report) == {"python-settings": severity}
    (finding,) = [f for f in report.findings if f.condition == "python-settings"]
    assert str(site_of(env) / name) in finding.summary + finding.evidence[0].text


def test_pythonhome(env: Path, here: Path) -> None:
    report = examine(env, here, {"PYTHONHOME": "/nowhere"})
    assert found(report) == {"python-settings": "error"}
    (finding,) = [f for f in report.findings if f.condition == "python-settings"]
    assert "PYTHONHOME" in finding.summary


def install(folder: Path, name: str, version: str) -> None:
    """A distribution as an installer leaves it, with one module."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{name}/__init__.py,,0\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n")


def test_pythonpath_with_other_packages(tmp_path: Path, env: Path, here: Path) -> None:
    other = tmp_path / "old" / "lib" / "python3.7" / "site-packages"
    install(other, "numpy", "1.21.6")
    assert found(examine(env, here, {"PYTHONPATH": str(other)})) == {"python-settings": "error"}
    same = tmp_path / "shared"
    install(same, "numpy", "2.1.0")
    assert not found(examine(env, here, {"PYTHONPATH": str(same)}))  # the only one there is: wanted
    install(site_of(env), "numpy", "2.2.0")
    assert found(examine(env, here, {"PYTHONPATH": str(same)})) == {"python-settings": "warning"}


def test_shadows(tmp_path: Path, env: Path, here: Path) -> None:
    (here / "torch.py").write_text("")
    assert found(examine(env, here)) == {"module-shadowed": "error"}
    assert not found(examine(env, tmp_path))
    (here / "torch.py").rename(here / "queue.py")
    assert found(examine(env, here)) == {"module-shadowed": "warning"}
    assert found(examine(env, tmp_path, {"PYTHONPATH": str(here)})) == {"module-shadowed": "warning"}
    (here / "queue.py").rename(here / "datasets.py")
    assert not found(examine(env, here))
    install(site_of(env), "datasets", "4.0.0")
    assert found(examine(env, here)) == {"module-shadowed": "warning"}


def test_the_source_of_an_editable_install(env: Path, here: Path) -> None:
    (here / "torch").mkdir()
    (here / "torch" / "__init__.py").write_text("")
    assert found(examine(env, here)) == {"module-shadowed": "error"}
    info = site_of(env) / "torch-2.15.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.15.0\n")
    (info / "direct_url.json").write_text(f'{{"url": "{here.as_uri()}", "dir_info": {{"editable": true}}}}')
    (site_of(env) / "torch.pth").write_text(f"{here}\n")
    assert "module-shadowed" not in found(examine(env, here))


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_too_old(here: Path, version: str) -> None:
    assert found(examine(interpreter(version), here)) == {"python-too-old": "warning"}


def test_externally_managed(tmp_path: Path, here: Path) -> None:
    system = Path("/usr/bin/python3")
    if not list(Path("/usr/lib").glob("python3*/EXTERNALLY-MANAGED")) or not system.exists():
        pytest.skip("this system does not manage its Python")
    assert found(examine(system, here)) == {"externally-managed": "error"}
    allowed = {"PIP_BREAK_SYSTEM_PACKAGES": "1"}
    assert not found(examine(system, here, allowed))
    assert not found(examine(make_venv(tmp_path / "env", python=system), here))


@pytest.mark.parametrize("content", [b"hello", b"#!/bin/sh\nkill -ABRT $$\n"])
def test_does_not_start(env: Path, here: Path, content: bytes) -> None:
    python_of(env).unlink()
    python_of(env).write_bytes(content)
    python_of(env).chmod(0o755)
    assert found(examine(env, here)) == {"python-does-not-start": "error"}
