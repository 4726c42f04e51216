"""What is said of versions in real environments, held against pip check and against what the imports really do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hfdoctor.conditions.closure import closure_of
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding
from hfdoctor.facts.collect import collect
from hfdoctor.facts.snapshot import Snapshot
from tests.conditions.installed import JUDGES
from tests.conditions.test_closure import what_pip_says
from tests.real import python_of

pytestmark = [pytest.mark.allow_subprocess, pytest.mark.slow]

#: a release of transformers before huggingface_hub 1.0, so that the newest hub is one that it refuses
TRANSFORMERS = "transformers==4.57.6"


def uv(*words: str) -> subprocess.CompletedProcess[str]:
    own = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")
    program = str(own) if own.exists() else shutil.which("uv")
    if program is None:
        pytest.skip("uv is not there to make environments with")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=600)


def install(prefix: Path, *words: str) -> None:
    done = uv("pip", "install", "-q", "--python", str(python_of(prefix)), *words)
    if done.returncode:
        pytest.skip(f"{' '.join(words)} cannot be installed here: {done.stderr.strip()[-300:]}")


def remove(prefix: Path, *names: str) -> None:
    done = uv("pip", "uninstall", "-q", "--python", str(python_of(prefix)), *names)
    assert done.returncode == 0, done.stderr


def linked_copy(source: Path, target: Path) -> Path:
    """A copy whose files are links to the same content: installers replace files, they do not write into them."""
    shutil.copytree(source, target, symlinks=True, copy_function=_link)
    return target


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def runs(prefix: Path, code: str) -> tuple[bool, str]:
    """Whether the code runs to its end in the environment, and the last line of what it said."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(python_of(prefix)), "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    return done.returncode == 0, (done.stderr.strip().splitlines() or [""])[-1]


def failed_in(prefix: Path, folder: Path) -> list[Finding]:
    """What the judges of versions have to say of an environment."""
    return failed_of(collect(str(prefix), cwd=folder, timeout_s=120))


def failed_of(snapshot: Snapshot) -> list[Finding]:
    report = diagnose(snapshot)
    assert not [finding.evidence for finding in report.findings if finding.outcome == "crash"]
    return [finding for finding in report.failed() if finding.condition in JUDGES]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("real") / "plain"
    done = uv("venv", "-q", "--python", sys.executable, str(prefix))
    assert done.returncode == 0, done.stderr
    # compiled once, and not in each copy: all of pip, and of the rest what an import needs
    install(prefix, "--compile-bytecode", "pip")
    install(prefix, TRANSFORMERS)
    works, said = runs(prefix, "import transformers")
    assert works, said
    return prefix


@pytest.mark.parametrize(
    ("added", "removed", "wanted"),
    [
        ([], [], {}),
        ([], ["hf-xet"], {}),
        (["huggingface_hub==1.5.0"], [], {"version-skew": "error"}),
        (["tokenizers==0.21.4"], [], {"version-skew": "error"}),
        (["huggingface_hub==0.30.2", "tokenizers==0.21.4"], [], {"version-skew": "error"}),
        (["safetensors==0.4.2"], [], {"version-skew": "error"}),
        (["tqdm==4.26.0"], [], {"dependency-conflict": "error"}),
        ([], ["regex"], {"dependency-conflict": "error"}),
        ([], ["numpy"], {"dependency-conflict": "error"}),
        ([], ["urllib3"], {"dependency-conflict": "error"}),
        ([], ["typing-extensions", "filelock"], {"dependency-conflict": "error"}),
        (["accelerate==0.20.0"], [], {"version-skew": "warning", "dependency-conflict": "warning"}),
    ],
    ids=lambda words: "+".join(words) if isinstance(words, list) else "",
)
def test_against_pip_and_the_import(
    plain: Path, tmp_path: Path, added: list[str], removed: list[str], wanted: dict[str, str]
) -> None:
    prefix = linked_copy(plain, tmp_path / "env")
    if added:
        install(prefix, "--no-deps", *added)
    if removed:
        remove(prefix, *removed)
    s = collect(str(prefix), cwd=tmp_path, timeout_s=120)
    found = failed_of(s)
    assert {one.condition: one.severity for one in found} == wanted, [one.summary for one in found]
    works, said = runs(prefix, "import transformers")
    assert works == ("error" not in wanted.values()), said
    broken = closure_of(s, sorted(s.packages.installed())).broken
    assert {(ask.by, ask.name) for ask in broken if not ask.extra} == what_pip_says(str(python_of(prefix)))


def test_the_cure_cures(plain: Path, tmp_path: Path) -> None:
    prefix = linked_copy(plain, tmp_path / "env")
    install(prefix, "--no-deps", "huggingface_hub==1.5.0", "tokenizers==0.21.4")
    remove(prefix, "regex")
    found = failed_in(prefix, tmp_path)
    assert not runs(prefix, "import transformers")[0]
    for argv in {tuple(one.remedy.steps[0].argv) for one in found if one.remedy}:
        assert argv[1:4] == ("-m", "pip", "install")
        done = uv("pip", "install", "-q", "--python", argv[0], *argv[4:])  # pip takes ten times as long for the same
        assert done.returncode == 0, done.stderr
    assert not failed_in(prefix, tmp_path)
    assert runs(prefix, "import transformers")[0]


# -- with torch -------------------------------------------------------------------------------------------------------


@pytest.fixture
def copied(torch_env: Path, tmp_path: Path) -> Path:
    return linked_copy(torch_env, tmp_path / "env")


def version_of(prefix: Path, package: str) -> str:
    code = f"import importlib.metadata as m, json; print(json.dumps(m.version({package!r})))"
    done = subprocess.run([str(python_of(prefix)), "-c", code], capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout))


@pytest.mark.torch
def test_torchvision_for_another_torch(copied: Path, tmp_path: Path) -> None:
    install(copied, "--no-deps", "torchvision==0.22.1", "pillow")
    (found,) = failed_in(copied, tmp_path)
    assert (found.condition, found.severity, found.basis) == ("torch-companion-mismatch", "error", "derived")
    assert not runs(copied, "import torchvision")[0]
    # the reason why this is an error: a text model
    assert not runs(copied, "from transformers import BertModel")[0]


@pytest.mark.torch
def test_torchvision_of_another_build(copied: Path, tmp_path: Path) -> None:
    torch = version_of(copied, "torch")
    if not (sys.platform == "linux" and torch.endswith("+cpu")):
        pytest.skip(f"the index has no torchvision of another build than torch {torch}")
    install(copied, f"torch=={torch}", "torchvision")
    works, said = runs(copied, "import torchvision")
    found = failed_in(copied, tmp_path)
    if works:  # the index gave the right build after all
        assert not found
        return
    assert "torchvision::nms" in said
    assert [(one.condition, one.severity) for one in found] == [("torch-companion-mismatch", "error")]


@pytest.mark.torch
def test_torch_that_transformers_ignores(copied: Path, tmp_path: Path) -> None:
    (metadata,) = copied.rglob("torch-*.dist-info/METADATA")
    text = metadata.read_text("utf-8")
    metadata.unlink()  # a link to the file of the environment that was copied
    metadata.write_text(text.replace(f"\nVersion: {version_of_text(text)}\n", "\nVersion: 1.9.0\n", 1), "utf-8")
    found = {one.condition: one.severity for one in failed_in(copied, tmp_path)}
    found.pop("dependency-conflict", None)  # that accelerate, where it is installed, wants a newer torch
    assert found == {"torch-too-old-for-transformers": "error"}
    works, _ = runs(copied, "from transformers.utils import is_torch_available as a; assert not a()")
    assert works


def version_of_text(metadata: str) -> str:
    return next(line.partition(": ")[2] for line in metadata.splitlines() if line.startswith("Version: "))


@pytest.mark.torch
def test_deep_look_outweighs(copied: Path, tmp_path: Path) -> None:
    """sympy 1.12 is ruled out by torch's metadata, and torch is imported all the same."""
    install(copied, "--no-deps", "sympy==1.12")
    assert [one.severity for one in failed_in(copied, tmp_path)] == ["warning"]
    report = diagnose(collect(str(copied), deep=True, cwd=tmp_path, timeout_s=300))
    assert not [one.summary for one in report.failed() if one.condition in JUDGES]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("gone", "severity"),
    [(["jinja2"], "warning"), (["typer", "rich"], "warning"), (["markupsafe"], "error"), (["sympy"], "error")],
    ids=lambda words: "+".join(words) if isinstance(words, list) else "",
)
def test_what_is_missing_stops_what_it_is_said_to_stop(
    copied: Path, tmp_path: Path, gone: list[str], severity: str
) -> None:
    remove(copied, *gone)
    assert [(one.condition, one.severity) for one in failed_in(copied, tmp_path)] == [("dependency-conflict", severity)]
    works, said = runs(copied, "import torch; torch.ones(2).sum(); from transformers import AutoModel, BertModel")
    assert works == (severity == "warning"), said
