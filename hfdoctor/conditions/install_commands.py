"""Reads the installers' command lines that the conditions write: what they change in which environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .changes import Change, NewEnvironment, PackageChange

#: option -> the field of PackageChange that it switches on
_SWITCHES = {
    "--force-reinstall": "reinstall",
    "--ignore-installed": "reinstall",
    "--reinstall": "reinstall",
    "--upgrade": "upgrade",
    "-U": "upgrade",
    "--no-deps": "no_deps",
    "--pre": "pre",
}
#: option with a value -> the field that takes it
_VALUES = {"--index-url": "index", "--extra-index-url": "extra_index", "--python": "python"}


def change_in(argv: Sequence[str]) -> Change | None:
    """What ``argv`` (pip's, uv's or venv's) changes; None if it is another program's, or asks for what is unknown here.

    None is the safe answer: the command is then shown and left to the person.
    """
    words = list(argv)
    if words[:2] == ["uv", "pip"]:
        return _packages(words[2:], {})
    if words[1:3] == ["-m", "pip"]:
        return _packages(words[3:], {"python": words[0]})
    if words[1:3] == ["-m", "venv"] and len(words) == 4 and not words[3].startswith("-"):
        return NewEnvironment(words[0], words[3])
    if words[:3] == ["uv", "venv", "--python"] and len(words) == 5 and not words[4].startswith("-"):
        return NewEnvironment(words[3], words[4])
    return None


def _packages(words: Sequence[str], fields: dict[str, Any]) -> PackageChange | None:
    verb = words[0] if words else ""
    if verb not in ("install", "uninstall"):
        return None
    names: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if word in _SWITCHES:
            fields[_SWITCHES[word]] = True
        elif word in _VALUES:
            fields[_VALUES[word]] = next(rest, "")
        elif word in ("-y", "--yes") and verb == "uninstall":
            continue
        elif word.startswith("-"):
            return None
        else:
            names.append(word)
    if not names or not fields.get("python"):
        return None
    fields["install" if verb == "install" else "remove"] = tuple(names)
    return PackageChange(**fields)


def together(changes: Sequence[Change]) -> list[Change]:
    """``changes`` with those in one that must not be done apart: a removal and the install that follows it, a new
    environment and what is installed into it."""
    found: list[Change] = []
    for change in changes:
        last = found[-1] if found else None
        if (
            isinstance(change, PackageChange)
            and isinstance(last, NewEnvironment)
            and _inside(change.python, last.folder)
            # it takes no other option along, and one index for all
            and change == PackageChange(change.python, change.install, extra_index=change.extra_index)
            and (not last.packages or last.extra_index == change.extra_index)
        ):
            packages = (*last.packages, *change.install)
            found[-1] = NewEnvironment(last.python, last.folder, packages, change.extra_index)
        elif isinstance(change, PackageChange) and isinstance(last, PackageChange) and _one(last, change):
            found[-1] = PackageChange(
                change.python,
                (*last.install, *change.install),
                (*last.remove, *change.remove),
                change.reinstall,
                change.upgrade,
                change.no_deps,
                change.index,
                change.extra_index,
                change.pre,
            )
        else:
            found.append(change)
    return found


def _inside(python: str, folder: str) -> bool:
    return python.startswith((folder + "/", folder + "\\"))


def _one(first: PackageChange, second: PackageChange) -> bool:
    """Whether they can be one change: a pure removal goes with any install, two installs only with equal options."""
    if first.python != second.python:
        return False
    if not first.install:
        return True

    def options(one: PackageChange) -> tuple[bool | str, ...]:
        return one.reinstall, one.upgrade, one.no_deps, one.index, one.extra_index, one.pre

    return not second.remove and options(first) == options(second)
