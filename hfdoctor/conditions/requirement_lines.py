"""Reads Requires-Dist lines for an interpreter that is described, not running.

Most lines are a name and a specifier. Building packaging's Requirement for each costs five times what the specifier
alone costs, and an environment has hundreds of lines, most of them for extras that nobody asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache

import msgspec

from ..facts.sections.target import Interpreter
from ..knowledge.versions import admits, marker_holds

_LINE = re.compile(
    r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*(@[^;]*|[(<>=!~][^;@]*)?\s*\Z"
)
_RUNS = re.compile(r"[-_.]+")


class Line(msgspec.Struct, frozen=True):
    """One requirement: a normalised name, the extras asked of it, its specifier ("" admits every version)."""

    name: str
    extras: tuple[str, ...]
    specifier: str
    marker: str


def normalised(name: str) -> str:
    """The name as PEP 503 compares it."""
    return _RUNS.sub("-", name.strip()).lower()


@lru_cache(maxsize=4096)
def parse(text: str) -> Line | None:
    """Split a Requires-Dist line; None where it is no requirement (old packages have such lines)."""
    requirement, _, marker = text.partition(";")
    if " @" in text:  # a URL may hold a semicolon; one before its marker stands apart
        requirement, _, marker = text.partition(" ;")
    match = _LINE.match(requirement)
    if match is None:
        return None
    specifier = (match[3] or "").strip()
    if specifier.startswith("@"):
        specifier = ""  # from a URL: no version to hold against
    elif specifier.startswith("(") and specifier.endswith(")"):
        specifier = specifier[1:-1].strip()
    extras = tuple(normalised(extra) for extra in (match[2] or "").split(",") if extra.strip())
    return Line(normalised(match[1]), extras, specifier, marker.strip())


def fits(version: str, specifier: str) -> bool | None:
    """Whether ``version`` satisfies ``specifier`` as pip sees it; None where one of them cannot be read.

    Pre-releases count: what is installed is installed (a nightly torch satisfies ``torch>=2.4``). A local part
    (``+cpu``) does not matter unless the specifier has one.
    """
    return admits(specifier, version) if specifier else True


def release_of(version: str) -> str:
    """The release that a pre-release leads to: 2.6.0 for 2.6.0a0+ecf3bae40a; others unchanged."""
    from packaging.version import Version

    try:
        read = Version(version)
    except ValueError:
        return version
    return read.base_version if read.is_prerelease else version


def is_for_an_extra(text: str) -> bool:
    """Whether a line plainly asks for something only with an extra; told from its letters, for speed."""
    marker = text.partition(";")[2]
    return "extra" in marker and " or " not in marker and "!=" not in marker and "not in" not in marker


def applies(line: Line, environment: tuple[tuple[str, str], ...], extras: Collection[str]) -> str | None:
    """Whether the line's marker holds: "" for yes, the name of the extra that makes it hold, None for no.

    ``environment`` comes from ``marker_environment``. A marker that cannot be read or decided does not hold: what is
    not certain is not reported.
    """
    marker = line.marker
    if not marker:
        return ""
    if "extra" not in marker:
        return "" if marker_holds(marker, environment) else None
    if not extras and is_for_an_extra(";" + marker):
        return None
    if marker_holds(marker, environment):
        return ""
    return next((extra for extra in sorted(extras) if marker_holds(marker, environment, extra)), None)


_SYSTEMS = {
    "linux": ("posix", "linux", "Linux"),
    "macosx": ("posix", "darwin", "Darwin"),
    "win": ("nt", "win32", "Windows"),
}
_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalVM", "ironpython": "IronPython"}


def marker_environment(interpreter: Interpreter, kernel: str = "") -> tuple[tuple[str, str], ...]:
    """The PEP 508 environment of the described interpreter, every name of it, sorted.

    ``kernel`` is the kernel's release (platform_release), "" where it is not known.
    """
    family = next((name for name in _SYSTEMS if interpreter.platform.startswith(name)), "")
    os_name, sys_platform, system = _SYSTEMS.get(family, ("posix", interpreter.platform.partition("-")[0], ""))
    machine = interpreter.machine or interpreter.platform.rpartition("-")[2]
    if family == "win":
        machine = {"amd64": "AMD64", "win32": "x86", "arm64": "ARM64"}.get(machine, machine)
    major, minor, micro = [*interpreter.version_info, 0, 0, 0][:3]
    full = interpreter.version.rstrip("+") or f"{major}.{minor}.{micro}"
    implementation = interpreter.implementation
    environment: Mapping[str, str] = {
        "implementation_name": implementation,
        "implementation_version": full if implementation == "cpython" else "0",
        "os_name": os_name,
        "platform_machine": machine,
        "platform_python_implementation": _IMPLEMENTATIONS.get(implementation, implementation),
        "platform_release": kernel,
        "platform_system": system,
        "platform_version": "",
        "python_full_version": full,
        "python_version": f"{major}.{minor}",
        "sys_platform": sys_platform,
    }
    return tuple(sorted(environment.items()))
