"""The stages tokenizer, model and generate with the real libraries: sound models pass, each damage is named."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hfdoctor
from hfdoctor.facts.sections.smoke import Deviation, StageRun
from hfdoctor.smoke import run as run_module
from hfdoctor.smoke.plan import Ask
from hfdoctor.smoke.run import Run

pytestmark = [pytest.mark.torch, pytest.mark.allow_subprocess, pytest.mark.slow]

ROOT = Path(hfdoctor.__file__).parent.parent
TINY = ROOT / "hfdoctor" / "smoke" / "tiny"


def change_golden(tiny: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change golden.json in place."""
    held = json.loads((tiny / "golden.json").read_text("utf-8"))
    change(held)
    (tiny / "golden.json").write_text(json.dumps(held), "utf-8")


def change_weights(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change the tensors of a safetensors file, as bytes by name; their shapes stay."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    parts = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        parts[name] = data[8 + length + start : 8 + length + end]
    change(parts)
    place, entries = 0, {"__metadata__": metadata}
    for name, part in parts.items():
        entries[name] = {**header[name], "data_offsets": [place, place + len(part)]}
        place += len(part)
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts.values()))


def one_logit(tiny: Path) -> None:
    def change(golden: dict[str, Any]) -> None:
        golden["logits"]["masked_lm"]["values"][3][5] += 0.25

    change_golden(tiny, change)


def one_token(tiny: Path) -> None:
    def change(golden: dict[str, Any]) -> None:
        golden["generation"]["prompts"][0]["new_ids"][2] = 77
        golden["fill_mask"]["scores"][1] += 0.01

    change_golden(tiny, change)


def half_a_tokenizer(tiny: Path) -> None:
    path = tiny / "encoder" / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:4000])


def other_ids(tiny: Path) -> None:
    path = tiny / "encoder" / "tokenizer.json"
    held = json.loads(path.read_text("utf-8"))
    vocabulary = held["model"]["vocab"]
    vocabulary["a"], vocabulary["e"] = vocabulary["e"], vocabulary["a"]
    path.write_text(json.dumps(held), "utf-8")


def missing_weights(tiny: Path) -> None:
    change_weights(tiny / "encoder" / "model.safetensors", lambda parts: parts.pop("classifier.bias") and None)
    name = "model.layers.1.mlp.up_proj.weight"
    change_weights(tiny / "decoder" / "model.safetensors", lambda parts: parts.pop(name) and None)


def one_weight(tiny: Path) -> None:
    def change(parts: dict[str, bytes]) -> None:
        name = "model.layers.0.self_attn.k_proj.weight"
        parts[name] = struct.pack("<32f", *[3.0] * 32) + parts[name][128:]

    change_weights(tiny / "decoder" / "model.safetensors", change)


def no_number(tiny: Path) -> None:
    def change(parts: dict[str, bytes]) -> None:
        parts["classifier.bias"] = struct.pack("<3f", 0.0, float("nan"), 0.0)

    change_weights(tiny / "encoder" / "model.safetensors", change)


def half_the_weights(tiny: Path) -> None:
    path = tiny / "decoder" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:60000])


#: what is damaged -> the stages that are run on it
CASES: dict[Callable[[Path], None], str] = {
    one_logit: "model",
    one_token: "generate",
    half_a_tokenizer: "tokenizer",
    other_ids: "tokenizer",
    missing_weights: "model",
    one_weight: "tokenizer,model,generate",
    no_number: "model",
    half_the_weights: "model",
}


@pytest.fixture(scope="module")
def answers(torch_env: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """How each stage went on each damaged copy, and on the sound one; from one process."""
    folder = tmp_path_factory.mktemp("tiny")
    arguments = [f"{shutil.copytree(TINY, folder / 'sound')}=tokenizer,model,generate"]
    for damage, stages in CASES.items():
        tiny = shutil.copytree(TINY, folder / damage.__name__)
        damage(tiny)
        arguments.append(f"{tiny}={stages}")
    environ = {
        **os.environ,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(torch_env / "bin" / "python"), "-m", "tests.smoke.first_stages_on", *arguments]
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    result: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return result


def whats(answer: dict[str, Any]) -> list[str]:
    """What deviates."""
    return [deviation["what"] for deviation in answer["deviations"]]


@pytest.mark.parametrize("stage", ["tokenizer", "model", "generate"])
def test_the_sound_models_pass(answers: dict[str, dict[str, Any]], stage: str) -> None:
    answer = answers[f"sound {stage}"]
    assert (answer["error"], answer["message"], answer["deviations"]) == ("", "", [])
    assert answer["facts"]


def test_nothing_is_left_changed_for_later_stages(answers: dict[str, dict[str, Any]]) -> None:
    assert answers["state"]["error"] == "", answers["state"]["message"]


def test_a_wrong_logit_is_named(answers: dict[str, dict[str, Any]]) -> None:
    (deviation,) = answers["one_logit model"]["deviations"]
    recorded = json.loads((TINY / "golden.json").read_text("utf-8"))["logits"]["masked_lm"]
    assert deviation["what"] == "logits of BertForMaskedLM"
    assert (deviation["device"], deviation["dtype"]) == ("cpu", "float32")
    assert deviation["difference"] == pytest.approx(0.25, abs=0.001)
    assert deviation["tolerance"] < 0.001
    assert deviation["at"] == [*recorded["rows"][3], recorded["columns"][5]]
    assert float(deviation["expected"]) - float(deviation["got"]) == pytest.approx(0.25, abs=0.001)


def test_a_wrong_token_and_a_wrong_probability_are_named(answers: dict[str, dict[str, Any]]) -> None:
    answer = answers["one_token generate"]
    assert whats(answer) == [
        "tokens generated in a batch padded left",
        "tokens generated without cache",
        "probabilities that the pipeline fill-mask gave",
    ]
    assert [deviation["at"] for deviation in answer["deviations"]] == [[0, 2], [2], [1]]
    assert answer["deviations"][0]["expected"] == "77"


def test_a_cut_tokenizer_is_an_error_of_the_library(answers: dict[str, dict[str, Any]]) -> None:
    answer = answers["half_a_tokenizer tokenizer"]
    assert answer["error"] not in ("", "KeyError", "AssertionError")
    assert answer["message"]


def test_other_token_ids_are_named(answers: dict[str, dict[str, Any]]) -> None:
    answer = answers["other_ids tokenizer"]
    assert "token ids of text 5" in whats(answer)
    assert "text of the token ids of text 5" in whats(answer)


def test_weights_that_are_missing_are_named(answers: dict[str, dict[str, Any]]) -> None:
    answer = answers["missing_weights model"]
    assert [(deviation["what"], deviation["got"]) for deviation in answer["deviations"]] == [
        ("weights of BertForSequenceClassification that its file lacks", "['classifier.bias']"),
        ("weights of LlamaForCausalLM that its file lacks", "['model.layers.1.mlp.up_proj.weight']"),
    ]


def test_a_changed_weight_changes_logits_and_tokens(answers: dict[str, dict[str, Any]]) -> None:
    assert answers["one_weight tokenizer"]["deviations"] == []
    assert whats(answers["one_weight model"]) == ["logits of LlamaForCausalLM"]
    assert "tokens generated in a batch padded left" in whats(answers["one_weight generate"])


def test_what_is_no_number_is_named(answers: dict[str, dict[str, Any]]) -> None:
    (deviation,) = answers["no_number model"]["deviations"]
    assert (deviation["what"], deviation["got"]) == ("logits of BertForSequenceClassification", "nan")
    assert "difference" not in deviation


def test_cut_weights_are_an_error_of_the_library(answers: dict[str, dict[str, Any]]) -> None:
    assert answers["half_the_weights model"]["error"] == "SafetensorError"


def run_generate(torch_env: Path, folder: Path) -> dict[str, StageRun]:
    """A run as the command makes it."""
    run = Run(Ask(level="generate", device="cpu"), str(torch_env / "bin" / "python"), dict(os.environ), str(folder))
    return {stage.key: stage for stage in run.go(time.monotonic() + 400)}


def test_a_run_in_a_real_environment_passes(torch_env: Path, tmp_path: Path) -> None:
    stages = run_generate(torch_env, tmp_path)
    assert {key: stage.outcome for key, stage in stages.items()} == dict.fromkeys(stages, "pass"), stages
    assert list(stages)[-3:] == ["tokenizer", "model", "generate"]
    assert 0 < float(stages["model"].facts["largest_difference"] or 0) < 0.0001


def test_a_run_reports_a_wrong_number(torch_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = shutil.copytree(TINY, tmp_path / "tiny")
    one_logit(tiny)
    monkeypatch.setattr(run_module, "TINY", str(tiny))
    stages = run_generate(torch_env, tmp_path)
    model = stages["model"]
    assert (model.outcome, model.error) == ("fail", "wrong result")
    (deviation,) = model.deviations
    assert isinstance(deviation, Deviation) and deviation.what == "logits of BertForMaskedLM"
    assert (stages["generate"].outcome, stages["generate"].because) == ("skip", "model failed")
