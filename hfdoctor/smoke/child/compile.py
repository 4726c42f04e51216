"""The stage ``compile``: torch.compile of a small function, on the CPU and on the first GPU that proved itself.

On the CPU it needs a C++ compiler, and a version of Python that this torch can compile for: where these are missing
the stage does not apply. On a GPU triton does the work, which torch brings along on Linux.
"""

from __future__ import annotations

import importlib
import os
import re
import sys

from .arithmetic import SEED, numbers
from .compare import as_lists, close
from .device import works
from .place import Place
from .teller import Skip, cause_of, words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .teller import Stage

#: largest difference from the same function without torch.compile; its results are below 4. Seen on CPUs: 5e-7
TOLERANCE = 1e-4
#: what torch says -> why there is nothing to try. The first that fits is it
NOT_HERE = (
    (r"No working C\+\+ compiler|Compiler: \S+ is not found", "there is no C++ compiler"),
    (r"Failed to find C compiler", "there is no C compiler, which triton needs"),
    (r"Python\.h[^\n]*(?:No such file|not found)|include file: 'Python\.h'", "Python's header files are missing"),
    (r"omp\.h[^\n]*(?:No such file|not found)", "the C++ compiler lacks the files of OpenMP"),
    (r"(?:cannot find -l|library '|library not found for -l)g?omp", "the C++ compiler lacks the library of OpenMP"),
    (
        r"No module named '(?:pkg_resources|setuptools|distutils)",
        "this torch needs setuptools with pkg_resources for it",
    ),
    (r"too old to be supported by the triton", "the GPU is too old for triton"),
    (
        r"(?:Python|Windows|Dynamo)[^\n]*not (?:yet )?supported|torch\.compile is not supported",
        "this torch cannot do it with this Python",
    ),
)
#: one process, and as few runs of the C++ compiler as possible: two instead of a dozen. Vector instructions are left
#: out, since finding out which ones the compiler knows takes ten of them
QUICK = {"compile_threads": 1, "cpp.vec_isa_ok": False, "cpp_cache_precompile_headers": False}
#: read when the compiler is first imported, or run: no processes of its own, and no compiler from the network
ENVIRONMENT: dict[str, str | None] = {"TORCHINDUCTOR_COMPILE_THREADS": "1", "TORCH_INDUCTOR_INSTALL_GXX": None}
#: variables that make torch.compile leave everything as it is
SWITCHES = ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE")
NO_TRITON = r"(?i)cannot find a working triton|TritonMissing|No module named 'triton'"


def run(stage: Stage) -> None:
    """Compile where it can be; raises Skip where it can be nowhere, and what torch raises otherwise."""
    import torch

    off = next((name for name in SWITCHES if os.environ.get(name) == "1"), "")
    if off:
        raise Skip(f"torch.compile is switched off ({off}=1)")
    skipped = []
    names = ["cpu", *first_gpu(stage)]
    state = torch.get_rng_state()
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    set_environment(ENVIRONMENT)
    try:
        for name in names:
            try:
                stage.fact(name, compiled_there(stage, torch, name))
            except Exception as error:
                why = why_not_here(error)
                if not why:
                    raise
                stage.facts.pop("doing", None)
                stage.fact(name, f"not tried: {why}")
                skipped.append(why)
    finally:
        torch.set_rng_state(state)
        set_environment(before)
    if len(skipped) == len(names):
        raise Skip("; ".join(dict.fromkeys(skipped)))


def set_environment(variables: Mapping[str, str | None]) -> None:
    """Set environment variables; None takes one away."""
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def first_gpu(stage: Stage) -> list[str]:
    """The first GPU that computed as it should in this run; Apple's is left out: torch calls that a prototype."""
    return [name for name in works(stage.plan) if name.partition(":")[0] in ("cuda", "xpu")][:1]


def compiled_there(stage: Stage, torch: Any, name: str) -> float | None:
    """Compile, run, compare with the same without torch.compile; the largest difference."""
    importlib.import_module("torch._dynamo")
    settings = importlib.import_module("torch._inductor.config")

    stage.fact("doing", f"on {name}")
    layers = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.GELU(), torch.nn.Linear(32, 8))
    for number, weight in enumerate(layers.parameters()):
        weight.data = numbers(torch, *weight.shape, seed=SEED + number) / 2
    layers = layers.to(name)
    given = numbers(torch, 24, 16).to(name)

    def small(rows: Any) -> Any:
        return layers(rows).softmax(-1) * 2 + rows.sum(-1, keepdim=True).tanh()

    with torch.no_grad(), settings.patch(known_to(settings)), torch._dynamo.config.patch(suppress_errors=False):
        torch._dynamo.reset()
        try:
            before = graphs(torch)
            result = torch.compile(small)(given)
            Place(torch, name).wait()
            if before is not None and graphs(torch) == before:
                raise Skip("torch.compile is switched off in this environment")
        finally:
            torch._dynamo.reset()
        expected = small(given)
    what = "function made by torch.compile"
    difference = close(stage, what, as_lists(expected.cpu()), as_lists(result.cpu()), TOLERANCE, name)
    stage.facts.pop("doing", None)
    return difference


def known_to(settings: Any) -> dict[str, Any]:
    """Of QUICK what this version has."""
    kept = {}
    for path, value in QUICK.items():
        owner = settings
        for part in path.split("."):
            owner = getattr(owner, part, settings)
        if owner is not settings:
            kept[path] = value
    return kept


def graphs(torch: Any) -> int | None:
    """How many functions were taken apart so far; None where this version does not count them."""
    try:
        return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    except Exception:
        return None


def why_not_here(error: BaseException) -> str:
    """Why there was nothing to try, in words; "" where something is wrong."""
    if isinstance(error, Skip):
        return str(error)
    said, cause = "", error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen and len(seen) < 12:
        seen.append(cause)
        said += f"{type(cause).__name__}: {words_of(cause)}\n"
        cause = getattr(cause, "inner_exception", None) or cause_of(cause)  # type: ignore[assignment]
    if re.search(NO_TRITON, said):
        return "" if torch_asks_for_triton() else "torch brings no triton here, with which it works on a GPU"
    for pattern, why in NOT_HERE:
        match = re.search(pattern, said)
        if match:
            line = said[match.start() :].splitlines()[0]
            return f"{why} ({' '.join(line.split())[:200]})"
    return ""


def torch_asks_for_triton() -> bool:
    """Whether triton came with torch by rights: PyPI's builds for Linux require it."""
    if sys.platform == "win32":
        return False
    try:
        import importlib.metadata

        asked = importlib.metadata.requires("torch") or []
    except Exception:
        return True
    return any(re.match(r"(?:pytorch-)?triton", line) for line in asked)
