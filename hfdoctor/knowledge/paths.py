"""How long the file names are that an install of transformers, torch or tensorflow writes on Windows.

Every length is in UTF-16 units, the unit of Windows' own limits, and counts from below ``site-packages``: the path
that Windows sees is ``len(site_packages) + 1 + length``.
"""

from __future__ import annotations

from functools import cache

import msgspec

from hfdoctor.knowledge.loader import Row, load_table

CACHE_TAG = "{cache_tag}"  # stands for cpython-311 and the like in the names of compiled files


class PathLength(msgspec.Struct, frozen=True):
    """A path with forward slashes, and its length in UTF-16 units."""

    path: str
    length: int


class OutsidePath(PathLength, frozen=True):
    """A path that goes below another folder than site-packages: ``scripts``, ``headers`` or ``data``."""

    scheme: str


class WheelPaths(Row, frozen=True, kw_only=True):
    """The longest names of one release's Windows wheels, longest first, at most five of each kind.

    ``wheel`` is the one that was measured; ``same_lengths`` names the wheels for other Pythons that were measured too
    and have names of the same lengths (only ``cp311`` reads ``cp312`` there). ``bytecode`` holds what pip writes in
    addition, with ``{cache_tag}`` in place of ``cpython-311``; ``libraries`` (.pyd, .dll) are in ``files`` too where
    they are long enough.
    """

    package: str
    release: str
    wheel: str
    same_lengths: tuple[str, ...]
    files: tuple[PathLength, ...]
    directories: tuple[PathLength, ...]
    bytecode: tuple[PathLength, ...]
    libraries: tuple[PathLength, ...]
    outside: tuple[OutsidePath, ...]


class Closure(Row, frozen=True, kw_only=True):
    """What one ``pip install ROOT`` brings on one platform and Python, with the releases and wheels taken.

    ``platform`` is ``win_amd64``, ``linux_x86_64``, ``linux_aarch64`` or ``macosx_arm64``; ``python`` is like ``3.11``;
    ``wheels`` goes from the normalised package name to the wheel's file name.
    """

    roots: tuple[str, ...]
    platform: str
    python: str
    wheels: dict[str, str]


class InstalledPath(msgspec.Struct, frozen=True):
    """One path that an install will write below site-packages, with the wheel it was measured in."""

    path: str
    length: int
    package: str
    release: str
    wheel: str
    source: str
    as_of: str


class InstallPaths(msgspec.Struct, frozen=True):
    """The longest paths of one install with all its dependencies, longest first, at most five of each kind.

    ``files`` and ``directories`` are written by every installer. ``bytecode`` is written by pip only, and pip goes on
    without a compiled file that cannot be written. ``libraries`` are loaded by Windows' LoadLibrary, which keeps the
    limit of 259 characters also where long paths are switched on.
    """

    root: str
    release: str
    python: str
    packages: int
    files: tuple[InstalledPath, ...]
    directories: tuple[InstalledPath, ...]
    bytecode: tuple[InstalledPath, ...]
    libraries: tuple[InstalledPath, ...]


def load_wheel_paths() -> tuple[WheelPaths, ...]:
    """Rows measured in the published wheels' own directories; KnowledgeError when the table is damaged."""
    return load_table("wheel_paths", WheelPaths)


def load_closures() -> tuple[Closure, ...]:
    """Rows resolved against the public index; KnowledgeError when the table is damaged."""
    return load_table("closures", Closure)


@cache
def install_paths(root: str, python: tuple[int, int]) -> InstallPaths | None:
    """Return the longest paths that installing ``root`` writes on 64-bit Windows for this Python.

    ``root`` is ``transformers``, ``torch`` or ``tensorflow``. None when the table does not know what is installed for
    this Python: then nothing can be said about its lengths.
    """
    python_text = f"{python[0]}.{python[1]}"
    closure = next(
        (
            row
            for row in load_closures()
            if row.roots == (root,) and row.platform == "win_amd64" and row.python == python_text
        ),
        None,
    )
    if closure is None:
        return None
    measured = {wheel: row for row in load_wheel_paths() for wheel in (row.wheel, *row.same_lengths)}
    wheels = {wheel: measured[wheel] for wheel in closure.wheels.values() if wheel in measured}
    if len(wheels) < len(closure.wheels):
        return None
    kinds: dict[str, list[InstalledPath]] = {"files": [], "directories": [], "bytecode": [], "libraries": []}
    for wheel, row in wheels.items():
        for kind, paths in kinds.items():
            for entry in getattr(row, kind):
                text = _for_wheel(entry.path, row.wheel, wheel).replace(CACHE_TAG, f"cpython-{python[0]}{python[1]}")
                paths.append(
                    InstalledPath(
                        path=text,
                        length=entry.length,
                        package=row.package,
                        release=row.release,
                        wheel=wheel,
                        source=row.source,
                        as_of=row.as_of.isoformat(),
                    )
                )
    longest = {kind: _longest(paths) for kind, paths in kinds.items()}
    release = measured[closure.wheels[root]].release
    return InstallPaths(root=root, release=release, python=python_text, packages=len(wheels), **longest)


def _for_wheel(path: str, measured: str, wheel: str) -> str:
    """Rewrite the interpreter tag in a name (``_C.cp311-win_amd64.pyd``) for the wheel that is meant."""
    return path.replace(f".{measured.split('-')[-3]}-", f".{wheel.split('-')[-3]}-")


def _longest(paths: list[InstalledPath]) -> tuple[InstalledPath, ...]:
    return tuple(sorted(paths, key=lambda entry: (-entry.length, entry.path))[:5])
