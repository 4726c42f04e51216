"""Runs inside the target interpreter and lets its torch say what it can compute on (``--deep``).

    python -B inspect_torch.py SECONDS [STAGE ...]

Standard library and the target's own torch (1.13 and later) on Python 3.8 and later, started by path. Each line after
MARKER is a JSON object in ASCII: ``{"stage": name}`` before a stage begins, so that the last one is known when the
process is killed; ``{"done": name, ...}`` with its answers after it; ``{"end": true}`` when all has been said. A stage
that raises costs its own answer alone. One that takes over SECONDS ends the process, by a watchdog that needs no GIL.
The stages named on the command line are left out: whoever starts this again after a crash names them.

After a device has failed the process ends and leaves the next device to another one: errors of CUDA are sticky.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

#: stands before each JSON object: libraries print too
MARKER = "hfdoctor-torch:"
#: devices that are tried
MOST_DEVICES = 32
#: of a warning or an error, in characters
LONGEST = 600
#: warnings that speak to programmers only
QUIET = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning, ResourceWarning)


class Ended(Exception):
    """A device failed: what comes after it in this process would mean nothing."""


class Teller:
    """Runs the stages one by one and tells each answer at once."""

    def __init__(self, seconds: float, skip: Sequence[str]) -> None:
        self.seconds = seconds
        self.skip = set(skip)

    def stage(self, name: str, ask: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Have ``ask`` fill the answers of a stage; warnings and an exception become its ``messages``."""
        answers: dict[str, Any] = {}
        if name in self.skip:
            return answers
        say({"stage": name})
        messages: list[str] = []
        faulthandler.dump_traceback_later(self.seconds, exit=True, file=2)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                try:
                    ask(answers)
                except BaseException as error:  # a panic of Rust is no Exception
                    answers["error"] = one_line(f"{type(error).__name__}: {error}")
            heard = [warning for warning in caught if not issubclass(warning.category, QUIET)]
            messages = [f"{warning.category.__name__}: {warning.message}" for warning in heard]
        finally:
            faulthandler.cancel_dump_traceback_later()
        if messages:
            answers["messages"] = [one_line(text) for text in dict.fromkeys(messages)]
        say(dict(answers, done=name))
        return answers


def say(words: dict[str, Any]) -> None:
    """Print one object, past whatever a start-up file or a library made of sys.stdout."""
    data = ("\n" + MARKER + json.dumps(words, default=str) + "\n").encode("ascii")
    while data:
        data = data[os.write(1, data) :]


def one_line(text: str) -> str:
    """The text in one line of at most LONGEST characters."""
    return " ".join(text.split())[:LONGEST]


# -- what is asked ----------------------------------------------------------------------------------------------------


def ask_all(teller: Teller, torch: Any) -> None:
    """Every question, from the cheapest to the dearest; raises Ended when a device failed."""
    places = {"cuda": torch, "mps": torch.backends, "xpu": torch}
    there = {kind: ask_available(teller, kind, getattr(owner, kind, None)) for kind, owner in places.items()}
    teller.stage("architectures", lambda answers: answers.update(arch_list=architectures(torch)))
    for_nvidia, for_amd = getattr(torch.version, "cuda", None), getattr(torch.version, "hip", None)
    if there["cuda"] is False and (for_nvidia or for_amd):
        teller.stage("cuda.init", lambda answers: answers.update(init=torch.cuda.init()))  # it says why it cannot
    if for_nvidia:  # of a HIP build this would be the version of MIOpen
        teller.stage("cudnn", lambda answers: answers.update(cudnn=cudnn_version(torch)))
    devices: list[dict[str, Any]] = []
    for kind in [kind for kind in there if there[kind]]:
        devices += ask_devices(teller, torch, kind)
    teller.stage("cpu", lambda answers: answers.update(kernel(torch, "cpu")))
    for device in devices[:MOST_DEVICES]:
        try_device(teller, torch, device)


def ask_available(teller: Teller, kind: str, place: Any) -> bool | None:
    """Whether ``kind`` is usable; a torch that has never heard of it has none. None where it gave no answer."""

    def ask(answers: dict[str, Any]) -> None:
        look = getattr(place, "is_available", None)
        answers["available"] = bool(look()) if look else False

    return teller.stage(kind, ask).get("available")


def architectures(torch: Any) -> list[str]:
    """What the build was made for. Older ones answer only where there is a GPU, although the build knows it."""
    listed = list(torch.cuda.get_arch_list()) if hasattr(torch.cuda, "get_arch_list") else []
    flags = getattr(torch._C, "_cuda_getArchFlags", None)
    if not listed and flags is not None:
        listed = (flags() or "").split()
    return [str(one) for one in listed]


def cudnn_version(torch: Any) -> str:
    """9.1.0 for 90100, and 8.9.2 for 8902; "" without cuDNN."""
    number = torch.backends.cudnn.version()
    if not number:
        return ""
    first = 10000 if number >= 90000 else 1000
    return f"{number // first}.{number % first // 100}.{number % 100}"


def ask_devices(teller: Teller, torch: Any, kind: str) -> list[dict[str, Any]]:
    """The devices of a kind that is usable; a property that cannot be had costs that property only."""

    def ask(answers: dict[str, Any]) -> None:
        count = 1 if kind == "mps" else getattr(torch, kind).device_count()
        look = listed_apple if kind == "mps" else listed
        answers["devices"] = [look(torch, kind, index) for index in range(count)]

    return list(teller.stage(f"{kind}.devices", ask).get("devices", ()))


def listed_apple(torch: Any, kind: str, index: int) -> dict[str, Any]:
    """Apple's GPU, of which there is one; its memory is what it may use of the system's."""
    name = soft(lambda: str(torch.backends.mps.get_name())) or "Apple GPU"
    memory = soft(lambda: int(torch.mps.recommended_max_memory()))
    return {"kind": kind, "index": index, "name": name, "memory": memory}


def listed(torch: Any, kind: str, index: int) -> dict[str, Any]:
    """Name, memory and capability (NVIDIA: 8.9; AMD: gfx1100 and its features) of one device."""
    place = getattr(torch, kind)
    properties = soft(lambda: place.get_device_properties(index))
    capability = None
    if kind == "cuda" and getattr(torch.version, "hip", None):
        capability = soft(lambda: str(properties.gcnArchName))
    elif kind == "cuda":
        capability = soft(lambda: "{}.{}".format(*place.get_device_capability(index)))
    return {
        "kind": kind,
        "index": index,
        "name": soft(lambda: str(place.get_device_name(index))) or f"{kind}:{index}",
        "memory": soft(lambda: int(properties.total_memory)),
        "capability": capability or "",
    }


def soft(ask: Callable[[], Any]) -> Any:
    """The answer, or None where it is refused."""
    try:
        return ask()
    except Exception:
        return None


# -- what is tried ----------------------------------------------------------------------------------------------------


def try_device(teller: Teller, torch: Any, device: dict[str, Any]) -> None:
    """A kernel on the device, and a convolution by cuDNN if that went well."""
    place = "{kind}:{index}".format(**device)
    outcome = teller.stage(place, lambda answers: answers.update(kernel(torch, place)))
    if outcome and not outcome.get("ok"):
        raise Ended(place)
    cudnn = device["kind"] == "cuda" and getattr(torch.version, "cuda", None) and soft(lambda: cudnn_is_used(torch))
    if not cudnn:
        return
    outcome = teller.stage(place + " cudnn", lambda answers: answers.update(convolution(torch, place)))
    if outcome and not outcome.get("ok"):
        raise Ended(place)


def cudnn_is_used(torch: Any) -> bool:
    """Whether a convolution would go through cuDNN."""
    return bool(torch.backends.cudnn.is_available() and torch.backends.cudnn.enabled)


def kernel(torch: Any, place: str) -> dict[str, Any]:
    """A product of two matrices (cuBLAS) and torch's own kernels after it, held against Python's own result.

    Whole numbers this small come out exact whatever the precision of the product: TF32, bfloat16.
    """
    size = 24
    rows = [[(7 * i + 3 * j) % 5 for j in range(size)] for i in range(size)]
    columns = list(zip(*rows))
    expected = [
        [float(max(0, sum(x * y for x, y in zip(row, column)) - 90) + row[j]) for j, column in enumerate(columns)]
        for row in rows
    ]
    with torch.no_grad():
        given = torch.tensor(rows, dtype=torch.float32).to(place)
        result = torch.relu(torch.matmul(given, given) - 90.0) + given
        finish(torch, place)
        return verdict(result.cpu().tolist(), expected, 0.0)


def convolution(torch: Any, place: str) -> dict[str, Any]:
    """A small convolution, held against Python's own result; cuDNN may choose an algorithm that rounds."""
    size, width = 8, 3
    image = [[(5 * i + 2 * j) % 7 for j in range(size)] for i in range(size)]
    weight = [[(i + 2 * j) % 3 for j in range(width)] for i in range(width)]
    across = range(size - width + 1)
    expected = [
        [float(sum(image[i + k][j + m] * weight[k][m] for k in range(width) for m in range(width))) for j in across]
        for i in across
    ]
    with torch.no_grad():
        given = torch.tensor([[image]], dtype=torch.float32).to(place)
        filters = torch.tensor([[weight]], dtype=torch.float32).to(place)
        result = torch.nn.functional.conv2d(given, filters)
        finish(torch, place)
        return verdict(result.cpu().tolist()[0][0], expected, 0.05)


def finish(torch: Any, place: str) -> None:
    """Wait for the device: an error of a kernel comes to light here."""
    kind, _, index = place.partition(":")
    if kind == "cuda" or kind == "xpu":
        getattr(torch, kind).synchronize(int(index))
    elif kind == "mps" and hasattr(getattr(torch, "mps", None), "synchronize"):
        torch.mps.synchronize()


def verdict(result: list[list[float]], expected: list[list[float]], tolerance: float) -> dict[str, Any]:
    """``ok``, or an ``error`` that says how far off the result is."""
    if [len(row) for row in result] != [len(row) for row in expected]:
        return {"ok": False, "error": "wrong result: of another shape"}
    pairs = [pair for got, wanted in zip(result, expected) for pair in zip(got, wanted)]
    wrong = [(got, wanted) for got, wanted in pairs if not abs(got - wanted) <= tolerance]  # NaN is never near
    if not wrong:
        return {"ok": True}
    got, wanted = wrong[0]
    text = f"wrong result: {len(wrong)} of {len(pairs)} values, such as {got:g} for {wanted:g}"
    return {"ok": False, "error": text}


# -- all of it --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Say everything."""
    own = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == own:
        del sys.path[0]  # Python put it there: this folder's modules are none of torch's
    teller = Teller(float(sys.argv[1]), sys.argv[2:])
    found: list[Any] = []

    def load(answers: dict[str, Any]) -> None:
        found.append(importlib.import_module("torch"))
        answers["version"] = str(getattr(found[0], "__version__", ""))

    teller.stage("import", load)
    try:
        for torch in found:
            ask_all(teller, torch)
    except Ended:
        return
    say({"end": True})


if __name__ == "__main__":
    main()
