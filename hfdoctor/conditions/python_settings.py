"""What redirects the interpreter: PYTHON* variables, start-up files, and files that hide modules."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath, PurePosixPath, PureWindowsPath

from ..facts.sections.packages import Distribution
from ..facts.sections.target import Shadow, Start
from ..facts.snapshot import Snapshot
from .changes import PutAway
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Verdict
from .seen_imports import may_be_error
from .variable_steps import unset_variable

#: modules that "import transformers" or "import torch" cannot do without, beside themselves
CORE = {"torch": ("torch",), "transformers": ("numpy", "tokenizers", "safetensors", "huggingface_hub")}
#: modules with compiled parts: those of another Python version do not load
COMPILED = frozenset({"torch", "numpy", "tokenizers", "safetensors", "regex", "yaml", "markupsafe", "hf_xet"})


def _settings(s: Snapshot, goal: Goal) -> Verdict:
    start = s.target.start.need()
    if not start.ok:
        if start.trouble in ("settings", "startup-file"):
            return _stopped(s, start)
        return Skip("does_not_start")
    fails = _broken_startup_files(s) + _foreign_packages(s, goal)
    if fails:
        return fails
    return Pass(2 + len(s.target.pth_files.need()), [Clue(s.target.startup_modules)])


def _stopped(s: Snapshot, start: Start) -> Fail:
    python = s.target.chosen.need().python
    how = start.detail or f"exit code {start.exit_code}"
    fields: dict[str, Plain] = {"python": python, "culprit": start.culprit, "how": how}
    if start.trouble == "settings":
        if not start.culprit:
            clue = Clue(s.target.start, "PYTHON*", "starts_without_all")
            steps = [Step(says="unset_all"), *(unset_variable(name) for name in _python_variables(s))]
            return Fail("variables", "error", "observed", [clue], fields, Treatment("confirm", steps))
        value = s.settings.variable(start.culprit) if s.settings.variables.known else None
        clues = [Clue(s.target.start, start.culprit, "starts_without", fields)]
        if value is not None:
            clues.append(Clue(s.settings.variables, value, "is_set_to", {"culprit": start.culprit, "value": value}))
        step = unset_variable(start.culprit, "unset", **fields)
        return Fail("variable", "error", "observed", clues, fields, Treatment("confirm", [step]))
    if not start.culprit:
        clue = Clue(s.target.start, start.trouble, "starts_without_site", fields)
        step = Step([python, "-v", "-c", "pass"], "watch")
        return Fail("startup", "error", "observed", [clue], fields, Treatment("print-only", [step]))
    clue = Clue(s.target.start, start.culprit, "culprit_does", fields)
    steps = [Step(says="install_again", fields=fields), _away(start.culprit)]
    return Fail("startup_file", "error", "observed", [clue], fields, Treatment("confirm", steps))


def _away(path: str) -> Step:
    return Step(says="or_away", fields={"path": path}, change=PutAway(path))


def _python_variables(s: Snapshot) -> list[str]:
    """The variables that steer Python. A secret of that name is none of them, and is not for hfdoctor to touch."""
    entries = s.settings.variables.maybe() or []
    return [entry.name for entry in entries if entry.name.upper().startswith("PYTHON") and not entry.secret]


def _broken_startup_files(s: Snapshot) -> list[Fail]:
    fails = []
    for entry in s.target.pth_files.need():
        if entry.error.startswith("line "):
            fields: dict[str, Plain] = {"path": entry.path, "error": entry.error}
            clue = Clue(s.target.pth_files, entry.path, "printed", fields)
            steps = [Step(says="mend_pth", fields=fields), _away(entry.path)]
            fails.append(Fail("pth", "warning", "observed", [clue], fields, Treatment("confirm", steps)))
    for module in s.target.startup_modules.need():
        if module.error:
            fields = {"path": module.path, "error": module.error, "name": module.name}
            clue = Clue(s.target.startup_modules, module.path, "printed", fields)
            steps = [Step(says="mend_module", fields=fields), _away(module.path)]
            fails.append(Fail("module", "warning", "observed", [clue], fields, Treatment("confirm", steps)))
    return fails


def _foreign_packages(s: Snapshot, goal: Goal) -> list[Fail]:
    """PYTHONPATH leads to installed packages: for another Python, or other versions than this environment's own."""
    entries = [shadow for shadow in s.target.shadows.need() if shadow.via == "sys.path" and shadow.version]
    if not entries:
        return []
    told = s.target.interpreter.need()
    running = f"{told.version_info[0]}.{told.version_info[1]}"
    flavour = _flavour(s)
    needed = _needed(goal)
    wrong: dict[str, list[tuple[Shadow, str, Severity]]] = {}
    for entry in entries:
        if s.packages.imported(entry.module) or entry.module not in needed | COMPILED:
            continue
        folder = str(flavour(entry.path).parent)
        match = re.search(r"[/\\][Pp]ython(\d)\.?(\d+)[/\\]", folder + "/")
        other = f"{match[1]}.{match[2]}" if match else running
        if other != running and entry.module in COMPILED:
            severity: Severity = "error" if may_be_error(s) else "warning"
            wrong.setdefault(folder, []).append((entry, f"for Python {other}", severity))
            continue
        own = _own_version(s, entry.module, folder)
        if own and own != entry.version:
            wrong.setdefault(folder, []).append((entry, f"in place of {own}", "warning"))
    return [_foreign(s, folder, found) for folder, found in wrong.items()]


def _foreign(s: Snapshot, folder: str, found: list[tuple[Shadow, str, Severity]]) -> Fail:
    severity: Severity = "error" if any(each == "error" for _, _, each in found) else "warning"
    clues = [
        Clue(
            s.target.shadows,
            entry.path,
            "comes_from",
            {"module": entry.module, "version": entry.version, "why": why, "folder": folder},
        )
        for entry, why, _ in found[:5]
    ]
    fields: dict[str, Plain] = {"folder": folder, "modules": ", ".join(entry.module for entry, _, _ in found[:5])}
    step = Step(says="leave_out", fields=fields)
    if _nothing_else_on_path(s, folder):
        step = unset_variable("PYTHONPATH", "unset_path", **fields)
    return Fail("pythonpath", severity, "derived", clues, fields, Treatment("confirm", [step]), examined=len(found))


def _nothing_else_on_path(s: Snapshot, folder: str) -> bool:
    """Whether PYTHONPATH names this folder alone: then it can go as a whole."""
    value = s.settings.variable("PYTHONPATH") if s.settings.variables.known else None
    parts = [part for part in (value or "").split(";" if s.windows is not None else ":") if part]
    return bool(parts) and all(_flavour(s)(part) == _flavour(s)(folder) for part in parts)


def _own_version(s: Snapshot, module: str, foreign: str) -> str:
    """The version that the environment itself holds of this module's package; "" if none."""
    for entry in s.packages.distributions.need():
        if _normal(entry.name) == _normal(module) and str(_flavour(s)(entry.path).parent) != foreign:
            return entry.version
    return ""


def _needed(goal: Goal) -> set[str]:
    """Modules without which what the goal asks for cannot be imported."""
    return set(goal.packages).union(*(CORE.get(package, ()) for package in goal.packages))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _flavour(s: Snapshot) -> Callable[[str], PurePath]:
    return PureWindowsPath if s.windows is not None else PurePosixPath


PYTHON_SETTINGS = Condition(
    id="python-settings",
    family="python",
    title="A setting or a start-up file breaks or redirects this Python",
    reads=("target", "settings", "packages"),
    detect=_settings,
    words={
        "does_not_start": "it does not start, for another reason",
        "variables": "{python} does not start with the PYTHON* variables that are set",
        "variable": "{python} does not start because of the variable {culprit}",
        "starts_without": "it starts when {culprit} is taken away",
        "starts_without_all": "it starts when all of them are taken away",
        "is_set_to": "{culprit} is set to {value}",
        "unset": "remove the variable {culprit} from your settings and open a new terminal",
        "unset_all": "remove the variables whose names begin with PYTHON and open a new terminal",
        "unset_variable": "unset {name}",
        "startup_file": "{python} does not start because of the start-up file {culprit}",
        "culprit_does": "tried alone, it {how}",
        "startup": "{python} does not start because of one of its start-up files",
        "starts_without_site": "it starts when it is told not to read them (python -S)",
        "watch": "see which file it reads last",
        "install_again": "if {culprit} belongs to a package, install that again",
        "or_away": "or move {path} out of the way",
        "pth": "the start-up file {path} fails at every start of Python",
        "module": "the start-up module {name} fails at every start of Python",
        "printed": "{path}: {error}",
        "mend_pth": "install the package that {path} belongs to again",
        "mend_module": "mend {path}",
        "pythonpath": "PYTHONPATH puts {folder} before this Python's own packages: {modules}",
        "comes_from": "{module} {version} comes from {folder}, {why}",
        "leave_out": "take {folder} out of PYTHONPATH and open a new terminal",
        "unset_path": "take the variable PYTHONPATH away, which names only that folder, and open a new terminal",
    },
)


# -- files that hide modules -------------------------------------------------------------------------------------------


def _shadowed(s: Snapshot, goal: Goal) -> Verdict:
    shadows = [shadow for shadow in s.target.shadows.need() if not shadow.version]
    if any(shadow.via == "cwd" for shadow in shadows) and _safe_path(s):
        shadows = [shadow for shadow in shadows if shadow.via != "cwd"]
    if not shadows:
        return Pass(1, [Clue(s.target.shadows, [])])
    fails = []
    needed = _needed(goal)
    for shadow in shadows:
        severity = _severity(s, shadow, goal, needed)
        if severity is None or (shadow.via == "sys.path" and s.packages.imported(shadow.module)):
            continue
        fields: dict[str, Plain] = {"module": shadow.module, "path": shadow.path}
        says = f"{shadow.via.replace('.', '_')}_{'stdlib' if shadow.stdlib else 'library'}"
        clue = Clue(s.target.shadows, shadow.path, f"hides_{'stdlib' if shadow.stdlib else 'library'}", fields)
        steps = [Step(says="rename" if shadow.via == "cwd" else "rename_or_leave", fields=fields)]
        basis: Basis = "table" if shadow.stdlib else "derived"
        fails.append(Fail(says, severity, basis, [clue], fields, Treatment("print-only", steps)))
    return fails or Pass(len(shadows), [Clue(s.target.shadows, [shadow.path for shadow in shadows])])


def _safe_path(s: Snapshot) -> bool:
    """PYTHONSAFEPATH keeps the current folder off sys.path. Raises FactMissing where the settings are not known."""
    if not s.settings.variable("PYTHONSAFEPATH"):
        return False
    return s.target.interpreter.need().version_info >= [3, 11, 0]


def _severity(s: Snapshot, shadow: Shadow, goal: Goal, needed: set[str]) -> Severity | None:
    """None for what does no harm here."""
    if shadow.stdlib:
        return "warning" if shadow.module in _stdlib_loaded(goal) else None
    installed = _installed(s, shadow.module)
    if shadow.module in needed:
        if installed is not None and _is_source_of(s, installed, shadow):
            return None
        return "error" if shadow.via == "cwd" or may_be_error(s) else "warning"
    # a library that need not be there: hidden only if it is
    if installed is None or _is_source_of(s, installed, shadow):
        return None
    return "warning"


def _stdlib_loaded(goal: Goal) -> set[str]:
    from ..knowledge.stdlib_imports import stdlib_imports

    return set().union(*(stdlib_imports(package) for package in goal.packages))


def _installed(s: Snapshot, module: str) -> Distribution | None:
    """The distribution that provides the module. Raises FactMissing where the packages are not known."""
    names = {_normal(module), *(_normal(name) for name in OTHER_NAMES.get(module, ()))}
    for entry in s.packages.distributions.need():
        if _normal(entry.name) in names:
            return entry
    return None


#: modules whose distribution has another name
OTHER_NAMES = {"yaml": ("pyyaml",), "PIL": ("pillow",), "sklearn": ("scikit-learn",)}


def _is_source_of(s: Snapshot, entry: Distribution, shadow: Shadow) -> bool:
    """Whether the file is the source of an editable install: then it is what the person wants to import."""
    if not entry.editable:
        return False
    from urllib.parse import unquote, urlsplit

    flavour = _flavour(s)
    source = unquote(urlsplit(entry.direct_url).path)
    if s.windows is not None:
        source = source.lstrip("/")
    if not source:
        return True  # an old editable install does not say where from: give it the benefit of the doubt
    return flavour(shadow.path).is_relative_to(flavour(source))


MODULE_SHADOWED = Condition(
    id="module-shadowed",
    family="python",
    title="A file of yours hides a library or a module of Python",
    reads=("target", "packages", "settings"),
    detect=_shadowed,
    words={
        "cwd_library": "a program started here imports {path} instead of the library {module}",
        "cwd_stdlib": "a program started here imports {path} instead of Python's own {module}, which the libraries use",
        "sys_path_library": "PYTHONPATH makes Python import {path} instead of the library {module}",
        "sys_path_stdlib": "PYTHONPATH makes Python import {path} instead of its own {module}, which the libraries use",
        "hides_library": "Python looks in that folder first, and {path} has the library's name",
        "hides_stdlib": "Python looks in that folder first, and {path} has that module's name",
        "rename": "rename {path}, or work in another folder",
        "rename_or_leave": "rename {path}, or take its folder out of PYTHONPATH",
    },
)

CONDITIONS: tuple[Condition, ...] = (PYTHON_SETTINGS, MODULE_SHADOWED)
