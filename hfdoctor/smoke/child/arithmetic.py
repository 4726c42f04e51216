"""What a device must get right besides the models: products, convolutions, copies, random numbers, training steps.

Every input is made on the CPU from a seed, and every result is held against float64 on the CPU.
"""

from __future__ import annotations

import copy

from .compare import close, same
from .tolerances import STEP, SUM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .place import Place
    from .teller import Stage

SEED = 20261122
#: rows, inner length and columns of the products: one for the fast paths, one that fits no block of any of them
SIZES = ((256, 512, 256), (33, 65, 17))
#: elements that are copied: no round number, several megabytes as float32
COPIED = 1_000_003
STEPS = 3


def numbers(torch: Any, *shape: int, seed: int = SEED) -> Any:
    """Evenly spread between -1 and 1, the same everywhere; the global random state is left alone."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator) * 2 - 1


def products(stage: Stage, place: Place, dtype: str) -> float:
    """Products of matrices; the largest error as a share of the sum of the absolute products."""
    torch = place.torch
    kind = "tf32" if dtype == "float32" and place.uses_tf32("matmul") else dtype
    largest = 0.0
    for rows, inner, columns in SIZES:
        # rounded first: what is compared is the computing, not the rounding of what goes in
        left = numbers(torch, rows, inner).to(getattr(torch, dtype))
        right = numbers(torch, inner, columns, seed=SEED + 1).to(getattr(torch, dtype))
        result = left.to(place.name) @ right.to(place.name)
        exact = left.double() @ right.double()
        scale = float((left.double().abs() @ right.double().abs()).max())
        what = f"product of matrices of {rows} x {inner} and {inner} x {columns} numbers"
        largest = max(largest, held(stage, what, exact, result, SUM[kind] * scale, place, dtype) / scale)
    return largest


def convolution(stage: Stage, place: Place, dtype: str) -> float:
    """A convolution, by cuDNN where there is one; the largest error as a share of the sum of the absolute products."""
    torch = place.torch
    kind = "tf32" if dtype == "float32" and place.uses_tf32("convolution") else dtype
    image = numbers(torch, 2, 8, 20, 20).to(getattr(torch, dtype))
    weight = numbers(torch, 16, 8, 3, 3, seed=SEED + 1).to(getattr(torch, dtype))
    convolve = torch.nn.functional.conv2d
    there = image.to(place.name), weight.to(place.name)
    result = convolve(*there)
    exact = convolve(image.double(), weight.double())
    scale = float(convolve(image.double().abs(), weight.double().abs()).max())
    if dtype == "float32":
        stage.fact("convolution_by", place.convolves_by(*there))
    return held(stage, "convolution", exact, result, SUM[kind] * scale, place, dtype) / scale


def held(stage: Stage, what: str, exact: Any, result: Any, allowed: float, place: Place, dtype: str) -> float:
    """The largest difference, 0 where there is none to tell; notes a deviation beyond ``allowed``."""
    if tuple(result.shape) == tuple(exact.shape) and str(result.device) != "meta":
        off = float((result.detach().cpu().double() - exact).abs().max())
        if off <= allowed:
            return off
    return close(stage, what, exact, result.detach().cpu().double(), allowed, place.name, dtype) or 0.0


def copies(stage: Stage, place: Place) -> None:
    """There, on to another place in its memory, and back: nothing may change on the way."""
    torch = place.torch
    for dtype in ("uint8", "int64", "float32"):
        original = pattern(torch, dtype)
        there = original.to(place.name)
        back = there.clone().cpu()
        unchanged(stage, f"{dtype} copied there and back", original, back, place.name, dtype)


def pair(stage: Stage, place: Place, other: str) -> None:
    """Copies between two GPUs, in both directions."""
    torch = place.torch
    for source, target in ((other, place.name), (place.name, other)):
        if place.kind == "cuda":
            numbers_of = int(source.partition(":")[2]), int(target.partition(":")[2])
            stage.fact(f"direct {source} to {target}", bool(torch.cuda.can_device_access_peer(*numbers_of)))
        original = pattern(torch, "int64")
        there = original.to(source).to(target)
        unchanged(stage, f"numbers copied from {source} to {target}", original, there.cpu(), place.name, "int64")


def pattern(torch: Any, dtype: str) -> Any:
    """Numbers of which no neighbours are alike; each fits into a byte."""
    return (torch.arange(COPIED) * 7 % 251).to(getattr(torch, dtype))


def unchanged(stage: Stage, what: str, original: Any, copy: Any, device: str, dtype: str) -> None:
    """Notes a deviation, with the first place, where a copy is not its original."""
    wrong = (copy != original).nonzero().flatten()
    if len(wrong):
        first = int(wrong[0])
        said = {"expected": str(original[first].item()), "got": f"{copy[first].item()} ({len(wrong)} are wrong)"}
        stage.deviates(what, device=device, dtype=dtype, at=[first], **said)


def random_numbers(stage: Stage, place: Place) -> None:
    """The device's own random numbers: the same for the same seed, others for another one, spread as they should."""
    torch = place.torch

    def drawn(seed: int) -> Any:
        generator = torch.Generator(device=place.name).manual_seed(seed)
        return torch.rand(4096, generator=generator, device=place.name).cpu()

    first = drawn(SEED)
    unchanged(stage, "random numbers of one seed, drawn again", first, drawn(SEED), place.name, "float32")
    same(
        stage, "whether another seed gives the same random numbers", False, bool((first == drawn(1)).all()), place.name
    )
    inside = bool((first >= 0).all() and (first < 1).all())
    same(stage, "whether random numbers lie between 0 and 1", True, inside, place.name)
    # of 4096 the mean is off by 0.0045 (one standard deviation): the seed is always the same one
    close(stage, "mean of random numbers", 0.5, float(first.mean()), 0.05, place.name)


def train(stage: Stage, place: Place, model: Any, inputs: dict[str, Any]) -> float:
    """Backward and AdamW on a copy of ``model`` there, held against float64 on the CPU; the largest error as a share.

    ``model`` (a causal language model on the CPU) and ``inputs`` are left as they are.
    """
    kind = "tf32" if place.uses_tf32("matmul") else "float32"
    expected = steps(place.torch, model, inputs, "cpu", "float64")
    got = steps(place.torch, model, inputs, place.name, "float32")
    scale = max(float(gradient.abs().max()) for gradient in expected[1].values())
    largest = 0.0
    for name, gradient in expected[1].items():
        off = held(stage, f"gradient of {name}", gradient, got[1][name], STEP[kind] * scale, place, "float32")
        largest = max(largest, off / scale)
    allowed = STEP[kind] * max(expected[0])
    off = close(stage, "loss after each training step", expected[0], got[0], allowed, place.name) or 0.0
    return max(largest, off / max(expected[0]))


def steps(
    torch: Any, model: Any, inputs: dict[str, Any], device: str, dtype: str
) -> tuple[list[float], dict[str, Any]]:
    """The losses of some training steps, and the gradients of the first one on the CPU."""
    model = copy.deepcopy(model).to(device=device, dtype=getattr(torch, dtype))
    inputs = {name: values.to(device) for name, values in inputs.items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses: list[float] = []
    gradients: dict[str, Any] = {}
    with torch.enable_grad():
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = model(**inputs, labels=inputs["input_ids"]).loss
            loss.backward()
            losses.append(float(loss.detach()))
            if not gradients:
                named = ((name, weight.grad) for name, weight in model.named_parameters() if weight.grad is not None)
                gradients = {name: gradient.detach().cpu().clone() for name, gradient in named}
            optimizer.step()
    return losses, gradients
