"""Puts together what several parts of a text list, and says where they contradict each other."""

from __future__ import annotations

import msgspec

from ..sections.gpu import Device
from ..sections.packages import Distribution
from .gpu_names import same_name
from .notes import Contradiction, Notes, PackageList, agreed

#: listings that torch or a program asked by it gives: they show the GPUs that it sees, not all there are
_CONDA = ("[conda] rows", "conda list")
#: a person's own words, or one line of a message: any listing outweighs them
_LOOSE = ("a line of the text", "NumPy's own messages")


def distributions(notes: Notes, running: str | None) -> list[Distribution]:
    """The packages that are listed, by name; ``running`` is the version that torch gives of itself.

    A list that names another torch than the running one belongs to another Python, as ``pip`` and ``conda`` on PATH
    often do: its packages are kept as ``shadowed``. Of two lists of the same Python, pip's outweighs conda's.
    Raises Contradiction where two of equal weight disagree.
    """
    ranked = sorted(notes.lists, key=lambda entry: (_fit(entry, running), _weight(entry, running, notes)))
    best = min((_fit(entry, running) for entry in ranked), default=0)
    seen: dict[str, tuple[str, PackageList]] = {}
    found: dict[tuple[str, str], Distribution] = {}
    for listing in ranked:
        foreign = running is not None and _fit(listing, running) == 2 and best < 2
        foreign = foreign or (running is not None and _fit(listing, running) == 2)
        for name, (version, installer) in listing.entries.items():
            held = seen.get(name)
            shadowed = foreign
            if held is not None and not foreign:
                both = agreed(held[0], version)
                if both is None and _level(held[1], running, notes) == _level(listing, running, notes):
                    places = f"{held[1].who} has {name} {held[0]}, {listing.who} has {version}"
                    raise Contradiction(f"the text contradicts itself: {places}"[:300])
                if both is not None:
                    continue
                shadowed = True
            if not shadowed:
                seen[name] = (version, listing)
            entry = Distribution(name, version, "", installer=installer, shadowed=shadowed)
            found.setdefault((name, version), entry)
    if running is not None and "torch" not in seen:
        found[("torch", running)] = Distribution("torch", running, "")
    return [found[key] for key in sorted(found, key=lambda key: (key[0], found[key].shadowed, key[1]))]


def _fit(listing: PackageList, running: str | None) -> int:
    """0: it names the running torch; 1: it names none; 2: it names another."""
    torch = listing.entries.get("torch")
    if torch is None or running is None:
        return 1
    return 0 if torch[0].partition("+")[0] == running.partition("+")[0] else 2


def _weight(listing: PackageList, running: str | None, notes: Notes) -> int:
    """0 for pip's own lists, 1 for conda's, 2 for a person's words.

    Pins that do not name the running torch, beside a proper list, are what somebody wishes to install.
    """
    if listing.who in _CONDA:
        return 1
    wishes = listing.who == "pip freeze" and _fit(listing, running) > 0
    if listing.who in _LOOSE or (wishes and any(one.who not in ("pip freeze", *_LOOSE) for one in notes.lists)):
        return 2
    return 0


def _level(listing: PackageList, running: str | None, notes: Notes) -> tuple[int, int]:
    return _fit(listing, running), _weight(listing, running, notes)


def merged_devices(notes: Notes) -> list[Device]:
    """The GPUs that the text lists, each with all that is said of it.

    Raises Contradiction where two listings that both name every GPU of the machine disagree.
    """
    whole = [entry for entry in notes.devices if entry.whole]
    parts = [entry for entry in notes.devices if not entry.whole]
    base: list[Device] = []
    for listing in whole:
        if not base:
            base = [msgspec.structs.replace(one) for one in listing.devices]
            continue
        if len(base) != len(listing.devices) or not all(
            same_name(one.name, other.name) for one, other in zip(base, listing.devices, strict=True)
        ):
            first = f"{whole[0].who} lists {len(base)} GPUs ({base[0].name})"
            second = f"{listing.who} lists {len(listing.devices)} ({listing.devices[0].name})"
            raise Contradiction(f"the text contradicts itself: {first}, {second}"[:300])
        base = [_joined(one, other) for one, other in zip(base, listing.devices, strict=True)]
    for listing in sorted(parts, key=lambda entry: (entry.who.startswith("torch's"), -len(entry.devices))):
        base = _with_part(base, listing.devices, listing.who)
    for one in base:
        # torch's name for its only GPU may differ from what a person typed
        told = [value for name, value in notes.capabilities.items() if same_name(name, one.name) or len(base) == 1]
        if not one.capability and len(set(told)) == 1 and one.vendor == "nvidia":
            one.capability = told[0]
    return base


def _with_part(base: list[Device], part: list[Device], who: str) -> list[Device]:
    """``base`` with what a listing adds that names the GPUs that torch sees, or one of them."""
    if not base:
        return [msgspec.structs.replace(one) for one in part]
    fitting = [one for one in part if any(same_name(one.name, held.name) for held in base)]
    if not fitting:
        if who.startswith(("torch's", "torch.xpu")) or len(base) == 1:
            # another spelling of the one GPU, or one of another maker beside it
            return base if part[0].vendor == base[0].vendor else [*base, *part]
        return base
    return [next((_joined(held, one) for one in fitting if same_name(one.name, held.name)), held) for held in base]


def _joined(one: Device, other: Device) -> Device:
    changes = {
        name: getattr(other, name)
        for name in one.__struct_fields__
        if not getattr(one, name) and getattr(other, name) not in ("", None, [], False)
    }
    if one.name.endswith("...") and not other.name.endswith("..."):
        changes["name"] = other.name
    return msgspec.structs.replace(one, **changes)
