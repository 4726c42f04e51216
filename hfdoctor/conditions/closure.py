"""Walks what the installed distributions ask of each other, from their own metadata. Pure: facts in, asks out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

import msgspec

from ..facts.sections.packages import Distribution
from ..facts.snapshot import Snapshot
from .requirement_lines import applies, fits, is_for_an_extra, marker_environment, normalised, parse, release_of

#: the libraries of the Hugging Face family, which are released apart and go together only in some versions
FAMILY = frozenset(
    {
        *("transformers", "huggingface-hub", "tokenizers", "safetensors", "accelerate", "peft", "datasets"),
        *("diffusers", "evaluate", "hf-xet", "kernels", "optimum", "sentence-transformers", "trl"),
    }
)


class Ask(msgspec.Struct, frozen=True):
    """One requirement of one installed distribution, held against what is installed."""

    by: str
    by_version: str
    name: str
    specifier: str
    #: version of ``name`` that is installed; None if it is not there
    installed: str | None
    #: the extra through which it is asked for; "" for a plain requirement
    extra: str
    #: True if the asking distribution belongs to the closure of the roots
    inside: bool

    @property
    def text(self) -> str:
        """The requirement as a person would give it to pip."""
        return self.name + self.specifier


class Closure(msgspec.Struct, frozen=True):
    """What the roots need, directly and indirectly."""

    #: the roots that are installed
    roots: tuple[str, ...]
    #: every distribution that they need and that is installed, themselves included
    members: frozenset[str]
    #: every ask that was looked at: those of the members, those of others that name a root, and those of the Hugging
    #: Face family that name a root or each other
    asks: tuple[Ask, ...]
    #: the asks that are not met
    broken: tuple[Ask, ...]
    #: False where it could not be looked for folders without metadata: what is missing may be there
    certain: bool


def closure_of(s: Snapshot, roots: Iterable[str]) -> Closure:
    """The closure of ``roots`` in the target. Raises FactMissing if packages or interpreter are not known."""
    interpreter = s.target.interpreter.need()
    os_info = s.machine.os.maybe()
    kernel = os_info.build if os_info and os_info.system == "linux" else ""
    installed = s.packages.installed()
    certain = s.packages.orphans.known or s.packages.orphans.absent
    versions: dict[str, tuple[str, ...]] = {}
    for entry in s.packages.distributions.need():
        if not entry.shadowed and not entry.problem:
            versions[entry.name] = (*versions.get(entry.name, ()), entry.version)
    closure = _evaluate(
        tuple((d.name, d.version, tuple(d.requires)) for d in installed.values() if not d.problem),
        tuple(versions.items()),
        damaged_names(s),
        marker_environment(interpreter, kernel),
        tuple(roots),
    )
    return msgspec.structs.replace(closure, certain=certain)


def damaged_names(s: Snapshot) -> frozenset[str]:
    """What is there in a state of which broken-install speaks: not to be called missing. Raises FactMissing."""
    names = {entry.name for entry in s.packages.distributions.need() if entry.problem}
    return frozenset(names | {normalised(one.package) for one in s.packages.orphans.maybe() or () if one.importable})


@lru_cache(maxsize=4)  # several conditions ask the same
def _evaluate(
    distributions: tuple[tuple[str, str, tuple[str, ...]], ...],
    versions: tuple[tuple[str, tuple[str, ...]], ...],
    damaged: frozenset[str],
    environment: tuple[tuple[str, str], ...],
    roots: tuple[str, ...],
) -> Closure:
    requires = {name: (version, lines) for name, version, lines in distributions}
    seen_versions = dict(versions)
    asks: list[Ask] = []
    wanted: dict[str, set[str]] = {}
    present = tuple(root for root in roots if root in requires)
    waiting: list[tuple[str, frozenset[str]]] = [(root, frozenset()) for root in present]
    while waiting:
        name, extras = waiting.pop()
        first = name not in wanted
        new = extras - wanted.setdefault(name, set())
        if not first and not new:
            continue
        wanted[name] |= extras
        version, lines = requires[name]
        for text in lines:
            if not new and is_for_an_extra(text):
                continue
            line = parse(text)
            via = applies(line, environment, new) if line else None
            if line is None or via is None or (not first and not via):
                continue
            asks.append(Ask(name, version, line.name, line.specifier, None, via, True))
            if line.name in requires:
                waiting.append((line.name, frozenset(line.extras)))
    members = frozenset(wanted)
    for name, version, lines in distributions:
        if name not in members:
            watched = FAMILY.union(roots) if name in FAMILY else frozenset(roots)
            asks += _asks_of_others(name, version, lines, watched, environment)
    asks = [_with_installed(ask, seen_versions) for ask in dict.fromkeys(asks)]
    broken = [ask for ask in asks if ask.name not in damaged and not _met(ask, seen_versions)]
    return Closure(present, members, tuple(asks), tuple(broken), True)


def _asks_of_others(
    name: str, version: str, lines: Iterable[str], watched: Collection[str], environment: tuple[tuple[str, str], ...]
) -> list[Ask]:
    asks = []
    for text in lines:
        # a cheap look before the regular expression: an environment may hold thousands of such lines
        head = text.lstrip()[:12].lower().replace("_", "-")
        if not head.startswith(_HEADS):
            continue
        line = parse(text)
        if line and line.name in watched and applies(line, environment, ()) == "":
            asks.append(Ask(name, version, line.name, line.specifier, None, "", False))
    return asks


_HEADS = tuple(sorted({name[:5] for name in FAMILY} | {"torch"}))


def _with_installed(ask: Ask, versions: Mapping[str, tuple[str, ...]]) -> Ask:
    held = versions.get(ask.name)
    return msgspec.structs.replace(ask, installed=held[0]) if held else ask


def _met(ask: Ask, versions: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether the ask is met; what cannot be read counts as met, and of two versions at once either may.

    Others that ask for torch 2.6.0 get along with 2.6.0a0+ecf3bae40a, which is what containers and builds from source
    call it, although by the letter it is older.
    """
    held = versions.get(ask.name)
    if held is None:
        return False
    if any(fits(version, ask.specifier) is not False for version in held):
        return True
    return not ask.inside and any(fits(release_of(version), ask.specifier) for version in held)


def by_culprit(asks: Iterable[Ask]) -> dict[str, list[Ask]]:
    """The asks grouped by what they ask for: one wrong package is one cause, however many packages complain."""
    groups: dict[str, list[Ask]] = {}
    for ask in asks:
        groups.setdefault(ask.name, []).append(ask)
    return groups


def distribution(s: Snapshot, name: str) -> Distribution | None:
    """The sound distribution of that normalised name which the target sees. Raises FactMissing."""
    entry = s.packages.installed().get(name)
    return entry if entry and not entry.problem else None
