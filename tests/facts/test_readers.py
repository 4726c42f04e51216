"""Descriptions of invented machines in the formats that people paste, of several ages and in several states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.facts.readers import read_bytes, read_text
from hfdoctor.facts.snapshot import Snapshot, SnapshotError, dump, load

SAMPLES = Path(__file__).parent / "samples"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.txt"))


def told(s: Snapshot) -> dict[str, Any]:
    """Everything that a snapshot knows, in few words; ``failed`` names what it could not make sense of."""
    os, python = s.machine.os.maybe(), s.target.interpreter.maybe()
    build, driver, word = s.packages.torch_build.maybe(), s.gpu.driver.maybe(), s.gpu.torch.maybe()
    found: dict[str, Any] = {"described": s.described}
    if os:
        found["os"] = [os.system, os.name, os.version, os.build]
    for name in ("architecture", "wsl", "container"):
        value = getattr(s.machine, name).maybe()
        if value:
            found[name] = value
    libc, cpu = s.machine.libc.maybe(), s.machine.cpu.maybe()
    if libc:
        found["libc"] = f"{libc.family} {libc.version}"
    if cpu:
        found["cpu"] = [cpu.model, cpu.count]
    if python:
        found["python"] = [python.version, python.bits, python.platform]
    if build:
        found["torch"] = {"version": build.version, "cuda": build.cuda, "hip": build.hip, "xpu": build.xpu}
    if driver:
        found["driver"] = [driver.version, driver.cuda, driver.numbering]
    found["devices"] = [
        {
            name: getattr(one, name)
            for name in ("vendor", "name", "capability", "memory_total", "uuid", "address", "mig", "mig_slices")
            if getattr(one, name)
        }
        for one in s.gpu.devices.maybe() or []
    ]
    if word:
        said = {"cuda": word.cuda, "mps": word.mps, "xpu": word.xpu, "arch_list": word.arch_list}
        found["says"] = {key: value for key, value in said.items() if value not in (None, [])}
        found["messages"] = [text[:60] for text in word.messages]
    if s.gpu.nvml.known:
        found["nvml"] = s.gpu.nvml.need().answer
    for name in ("jetson", "container_gpu"):
        if getattr(s.gpu, name).known:
            found[name] = getattr(s.gpu, name).value
    if s.gpu.rocm.known:
        rocm = s.gpu.rocm.need()
        found["rocm"] = [rocm.version, rocm.targets]
    if s.gpu.processes.known:
        found["processes"] = [[one.device, one.pid, one.name, one.memory] for one in s.gpu.processes.need()]
    found["packages"] = [
        f"{entry.name} {entry.version}" + (" (of another Python)" if entry.shadowed else "")
        for entry in s.packages.distributions.maybe() or []
    ]
    if s.settings.variables.known:
        found["variables"] = {one.name: one.value for one in s.settings.variables.need()}
    found["failed"] = {path: fact.reason for path, fact in s.facts() if fact.status == "failed"}
    found["absent"] = [path for path, fact in s.facts() if fact.absent]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_sample(name: str) -> None:
    snapshot = read_bytes((SAMPLES / f"{name}.txt").read_bytes())
    assert told(snapshot) == json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_said_is_not_known(name: str) -> None:
    snapshot = read_bytes((SAMPLES / f"{name}.txt").read_bytes())
    for path, fact in snapshot.facts():
        assert fact.status in ("known", "absent", "failed", "not-run"), path
        assert fact.known or fact.reason, f"{path} has no reason"
        if fact.known:
            assert fact.source.startswith("the text"), path
    for path in ("storage.places", "hub.cache", "network.proxies", "target.chosen", "native.gpu_code", "gpu.nvml"):
        section, _, field = path.partition(".")
        fact = getattr(getattr(snapshot, section), field, None)
        if fact is not None and not fact.known:
            assert (fact.status, fact.reason) == ("not-run", "the text does not say")


@pytest.mark.parametrize("name", NAMES)
def test_the_snapshot_survives_writing_and_judging(name: str) -> None:
    snapshot = read_bytes((SAMPLES / f"{name}.txt").read_bytes())
    assert dump(snapshot).isascii()
    assert load(dump(snapshot)) == snapshot
    report = diagnose(snapshot)
    assert not [finding.condition for finding in report.findings if finding.outcome == "crash"]
    assert report.target.python is None and report.target.chosen_because


def test_there_are_samples_of_every_format() -> None:
    assert len(NAMES) >= 25
    formats = {name for sample in NAMES for name in json.loads((SAMPLES / f"{sample}.json").read_text())["described"]}
    assert formats >= {
        "torch collect_env", "vLLM collect_env", "SGLang check_env", "transformers env", "accelerate env",
        "diffusers env", "huggingface_hub env", "nvidia-smi", "nvidia-smi -q", "nvidia-smi --query-gpu", "pip list",
        "pip freeze", "pip show", "conda list", "torch's own messages", "answers at Python's prompt",
    }  # fmt: skip


def test_secrets_do_not_enter_a_snapshot() -> None:
    for name in ("vllm-coloured-log", "collect-env-wsl-docker-log"):
        written = dump(read_bytes((SAMPLES / f"{name}.txt").read_bytes()))
        assert b"do-not-show-this" not in written and b"hf_abcdefghij" not in written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "hello",
        "{}",
        "[1, 2]",
        "a: b\nc: d",
        "Traceback (most recent call last):\nValueError: no",
        "\x00\x01",
    ],
)
def test_what_is_no_description_is_one_line(text: str) -> None:
    with pytest.raises(SnapshotError) as caught:
        read_text(text)
    assert "\n" not in str(caught.value) and "collect_env" in str(caught.value)


def test_mutilated_copies_say_the_same() -> None:
    """Quoted, in HTML, as a JSON string and in UTF-16, a description is what it was."""
    whole = told(read_bytes((SAMPLES / "collect-env-2.14.txt").read_bytes()))
    for name in ("quoted", "html", "json", "powershell"):
        assert told(read_bytes((SAMPLES / f"collect-env-2.14-{name}.txt").read_bytes())) == whole, name


@pytest.mark.parametrize("words", ["Yes", "no", "not detected", "none found", "N/A", "0", "isn't used, RTX 3060 broke"])
def test_words_that_are_no_gpu(words: str) -> None:
    snapshot = read_text(f"PyTorch version: 2.9.0+cpu\nGPU: {words}\n")
    assert not snapshot.gpu.devices.known


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("RTX 3060", ["RTX 3060"]),
        ("4x A100", ["A100"] * 4),
        ("2xH100 80GB", ["H100 80GB"] * 2),
        ("NVIDIA RTX A6000 x 2", ["NVIDIA RTX A6000"] * 2),
        ("GPU 0: GeForce MX450", ["GeForce MX450"]),
        ("AMD Radeon RX 6700 XT (gfx1031)", ["AMD Radeon RX 6700 XT"]),
    ],
)
def test_words_that_are_gpus(words: str, names: list[str]) -> None:
    snapshot = read_text(f"PyTorch version: 2.9.0+cpu\nGPU: {words}\n")
    assert [one.name for one in snapshot.gpu.devices.need()] == names
