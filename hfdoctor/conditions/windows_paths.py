"""Windows' limit on the length of a path, held against what is installed and what is about to be installed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..facts.fact import FactMissing
from ..facts.sections.windows import Windows
from ..facts.snapshot import Snapshot
from ..knowledge.paths import InstallPaths, install_paths
from .changes import GitChange, RegistryChange, VariableChange
from .first_torch import in_their_builds
from .long_caches import (
    INDUCTOR,
    fits_in_short_cache,
    hub_places,
    length_clue,
    short_cache,
    short_compiled,
    too_deep_for_compiled,
    too_deep_for_models,
    too_long_in_cache,
)
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .move_cache import ways_out
from .path_lengths import (
    FILE_LIMIT,
    Reach,
    environment_site,
    install_folder,
    longest_for_pip,
    longest_for_python,
    longest_library,
    reach,
    short_environment,
    units,
)

KEY = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
NAME = "LongPathsEnabled"

#: the wheels that were measured are for this platform of Python
MEASURED = "win-amd64"


def _windows_long_path(s: Snapshot, goal: Goal) -> Verdict:
    windows = s.windows
    if windows is None:
        return Skip("not_windows")
    caches = _caches(s, windows)
    packages = _packages(s, goal, windows)
    if not caches:
        return packages
    return [packages, *caches] if isinstance(packages, Fail) else caches


def _packages(s: Snapshot, goal: Goal, windows: Windows) -> Verdict:
    """What is installed, and what is about to be."""
    there = installed_names(s)
    waiting = missing(s, goal)
    tables = measured(s, waiting)
    folder = install_folder(s) if waiting else ""
    for_pip = [longest_for_pip(folder, table) for table in tables]
    for_python = [longest_for_python(folder, table) for table in tables]
    everything = [*for_pip, *there]
    if all(one.over <= 0 for one in everything):
        # below the limit nobody needs long paths: whether they are on makes no difference
        return _unmeasured(s, waiting, tables) or _fits(s, goal, windows, everything, tables)
    if long_paths_work(windows):
        libraries = [longest_library(folder, table) for table in tables]
        libraries += [one for one in there if one.path.endswith((".pyd", ".dll"))]
        unloadable = too_long(libraries)
        if unloadable:
            return _unloadable(s, goal, windows, unloadable)
        return _unmeasured(s, waiting, tables) or _fits(s, goal, windows, everything, tables)
    if too_long(for_pip):
        if not s.target.pip.absent:
            s.target.pip.need()
            # uv writes any length: it will do where only what Python never opens is too long
            by_uv = [] if too_long([*for_python, *there]) else _by_uv(s, folder, waiting)
            return _off(s, goal, windows, "cannot_install", "error", too_long(for_pip), by_uv)
        # without pip the environment is filled by uv; Python then opens what it can
        if too_long(for_python):
            return _off(s, goal, windows, "uv_in_vain", "error", too_long(for_python))
    if too_long(there):
        # what uses these files fails, the rest works
        return _off(s, goal, windows, "cannot_open", "warning", too_long(there))
    return _fits(s, goal, windows, for_python, tables)


def _caches(s: Snapshot, windows: Windows) -> list[Fail]:
    """Caches in a folder that is too deep. Raises FactMissing where it matters and is not known whether it does."""
    deep, compiled = too_deep_for_models(s), too_deep_for_compiled(s)
    models = deep or too_long_in_cache(s)
    if not (models or compiled) or long_paths_work(windows):
        return []
    setting = [*_registry(windows), *_process(windows)]
    ask = [Step(says="ask")] if windows.long_paths_policy.known else []
    fails = []
    if models is not None:
        says, length = ("cannot_cache", "cache_length") if deep else ("cannot_open_cached", "cached_length")
        fields: dict[str, Plain] = {"length": models.length, "limit": models.limit, "folder": models.folder}
        clues = [length_clue(s, models, length), *setting]
        way = Step(says="short_cache", fields={"folder": short_cache(s)})
        moves = ways_out(hub_places(s), short_cache(s)) if fits_in_short_cache(s, models) else []
        steps = [*_settings(windows), *([way, *moves] if moves else []), *ask]
        fails.append(Fail(says, "warning", "derived", clues, fields, Treatment("confirm", steps)))
    if compiled is not None:
        new = short_compiled(s)
        fields = {"length": compiled.length, "limit": compiled.limit, "folder": compiled.folder, "name": INDUCTOR}
        fields["new"] = new
        steps = [
            *_settings(windows),
            Step(["setx", INDUCTOR, new], "short_compiled", fields, change=VariableChange(INDUCTOR, new)),
            *ask,
        ]
        clues = [length_clue(s, compiled, "compiled_length"), *setting]
        fails.append(Fail("cannot_compile", "warning", "derived", clues, fields, Treatment("confirm", steps)))
    return fails


def too_long(names: Sequence[Reach]) -> list[Reach]:
    """Those that go beyond their limit."""
    return [one for one in names if one.over > 0]


def long_paths_work(windows: Windows) -> bool:
    """Whether programs of the target may use long paths, as a fresh process of it found. Raises FactMissing.

    The registry alone never decides: it is read once a process, and the program's own manifest must consent.
    """
    proof = windows.long_paths_proof
    if proof.known:
        return proof.need().ok
    if windows.long_paths_process.known:
        return windows.long_paths_process.need()
    raise FactMissing(proof)


def missing(s: Snapshot, goal: Goal) -> list[str]:
    """The goal's packages that are not installed yet."""
    there = s.packages.installed()
    return [name for name in goal.packages if name not in there]


def measured(s: Snapshot, packages: Sequence[str]) -> list[InstallPaths]:
    """What the tables know of installing ``packages`` for this Python; packages that they do not know are left out."""
    interpreter = s.target.interpreter.need()
    if interpreter.platform != MEASURED:
        return []
    version = (interpreter.version_info[0], interpreter.version_info[1])
    return [table for table in (install_paths(name, version) for name in packages) if table is not None]


def installed_names(s: Snapshot) -> list[Reach]:
    """The longest name that Python must open of each installed package that matters, where that is known.

    A package that was seen being imported (--deep) is left out: then its names are short enough.
    """
    imported = {trial.package for trial in s.packages.imports.maybe() or () if trial.ok}
    found = []
    for entry in s.packages.files.maybe() or ():
        if entry.longest_code and entry.path and entry.name not in imported:
            # where its .dist-info stands, its files stand
            one = reach(entry.path.replace("/", "\\").rpartition("\\")[0], entry.longest_code)
            found.append(msgspec.structs.replace(one, package=entry.name, release=entry.version))
    return found


def _unmeasured(s: Snapshot, waiting: Sequence[str], tables: Sequence[InstallPaths]) -> Verdict | None:
    unknown = [name for name in waiting if name not in {table.root for table in tables}]
    if not unknown:
        return None
    interpreter = s.target.interpreter.need()
    fields: dict[str, Plain] = {
        "packages": " and ".join(unknown),
        "version": ".".join(map(str, interpreter.version_info[:2])),
        "platform": interpreter.platform,
    }
    return Unknown("not_measured", fields, [Clue(s.target.interpreter, interpreter.version)])


def _fits(s: Snapshot, goal: Goal, windows: Windows, names: Sequence[Reach], tables: Sequence[InstallPaths]) -> Verdict:
    examined = sum(table.packages for table in tables) or len(names)
    if len(missing(s, goal)) < len(goal.packages):
        s.packages.files.need()  # what is installed was to be looked at too
    if not examined:
        return Skip("nothing_long")
    longest = max(names, key=lambda one: one.over)
    fields: dict[str, Plain] = {"length": longest.length, "limit": longest.limit}
    if longest.over > 0:
        return Pass(examined, [Clue(windows.long_paths_proof, says="works", fields=fields), *_registry(windows)])
    fields["left"] = -longest.over
    return Pass(examined, [Clue(s.target.paths, longest.path, "room", fields)])


def _unloadable(s: Snapshot, goal: Goal, windows: Windows, names: Sequence[Reach]) -> Verdict:
    worst = max(names, key=lambda one: one.over)
    fields: dict[str, Plain] = {"packages": _names_of(names), "length": worst.length, "limit": worst.limit}
    steps = _short_environment(s, goal)
    clues = [*_lengths(s, names), Clue(windows.long_paths_proof, says="on_but_not_for_libraries")]
    return Fail("cannot_load", "warning", "derived", clues, fields, Treatment("confirm", steps))


def _off(
    s: Snapshot,
    goal: Goal,
    windows: Windows,
    says: str,
    severity: Severity,
    names: Sequence[Reach],
    more: Sequence[Step] = (),
) -> Fail:
    """Long paths are off and ``names`` are too long; ``more`` are further ways out."""
    worst = max(names, key=lambda one: one.over)
    fields: dict[str, Plain] = {"packages": _names_of(names), "length": worst.length, "limit": worst.limit}
    clues = [*_lengths(s, names), *_registry(windows), *_process(windows)]
    steps = [*_settings(windows), *_short_environment(s, goal), *more]
    if windows.long_paths_policy.known:
        steps.append(Step(says="ask"))
    treatment = Treatment("confirm", steps)
    return Fail(says, severity, "derived", clues, fields, treatment, len(names))


def _names_of(names: Sequence[Reach]) -> str:
    return " and ".join(dict.fromkeys(f"{one.package} {one.release}".strip() for one in names))


def _lengths(s: Snapshot, names: Sequence[Reach]) -> list[Clue]:
    """One line a folder, then one a package: which name it brings, how long it gets, and where that was measured."""
    found = [
        Clue(s.target.paths, folder, "folder", {"folder": folder, "length": units(folder)})
        for folder in dict.fromkeys(one.folder for one in names)
    ]
    for one in names:
        fields: dict[str, Plain] = {"name": one.name, "length": one.length, "package": one.package}
        says = "name_installed"
        if one.wheel:
            says = "name_measured" if one.limit == FILE_LIMIT else "folder_measured"
            fields |= {"wheel": one.wheel, "as_of": one.as_of}
        found.append(Clue(s.target.paths, one.path, says, fields))
    return found


def _registry(windows: Windows) -> list[Clue]:
    fact = windows.long_paths_registry
    clues = []
    if fact.absent:
        clues.append(Clue(fact, says="registry_absent", fields={"key": KEY, "name": NAME}))
    elif fact.known:
        value = fact.need()
        says = "registry_on" if _is_on(windows) else "registry_off"
        fields: dict[str, Plain] = {"key": KEY, "name": NAME, "value": str(value.value), "type": value.type}
        clues.append(Clue(fact, says=says, fields=fields))
    if windows.long_paths_policy.known:
        clues.append(Clue(windows.long_paths_policy, says="policy", fields={"file": windows.long_paths_policy.source}))
    return clues


def _process(windows: Windows) -> list[Clue]:
    if windows.long_paths_proof.known:
        proof = windows.long_paths_proof.need()
        return [Clue(windows.long_paths_proof, says="tried", fields={"length": proof.length, "error": proof.error})]
    return [Clue(windows.long_paths_process, says="asked")]


def _is_on(windows: Windows) -> bool:
    value = windows.long_paths_registry.maybe()
    return value is not None and value.type == "REG_DWORD" and value.value == 1


def _settings(windows: Windows) -> list[Step]:
    """The change of the setting, unless it is on already or somebody else's to make."""
    if _is_on(windows) or windows.long_paths_policy.known:
        return []
    switch = ["reg", "add", KEY, "/v", NAME, "/t", "REG_DWORD", "/d", "1", "/f"]
    steps = [Step(switch, "switch_on", administrator=True, change=RegistryChange(KEY, NAME, "REG_DWORD", 1))]
    if windows.git.known:
        # git for Windows has a switch of its own, without which a clone stops at the old limit all the same
        git = ["git", "config", "--global", "core.longpaths", "true"]
        steps.append(Step(git, "git_too", change=GitChange("core.longpaths", "true")))
    return [*steps, Step(says="new_terminal")]


def _by_uv(s: Snapshot, folder: str, waiting: Sequence[str]) -> list[Step]:
    """Installing by uv; none where pip goes to the person's own site-packages, which uv does not know."""
    chosen, paths = s.target.chosen.maybe(), s.target.paths.maybe()
    if chosen is None or paths is None or paths.purelib != folder:
        return []
    return [Step(["uv", "pip", "install", "--python", chosen.python, *waiting], "by_uv", network=True)]


def _short_environment(s: Snapshot, goal: Goal) -> list[Step]:
    """A virtual environment so near to the drive's root that everything fits; none if even that would not do."""
    chosen = s.target.chosen.maybe()
    environment = short_environment(s)
    tables = measured(s, goal.packages)
    site = environment_site(environment)
    if chosen is None or not tables or any(longest_for_pip(site, table).over > 0 for table in tables):
        return []
    python = environment + r"\Scripts\python.exe"
    wanted = in_their_builds(s, goal.packages)
    fields: dict[str, Plain] = {"folder": environment}
    if s.target.pip.absent:
        return [
            Step(["uv", "venv", "--python", chosen.python, environment], "short_environment", fields),
            Step(["uv", "pip", "install", "--python", python, *wanted], "install_there", network=True),
            Step(says="use_it", fields={"python": python}),
        ]
    return [
        Step([chosen.python, "-m", "venv", environment], "short_environment", fields),
        Step([python, "-m", "pip", "install", *wanted], "install_there", network=True),
        Step(says="use_it", fields={"python": python}),
    ]


WINDOWS_LONG_PATH = Condition(
    id="windows-long-path",
    family="windows",
    title="A file name is too long for Windows",
    reads=("windows", "target", "packages", "storage", "machine", "hub", "settings", "gpu"),
    detect=_windows_long_path,
    words={
        "not_windows": "only Windows limits a path to 260 characters",
        "nothing_long": "nothing is to be installed, and how long the installed names are was not looked at",
        "not_measured": "how long the names of {packages} get is not known for Python {version} on {platform}",
        "cannot_install": "pip will fail to install {packages} here: names of {length} characters, "
        "Windows allows {limit}",
        "uv_in_vain": "uv can install {packages} here, but Python cannot open names of {length} characters "
        "(Windows allows {limit})",
        "cannot_open": "Python cannot open some installed files of {packages}: {length} characters, "
        "Windows allows {limit}",
        "cannot_load": "Windows cannot load libraries of {packages} here: names of {length} characters, "
        "the limit for libraries is {limit}",
        "cannot_cache": "no model can be kept in {folder}: names of {length} characters, Windows allows {limit}",
        "cannot_open_cached": "Python cannot open some cached models: names of {length} characters, "
        "Windows allows {limit}",
        "cannot_compile": "torch.compile cannot write to {folder}: names of {length} characters, "
        "Windows allows {limit}",
        "cache_length": "the folder of a model's version gets {length} characters or more below {folder}",
        "cached_length": "{length} characters in all with the file {name} in {folder}",
        "compiled_length": "TORCHINDUCTOR_CACHE_DIR is {folder}: {length} characters in all with a file that "
        "torch.compile makes there",
        "folder": "packages go into {folder} ({length} characters)",
        "name_measured": "{package}: {length} characters in all with the file {name} (measured in {wheel}, {as_of})",
        "folder_measured": "{package}: {length} characters in all with the folder {name} "
        "(measured in {wheel}, {as_of})",
        "name_installed": "{package}: {length} characters in all with the installed file {name}",
        "registry_absent": "long paths are off: {name} is not set in {key}",
        "registry_off": "long paths are off: {name} in {key} is {value} ({type}); the REG_DWORD 1 switches them on",
        "registry_on": "{name} in {key} is 1 (REG_DWORD)",
        "policy": "your organisation sets this: {file}",
        "tried": "a new process of this Python could not make a path of {length} characters ({error})",
        "asked": "Windows does not grant long paths to a new process of this Python",
        "works": "the longest name gets {length} characters; a new process of this Python made such a path",
        "on_but_not_for_libraries": "long paths are on, but they do not hold for libraries (.pyd, .dll)",
        "room": "the longest name gets {length} characters of the {limit} that are allowed; {left} are left",
        "switch_on": "switch long paths on",
        "git_too": "and let git make long paths, too",
        "new_terminal": "open a new terminal (and start your editor anew) and try again: programs that were started "
        "before keep the old limit",
        "short_environment": "or, without an administrator, make an environment with a short path, {folder}",
        "install_there": "and install there",
        "use_it": "from then on, start your programs with {python}",
        "by_uv": "or, without an administrator, install with uv, which writes names of any length; Python opens those "
        "that it needs",
        "short_cache": "or, without an administrator, keep models in a folder with a short path, {folder}",
        "move_there": "move what is there, from {old} to {new}",
        "keep_there": "set {name} to {new} (open a new terminal afterwards)",
        "leave_there": "or leave what is there, and download models anew",
        "short_compiled": "or, without an administrator, set {name} to a folder with a short path, {new} "
        "(open a new terminal afterwards)",
        "ask": "or ask whoever manages this computer for the policy 'Enable Win32 long paths'",
    },
)
