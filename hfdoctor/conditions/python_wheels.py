"""Whether the libraries are published for this interpreter at all: its version, its word size, its platform.

Asked only for what is not installed yet; what is installed has answered the question itself. Then its own
Requires-Python is held against the interpreter. A row of the tables alone is never more than a warning, and an
interpreter newer than the tables is unknown.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence

from ..facts.sections.packages import Distribution
from ..facts.sections.target import Interpreter
from ..facts.snapshot import Snapshot
from ..knowledge.versions import admits
from ..knowledge.wheels import Interpreter as Described
from ..knowledge.wheels import WheelAnswer, load_wheel_tags, newest_known_python, wheels_for
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Unknown, Verdict
from .seen_imports import may_be_error

#: compiled packages that transformers cannot be installed without; only "no wheel at all" is asked of them,
#: since transformers itself may ask for an older release
COMPILED = {"transformers": ("tokenizers", "safetensors", "numpy")}


def _too_new(s: Snapshot, goal: Goal) -> Verdict:
    return _judge("python-too-new", s, goal)


def _too_old(s: Snapshot, goal: Goal) -> Verdict:
    told = s.target.interpreter.need()
    if tuple(told.version_info[:2]) < (3, 0):
        return _python_two(s, told, goal)
    return _judge("python-too-old", s, goal)


def _bits(s: Snapshot, goal: Goal) -> Verdict:
    told = s.target.interpreter.need()
    if told.bits == 64:
        return Pass(1, [Clue(s.target.interpreter, told.bits)])
    return _judge("python-32bit", s, goal)


def _platform(s: Snapshot, goal: Goal) -> Verdict:
    return _judge("platform-no-wheel", s, goal)


def _judge(condition: str, s: Snapshot, goal: Goal) -> Verdict:
    told = s.target.interpreter.need()
    if condition in ("python-too-new", "python-too-old"):
        fails = _by_requires_python(condition, s, told, goal)
        if fails:
            return fails
    missing = _missing(s, told, goal)
    if not missing:
        return Pass(len(goal.packages), [Clue(s.packages.distributions, list(goal.packages))])
    if told.implementation != "cpython":
        return Unknown("only_cpython", {"implementation": told.implementation})
    if condition == "python-too-old" and told.version_info[1] >= newest_known_python():
        return Pass(1, [Clue(s.target.interpreter, told.version)])
    answers = _answers(s, told, missing)
    blocked = [answer for answer in answers if answer.blocked_by == condition and _stops(answer, condition)]
    if blocked:
        return _fail(condition, s, told, blocked)
    for answer in answers:
        if answer.state == "unknown":
            return Unknown("table", {"why": answer.why or "", "package": answer.package})
    return Pass(len(answers), [Clue(s.target.interpreter, told.version)])


def _missing(s: Snapshot, told: Interpreter, goal: Goal) -> list[str]:
    """What the goal asks for and is not installed. Raises FactMissing where that is not known."""
    if s.packages.distributions.status == "not-run" and tuple(told.version_info[:2]) < (3, 8):
        return list(goal.packages)  # too old to be asked what it holds, and too old for all of it anyway
    installed = s.packages.installed()
    return [package for package in goal.packages if package not in installed]


def _answers(s: Snapshot, told: Interpreter, missing: list[str]) -> list[WheelAnswer]:
    described = _described(s, told)
    # a recording without a date is taken to be as old as the tables
    today = datetime.date.fromisoformat(s.taken_at[:10]) if s.taken_at else datetime.date.min
    answers = [wheels_for(package, described, today=today) for package in missing]
    for found in answers[:]:
        for needed in COMPILED.get(found.package, ()) if found.release else ():
            answer = wheels_for(needed, described, today=today)
            if answer.state == "none":
                answers.append(answer)
    return answers


def _described(s: Snapshot, told: Interpreter) -> Described:
    """The interpreter as the tables ask for it. Raises FactMissing where the system is not known."""
    info = s.machine.os.need()
    python = tuple(told.version_info)
    machine = told.machine or s.machine.architecture.need()
    if info.system == "windows":
        return Described(python=python, os="windows", machine=machine, bits=told.bits, free_threaded=told.free_threaded)
    if info.system == "macos":
        version = _two_numbers(info.version)
        return Described(
            python=python,
            os="macos",
            machine=machine,
            bits=told.bits,
            free_threaded=told.free_threaded,
            macos=version,
        )
    libc = s.machine.libc.need()
    version = _two_numbers(libc.version)
    return Described(
        python=python,
        os="linux",
        machine=machine,
        bits=told.bits,
        free_threaded=told.free_threaded,
        glibc=version if libc.family == "glibc" else None,
        musl=version if libc.family == "musl" else None,
    )


def _two_numbers(version: str) -> tuple[int, int] | None:
    match = re.match(r"(\d+)(?:\.(\d+))?", version)
    return (int(match[1]), int(match[2] or 0)) if match else None


def _stops(answer: WheelAnswer, condition: str) -> bool:
    """Whether an install goes wrong, rather than taking an older release that works."""
    if answer.state == "none" or answer.pip_takes is None or answer.pip_builds:
        return True
    return condition == "platform-no-wheel"  # the old release will never become newer on this platform


def _fail(condition: str, s: Snapshot, told: Interpreter, blocked: list[WheelAnswer]) -> Fail:
    clues = [Clue(s.target.interpreter, _interpreter_words(told), "python_is", {"python": _interpreter_words(told)})]
    for answer in blocked:
        fields: dict[str, Plain] = {
            "package": answer.package,
            "newest": answer.newest,
            "release": answer.release,
            "pythons": ", ".join(_of_kind(answer.pythons, told.free_threaded)) or "other platforms only",
            "platforms": ", ".join(answer.platforms) or "none of this kind",
            "as_of": answer.as_of,
            "source": answer.source,
        }
        says = "older_only" if answer.release else "builds" if answer.pip_builds else "none"
        clues.append(Clue(s.target.interpreter, answer.package, f"row_{says}", fields))
    fields = {
        "packages": " and ".join(answer.package for answer in blocked),
        "python": f"{told.version_info[0]}.{told.version_info[1]}{'t' if told.free_threaded else ''}",
        "release": blocked[0].release,
    }
    old = condition == "platform-no-wheel" and all(answer.release for answer in blocked)
    steps = _steps(condition, blocked)
    return Fail(
        "older" if old else "wrong",
        "warning",
        "table",
        clues,
        fields,
        Treatment("print-only", steps) if steps else None,
        examined=len(blocked),
    )


def _of_kind(pythons: Sequence[str], free_threaded: bool) -> list[str]:
    """Of the Pythons with a wheel those of one kind: ordinary, or free-threaded (they end in t)."""
    return [python for python in pythons if python.endswith("t") == free_threaded]


def _interpreter_words(told: Interpreter) -> str:
    words = [f"{told.bits} bit", told.platform or told.machine, "free-threaded" if told.free_threaded else ""]
    return f"{told.version} ({', '.join(word for word in words if word)})"


def _steps(condition: str, blocked: list[WheelAnswer]) -> list[Step]:
    if condition in ("python-too-new", "python-too-old"):
        common = set(blocked[0].pythons).intersection(*(answer.pythons for answer in blocked))
        served = sorted((int(python[2:]) for python in common if not python.endswith("t")), reverse=True)
        if not served:
            return []
        python = f"3.{served[min(1, len(served) - 1)]}"  # not the newest: other libraries follow later
        return [Step(["uv", "venv", "--python", python, ".venv"], "other_python", {"python": python}, network=True)]
    if condition == "python-32bit":
        return [Step(says="install_64bit")]
    return [Step(says="other_platform")]


def _by_requires_python(condition: str, s: Snapshot, told: Interpreter, goal: Goal) -> list[Fail]:
    """Installed packages of the goal whose own metadata shuts this interpreter out."""
    if not s.packages.distributions.known or not may_be_error(s):
        return []
    version = ".".join(str(part) for part in told.version_info)
    installed = s.packages.installed()
    fails = []
    for package in goal.packages:
        entry = installed.get(package)
        if entry is None or not entry.requires_python or s.packages.imported(package):
            continue
        side = _side(entry, version)
        if side == condition:
            fields: dict[str, Plain] = {
                "package": entry.name,
                "version": entry.version,
                "requires": entry.requires_python,
                "python": told.version,
            }
            clue = Clue(s.packages.distributions, entry.path, "asks_for", fields)
            fails.append(Fail("shut_out", "error", "derived", [clue], fields))
    return fails


def _side(entry: Distribution, version: str) -> str:
    """python-too-old, python-too-new, or "" where the metadata admits the interpreter or cannot be read."""
    if admits(entry.requires_python, version) is not False:
        return ""
    return "python-too-old" if admits(entry.requires_python, "3.999") else "python-too-new"


def _python_two(s: Snapshot, told: Interpreter, goal: Goal) -> Verdict:
    newest = {row.package: row for row in reversed(load_wheel_tags()) if row.package in goal.packages}
    if not newest:
        return Skip("table_silent")
    clues = [
        Clue(
            s.target.interpreter,
            told.version,
            "needs_three",
            {"package": row.package, "newest": row.release, "requires": row.requires_python},
        )
        for row in newest.values()
    ]
    fields: dict[str, Plain] = {"packages": " and ".join(newest), "python": told.version}
    return Fail("wrong", "warning", "table", clues, fields, Treatment("print-only", [Step(says="install_new")]))


_SHARED = {
    "only_cpython": "the tables only know CPython, and this is {implementation}",
    "table": "{package}: {why}",
    "python_is": "the interpreter is Python {python}",
    "row_none": "{package} {newest} has wheels for Python {pythons} here, and pip finds no other release "
    "(as of {as_of}, {source})",
    "row_builds": "{package} {newest} has no wheel for it: pip would have to build it from source "
    "(as of {as_of}, {source})",
    "row_older_only": "the newest {package} with a wheel for it is {release}; {newest} is out "
    "(as of {as_of}, {source})",
    "shut_out": "{package} {version} is installed, and its own metadata shuts Python {python} out",
    "asks_for": "{package} {version} asks for Python {requires}",
    "other_python": "make an environment with Python {python}, which has wheels for all of it",
    "table_silent": "the tables do not know these packages",
}


def _condition(
    identity: str, title: str, detect: Callable[[Snapshot, Goal], Verdict], words: dict[str, str]
) -> Condition:
    return Condition(
        id=identity,
        family="python",
        title=title,
        reads=("target", "packages", "machine"),
        detect=detect,
        words={**_SHARED, **words},
    )


PYTHON_TOO_NEW = _condition(
    "python-too-new",
    "This Python is too new for the published wheels",
    _too_new,
    {"wrong": "Python {python} is too new: there is no wheel for it yet of {packages}"},
)

PYTHON_TOO_OLD = _condition(
    "python-too-old",
    "This Python is too old for the published wheels",
    _too_old,
    {
        "wrong": "Python {python} is too old: pip finds no release for it of {packages}",
        "needs_three": "{package} {newest} asks for Python {requires}",
        "install_new": "install a current Python and make an environment with it",
    },
)

PYTHON_32BIT = _condition(
    "python-32bit",
    "This Python is a 32-bit program",
    _bits,
    {
        "wrong": "this is a 32-bit Python: there is no wheel for it of {packages}",
        "row_none": "{package} {newest} is published for 64-bit Pythons only (as of {as_of}, {source})",
        "install_64bit": "install the 64-bit Python from https://www.python.org/downloads/ and make an environment "
        "with it",
    },
)

PLATFORM_NO_WHEEL = _condition(
    "platform-no-wheel",
    "The libraries are not published for this system",
    _platform,
    {
        "wrong": "there is no wheel for this system of {packages}",
        "older": "the newest release for this system is an old one: {packages} {release}",
        "row_none": "{package} {newest} is published for: {platforms} (as of {as_of}, {source})",
        "other_platform": "see the page of this condition for what serves this system: hfdoctor conditions "
        "platform-no-wheel",
    },
)

CONDITIONS: tuple[Condition, ...] = (PYTHON_TOO_NEW, PYTHON_TOO_OLD, PYTHON_32BIT, PLATFORM_NO_WHEEL)
