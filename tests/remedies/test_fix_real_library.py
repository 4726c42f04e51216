"""The real transformers beside an old huggingface_hub: it does not start, is healed, and gets its old hub back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .patient import Patient, patient
from .wheels import make_wheel

__all__ = ["patient"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.torch,
    pytest.mark.skipif(os.name == "nt", reason="the environment is laid out as on POSIX systems"),
]

#: what is large, and not needed to import transformers
LEFT_OUT = ("torch*", "functorch", "sympy*", "nvidia*", "triton*", "pip*", "setuptools*", "*.pth")
USE = "from transformers import AutoConfig; print(AutoConfig.for_model('bert').hidden_size)"


def link(source: str, target: str) -> None:
    """Installers and hfdoctor replace files, they never write into them: links to the same content do."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def wheel_of(library: Path, name: str, folder: Path) -> str:
    """Packs what is installed into a wheel again; returns its version."""
    (info,) = library.glob(f"{name}-*.dist-info")
    paths = [line.split(",")[0] for line in (info / "RECORD").read_text().splitlines()]
    files: dict[str, str | bytes] = {
        path: (library / path).read_bytes() for path in paths if path.startswith(f"{name}/") and path[-4:] != ".pyc"
    }
    requires = re.findall(r"^Requires-Dist: (.+)$", (info / "METADATA").read_text(), re.MULTILINE)
    version = info.name.removesuffix(".dist-info").rpartition("-")[2]
    make_wheel(folder, name.replace("_", "-"), version, files, requires=requires)
    return version


def uses(patient: Patient) -> tuple[bool, str]:
    ended = subprocess.run([str(patient.python), "-B", "-c", USE], capture_output=True, text=True, check=False)
    return ended.returncode == 0, (ended.stdout + ended.stderr).strip()


def test_an_old_hub_beside_the_real_transformers(patient: Patient, torch_env: Path) -> None:
    (library,) = (torch_env / "lib").glob("python3*/site-packages")
    version = wheel_of(library, "huggingface_hub", patient.index.folder)
    patient.make("huggingface-hub", "0.36.2", files={"huggingface_hub/__init__.py": "__version__ = '0.36.2'\n"})
    patient.uv("venv", "--quiet", "--python", str(torch_env / "bin" / "python"), str(patient.env))
    ignored = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(library, patient.library, ignore=ignored, copy_function=link, dirs_exist_ok=True, symlinks=True)
    patient.install("huggingface-hub==0.36.2", "--no-deps")
    works, said = uses(patient)
    assert not works and "huggingface_hub" in said
    before = patient.files()
    (line,) = patient.heal("version-skew")["version-skew"]
    assert (line.outcome, line.reason) == ("fixed", "")
    assert (patient.library / f"huggingface_hub-{version}.dist-info").is_dir()
    works, said = uses(patient)
    assert works and said.startswith("768")
    patient.undo_all()
    assert patient.files() == before
