"""A Python that the system manages: an environment is made beside it, with what was asked for, and taken back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hfdoctor.facts.fact import absent
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.install.torch_build import TorchBuild, torch_build

from .managed_python import managed_python
from .patient import Patient, patient
from .tree_states import tree_state

__all__ = ["patient"]
pytestmark = [
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(sys.platform != "linux", reason="it is systems like Debian that manage their Python"),
]


def without_gpu(snapshot: Snapshot) -> None:
    snapshot.gpu.devices = absent("none")


def test_an_environment_beside_the_systems_python(patient: Patient) -> None:
    """Nothing that computes but the processor: torch comes from PyTorch's index, the rest from the person's own."""
    python = managed_python(patient.folder / "usr")
    patient.besides = without_gpu
    patient.target = str(python)
    build = torch_build(patient.look()[0])
    assert isinstance(build, TorchBuild)
    patient.make("tokenizers", "0.23.0")
    patient.transformers("5.23.0", "tokenizers")
    patient.torch(build.release)
    patient.torch(f"{build.release}+cpu")
    (finding,) = (one for one in patient.failed() if one.condition == "externally-managed")
    assert "transformers and torch" in finding.summary
    before = tree_state(patient.folder / "usr")
    (line,) = patient.heal("externally-managed")["externally-managed"]
    assert (line.outcome, line.reason) == ("fixed", "")
    made = patient.folder / "project" / ".venv"
    assert any(str(made) in words for words in line.still_to_do)
    seen = subprocess.run(
        [str(made / "bin" / "python"), "-c", "import transformers, torch; print(torch.__version__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout.strip() == f"{build.release}+cpu"
    assert "/whl/cpu/torch/" in patient.index.asked
    patient.undo_all()
    assert not made.exists()
    assert tree_state(patient.folder / "usr") == before
