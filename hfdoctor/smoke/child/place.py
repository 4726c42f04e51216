"""One device under test: how to wait for it, what memory it holds, which types of number it computes with."""

from __future__ import annotations

import gc
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: what torch says where a device or a version of it lacks an operation for a type of number: no fault of anything
NOT_THERE = (
    "not implemented for",
    "not supported",
    "doesn't support",
    "does not support",
    "unsupported",
    "isn't supported",
)
#: compute capabilities from which on the GPU itself computes with a type
NATIVE = {"float16": (5, 3), "bfloat16": (8, 0)}


class Place:
    """The device ``name`` (cpu, cuda:1, mps, xpu:0) of ``torch``."""

    def __init__(self, torch: Any, name: str) -> None:
        self.torch = torch
        self.name = name
        self.kind, _, index = name.partition(":")
        self.index = int(index or 0)
        self.for_amd = bool(getattr(torch.version, "hip", None))

    def wait(self) -> None:
        """Wait until everything is computed: errors of a GPU come to light here."""
        if self.kind in ("cuda", "xpu"):
            getattr(self.torch, self.kind).synchronize(self.index)
        elif self.kind == "mps":
            self.torch.mps.synchronize()

    def held(self) -> int | None:
        """Bytes that tensors hold there, after everything that is not needed was given back; None if it is not said."""
        gc.collect()
        owner: Any = getattr(self.torch, self.kind, None)
        name = "current_allocated_memory" if self.kind == "mps" else "memory_allocated"
        if self.kind == "cpu" or not hasattr(owner, name):
            return None
        self.wait()
        owner.empty_cache()
        return int(getattr(owner, name)() if self.kind == "mps" else getattr(owner, name)(self.index))

    def convolves_by(self, image: Any, weight: Any) -> str:
        """What a convolution goes through: Cudnn, Miopen, Mkldnn ...; "" where this torch does not say."""
        try:
            options: tuple[Any, ...] = (None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, None)
            return str(self.torch._C._select_conv_backend(image, weight, *options)).rpartition(".")[2]
        except Exception:
            return ""

    def uses_tf32(self, what: str) -> bool:
        """Whether products of float32 are made from rounded factors in a "matmul" or in a "convolution"."""
        if self.kind == "xpu":
            return self._precision() != "highest"
        if self.kind != "cuda":
            return False
        if not self.for_amd and self._capability() < (8, 0):
            return False
        forced = os.environ.get("NVIDIA_TF32_OVERRIDE")
        if forced in ("0", "1") and not self.for_amd:
            return forced == "1"
        if what == "convolution":
            return self._allowed("cudnn")
        return self._precision() != "highest" or self._allowed("cuda", "matmul")

    def _precision(self) -> str:
        try:
            return str(self.torch.get_float32_matmul_precision())
        except Exception:
            return "unknown"  # set by old and new settings at once: the coarser one is to be expected

    def _allowed(self, *path: str) -> bool:
        place = self.torch.backends
        try:
            for name in path:
                place = getattr(place, name)
            return bool(place.allow_tf32)
        except Exception:
            return True

    def _capability(self) -> tuple[int, ...]:
        return tuple(self.torch.cuda.get_device_capability(self.index))

    def lacks(self, dtype: str) -> str:
        """Why it is not tried with a type of number; "" where it computes with it."""
        if dtype == "float32":
            return ""
        if self.kind == "cuda":
            if self.for_amd or self._capability() >= NATIVE[dtype]:
                return ""
            return "this GPU computes with it in software only"
        try:
            one_layer(self.torch, self.name, getattr(self.torch, dtype))
            self.wait()
        except (RuntimeError, TypeError) as error:
            text = " ".join(str(error).split())
            if any(words in text for words in NOT_THERE):
                return text[:300]
            raise
        return ""


def one_layer(torch: Any, device: str, dtype: Any) -> Any:
    """Each kind of operation that a transformer is made of, once, on a few numbers."""
    function = torch.nn.functional
    with torch.no_grad():
        weight = torch.ones(16, 16).to(device=device, dtype=dtype)
        rows = function.embedding(torch.arange(8).to(device), weight)
        rows = function.layer_norm(function.linear(rows, weight, weight[0]), (16,), weight[0], weight[1])
        rows = function.gelu(rows) + function.silu(rows) * torch.rsqrt(rows.pow(2).mean(-1, keepdim=True) + 1)
        heads = rows.view(1, 2, 8, 8)
        heads = function.scaled_dot_product_attention(heads, heads, heads)
        image = function.conv2d(heads, weight.view(8, 2, 4, 4))
        return torch.softmax(image + torch.tanh(image), -1).sum()
