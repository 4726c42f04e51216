"""The torch for an environment that has none yet: in the build that belongs on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..facts.snapshot import Snapshot
from .model import Plain, Step
from .reinstall import variant_index
from .torch_wanted import Nothing, Wanted, wanted_build

WORDS: Mapping[str, str] = {
    "first": "install there",
    "first_for": "install there, torch in its build for {variant} ({because})",
    "first_cpu": "install there, torch in its build for the processor, without NVIDIA's libraries ({because})",
    "later_gpu": "or, for a GPU of NVIDIA that comes later, take PyPI's own torch: make the environment",
    "not_for_it": "or, where the index of those builds cannot be reached, take PyPI's own torch, which is not made for "
    "this machine: make the environment",
}


def with_packages(s: Snapshot, make: Step, python: str, packages: Sequence[str]) -> list[Step]:
    """``make``, the step that makes an environment, and the one that installs ``packages`` by its ``python``.

    Where PyPI's torch is not the build for this machine, that build comes from PyTorch's index (the other packages
    from PyPI all the same), and the plain installation is the second way.
    """
    start = [python, "-m", "pip", "install"]
    plain = Step([*start, *packages], "first", network=True)
    build = _named_build(s) if "torch" in packages else None
    if build is None:
        return [make, plain]
    fields: dict[str, Plain] = {"variant": build.choice.variant, "because": build.because}
    cpu = build.kind == "cpu"
    own = Step([*start, *_words(packages, build)], "first_cpu" if cpu else "first_for", fields, network=True)
    return [make, own, Step(make.argv, "later_gpu" if cpu else "not_for_it"), plain]


def in_their_builds(s: Snapshot, packages: Sequence[str]) -> list[str]:
    """What to ask an installer for in a new environment: ``packages``, torch in the build for this machine."""
    build = _named_build(s) if "torch" in packages else None
    return list(packages) if build is None else _words(packages, build)


def _words(packages: Sequence[str], build: Wanted) -> list[str]:
    variant = build.choice.variant
    torch = f"torch=={build.choice.release}+{variant}"
    wanted = (torch if name == "torch" else name for name in packages)
    return [*wanted, "--extra-index-url", variant_index(variant)]


def _named_build(s: Snapshot) -> Wanted | None:
    """The build that has to be asked for by its name; None where a plain ``torch`` is it, or too little is known.

    A GPU that only waits for a driver is no reason for a torch that will never use it.
    """
    answer = wanted_build(s)
    if isinstance(answer, Nothing) or answer.plain or (answer.kind == "cpu" and answer.says != "no_gpu"):
        return None
    return answer
