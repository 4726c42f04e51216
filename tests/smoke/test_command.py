"""``hfdoctor smoke`` as a person calls it: what it says, where, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest

from hfdoctor.smoke.model_folder import trouble_with
from hfdoctor.smoke.plan import Ask, first_steps, obstacle
from tests.smoke.made import make

pytestmark = pytest.mark.allow_subprocess
ROOT = Path(__file__).parent.parent.parent
CODE = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from hfdoctor.__main__ import main; main()"
SCHEMA = ROOT / "hfdoctor" / "reports" / "schemas" / "report-1.schema.json"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An interpreter of an environment without packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    return tmp_path / "env"


def smoke(env: Path, *arguments: str, command: str = "smoke", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command on the environment."""
    environment = {**os.environ, **environ}
    work = env.parent / "work"
    work.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", CODE, command, "--python", str(env), *arguments],
        capture_output=True,
        text=True,
        encoding=environ.get("PYTHONIOENCODING", "utf-8").partition(":")[0],
        cwd=work,
        env=environment,
        check=False,
        timeout=120,
    )


def test_what_passes_is_shown_stage_by_stage(bare: Path, tmp_path: Path) -> None:
    make(bare)
    done = smoke(bare, "--level", "import")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Inspecting ") and lines[0].endswith("given by --python") and lines[1] == ""
    assert [line.split()[:3] for line in lines[2:7]] == [
        ["pass", "import", name] for name in ("numpy", "safetensors", "tokenizers", "torch", "transformers")
    ]
    assert all(len(line) <= 80 for line in lines[1:])
    assert lines[7] == "" and "No findings." in lines[-1]
    assert not done.stderr


def test_what_fails_is_a_finding_and_exits_with_1(bare: Path, tmp_path: Path) -> None:
    make(bare, {"torch": "raise ImportError('no luck with this one')\n"})
    done = smoke(bare, "--level", "generate")
    assert done.returncode == 1
    assert "fail     import torch" in done.stdout and "ImportError: no luck with this one" in done.stdout
    for stage in ("import transformers", "tokenizer", "model", "generate"):
        assert f"skip     {stage}" in done.stdout
    assert "import torch failed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_what_is_not_installed_comes_with_its_command(bare: Path, tmp_path: Path) -> None:
    make(bare, {"torch": None})
    done = smoke(bare)
    assert done.returncode == 1
    assert "not-installed" in done.stdout and "torch cannot be run here" in done.stdout
    command = next(line for line in done.stdout.splitlines() if line.strip().startswith("next:"))
    assert command.split() == ["next:", "hfdoctor", "fix", "not-installed", "--python", str(bare), "--smoke", "full"]
    shown = smoke(bare, "-v").stdout
    assert str(bare) in shown[shown.index("install torch") :]


def test_json_is_alone_on_standard_output_and_fits_its_schema(bare: Path, tmp_path: Path) -> None:
    make(bare, {"tokenizers": "import os\nos._exit(7)\n"})
    done = smoke(bare, "--level", "tokenizer", "--format", "json", "--with-facts")
    report = json.loads(done.stdout)
    jsonschema.validate(report, json.loads(SCHEMA.read_text("utf-8")))
    assert done.returncode == report["exit_code"] == 1
    stages = {f"{stage['name']} {stage.get('subject', '')}".strip(): stage for stage in report["stages"]}
    assert stages["import tokenizers"]["error"] == "exit 7"
    assert stages["import torch"].get("outcome", "pass") == "pass", "a fresh process goes on after a death"
    assert stages["tokenizer"]["because"] == "import tokenizers failed"
    assert [line.split()[0] for line in done.stderr.splitlines()].count("fail") == 1
    # the facts alone give the same report on any other machine
    (tmp_path / "facts.json").write_text(done.stdout, "utf-8")
    again = subprocess.run(
        [sys.executable, "-c", CODE, "check", "--snapshot", str(tmp_path / "facts.json"), "--format", "json"],
        capture_output=True,
        check=False,
    )
    replayed = json.loads(again.stdout)
    assert replayed["stages"] == report["stages"]
    assert {**replayed, "snapshot": 0} == {**report, "snapshot": 0}


def test_output_goes_to_the_file_and_stages_to_standard_error(bare: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.txt"
    make(bare)
    done = smoke(bare, "--level", "import", "--output", str(out))
    assert done.returncode == 0 and not done.stdout
    assert "pass     import torch" in done.stderr and "pass     import torch" in out.read_text("utf-8")


def test_masked_reports_are_masked_from_the_first_line_on(bare: Path, tmp_path: Path) -> None:
    make(bare)
    done = smoke(bare, "--level", "import", "--anonymise", USER=tmp_path.name)
    assert done.returncode == 0
    assert done.stdout.startswith("Inspecting ") and tmp_path.name not in done.stdout.splitlines()[0]


@pytest.mark.parametrize("encoding", ["cp1252", "cp949"])
def test_any_terminal(bare: Path, tmp_path: Path, encoding: str) -> None:
    make(bare, {"torch": "raise ImportError('\\uac80\\uc0ac \\u2713 caf\\u00e9')\n"})
    done = smoke(bare, "--level", "import", PYTHONIOENCODING=encoding)
    assert done.returncode == 1 and "ImportError" in done.stdout and not done.stderr


def test_check_takes_the_run_in(bare: Path, tmp_path: Path) -> None:
    make(bare, {"transformers": "raise RuntimeError('nothing works today')\n"})
    done = smoke(bare, "--smoke=import", "--format", "json", command="check")
    report = json.loads(done.stdout)
    assert done.returncode == 1 and len(report["findings"]) > 50
    failed = [stage for stage in report["stages"] if stage.get("outcome") == "fail"]
    assert [stage["subject"] for stage in failed] == ["transformers"]
    plain = smoke(bare, "--format", "json", command="check")
    assert "stages" not in json.loads(plain.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "cpuu"], "'cpuu' is none of auto, cpu, cuda"),
        (["--device", "cuda:"], "'cuda:' is none of"),
        (["--level", "everything"], "'everything' is not one of"),
        (["--framework", "mxnet"], "'mxnet' is not one of"),
        (["--hub-model", "a/b"], "needs --online"),
        (["--level", "import", "--device", "cuda"], "go up to model at least"),
        (["--framework", "jax", "--device", "cuda"], "is for PyTorch"),
        (["--local-model", "/nowhere/at/all"], "there is no folder /nowhere/at/all"),
        (["--with-facts"], "--with-facts needs --format json"),
        (["--select", "smoke-fails"], "did you mean 'smoke-failed'"),
        (["--stage-timeout", "0"], "0.1"),
    ],
)
def test_wrong_usage_is_one_line_and_2(bare: Path, arguments: list[str], said: str) -> None:
    done = smoke(bare, *arguments)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.splitlines()) == 1 and not done.stdout


def test_a_python_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    done = smoke(tmp_path / "env")
    assert done.returncode == 2 and done.stderr.startswith("hfdoctor: --python: ")


def test_a_target_that_does_not_start(bare: Path, tmp_path: Path) -> None:
    (make(bare) / "sitecustomize.py").write_text("import os; os._exit(9)\n")
    done = smoke(bare, "--level", "import")
    assert done.returncode == 1
    assert "python-does-not-start" in done.stdout or "python-settings" in done.stdout


def test_interrupted_it_leaves_nothing(bare: Path, tmp_path: Path) -> None:
    make(bare, {"torch": "import time\ntime.sleep(600)\n"})
    temp = Path(tempfile.mkdtemp())  # a short path: below a long one no sockets can be made, and /tmp is taken
    child = subprocess.Popen(
        [sys.executable, "-c", CODE, "smoke", "--python", str(bare)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temp)},
        cwd=tmp_path,
    )
    until = time.monotonic() + 60
    while not any("tokenizers" in line for line in _lines(child)) and time.monotonic() < until:
        pass
    family = psutil.Process(child.pid).children(recursive=True)
    assert family and list(temp.iterdir())
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 130 and errors.decode().strip() == "interrupted"
    psutil.wait_procs(family, timeout=5)
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    temp.rmdir()


def _lines(child: subprocess.Popen[bytes]) -> list[str]:
    assert child.stdout is not None
    return [child.stdout.readline().decode()]


# -- what is asked and what follows -----------------------------------------------------------------------------------


def keys(**ask: Any) -> list[str]:
    return [step.key for step in first_steps(Ask(**ask))]


def test_each_level_holds_those_before_it() -> None:
    imports = [f"import {name}" for name in ("numpy", "safetensors", "tokenizers", "torch", "transformers")]
    assert keys(level="import") == imports
    assert keys(level="generate") == [*imports, "tokenizer", "model", "generate"]
    assert keys() == [*imports, "tokenizer", "model", "generate", "train", "save", "device", "compile"]
    assert keys(level="model", device="cuda:1")[-1] == "device"
    assert "device" not in keys(device="cpu")
    assert keys(level="import", online=True)[-1] == "hub"
    assert keys(level="import", local_model="/m")[-1] == "local"
    assert keys(level="full", framework="jax")[3:] == [
        "import jax",
        "import flax",
        "import transformers",
        "tokenizer",
        "model",
        "generate",
    ]


def test_a_package_says_itself_what_it_lacks() -> None:
    from hfdoctor.facts.sections.smoke import StageRun

    steps = {step.key: step for step in first_steps(Ask())}
    gone = StageRun("import", "numpy", "fail", error="not installed")
    dead = StageRun("import", "torch", "fail", error="signal SIGSEGV")
    assert obstacle(steps["import transformers"], [gone]) == ""
    assert obstacle(steps["import transformers"], [dead]) == "import torch"
    assert obstacle(steps["model"], [gone, dead]) == "import torch"
    assert obstacle(steps["train"], [StageRun("generate", outcome="fail", error="ValueError")]) == ""


# -- model folders ----------------------------------------------------------------------------------------------------


def test_what_a_folder_lacks(tmp_path: Path) -> None:
    assert "there is no folder" in trouble_with(str(tmp_path / "no"))
    (tmp_path / "file").write_text("x")
    assert "is a file" in trouble_with(str(tmp_path / "file"))
    folder = tmp_path / "m"
    folder.mkdir()
    assert "config.json and a file of weights (model.safetensors) missing; it holds nothing" in trouble_with(
        str(folder)
    )
    (folder / "adapter_config.json").write_text("{}")
    assert "adapter" in trouble_with(str(folder))
    (folder / "config.json").write_text("{}")
    assert "a file of weights" in trouble_with(str(folder)) and "config.json and" not in trouble_with(str(folder))
    (folder / "model.safetensors").write_bytes(b"")
    assert trouble_with(str(folder)) == ""
    repo = tmp_path / "models--a--b"
    (repo / "snapshots").mkdir(parents=True)
    (repo / "blobs").mkdir()
    assert "hub cache" in trouble_with(str(repo))
