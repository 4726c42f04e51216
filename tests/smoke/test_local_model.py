"""The stage ``local``: the person's own model folder, sound and damaged in the usual ways."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.conditions.seen_signs import condition_for

ROOT = Path(__file__).parent.parent.parent
TINY = ROOT / "hfdoctor" / "smoke" / "tiny"
pytestmark = [pytest.mark.allow_subprocess, pytest.mark.torch]

#: runs in the target: the stage on each folder, one answer a line
CHILD = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from hfdoctor.smoke.child import local_model
from hfdoctor.smoke.child.teller import Stage, described
for folder in sys.argv[2:]:
    stage = Stage("local", {"local_model": folder, "device": "auto", "scratch": os.environ["TMPDIR"]})
    try:
        local_model.run(stage)
        answer = {"outcome": "pass"}
    except BaseException as error:
        answer = described(error)
    print("=" + json.dumps({**answer, "facts": stage.facts, "deviations": stage.deviations}))
"""


def run(env: Path, tmp_path: Path, folders: list[Path]) -> list[dict[str, Any]]:
    """The answers of the stage, all in one process: importing the libraries takes longest."""
    done = subprocess.run(
        [str(env / "bin" / "python"), "-B", "-c", CHILD, str(ROOT), *(str(folder) for folder in folders)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TMPDIR": str(tmp_path)},
        check=False,
        timeout=300,
    )
    answers = [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith("=")]
    assert len(answers) == len(folders), done.stderr
    return answers


def copy(tmp_path: Path, name: str, of: str = "decoder") -> Path:
    shutil.copytree(TINY / of, tmp_path / name)
    return tmp_path / name


def rewrite(folder: Path, keep: Any) -> None:
    """Write the weights again with those alone that ``keep`` says, by their names."""
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    body, place = b"", 0
    kept = {}
    for key, entry in header.items():
        if key == "__metadata__":
            kept[key] = entry
        elif keep(key):
            begin, end = entry["data_offsets"]
            body += data[8 + length + begin : 8 + length + end]
            kept[key] = {**entry, "data_offsets": [place, place + end - begin]}
            place += end - begin
    text = json.dumps(kept).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + body)


def test_folders_sound_and_damaged(torch_env: Path, tmp_path: Path) -> None:
    sound, cut, pointer = (copy(tmp_path, name) for name in ("sound", "cut", "pointer"))
    encoder = copy(tmp_path, "encoder", "encoder")
    weights = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    (pointer / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    lacking = copy(tmp_path, "lacking")
    rewrite(lacking, lambda key: "layers.0.mlp" not in key)
    shards = copy(tmp_path, "shards")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (shards / "model.safetensors").rename(shards / names["a"])
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    newer = copy(tmp_path, "newer")
    config = json.loads((newer / "config.json").read_text("utf-8"))
    (newer / "config.json").write_text(json.dumps({**config, "model_type": "llama99", "architectures": ["Llama99"]}))
    garbled = copy(tmp_path, "garbled")
    (garbled / "config.json").write_text('{"model_type": "llama",')
    own_code = copy(tmp_path, "own-code")
    (own_code / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "evil.Model"}}))
    (own_code / "evil.py").write_text("raise SystemExit('ran')\n")
    broken = copy(tmp_path, "broken")
    data = bytearray((broken / "model.safetensors").read_bytes())
    data[-4096:] = b"\xff\xff\xff\x7f" * 1024  # NaN in float32
    (broken / "model.safetensors").write_bytes(data)
    folders = [sound, encoder, cut, pointer, lacking, shards, newer, garbled, own_code, broken]
    answers = dict(zip([folder.name for folder in folders], run(torch_env, tmp_path, folders), strict=True))
    assert answers["sound"]["outcome"] == "pass" and answers["sound"]["facts"]["class"] == "LlamaForCausalLM"
    assert answers["sound"]["facts"]["generated_tokens"] > 0 and answers["sound"]["facts"]["dtype"] == "float32"
    assert answers["encoder"]["outcome"] == "pass"
    wanted = {
        "cut": ("cache-corrupt", f"ends after {len(weights) // 2} of {len(weights)} bytes"),
        "pointer": ("git-lfs-pointer", "model.safetensors is a Git LFS pointer"),
        "lacking": ("cache-corrupt", "layers.0.mlp"),
        "shards": ("cache-corrupt", "model-00002-of-00002.safetensors is missing"),
        "newer": ("model-type-unknown", "llama99"),
        "garbled": ("cache-corrupt", "config.json is no JSON"),
    }
    for name, (condition, words) in wanted.items():
        answer = answers[name]
        assert words in answer["message"], (name, answer)
        assert condition_for(answer["error"], answer["message"], [], "local") == condition, name
    assert answers["own-code"]["error"] == "Skip" and "auto_map" in answers["own-code"]["message"]
    assert [one["got"] for one in answers["broken"]["deviations"]] == ["NaN or infinity"]
