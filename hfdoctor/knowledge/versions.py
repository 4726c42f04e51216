"""Compares versions and reads specifiers and markers, as packaging does; what is plain, without loading it.

Nearly every version that is installed and nearly every requirement is plain: ``2.4.0``, ``>=1.26,<3``,
``sys_platform == "win32"``. Loading packaging's parsers for these takes an eighth of a whole check, most of it for
compiling their regular expressions. Whatever is not plain (pre-releases, epochs, local parts that count, ``===``,
``in`` ...) is packaging's: a plain answer is one that packaging gives too, and the tests hold the two
against each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_RELEASE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})*)(\+[a-z0-9]+(?:\.[a-z0-9]+)*)?", re.ASCII)
_CLAUSE = re.compile(
    r"(==|!=|>=|<=|>|<|~=)[ \t]*([0-9]{1,18}(?:\.[0-9]{1,18})*)(\.\*|(?:a|b|rc|\.dev)[0-9]+)?", re.ASCII
)
_ATOM = re.compile(
    r"[ \t]*(\(*)([a-z_]+)[ \t]*(==|!=|>=|<=|>|<)[ \t]*(?:\"([\w .-]*)\"|'([\w .-]*)')"
    r"[ \t]*(\)*)[ \t]*(?:(and|or)\b|\Z)",
    re.ASCII,
)
#: variables of a marker whose value is a word, and those whose value is a version
_WORDS = frozenset(
    {
        *("os_name", "sys_platform", "platform_machine", "platform_system", "platform_python_implementation"),
        *("implementation_name", "extra"),
    }
)
_VERSIONS = frozenset({"python_version", "python_full_version"})


def order(left: str, right: str) -> int | None:
    """-1, 0 or 1 as the version ``left`` is older than, the same as or newer than ``right``; None if one is no version.

    A local part counts: ``2.13.0+cpu`` is newer than ``2.13.0``.
    """
    one, other = _RELEASE.fullmatch(left), _RELEASE.fullmatch(right)
    if one and other:
        first, second = _key(one[1]), _key(other[1])
        if first != second:
            return -1 if first < second else 1
        if not (one[2] and other[2]):
            return bool(one[2]) - bool(other[2])
    from packaging.version import Version

    try:
        mine, yours = Version(left), Version(right)
    except ValueError:  # also for a number of thousands of digits, which Python refuses to read
        return None
    return (mine > yours) - (mine < yours)


def is_older(version: str, than: str) -> bool:
    """Whether ``version`` is older than ``than``; False also where one of them is no version."""
    return order(version, than) == -1


def reaches(version: str, bound: str) -> bool:
    """Whether ``version`` is ``bound`` or newer; False also where one of them is no version."""
    return order(version, bound) in (0, 1)


def base_release(version: str) -> str:
    """The release that ``version`` is a build, pre-release or development version of; "" if it is no version."""
    plain = _RELEASE.fullmatch(version)
    if plain:
        return plain[1]
    from packaging.version import Version

    try:
        return Version(version).base_version
    except ValueError:
        return ""


@lru_cache(maxsize=4096)
def admits(specifier: str, version: str) -> bool | None:
    """Whether ``version`` satisfies ``specifier`` (``>=1.26,<3``) as pip sees it; None where one cannot be read.

    Pre-releases count: what is installed is installed. A local part does not matter unless the specifier has one.
    """
    plain = _plainly_admits(specifier, version)
    if plain is not None:
        return plain
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except ValueError:
        return None


@lru_cache(maxsize=2048)
def marker_holds(marker: str, environment: tuple[tuple[str, str], ...], extra: str = "") -> bool:
    """Whether the marker holds in ``environment``, which names every variable but ``extra``; False if it is none.

    ``extra`` is a normalised name.
    """
    values = {**dict(environment), "extra": extra}
    plain = _plainly_holds(marker, values)
    if plain is not None:
        return plain
    from packaging.markers import Marker, UndefinedEnvironmentName

    try:
        # the whole environment is given: what packaging would fill in is that of the running interpreter
        return Marker(marker).evaluate(dict(values))
    except (ValueError, UndefinedEnvironmentName):
        return False


def _key(release: str) -> tuple[int, ...]:
    """The numbers of a release, without the zeros at the end, which do not count."""
    numbers = [int(number) for number in release.split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _plainly_admits(specifier: str, version: str) -> bool | None:
    """The answer where the version is a release, with or without a local part, and every clause names one."""
    installed = _RELEASE.fullmatch(version)
    if installed is None:
        return None
    held = True
    for part in specifier.split(","):
        if not part.strip():
            continue  # nothing between two commas, or nothing at all: packaging passes over it too
        clause = _CLAUSE.fullmatch(part.strip())
        if clause is None:
            return None
        answer = _meets(installed[1], clause[1], clause[2], clause[3] or "")
        if answer is None:
            return None
        held = held and answer
    return held


def _meets(version: str, operator: str, bound: str, ending: str) -> bool | None:
    """Whether a release meets one clause. ``ending`` is ``.*``, or names a pre-release of ``bound``."""
    key, limit = _key(version), _key(bound)
    if ending == ".*":
        if operator not in ("==", "!="):
            return None
        return _starts_with(version, bound) == (operator == "==")
    if operator == "~=":
        head = bound.rpartition(".")[0]
        return None if ending or not head else key >= limit and _starts_with(version, head)
    if ending:  # a release comes after its own pre-releases, and before those of the next
        return {"==": False, "!=": True, ">=": key >= limit, "<=": key < limit, "<": key < limit}.get(operator)
    return {
        "==": key == limit,
        "!=": key != limit,
        ">=": key >= limit,
        "<=": key <= limit,
        ">": key > limit,
        "<": key < limit,
    }[operator]


def _starts_with(version: str, prefix: str) -> bool:
    wanted = [int(number) for number in prefix.split(".")]
    numbers = [int(number) for number in version.split(".")]
    numbers += [0] * (len(wanted) - len(numbers))
    return numbers[: len(wanted)] == wanted


def _plainly_holds(marker: str, values: Mapping[str, str]) -> bool | None:
    """The answer where all that the marker joins are plain comparisons."""
    joined = ""  # T and F for what holds and does not, & and | between them, and the brackets
    position = 0
    joint: str | None = "and"
    while joint:
        atom = _ATOM.match(marker, position)
        if atom is None:
            return None
        opened, name, operator, value, quoted, closed, joint = atom.groups()
        answer = _compares(name, operator, value if quoted is None else quoted, values)
        if answer is None:
            return None
        joined += opened + "FT"[answer] + closed + {"and": "&", "or": "|"}.get(joint or "", "")
        position = atom.end()
    found = 1
    while found:  # the innermost brackets first
        joined, found = re.subn(r"\(([TF&|]+)\)", lambda inner: "FT"[_any_holds(inner[1])], joined)
    return None if "(" in joined or ")" in joined else _any_holds(joined)


def _any_holds(joined: str) -> bool:
    """Whether one of the alternatives holds: ``and`` binds closer than ``or``."""
    return any("F" not in alternative for alternative in joined.split("|"))


def _compares(name: str, operator: str, value: str, values: Mapping[str, str]) -> bool | None:
    if name in _VERSIONS:
        return _plainly_admits(operator + value, values[name])
    # a word that could be read as a version would be compared as one, by older releases of packaging
    if name not in _WORDS or operator not in ("==", "!=") or not value or _like_a_version(value):
        return None
    if name == "extra" and not (value.isalnum() and value.islower()):
        return None  # names of extras are compared in their normal form
    return (values[name] == value) == (operator == "==")


def _like_a_version(word: str) -> bool:
    return word.strip().lstrip("vV")[:1].isdigit()
