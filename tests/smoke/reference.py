"""The two tiny models in plain Python: what their weights come to in exact arithmetic, whatever torch makes of them."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

Row = list[float]


class Weights:
    """A safetensors file: matrices as rows, vectors as one row."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        self.header = json.loads(data[8 : 8 + length])
        self.metadata = self.header.pop("__metadata__")
        self.size = len(data) - 8 - length
        self._numbers = {
            name: struct.unpack(
                f"<{(entry['data_offsets'][1] - entry['data_offsets'][0]) // 4}f",
                data[8 + length + entry["data_offsets"][0] : 8 + length + entry["data_offsets"][1]],
            )
            for name, entry in self.header.items()
        }

    def vector(self, name: str) -> Row:
        """All numbers of the tensor."""
        return list(self._numbers[name])

    def matrix(self, name: str) -> list[Row]:
        """Its rows."""
        width = self.header[name]["shape"][1]
        numbers = self._numbers[name]
        return [list(numbers[place : place + width]) for place in range(0, len(numbers), width)]

    def linear(self, name: str, row: Row) -> Row:
        """A linear layer, with its bias where it has one."""
        bias = self._numbers.get(f"{name}.bias") or [0.0] * len(self.matrix(f"{name}.weight"))
        weight = self.matrix(f"{name}.weight")
        return [dot(line, row) + extra for line, extra in zip(weight, bias, strict=True)]

    def layer_norm(self, name: str, row: Row) -> Row:
        """BERT's normalisation."""
        mean = sum(row) / len(row)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in row) / len(row) + 1e-12)
        scales, shifts = self.vector(f"{name}.weight"), self.vector(f"{name}.bias")
        return [(v - mean) / deviation * scale + shift for v, scale, shift in zip(row, scales, shifts, strict=True)]

    def rms_norm(self, name: str, row: Row) -> Row:
        """Llama's normalisation."""
        size = math.sqrt(sum(value * value for value in row) / len(row) + 1e-6)
        return [value / size * scale for value, scale in zip(row, self.vector(f"{name}.weight"), strict=True)]


def dot(one: Row, other: Row) -> float:
    """The inner product."""
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def plus(*rows: Row) -> Row:
    """The sum of rows."""
    return [sum(values) for values in zip(*rows, strict=True)]


def gelu(value: float) -> float:
    """The exact one, not its approximation by tanh."""
    return value * 0.5 * (1 + math.erf(value / math.sqrt(2)))


def attend(query: Row, keys: list[Row], values: list[Row]) -> Row:
    """One head for one position."""
    scores = [dot(query, key) / math.sqrt(len(query)) for key in keys]
    top = max(scores)
    shares = [math.exp(score - top) for score in scores]
    total = sum(shares)
    return [sum(s * v for s, v in zip(shares, column, strict=True)) / total for column in zip(*values, strict=True)]


def part(row: Row, head: int, width: int) -> Row:
    """What belongs to one head."""
    return row[head * width : (head + 1) * width]


def encoded(weights: Weights, ids: list[int], heads: int, layers: int) -> list[Row]:
    """The last hidden states of the BERT for one text without padding."""
    words, places = (weights.matrix(f"bert.embeddings.{name}_embeddings.weight") for name in ("word", "position"))
    kind = weights.matrix("bert.embeddings.token_type_embeddings.weight")[0]
    states = [
        weights.layer_norm("bert.embeddings.LayerNorm", plus(words[token], places[place], kind))
        for place, token in enumerate(ids)
    ]
    width = len(kind) // heads
    for layer in range(layers):
        name = f"bert.encoder.layer.{layer}"
        query, key, value = (
            [weights.linear(f"{name}.attention.self.{what}", state) for state in states]
            for what in ("query", "key", "value")
        )
        for place, state in enumerate(states):
            mixed = [
                number
                for head in range(heads)
                for number in attend(
                    part(query[place], head, width),
                    [part(row, head, width) for row in key],
                    [part(row, head, width) for row in value],
                )
            ]
            seen = plus(state, weights.linear(f"{name}.attention.output.dense", mixed))
            seen = weights.layer_norm(f"{name}.attention.output.LayerNorm", seen)
            inner = [gelu(number) for number in weights.linear(f"{name}.intermediate.dense", seen)]
            states[place] = weights.layer_norm(
                f"{name}.output.LayerNorm", plus(seen, weights.linear(f"{name}.output.dense", inner))
            )
    return states


def masked_lm(weights: Weights, states: list[Row]) -> list[Row]:
    """The logits of every token at every position."""
    words, bias = weights.matrix("bert.embeddings.word_embeddings.weight"), weights.vector("cls.predictions.bias")
    result = []
    for state in states:
        turned = [gelu(number) for number in weights.linear("cls.predictions.transform.dense", state)]
        turned = weights.layer_norm("cls.predictions.transform.LayerNorm", turned)
        result.append([dot(word, turned) + extra for word, extra in zip(words, bias, strict=True)])
    return result


def classified(weights: Weights, states: list[Row]) -> Row:
    """The logits of the labels."""
    return weights.linear("classifier", [math.tanh(n) for n in weights.linear("bert.pooler.dense", states[0])])


def turned_by_place(row: Row, place: int, width: int, base: float) -> Row:
    """Rotary position embedding of every head in ``row``: number i and number i + width/2 of a head are a point."""
    result = list(row)
    half = width // 2
    for start in range(0, len(row), width):
        for number in range(half):
            angle = place / base ** (2 * number / width)
            x, y = row[start + number], row[start + half + number]
            result[start + number] = x * math.cos(angle) - y * math.sin(angle)
            result[start + half + number] = y * math.cos(angle) + x * math.sin(angle)
    return result


class Decoder:
    """The Llama, one token after another."""

    def __init__(self, weights: Weights, config: dict[str, int]) -> None:
        self.weights, self.config = weights, config
        self.words = weights.matrix("model.embed_tokens.weight")
        self.past: list[list[tuple[Row, Row]]] = [[] for _ in range(config["num_hidden_layers"])]

    def next(self, token: int) -> Row:
        """The logits after ``token``."""
        weights, heads, shared = self.weights, self.config["num_attention_heads"], self.config["num_key_value_heads"]
        width = self.config["hidden_size"] // heads
        state = self.words[token]
        for layer, past in enumerate(self.past):
            name = f"model.layers.{layer}"
            calm = weights.rms_norm(f"{name}.input_layernorm", state)
            query, key, value = (weights.linear(f"{name}.self_attn.{what}_proj", calm) for what in "qkv")
            place = len(past)
            query, key = (turned_by_place(row, place, width, self.config["rope_theta"]) for row in (query, key))
            past.append((key, value))
            mixed: Row = []
            for head in range(heads):
                its = head // (heads // shared)
                keys, values = ([part(pair[which], its, width) for pair in past] for which in (0, 1))
                mixed += attend(part(query, head, width), keys, values)
            state = plus(state, weights.linear(f"{name}.self_attn.o_proj", mixed))
            calm = weights.rms_norm(f"{name}.post_attention_layernorm", state)
            gate, up = (weights.linear(f"{name}.mlp.{what}_proj", calm) for what in ("gate", "up"))
            inner = [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up, strict=True)]
            state = plus(state, weights.linear(f"{name}.mlp.down_proj", inner))
        state = weights.rms_norm("model.norm", state)
        return [dot(word, state) for word in self.words]
