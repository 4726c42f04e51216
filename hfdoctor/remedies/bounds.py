"""What is never moved, whoever asks, and how a path that a plan names is held against the machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from .action import NothingToDo, Refused, Workplace
from .anchored import is_link
from .path_text import long_path, shown, without_mark
from .volumes import mounted_in


def located(path: str, place: Workplace, *, links: bool = False) -> str:
    """``path`` with the folders above it as they really are; it need not exist.

    Links above a place that is known (a cache, the home) are the person's own and followed. Those below came with what
    is kept there, and could lead anywhere: Refused (not with ``links``), as is a path that is relative or goes up.
    """
    plain = without_mark(path)
    parts = plain.replace("\\", "/").split("/") if os.name == "nt" else plain.split("/")
    drive, tail = os.path.splitdrive(plain)
    odd = os.name == "nt" and (not drive or ":" in tail)  # a stream of a file, or a path on the current drive
    if not os.path.isabs(plain) or ".." in parts or "\0" in plain or odd:
        raise Refused(f"{shown(path)} is not a plain path to a file or folder: hfdoctor does not touch it")
    plain = os.path.normpath(plain)
    if plain.startswith("//"):  # POSIX lets two slashes mean something of their own
        plain = plain[1:]
    base = max((known for known in _known_places(place) if _inside(plain, known)), key=len, default=None)
    if not links:
        _no_link_below(plain, base)
    parent, name = os.path.split(plain)
    return os.path.join(without_mark(os.path.realpath(parent)), name) if name else plain


def refuse_what_must_stay(path: str, place: Workplace) -> None:
    """Raises Refused if ``path``, from ``located``, is or holds what must not go from its place."""
    if os.path.dirname(path) == path:
        raise Refused(f"{shown(path)} is a whole drive: hfdoctor does not move it")
    if points := mounted_in(path):
        where = "is" if path in points else f"holds {shown(points[0])},"
        raise Refused(f"{shown(path)} {where} a volume of its own: hfdoctor does not move it")
    kept = [
        ("your home folder", str(place.home)),
        ("hfdoctor's journal", str(place.state)),
        ("hfdoctor itself", os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
        ("the Python that runs hfdoctor", sys.prefix),
        ("the Python that runs hfdoctor", sys.base_prefix),
        *(("the Python environment", prefix) for prefix in _prefixes(place)),
    ]
    for what, known in kept:
        if known and os.path.isabs(known) and any(_inside(form, path) for form in _forms(known)):
            raise Refused(f"{shown(path)} is or holds {what}: hfdoctor does not move it")


def refuse_both(source: str, destination: str) -> bool:
    """Raises Refused if the two lie in one another, NothingToDo if they are one place; both from ``located``.

    Returns True if the two differ only in how the one name is spelled, on a volume where that makes no difference.
    """
    if source == destination:
        raise NothingToDo
    if os.path.dirname(destination) == destination or mounted_in(destination):
        raise Refused(f"{shown(destination)} is a whole volume: name a folder in it")
    if _inside(destination, source) or _inside(source, destination) or _same(source, destination):
        if os.path.dirname(source) == os.path.dirname(destination) and _same(source, destination):
            return True
        raise Refused(
            f"{shown(source)} and {shown(destination)} are one place or lie in one another: name a place outside of it"
        )
    at = os.path.dirname(destination)  # also where another spelling, or another name of a volume, hides it
    while at != os.path.dirname(at):
        if _same(source, at):
            raise Refused(f"{shown(destination)} lies in {shown(source)}: name a place outside of it")
        at = os.path.dirname(at)
    return False


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(long_path(one), long_path(other))
    except OSError:
        return False


def _forms(path: str) -> set[str]:
    return {os.path.normpath(path), without_mark(os.path.realpath(path))}


def _inside(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or something in it, going by the names."""
    path, folder = _compared(path), _compared(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _compared(path: str) -> str:
    path = os.path.normcase(os.path.normpath(path))
    return path.casefold() if sys.platform == "darwin" else path


def _prefixes(place: Workplace) -> Iterator[str]:
    target = place.snapshot.target
    interpreter = target.interpreter.maybe()
    if interpreter is not None:
        yield interpreter.prefix
        yield interpreter.base_prefix
    if environment := target.environment.maybe():
        yield environment


def _known_places(place: Workplace) -> list[str]:
    paths = place.snapshot.target.paths.maybe()
    found = [str(place.home), str(place.state), str(place.cwd), *_prefixes(place)]
    found += [entry.path for entry in place.snapshot.storage.places.maybe() or []]
    found += (
        [paths.purelib, paths.platlib, paths.scripts, paths.user_site, *paths.site_packages]
        if paths is not None
        else []
    )
    return [os.path.normpath(path) for path in found if path and os.path.isabs(path)]


def _no_link_below(path: str, base: str | None) -> None:
    at = os.path.dirname(path)
    while at != os.path.dirname(at) and not (base is not None and _inside(base, at)):
        try:
            found = os.lstat(long_path(at))
        except FileNotFoundError:
            pass
        else:
            # root's links (/tmp on macOS) lead where the system wants
            ours = base is not None or os.name == "nt" or found.st_uid != 0
            if is_link(found) and ours:
                raise Refused(f"{shown(at)} is a link: hfdoctor follows none there; name the real place")
        at = os.path.dirname(at)
