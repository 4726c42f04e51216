"""The torch for an environment that has none yet: in the build that belongs on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..facts.snapshot import Snapshot
from .model import Plain, Step
from .reinstall import variant_index
from .torch_wanted import Nothing, Wanted, wanted_build

WORDS: Mapping[str, str] = {
    "new": "make an environment of your own",
    "new_cpu": "make an environment of your own, with torch in its build for the processor, without NVIDIA's libraries "
    "({because})",
    "new_for": "make an environment of your own, with torch in its build for {variant} ({because})",
    "new_later_gpu": "or, for a GPU of NVIDIA that comes later, make it with PyPI's own torch",
    "new_not_for_it": "or, where the index of those builds cannot be reached, make it with PyPI's own torch, which is "
    "not made for this machine",
    "into_it": "install there",
}


def new_environment(s: Snapshot, make: list[str], python: str, packages: Sequence[str]) -> list[Step]:
    """The steps that make an environment by the command ``make`` and install ``packages`` by its ``python``.

    Where PyPI's torch is not the build for this machine, that build comes from PyTorch's index (the other packages
    from PyPI all the same), and the plain installation is the second way.
    """
    start = [python, "-m", "pip", "install"]
    plain = Step([*start, *packages], "into_it", network=True)
    build = _named_build(s) if "torch" in packages else None
    if build is None:
        return [Step(make, "new"), plain]
    fields: dict[str, Plain] = {"variant": build.choice.variant, "because": build.because}
    own = Step([*start, *_words(packages, build)], "into_it", network=True)
    if build.kind == "cpu":
        return [Step(make, "new_cpu", fields), own, Step(make, "new_later_gpu"), plain]
    return [Step(make, "new_for", fields), own, Step(make, "new_not_for_it"), plain]


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
