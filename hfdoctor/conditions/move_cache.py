"""Gives the Hugging Face folders of a Windows machine another place: what moves there, and which variable says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PureWindowsPath

from ..facts.sections.storage import Place
from .changes import TreeMove, VariableChange
from .model import Plain, Step

#: the place of each role when it is not below HF_HOME: what it adds to the name of the new folder
_BESIDE = {"hf-cache": "-hub", "xet-cache": "-xet"}
HOME = "hf-home"
#: what places a cache together with the folder above it (``Place.set_by``): all else is a variable of its own
SET_WITH_HOME = ("default", "HF_HOME", "XDG_CACHE_HOME")


def new_places(places: Sequence[Place], folder: str) -> list[tuple[Place, str, str]]:
    """For those of ``places`` (hf-home, hf-cache, xet-cache) that must move: the place, the variable, the new folder.

    ``folder`` becomes HF_HOME. What lies below HF_HOME by default moves with it and is not named. A cache with a
    variable of its own keeps that variable: it goes below ``folder`` where only it moves, else beside it.
    """
    home = next((place for place in places if place.role == HOME), None)
    found = [] if home is None else [(home, "HF_HOME", folder)]
    for place in places:
        if place.role not in _BESIDE:
            continue
        if place.set_by not in SET_WITH_HOME:
            beside = folder + _BESIDE[place.role]
            below = str(PureWindowsPath(folder, _BESIDE[place.role].removeprefix("-")))
            found.append((place, place.set_by, below if home is None else beside))
        elif home is None:  # the folder above it is in nobody's way and keeps the token: only the cache goes
            name = "HF_HUB_CACHE" if place.role == "hf-cache" else "HF_XET_CACHE"
            below = str(PureWindowsPath(folder, _BESIDE[place.role].removeprefix("-")))
            found.append((place, name, below))
    return found


def move_steps(places: Sequence[Place], folder: str) -> list[Step]:
    """The steps that move what is there and set the variables (templates ``move_there``, ``keep_there``)."""
    steps = []
    for place, name, new in _outermost_first(new_places(places, folder)):
        fields: dict[str, Plain] = {"name": name, "old": place.path, "new": new}
        if place.exists:
            steps.append(Step(says="move_there", fields=fields, change=TreeMove(place.path, new)))
        steps.append(_set(name, new, fields))
    return steps


def ways_out(places: Sequence[Place], folder: str, first: Sequence[Step] = ()) -> list[Step]:
    """Both ways one after the other, each begun by the steps ``first``: with what is there, or without.

    The second begins with the template ``leave_there``; it is missing where nothing is there.
    """
    steps = [*first, *move_steps(places, folder)]
    if any(place.exists for place, _, _ in new_places(places, folder)):
        steps += [Step(says="leave_there"), *first, *set_steps(places, folder)]
    return steps


def set_steps(places: Sequence[Place], folder: str) -> list[Step]:
    """The same without moving anything (template ``keep_there``)."""
    named = new_places(places, folder)
    return [_set(name, new, {"name": name, "old": place.path, "new": new}) for place, name, new in named]


def _set(name: str, new: str, fields: dict[str, Plain]) -> Step:
    return Step(["setx", name, new], "keep_there", fields, change=VariableChange(name, new))


def _outermost_first(found: Iterable[tuple[Place, str, str]]) -> list[tuple[Place, str, str]]:
    """A cache inside another folder that moves must move before it, to where its own variable points."""
    return sorted(found, key=lambda one: -len(PureWindowsPath(one[0].path).parts))
