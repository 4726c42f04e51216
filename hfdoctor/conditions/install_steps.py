"""Command lines that install or change packages in the target, with the installer that the target has."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from ..facts.snapshot import Snapshot
from .reinstall import CONDA_NAMES, python_of
from .requirement_lines import fits

_BOUND = r"(===|==|~=|!=|<=|>=|<|>)\s*([^,\s]+)"


def install(s: Snapshot, requirements: Sequence[str], *flags: str, by_uv: bool = False) -> list[str]:
    """``pip install REQUIREMENTS FLAGS`` for the target, or uv's where the target has no pip (or ``by_uv``)."""
    python = python_of(s)
    if by_uv or s.target.pip.absent:
        return ["uv", "pip", "install", "--python", python, *requirements, *flags]
    return [python, "-m", "pip", "install", *requirements, *flags]


def uninstall(s: Snapshot, names: Sequence[str], *, by_uv: bool = False) -> list[str]:
    """The same for taking packages away."""
    python = python_of(s)
    if by_uv or s.target.pip.absent:
        return ["uv", "pip", "uninstall", "--python", python, *names]
    return [python, "-m", "pip", "uninstall", "-y", *names]


def install_like(s: Snapshot, name: str, specifier: str) -> list[str]:
    """Install another version of ``name`` by the installer that its present one came from."""
    entry = s.packages.installed().get(name)
    interpreter = s.target.interpreter.maybe()
    if entry and entry.installer.lower().startswith("conda") and interpreter:
        return ["conda", "install", "--prefix", interpreter.prefix, CONDA_NAMES.get(name, name) + specifier]
    return install(s, [name + specifier])


def joined(specifiers: Iterable[str]) -> str:
    """One specifier that asks for all of ``specifiers``; of several lower or upper bounds only the tightest."""
    bounds = [bound.replace(" ", "") for text in specifiers for bound in text.split(",") if bound.strip()]
    bounds = list(dict.fromkeys(bounds))
    for operator, tighter in ((">=", ">="), ("<", "<=")):
        rivals = [bound for bound in bounds if re.match(rf"{operator}[\d]", bound)]
        for rival in rivals:
            others = [other[len(operator) :] for other in rivals if other != rival]
            # a bound that every other one of its kind already passes adds nothing
            if any(fits(other, tighter + rival[len(operator) :]) for other in others):
                bounds.remove(rival)
                rivals = [bound for bound in rivals if bound != rival]
    return ",".join(bounds)


def can_all_hold(specifiers: Collection[str]) -> bool:
    """False only if no version at all could satisfy every one of ``specifiers``.

    It is enough to try the versions that the bounds name, those right after them, and the oldest.
    """
    candidates = {"0"}
    for _, version in (match for text in specifiers for match in re.findall(_BOUND, text)):
        plain = version.removesuffix(".*")
        candidates |= {plain, plain + ".1", plain + ".0.1"}
    return any(all(fits(one, text) is not False for text in specifiers) for one in candidates if _is_version(one))


def _is_version(text: str) -> bool:
    return fits(text, ">=0") is not None
