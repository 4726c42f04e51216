"""The stages train and save: sound on real libraries, and not content with what is not."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.facts.sections.smoke import StageRun
from hfdoctor.smoke.child import train
from hfdoctor.smoke.child.teller import Missing, Skip, Stage
from hfdoctor.smoke.plan import Ask, Step
from hfdoctor.smoke.run import Run

CHECKOUT = Path(__file__).resolve().parents[2]
#: seconds: the libraries may come from a cold disk
LONG = 400.0


def python_of(env: Path) -> str:
    return str(env / "Scripts" / "python.exe" if os.name == "nt" else env / "bin" / "python")


def has(env: Path, package: str) -> bool:
    command = [python_of(env), "-c", f"import importlib.util as u; print(u.find_spec({package!r}) is not None)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "True"


def run_stages(env: Path, folder: Path, level: str, keys: list[str], **variables: str) -> dict[str, StageRun]:
    """Run the stages ``keys`` in the target, from ``folder``."""
    run = Run(Ask(level=level), python_of(env), {**os.environ, **variables}, str(folder))
    run._waiting = [Step(key, LONG) for key in keys]
    return {stage.key: stage for stage in run.go(time.monotonic() + LONG)}


def stage_of(level: str, framework: str = "torch") -> Stage:
    return Stage("train", {"level": level, "framework": framework})


# -- without accelerate -----------------------------------------------------------------------------------------------


def test_without_accelerate_training_is_skipped_or_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "installed", lambda package: package != "accelerate")
    with pytest.raises(Skip) as skip:
        train.wanted(stage_of("full"))
    assert str(skip.value) == (
        'accelerate is not installed; transformers\' Trainer needs it: pip install "transformers[torch]"'
    )
    with pytest.raises(Missing) as missing:
        train.wanted(stage_of("train"))
    assert missing.value.package == "accelerate"
    monkeypatch.setattr(train, "installed", lambda package: True)
    train.wanted(stage_of("train"))
    with pytest.raises(Skip, match="tensorflow"):
        train.wanted(stage_of("train", "tensorflow"))


@pytest.mark.torch
@pytest.mark.allow_subprocess
def test_without_accelerate_in_a_real_environment(torch_env: Path, tmp_path: Path) -> None:
    if has(torch_env, "accelerate"):
        pytest.skip("accelerate is installed in this environment")
    stage = run_stages(torch_env, tmp_path, "full", ["train"])["train"]
    assert stage.outcome == "skip" and "accelerate is not installed" in stage.because
    stage = run_stages(torch_env, tmp_path, "train", ["train"])["train"]
    assert (stage.outcome, stage.error) == ("fail", "not installed") and stage.facts["package"] == "accelerate"


# -- with accelerate --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_accelerate(torch_env: Path) -> Path:
    if not has(torch_env, "accelerate"):
        pytest.skip("accelerate is not installed in this environment")
    return torch_env


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.allow_subprocess
def test_both_stages_pass_and_leave_nothing(with_accelerate: Path, tmp_path: Path) -> None:
    # what a launcher of distributed runs left in the shell would make a Trainer wait for others
    left = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9"}
    left |= {"ACCELERATE_MIXED_PRECISION": "bf16", "PMI_SIZE": "2"}
    keys = ["import torch", "import transformers", "train", "save"]
    stages = run_stages(with_accelerate, tmp_path, "full", keys, **left)
    for key in keys:
        assert stages[key].outcome == "pass", (stages[key].error, stages[key].message, stages[key].deviations)
    facts = stages["train"].facts
    assert facts["tensorboard"] is has(with_accelerate, "tensorboard")
    assert facts["largest difference after resuming"] <= train.RESUMED
    assert list(tmp_path.iterdir()) == []
    assert list(Path(os.environ["HOME"]).iterdir()) == []


@pytest.fixture(scope="module")
def cases(with_accelerate: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What training_cases.py tells in one process of the target: case -> deviations and facts."""
    folder = tmp_path_factory.mktemp("cases")
    (folder / "cwd").mkdir()
    (folder / "scratch").mkdir()
    script = Path(__file__).with_name("training_cases.py")
    done = subprocess.run(
        [python_of(with_accelerate), "-B", str(script), str(CHECKOUT), str(folder / "scratch")],
        cwd=folder / "cwd",
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((folder / "cwd").iterdir()) == []
    told = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("CASE ")]
    return {case["case"]: case for case in told}


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.allow_subprocess
class TestCases:
    def test_sound(self, cases: dict[str, dict[str, Any]]) -> None:
        assert cases["sound"]["deviations"] == []
        assert cases["saved"]["deviations"] == []

    def test_the_process_is_as_before(self, cases: dict[str, dict[str, Any]]) -> None:
        assert cases["sound"]["changed"] == []
        assert cases["sound"]["accelerator"] is False
        assert cases["saved"]["changed"] == []

    def test_another_curve_names_step_and_losses(self, cases: dict[str, dict[str, Any]]) -> None:
        golden = json.loads((CHECKOUT / "hfdoctor/smoke/tiny/golden_training.json").read_text("utf-8"))
        (deviation,) = cases["other curve"]["deviations"]
        assert deviation["what"] == "training loss at step 5"
        assert float(deviation["expected"]) == pytest.approx(golden["losses"][4] + 0.01, abs=1e-6)
        assert float(deviation["got"]) == pytest.approx(golden["losses"][4], abs=golden["tolerance"])
        assert deviation["difference"] == pytest.approx(0.01, abs=golden["tolerance"])
        assert deviation["tolerance"] == golden["tolerance"]

    def test_a_loss_that_does_not_fall(self, cases: dict[str, dict[str, Any]]) -> None:
        assert any("does not fall" in deviation["what"] for deviation in cases["no learning"]["deviations"])

    def test_a_resumed_run_that_forgot_its_optimizer(self, cases: dict[str, dict[str, Any]]) -> None:
        said = [deviation["what"] for deviation in cases["forgetful"]["deviations"]]
        assert any(what.startswith("training loss after resuming at step 1") for what in said)
        assert any(what.startswith("parameter ") for what in said)
        assert any(what.startswith("state of the optimizer ") for what in said)

    def test_no_log(self, cases: dict[str, dict[str, Any]]) -> None:
        (deviation,) = cases["no log"]["deviations"]
        assert deviation["got"] == "no event file"

    def test_what_is_not_saved_is_seen(self, cases: dict[str, dict[str, Any]]) -> None:
        said = {deviation["what"]: deviation for deviation in cases["spoiled"]["deviations"]}
        weights = [what for what in said if what.startswith("encoder after save_pretrained and from_pretrained: bert.")]
        assert len(weights) == 1 and said[weights[0]]["difference"] == pytest.approx(0.125)
        assert any("logits" in what for what in said)
        assert any("generation_config.json" in deviation["expected"] for deviation in said.values())


# -- what is recorded -------------------------------------------------------------------------------------------------


def test_the_recorded_run_learns() -> None:
    golden = json.loads((CHECKOUT / "hfdoctor/smoke/tiny/golden_training.json").read_text("utf-8"))
    assert len(golden["losses"]) == golden["recipe"]["steps"]
    assert golden["losses"][-1] < train.FALLS_TO * golden["losses"][0] / 2
    assert [entry["step"] for entry in golden["evaluations"]] == [
        golden["recipe"]["steps"] // 2,
        golden["recipe"]["steps"],
    ]
    # three times the largest difference that was measured, and a third of that of a run without weight decay
    assert 3e-6 < golden["tolerance"] < 8e-5
