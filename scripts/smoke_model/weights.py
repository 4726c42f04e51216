"""Random numbers and safetensors files that are the same bytes with every version of everything."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Tensor:
    """A float32 tensor, row by row."""

    shape: tuple[int, ...]
    values: tuple[float, ...]


class Numbers:
    """A stream of random numbers. Only ``random.random()`` is used: Python promises that its sequence never changes."""

    def __init__(self, seed: int) -> None:
        self._next = random.Random(seed).random

    def tensor(self, *shape: int, scale: float, around: float = 0.0) -> Tensor:
        """A bell curve with mean ``around`` and deviation ``scale``: the sum of three uniform numbers."""
        size = 1
        for length in shape:
            size *= length
        uniform = self._next
        # each uniform number has the variance 1/12, so that three and a factor of two make 1
        values = (around + scale * 2.0 * (uniform() + uniform() + uniform() - 1.5) for _ in range(size))
        return Tensor(shape, rounded(values))


def rounded(values: Iterable[float]) -> tuple[float, ...]:
    """As float32 holds them."""
    held = list(values)
    return struct.unpack(f"<{len(held)}f", struct.pack(f"<{len(held)}f", *held))


def safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    """The file: eight bytes that tell the length of the header, the header as JSON, the numbers one after another."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    parts: list[bytes] = []
    place = 0
    for name, tensor in tensors.items():
        part = struct.pack(f"<{len(tensor.values)}f", *tensor.values)
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [place, place + len(part)]}
        parts.append(part)
        place += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of eight
    return struct.pack("<Q", len(text)) + text + b"".join(parts)
