"""The environment that the interpreter stands in: whether it is whole, whether pip may install there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath, PurePosixPath, PureWindowsPath

from ..facts.sections.target import START_TROUBLES, Start
from ..facts.snapshot import Snapshot
from .first_torch import WORDS as FIRST_WORDS
from .first_torch import new_environment
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Verdict

# -- the interpreter does not start ------------------------------------------------------------------------------------

#: troubles that another condition speaks of
ELSEWHERE = {
    "base-gone": "python-environment-moved",
    "no-interpreter": "python-environment-moved",
    "broken-config": "python-environment-moved",
    "startup-file": "python-settings",
    "settings": "python-settings",
    "store-stub": "python-store-stub",
}


def _does_not_start(s: Snapshot, goal: Goal) -> Verdict:
    start = s.target.start.need()
    if start.ok:
        return Pass(1, [Clue(s.target.start, True)])
    if start.trouble in ELSEWHERE:
        return Skip("elsewhere", {"condition": ELSEWHERE[start.trouble]})
    python = s.target.chosen.need().python
    fields: dict[str, Plain] = {"python": python, "meaning": START_TROUBLES.get(start.trouble, start.trouble)}
    clues = [Clue(s.target.start, start.trouble, "how_it_ended", {"how": _how(start)})]
    says = {"missing-library": "get_library", "not-executable": "give_right", "hung": "look_for_hang"}
    steps = [Step(says=says.get(start.trouble, "install_again"), fields=fields)]
    if start.trouble == "forbidden":
        # in the current folder: what stands beside the closed one may be closed too
        own = Step(["py" if s.windows is not None else "python3", "-m", "venv", ".venv-new"], "make_own", fields)
        steps = [own, Step(says="ask_owner", fields=fields)]
    return Fail("wrong", "error", "observed", clues, fields, Treatment("print-only", steps))


def _how(start: Start) -> str:
    """How the start ended, in one line."""
    if start.detail:
        return start.detail
    if start.signal:
        return f"killed by {start.signal}"
    if start.exit_code is not None:
        return f"exit code {start.exit_code}"
    return "no answer before the deadline"


PYTHON_DOES_NOT_START = Condition(
    id="python-does-not-start",
    family="python",
    title="The chosen Python does not start",
    reads=("target",),
    detect=_does_not_start,
    words={
        "wrong": "{python} does not start: {meaning}",
        "elsewhere": "it does not start, for the reason that {condition} tells",
        "how_it_ended": "it was started, and the answer was: {how}",
        "install_again": "install this Python again, or name another one with --python",
        "get_library": "install the library that is missing, or install this Python again",
        "give_right": "give yourself the right to run it (chmod +x {python}), or name another Python with --python",
        "make_own": "make an environment of your own, from a Python that you may run, and install there",
        "ask_owner": "or ask the owner of {python} and of the Python under it to let you read and run them: "
        "every folder on the way counts",
        "look_for_hang": "find what it waits for: run it with -v and look at the last line",
    },
)


# -- the environment was moved, or its base is gone --------------------------------------------------------------------


def _moved(s: Snapshot, goal: Goal) -> Verdict:
    environment = s.target.environment.or_absent()
    if environment is None:
        return Skip("no_environment")
    start = s.target.start.need()
    if not start.ok:
        if ELSEWHERE.get(start.trouble) == "python-environment-moved":
            return _base_gone(s, environment, start)
        return Skip("does_not_start")
    interpreter = s.target.interpreter.need()
    if interpreter.prefix != environment:
        fields: dict[str, Plain] = {"environment": environment, "prefix": interpreter.prefix}
        clues = [
            Clue(s.target.interpreter, interpreter.prefix, "takes_itself_for", fields),
            Clue(s.target.pyvenv_cfg, None, "config_gone", fields),
        ]
        return Fail("not_itself", "error", "observed", clues, fields, _make_again(s, environment))
    config = s.target.pyvenv_cfg.or_absent()
    made_with = _version(config) if config is not None else None
    running = (interpreter.version_info[0], interpreter.version_info[1])
    if made_with is not None and made_with != running:
        fields = {
            "environment": environment,
            "made": f"{made_with[0]}.{made_with[1]}",
            "runs": f"{running[0]}.{running[1]}",
        }
        clues = [
            Clue(s.target.pyvenv_cfg, fields["made"], "made_with", fields),
            Clue(s.target.interpreter, interpreter.version, "runs_with", fields),
        ]
        return Fail("other_version", "error", "observed", clues, fields, _make_again(s, environment))
    scripts = s.target.scripts.or_absent() or []
    strangers = [script for script in scripts if not script.fits]
    if strangers:
        fields = {"environment": environment, "script": strangers[0].path, "python": strangers[0].python}
        clues = [
            Clue(s.target.scripts, script.path, "names_other", {"script": script.path, "python": script.python})
            for script in strangers[:3]
        ]
        return Fail("scripts", "warning", "derived", clues, fields, _make_again(s, environment), examined=len(scripts))
    return Pass(2 + len(scripts), [Clue(s.target.interpreter, interpreter.prefix)])


def _version(config: dict[str, str]) -> tuple[int, int] | None:
    for key in ("version_info", "version"):
        match = re.match(r"(\d+)\.(\d+)", config.get(key, ""))
        if match:
            return int(match[1]), int(match[2])
    return None


def _base_gone(s: Snapshot, environment: str, start: Start) -> Fail:
    clues = [Clue(s.target.start, start.trouble, "start_says", {"detail": start.detail or start.trouble})]
    base = s.target.base.maybe()
    if base is not None and not base.exists:
        clues.append(Clue(s.target.base, base.home, "home_gone", {"home": base.home}))
    fields: dict[str, Plain] = {"environment": environment}
    says = {"base-gone": "base_gone", "no-interpreter": "no_interpreter"}.get(start.trouble, "broken_config")
    return Fail(says, "error", "observed", clues, fields, _make_again(s, environment))


def _make_again(s: Snapshot, environment: str) -> Treatment:
    """A new environment beside the old one, which stays until the person removes it."""
    windows = s.windows is not None
    flavour: Callable[[str], PurePath] = PureWindowsPath if windows else PurePosixPath
    folder = flavour(environment)
    fresh = str(folder.with_name(folder.name + "-new"))
    return Treatment(
        "print-only",
        [
            Step(["py" if windows else "python3", "-m", "venv", fresh], "make_new", {"fresh": fresh}),
            Step(says="install_there", fields={"environment": environment}),
        ],
    )


PYTHON_ENVIRONMENT_MOVED = Condition(
    id="python-environment-moved",
    family="python",
    title="The environment was moved, or the Python under it is gone",
    reads=("target",),
    detect=_moved,
    words={
        "no_environment": "this Python does not stand in an environment",
        "does_not_start": "it does not start, for another reason",
        "base_gone": "the environment {environment} cannot start: the Python it was made from is gone",
        "no_interpreter": "the environment {environment} has no interpreter any more",
        "broken_config": "the environment {environment} cannot start: its pyvenv.cfg is missing or broken",
        "start_says": "{detail}",
        "home_gone": "its pyvenv.cfg names {home} as the home of that Python, and there is none",
        "not_itself": "the Python in {environment} does not see that environment's packages",
        "takes_itself_for": "it takes {prefix} for its place",
        "config_gone": "{environment} has no usable pyvenv.cfg",
        "other_version": "the environment {environment} was made with Python {made} and now runs with {runs}: "
        "its packages are for {made}",
        "made_with": "pyvenv.cfg: made with Python {made}",
        "runs_with": "the interpreter is Python {runs} now",
        "scripts": "the environment {environment} was moved or copied: its programs start another Python",
        "names_other": "{script} starts {python}",
        "make_new": "make a new environment",
        "install_there": "install there what {environment} held, then remove the old folder",
    },
)


# -- PEP 668 -----------------------------------------------------------------------------------------------------------


def _externally_managed(s: Snapshot, goal: Goal) -> Verdict:
    marker = s.target.externally_managed.or_absent()
    if marker is None:
        return Pass(1, [Clue(s.target.externally_managed)])
    if _allowed(s):
        return Skip("allowed")
    installed = s.packages.installed()
    missing = [package for package in goal.packages if package not in installed]
    if not missing:
        return Skip("nothing_to_install")
    python = s.target.chosen.need().python
    fields: dict[str, Plain] = {"packages": " and ".join(missing), "python": python, "marker": marker}
    windows = s.windows is not None
    inside = ".venv\\Scripts\\python.exe" if windows else ".venv/bin/python"
    steps = new_environment(s, [python, "-m", "venv", ".venv"], inside, missing)
    if marker.startswith("/usr/lib/"):  # a way of its own: hfdoctor makes environments without that package
        steps.append(Step(says="debian_venv", administrator=True))
    clue = Clue(s.target.externally_managed, marker, "marker_is", fields)
    return Fail("wrong", "error", "derived", [clue], fields, Treatment("confirm", steps))


def _allowed(s: Snapshot) -> bool:
    """Whether pip was told to install all the same. Raises FactMissing where the settings are not known."""
    value = s.settings.variable("PIP_BREAK_SYSTEM_PACKAGES")
    if value is None:
        named = s.settings.pip_config.or_absent() or []
        values = [entry.value for entry in named if entry.name.rpartition(".")[2] == "break-system-packages"]
        value = values[-1] if values else ""
    return value.strip().lower() in ("1", "true", "yes", "on", "y", "t")


EXTERNALLY_MANAGED = Condition(
    id="externally-managed",
    family="python",
    title="The system manages this Python, and pip refuses to install into it",
    reads=("target", "packages", "settings", "gpu", "machine"),
    detect=_externally_managed,
    explained_by=("python-environment-moved",),  # it takes itself for the system's own interpreter then
    words={
        "allowed": "pip was told to install all the same (break-system-packages)",
        "nothing_to_install": "it is managed by the system, and nothing needs to be installed",
        "wrong": "pip refuses to install {packages} into {python}: the system manages that Python",
        "marker_is": "{marker} says so",
        "debian_venv": "or, where the command for the environment fails on Debian or Ubuntu, install what it lacks "
        "first: sudo apt install python3-venv",
        **FIRST_WORDS,
    },
)

CONDITIONS: tuple[Condition, ...] = (PYTHON_DOES_NOT_START, PYTHON_ENVIRONMENT_MOVED, EXTERNALLY_MANAGED)
