"""For which interpreters a package was published as a wheel, and what pip does where there is none.

The table holds, for each package, its newest release and every older release that was the last to support some Python
or platform, so the newest release for an interpreter is told exactly. It grows old in one direction: wheels for a new
Python arrive later, and so "no wheel yet" is only believed while the table is young.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from functools import cache
from typing import Literal

import msgspec

from hfdoctor.knowledge.loader import Row, load_table
from hfdoctor.knowledge.versions import admits

TRUSTED_DAYS = 45  # how long "no wheel for this new Python yet" is believed after the day the table was read
TRUSTED_DAYS_PLATFORM = 365  # the same for "no wheel for this platform": these come and go more slowly


class WheelTags(Row, frozen=True, kw_only=True):
    """One release's wheels. ``wheels`` holds strings such as ``cp311-cp311 win_amd64 macosx_11_0_arm64``: the Python
    and ABI tags, then every platform tag. ``sdist``: whether pip could build it from source."""

    package: str
    release: str
    uploaded: datetime.date
    requires_python: str | None
    sdist: bool
    wheels: tuple[str, ...]


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """A described CPython, which need not be the running one.

    ``machine`` is ``x86_64``, ``aarch64`` and so on, in any of its usual spellings. ``bits`` is the interpreter's own
    width, 32 or 64. ``glibc`` or ``musl`` is the libc's version on Linux, ``macos`` the system's version on a Mac.
    """

    python: tuple[int, ...]
    os: Literal["linux", "macos", "windows"]
    machine: str
    bits: int = 64
    free_threaded: bool = False
    glibc: tuple[int, int] | None = None
    musl: tuple[int, int] | None = None
    macos: tuple[int, int] | None = None


class WheelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the table says about one package and one interpreter.

    ``state``
        ``newest``: the newest release has a wheel; ``older``: only an older release has one; ``none``: no release of
        the table has one; ``unknown``: the table cannot tell, and ``why`` says so.
    ``newest``, ``release``
        the newest release at all, and the newest with a wheel for this interpreter.
    ``pip_takes``, ``pip_builds``
        the release that a plain ``pip install PACKAGE`` picks (a package that depends on this one may ask for another),
        and whether it has to be built from source. None: "No matching distribution".
    ``blocked_by``
        the condition's id that keeps the newest release's wheels away: ``python-too-new``, ``python-too-old``,
        ``python-32bit``, ``glibc-too-old`` or ``platform-no-wheel``. None when state is ``newest`` or ``unknown``.
    Empty where state is ``newest``:
    ``free_threaded_only``
        True where the ordinary build of the same Python would get the newest release's wheel.
    ``pythons``
        the Pythons that the newest release has wheels for on this platform, such as ``("3.11", "3.12")``; free-threaded
        ones end in ``t``.
    ``platforms``
        the newest release's platform tags for this operating system and machine, such as ``("macosx_14_0_arm64",)``:
        what the system would have to be at least.
    """

    package: str
    state: Literal["newest", "older", "none", "unknown"]
    why: str | None = None
    newest: str | None = None
    release: str | None = None
    pip_takes: str | None = None
    pip_builds: bool = False
    blocked_by: str | None = None
    free_threaded_only: bool = False
    pythons: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    as_of: str | None = None
    source: str | None = None


def load_wheel_tags() -> tuple[WheelTags, ...]:
    """Rows by package, newest release first; KnowledgeError when the table is damaged."""
    return load_table("wheel_tags", WheelTags)


@cache
def newest_known_python() -> int:
    """The highest CPython 3 minor that any wheel of the table names."""
    minors = (
        int(match[1]) for row in load_wheel_tags() for wheel in row.wheels if (match := re.match(r"cp3(\d+)-", wheel))
    )
    return max(minors)


def wheels_for(package: str, interpreter: Interpreter, *, today: datetime.date) -> WheelAnswer:
    """Say which release of ``package`` has a wheel for ``interpreter``, as far as the table of ``as_of`` knows.

    ``today`` is the day of the observation: an old table does not deny wheels to a new Python. Never raises for an
    unusual interpreter: the answer is then ``unknown``.
    """
    rows = [row for row in load_wheel_tags() if row.package == package]
    if not rows:
        return WheelAnswer(package=package, state="unknown", why=f"the table does not know {package}")
    newest = rows[0]
    unknown = WheelAnswer(
        package=package,
        state="unknown",
        newest=newest.release,
        as_of=newest.as_of.isoformat(),
        source=newest.source,
    )
    platforms = platform_tags(interpreter)
    if platforms is None:
        return msgspec.structs.replace(unknown, why="the platform's wheel tags cannot be told from the facts")
    if interpreter.python[0] != 3 or interpreter.python[1] > newest_known_python():
        version = ".".join(str(part) for part in interpreter.python[:2])
        return msgspec.structs.replace(unknown, why=f"the table was made before Python {version}")

    pairs = tag_pairs(interpreter.python[1], interpreter.free_threaded)
    release = next((row for row in rows if _admits(row, interpreter) and _has(row, pairs, platforms)), None)
    picked = next(
        (row for row in rows if _admits(row, interpreter) and (row.sdist or _has(row, pairs, platforms))), None
    )
    answer = msgspec.structs.replace(
        unknown,
        state="none" if release is None else "newest" if release is newest else "older",
        release=release.release if release else None,
        pip_takes=picked.release if picked else None,
        pip_builds=picked is not None and picked is not release,
    )
    if answer.state == "newest":
        return answer
    pythons = tuple(_pythons(newest, platforms))
    ordinary = tag_pairs(interpreter.python[1], False)
    free_threaded_only = (
        interpreter.free_threaded and _admits(newest, interpreter) and _has(newest, ordinary, platforms)
    )
    blocked_by = _blocked_by(newest, interpreter, platforms, pythons, free_threaded_only)
    young = blocked_by == "python-too-new" or free_threaded_only
    trusted = TRUSTED_DAYS if young else TRUSTED_DAYS_PLATFORM if blocked_by == "platform-no-wheel" else None
    age = (today - newest.as_of).days
    if trusted is not None and age > trusted:
        return msgspec.structs.replace(unknown, why=f"the table is {age} days old; wheels may have come since")
    return msgspec.structs.replace(
        answer,
        blocked_by=blocked_by,
        free_threaded_only=free_threaded_only,
        pythons=pythons,
        platforms=_same_kind(newest, interpreter),
    )


def platform_tags(interpreter: Interpreter) -> frozenset[str] | None:
    """Return the platform tags of wheels that the interpreter can use, or None when the facts do not suffice."""
    machine = _machine(interpreter)
    if machine is None:
        return None
    if interpreter.os == "windows":
        return frozenset({{"x86_64": "win_amd64", "aarch64": "win_arm64", "i686": "win32"}.get(machine, machine)})
    if interpreter.os == "macos":
        if interpreter.macos is None:
            return None
        from packaging.tags import mac_platforms

        return frozenset(mac_platforms(interpreter.macos, "arm64" if machine == "aarch64" else machine))
    tags = {f"linux_{machine}"}
    if interpreter.glibc is not None and interpreter.glibc[0] == 2:
        minor = interpreter.glibc[1]
        tags |= {f"manylinux_2_{older}_{machine}" for older in range(5, minor + 1)}
        for least, name in ((5, "manylinux1"), (12, "manylinux2010"), (17, "manylinux2014")):
            if minor >= least:
                tags.add(f"{name}_{machine}")
    elif interpreter.musl is not None:
        major, minor = interpreter.musl
        tags |= {f"musllinux_{major}_{older}_{machine}" for older in range(minor + 1)}
    else:
        return None
    return frozenset(tags)


def _machine(interpreter: Interpreter) -> str | None:
    name = interpreter.machine.lower()
    if name in ("amd64", "x86_64", "x64"):
        return "x86_64" if interpreter.bits == 64 else "i686"
    if name in ("arm64", "aarch64"):
        return "aarch64" if interpreter.bits == 64 else "armv7l"
    if re.fullmatch(r"i[3-6]86|x86", name):
        return "i686"
    return name or None


@cache
def tag_pairs(minor: int, free_threaded: bool) -> frozenset[str]:
    """Return the ``python-abi`` tag pairs that a CPython 3 can use, as packaging.tags gives them.

    Made here because packaging describes only the running interpreter's build well: its older releases let a
    free-threaded build use abi3 wheels, and importing it takes longer than all the rest of the answer.
    """
    own = f"cp3{minor}"
    stable = "abi3t" if free_threaded else "abi3"
    pairs = {f"{own}-{own}t" if free_threaded else f"{own}-{own}", f"{own}-none", "py3-none"}
    pairs |= {f"cp3{older}-{stable}" for older in range(2, minor + 1)}
    pairs |= {f"py3{older}-none" for older in range(minor + 1)}
    return frozenset(pairs)


def _wheels(row: WheelTags) -> Iterator[tuple[str, list[str]]]:
    for wheel in row.wheels:
        pair, *platforms = wheel.split(" ")
        yield pair, platforms


def _has(row: WheelTags, pairs: frozenset[str], platforms: frozenset[str]) -> bool:
    return any(pair in pairs and any(tag == "any" or tag in platforms for tag in tags) for pair, tags in _wheels(row))


def _admits(row: WheelTags, interpreter: Interpreter) -> bool:
    # without a micro version the newest one is meant: >=3.11.2 admits today's 3.11
    parts = interpreter.python if len(interpreter.python) > 2 else (*interpreter.python, 99)
    # one that cannot be read admits every Python, as it does for pip
    return admits(row.requires_python or "", ".".join(str(part) for part in parts)) is not False


def _pythons(row: WheelTags, platforms: frozenset[str]) -> Iterator[str]:
    for minor in range(8, newest_known_python() + 1):
        if _admits(row, Interpreter(python=(3, minor), os="linux", machine="")):
            for free_threaded in (False, True) if minor >= 13 else (False,):
                if _has(row, tag_pairs(minor, free_threaded), platforms):
                    yield f"3.{minor}{'t' if free_threaded else ''}"


def _same_kind(row: WheelTags, interpreter: Interpreter) -> tuple[str, ...]:
    libc = "musllinux" if interpreter.musl is not None else "manylinux"
    prefix = {"windows": "win", "macos": "macosx", "linux": libc}[interpreter.os]
    machine = _machine(interpreter) or ""
    endings = (machine, "amd64") if machine == "x86_64" else (machine, "arm64") if machine == "aarch64" else (machine,)
    return tuple(
        sorted(
            {
                tag
                for _, tags in _wheels(row)
                for tag in tags
                if tag == "any" or (tag.startswith(prefix) and tag.endswith((*endings, "universal2")))
            }
        )
    )


def _blocked_by(
    newest: WheelTags,
    interpreter: Interpreter,
    platforms: frozenset[str],
    pythons: tuple[str, ...],
    free_threaded_only: bool,
) -> str:
    """Which property of the interpreter stands between it and the newest release's wheels."""
    served = sorted({int(python[2:].rstrip("t")) for python in pythons})
    if free_threaded_only:
        return "platform-no-wheel"  # neither too new nor too old: another build of the same Python would do
    if served:
        return "python-too-old" if interpreter.python[1] < served[0] else "python-too-new"
    if _machine(interpreter) in ("i686", "armv7l"):
        return "python-32bit"
    if interpreter.glibc is not None:
        current = platform_tags(msgspec.structs.replace(interpreter, glibc=(2, 99)))
        if current is not None and any(_pythons(newest, current)):
            return "glibc-too-old"
    return "platform-no-wheel"
