"""``--framework``: what transformers 5 says of TensorFlow and JAX. With transformers 4 it was tried by hand: each of
the frameworks takes gigabytes, and minutes to compile.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hfdoctor.smoke.plan import DEADLINES_S, Ask, first_steps

pytestmark = pytest.mark.allow_subprocess
ROOT = Path(__file__).parent.parent.parent
CODE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from hfdoctor.__main__ import main; main()"
#: enough of both to be imported and used once
JAX = "__version__ = '0.10.2'\nclass numpy:\n    class zeros:\n        def __init__(self, n): pass\n"
JAX += "        def sum(self): return self\n        def item(self): return 0.0\n"
FLAX = "__version__ = '0.12.8'\nlinen = object\n"


def smoke(env: Path, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the folder ``work``, which a script there would have on its path, too."""
    return subprocess.run(
        [sys.executable, "-c", CODE, "smoke", "--python", str(env), "--level", "generate", *arguments],
        capture_output=True,
        text=True,
        cwd=work,
        env=dict(os.environ),
        check=False,
        timeout=300,
    )


@pytest.mark.torch
def test_transformers_5_has_dropped_jax(torch_env: Path, tmp_path: Path) -> None:
    for name, code in (("jax", JAX), ("flax", FLAX)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
    done = smoke(torch_env, tmp_path, "--framework", "jax")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "pass     import flax" in done.stdout and "pass     tokenizer" in done.stdout
    assert "framework-dropped" in done.stdout and "works with PyTorch only" in done.stdout
    assert "skip     generate" in done.stdout and "smoke-failed" not in done.stdout


def test_what_is_asked_for_is_not_installed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    done = smoke(tmp_path / "env", tmp_path, "--framework", "tensorflow")
    assert done.returncode == 1
    assert "transformers and tensorflow cannot be run here" in done.stdout and "import torch" not in done.stdout


def test_they_have_more_time_for_they_compile() -> None:
    steps = {step.key: step.deadline_s for step in first_steps(Ask(framework="tensorflow"))}
    assert steps["model"] > DEADLINES_S["model"]
    assert {step.deadline_s for step in first_steps(Ask(framework="jax", stage_timeout_s=7.0))} == {7.0}
