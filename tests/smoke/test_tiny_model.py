"""The tiny models and what is recorded of them, without torch: same bytes as made, numbers that arithmetic confirms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hfdoctor
from scripts.smoke_model import bpe, models, weights

from . import reference

TINY = Path(hfdoctor.__file__).parent / "smoke" / "tiny"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    result: dict[str, Any] = json.loads((TINY / "golden.json").read_text("utf-8"))
    return result


@pytest.fixture(scope="module")
def encoder() -> reference.Weights:
    return reference.Weights(TINY / "encoder" / "model.safetensors")


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    result: dict[str, Any] = json.loads((TINY / "decoder" / "config.json").read_text("utf-8"))
    return result


def real_rows(golden: dict[str, Any]) -> list[list[int]]:
    """The token ids of the recorded input without its padding."""
    inputs = golden["inputs"]
    return [
        [token for token, on in zip(ids, mask, strict=True) if on]
        for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    ]


def off(recorded: dict[str, Any], logits: dict[tuple[int, ...], list[float]]) -> float:
    """The largest difference between what is recorded and ``logits``, by row; all recorded rows are looked at."""
    assert {tuple(row) for row in recorded["rows"]} == set(logits)
    largest = 0.0
    for row, values, length in zip(recorded["rows"], recorded["values"], recorded["lengths"], strict=True):
        numbers = logits[tuple(row)]
        assert len(numbers) == recorded["shape"][-1]
        chosen = [numbers[column] for column in recorded["columns"]]
        largest = max(largest, *(abs(a - b) for a, b in zip(values, chosen, strict=True)))
        largest = max(largest, abs(length - reference.dot(numbers, numbers) ** 0.5))
    return largest


def test_the_files_are_what_the_script_makes() -> None:
    made = models.model_files()
    shipped = {path.relative_to(TINY).as_posix() for path in TINY.glob("*/*")}
    assert shipped == set(made)
    for name, content in made.items():
        assert (TINY / name).read_bytes().replace(b"\r\n", b"\n") == content.replace(b"\r\n", b"\n"), name


def test_another_seed_makes_other_weights() -> None:
    one, other = (weights.Numbers(seed).tensor(3, 4, scale=1.0).values for seed in (1, 2))
    assert one != other
    assert one == weights.Numbers(1).tensor(3, 4, scale=1.0).values
    assert len(set(one)) == 12


def test_everything_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in TINY.rglob("*") if path.is_file()}
    total = sum(path.stat().st_size for path in TINY.rglob("*") if path.is_file())
    assert total < 400_000, sizes


def test_the_safetensors_files_are_whole(encoder: reference.Weights) -> None:
    for held in (encoder, reference.Weights(TINY / "decoder" / "model.safetensors")):
        assert held.metadata == {"format": "pt"}
        end = 0
        for name, entry in held.header.items():
            assert entry["dtype"] == "F32"
            size = 4
            for length in entry["shape"]:
                size *= length
            assert entry["data_offsets"] == [end, end + size], name
            end += size
        assert end == held.size


def test_what_made_the_recorded_numbers_is_said(golden: dict[str, Any]) -> None:
    assert set(golden["made"]) >= {"on", "python", "torch", "transformers", "tokenizers"}
    assert golden["tolerances"]["about"]
    assert 0 < golden["tolerances"]["float32"] < 0.001
    assert set(golden["logits"]) == {"masked_lm", "classifier", "causal_lm"}
    assert any(0 in mask for mask in golden["inputs"]["attention_mask"]), "no padding is tried"
    for recorded in golden["logits"].values():
        assert recorded["rows"] and len(recorded["columns"]) >= 3


def test_the_recorded_logits_of_the_encoder_are_those_of_its_weights(
    golden: dict[str, Any], encoder: reference.Weights
) -> None:
    filled: dict[tuple[int, ...], list[float]] = {}
    labels: dict[tuple[int, ...], list[float]] = {}
    for row, ids in enumerate(real_rows(golden)):
        states = reference.encoded(encoder, ids, models.HEADS, models.LAYERS)
        filled |= {(row, place): logits for place, logits in enumerate(reference.masked_lm(encoder, states))}
        labels[(row,)] = reference.classified(encoder, states)
    assert off(golden["logits"]["masked_lm"], filled) < 3e-5
    assert off(golden["logits"]["classifier"], labels) < 3e-5


def test_the_recorded_logits_of_the_decoder_are_those_of_its_weights(
    golden: dict[str, Any], config: dict[str, Any]
) -> None:
    held = reference.Weights(TINY / "decoder" / "model.safetensors")
    logits: dict[tuple[int, ...], list[float]] = {}
    for row, ids in enumerate(real_rows(golden)):
        decoder = reference.Decoder(held, config)
        logits |= {(row, place): decoder.next(token) for place, token in enumerate(ids)}
    assert off(golden["logits"]["causal_lm"], logits) < 3e-5


def test_the_recorded_continuation_is_greedy_and_clear(golden: dict[str, Any], config: dict[str, Any]) -> None:
    held = reference.Weights(TINY / "decoder" / "model.safetensors")
    smallest = 99.0
    for prompt in golden["generation"]["prompts"]:
        decoder = reference.Decoder(held, config)
        for token in prompt["ids"]:
            logits = decoder.next(token)
        for token in prompt["new_ids"]:
            first, second = sorted(logits, reverse=True)[:2]
            assert logits.index(first) == token
            smallest = min(smallest, first - second)
            logits = decoder.next(token)
    assert smallest == pytest.approx(golden["generation"]["smallest_margin"], abs=1e-4)
    assert smallest > 0.3


def test_the_recorded_tokens_are_the_recorded_texts(golden: dict[str, Any]) -> None:
    import unicodedata

    recorded = golden["tokenizer"]
    tokens = list(json.loads((TINY / "encoder" / "tokenizer.json").read_text("utf-8"))["model"]["vocab"])
    bytes_of = {letter: byte for byte, letter in bpe.byte_letters().items()}
    assert len(tokens) == recorded["vocabulary"] == 512
    for one in recorded["texts"]:
        whole = bytearray()
        for token, special in zip(one["ids"], one["special"], strict=True):
            assert not special or token < len(bpe.SPECIAL)
            name = tokens[token]
            whole += name.encode() if name in bpe.SPECIAL else bytes(bytes_of[letter] for letter in name)
        assert whole.decode() == one["decoded_whole"]
        assert one["decoded_whole"] == "<s>" + unicodedata.normalize("NFC", one["text"]) + "</s>"
        if one["text"].isascii() and "<" not in one["text"]:
            spans = [span for span, special in zip(one["offsets"], one["special"], strict=True) if not special]
            assert "".join(one["text"][start:end] for start, end in spans) == one["text"]
    korean = [one for one in recorded["texts"] if any("가" <= letter <= "힣" for letter in one["text"])]
    assert korean and "" in [one["text"] for one in recorded["texts"]]
