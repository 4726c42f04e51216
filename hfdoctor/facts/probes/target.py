"""Fills the section ``target``: chooses the interpreter, starts it once, reads its environment's files."""

from __future__ import annotations

import os
from typing import Any, TypeVar

import msgspec

from ..collect import TargetError
from ..fact import Fact, absent, failed, from_error, known, not_run
from ..inspect_python import pth_files
from ..probe import Context
from ..sections.target import Chosen, Interpreter, Paths, PthFile, Shadow, Start, StartupModule, Target
from .choose_target import Choice, choose, same_folder
from .environment_files import (
    kind_by_files,
    kind_of_base,
    paths_by_layout,
    read_base,
    read_config,
    read_scripts,
    version_of,
)
from .shadow_files import find_shadows
from .start_target import Started, Starting
from .startup_errors import error_of_module, match_errors

T = TypeVar("T")


def probe(context: Context) -> None:
    """Observe the target. Raises TargetError for a ``--python`` that is no interpreter, and nothing else."""
    target = context.snapshot.target
    try:
        choice = choose(context.request)
    except TargetError:
        raise
    except Exception as error:
        target.chosen = from_error(error, "choosing an interpreter")
        choice = None
    else:
        if choice is None:
            target.chosen = absent(
                "no Python was found: neither an environment nor a python3 or python on PATH", "PATH"
            )
    if choice is None:
        _give_up(target, "no interpreter was chosen")
        return
    target.chosen = known(Chosen(choice.python, choice.because), choice.because)
    target.candidates = known(choice.candidates, "VIRTUAL_ENV, .venv, CONDA_PREFIX, PATH")
    target.environment = (
        known(choice.environment, choice.python)
        if choice.environment
        else absent("no pyvenv.cfg and no conda-meta beside the interpreter", choice.python)
    )
    starting = Starting(context, choice)
    _read_files(target, choice)
    started = starting.finish()
    _refuse_foreign_program(choice, started.start)
    _fill(context, target, choice, started)
    target.shadows = _shadows(context, target)


def _give_up(target: Target, reason: str) -> None:
    for name in target.__struct_fields__:
        fact = getattr(target, name)
        if fact.status == "not-run" and not fact.reason:
            setattr(target, name, not_run(reason))


def _refuse_foreign_program(choice: Choice, start: Start) -> None:
    """A program that is no Python is bad input when it was named by itself, and damage inside an environment."""
    if start.ok or not choice.explicit or choice.environment:
        return
    if start.trouble in ("not-python", "not-executable", "forbidden"):
        said = f" ({start.detail})" if start.detail else ""
        raise TargetError(f"{choice.python}: this is not a Python interpreter{said}")


def _read_files(target: Target, choice: Choice) -> None:
    """What needs no answer from the interpreter; it runs meanwhile."""
    try:
        target.pyvenv_cfg = read_config(choice.environment)
        target.base = read_base(choice.python, target.pyvenv_cfg)
    except Exception as error:
        target.base = from_error(error, choice.environment)
    if not choice.environment:
        target.scripts = absent("not in an environment")
        return
    folder = os.path.dirname(choice.python)
    if os.name == "nt" and os.path.basename(folder).lower() != "scripts":
        folder = os.path.join(folder, "Scripts")
    target.scripts = _try(lambda: read_scripts(folder), f"first lines of the programs in {folder}")


def _fill(context: Context, target: Target, choice: Choice, started: Started) -> None:
    facts, source = started.facts, f"{choice.python} -B inspect_python.py"
    environ = context.request.environ
    config = target.pyvenv_cfg.maybe()
    if facts is None:
        _fill_from_outside(context, target, choice, started)
        return
    told = facts.get("interpreter")
    target.interpreter = _told(told, Interpreter, facts, "interpreter", source)
    interpreter = target.interpreter.maybe()
    if interpreter is not None and _is_wrapper(choice.python) and interpreter.executable:
        # a shim that chooses an interpreter: name the one that was chosen
        target.chosen = known(Chosen(interpreter.executable, choice.because), choice.python)
    if facts.get("too_old"):
        target.start = known(started.start, source)
        _give_up(target, "this Python is too old to be asked for more")
    environment = choice.environment
    if interpreter is not None:
        virtual = interpreter.prefix != interpreter.base_prefix
        conda = os.path.isdir(os.path.join(interpreter.prefix, "conda-meta"))
        target.isolated = known(virtual or conda, "sys.prefix, sys.base_prefix, conda-meta")
        if virtual or conda:
            if not environment or same_folder(environment, interpreter.prefix):
                environment = interpreter.prefix
                target.environment = known(environment, "sys.prefix")
            if target.pyvenv_cfg.absent and virtual:
                target.pyvenv_cfg = read_config(environment)
                config = target.pyvenv_cfg.maybe()
            kind = kind_by_files(environment, config)
        else:
            kind = kind_of_base(facts, environ.get("PYENV_ROOT", ""))
        target.kind = known(kind, "sys.prefix and the files there")
    if facts.get("too_old"):
        return
    target.paths = _told(facts.get("paths"), Paths, facts, "paths", source)
    target.sys_path = _told(facts.get("sys_path"), list[str], facts, "sys_path", source)
    target.stdlib_modules = _told(facts.get("stdlib_modules"), list[str], facts, "stdlib_modules", source)
    target.fixed_modules = _told(facts.get("fixed_modules"), list[str], facts, "fixed_modules", source)
    target.pth_files = _told(facts.get("pth_files"), list[PthFile], facts, "pth_files", source)
    target.startup_modules = _told(facts.get("startup_modules"), list[StartupModule], facts, "startup_modules", source)
    target.externally_managed = _text(facts, "externally_managed", "no EXTERNALLY-MANAGED file applies here", source)
    target.pip = _text(facts, "pip", "pip is not installed in this environment", source)
    entries = target.pth_files.maybe() or []
    errors = match_errors([entry.path for entry in entries], started.start.stderr)
    for entry in entries:
        entry.error = errors.get(entry.path, entry.error)
    for module in target.startup_modules.maybe() or []:
        module.error = error_of_module(module.name, started.start.stderr) or module.error
    target.start = known(started.start, source)


def _fill_from_outside(context: Context, target: Target, choice: Choice, started: Started) -> None:
    """For a target that does not start: what it says when started bare, else what its files say."""
    start, bare = started.start, started.bare or {}
    source = f"{choice.python} does not start"
    interpreter = bare.get("interpreter")
    if isinstance(interpreter, dict):
        if choice.environment and target.pyvenv_cfg.known:  # without site it takes itself for its base
            interpreter = {**interpreter, "prefix": choice.environment}
        target.interpreter = _told(interpreter, Interpreter, bare, "interpreter", f"{choice.python} -E -s -S")
        for name in ("stdlib_modules", "fixed_modules"):
            setattr(target, name, _told(bare.get(name), list[str], bare, name, f"{choice.python} -E -s -S"))
    else:
        reason = f"it does not start: {start.detail or start.trouble}"
        target.interpreter = failed(reason, choice.python)
    config = target.pyvenv_cfg.maybe() or {}
    version = version_of(config)
    told = target.interpreter.maybe()
    if told is not None:
        version = (told.version_info[0], told.version_info[1])
    if choice.environment:
        target.kind = known(kind_by_files(choice.environment, target.pyvenv_cfg.maybe()), choice.environment)
        target.isolated = known(True, choice.environment)
        target.externally_managed = absent("it does not apply in an environment", choice.environment)
        target.paths = paths_by_layout(choice.environment, choice.python, version)
    elif bare.get("paths"):
        target.kind = known(kind_of_base(bare, context.request.environ.get("PYENV_ROOT", "")), "sys.prefix")
        target.isolated = known(False, "sys.prefix")
        target.externally_managed = _text(bare, "externally_managed", "no EXTERNALLY-MANAGED file", source)
        target.paths = _told(bare["paths"], Paths, bare, "paths", f"{choice.python} -E -s -S")
    folders = _site_folders(target)
    if version and folders:
        target.pth_files = _try(lambda: msgspec.convert(pth_files(folders, version), list[PthFile]), ", ".join(folders))
    if start.trouble == "startup-file" and version:
        from .startup_culprit import find_culprit

        start.culprit, why = find_culprit(context, choice.python, folders, version)
        if start.culprit:
            start.detail = why
        elif target.pyvenv_cfg.status == "failed":
            start.trouble, start.culprit = "broken-config", target.pyvenv_cfg.source
            start.detail = target.pyvenv_cfg.reason
    if choice.environment and start.trouble in ("no-stdlib", "other"):
        base = target.base.maybe()
        if base is not None and not base.exists:
            start.trouble = "base-gone"
        elif target.pyvenv_cfg.absent or target.pyvenv_cfg.status == "failed":
            start.trouble = "broken-config"
            start.detail = f"{choice.environment}: {target.pyvenv_cfg.reason}"
    target.start = known(start, choice.python)
    _give_up(target, source)


def _site_folders(target: Target) -> list[str]:
    paths = target.paths.maybe()
    if paths is None:
        return []
    folders = [paths.user_site, paths.purelib, paths.platlib]
    return list(dict.fromkeys(folder for folder in folders if folder and os.path.isdir(folder)))


def _shadows(context: Context, target: Target) -> Fact[list[Shadow]]:
    """Files in the user's folder, and in the folders of PYTHONPATH, that hide modules."""
    cwd, environ = str(context.request.cwd), context.request.environ
    stdlib, fixed = target.stdlib_modules.maybe(), target.fixed_modules.maybe()
    if stdlib is None or fixed is None:
        return not_run("the target's standard library is not known")
    paths = target.paths.maybe()
    own = {os.path.normcase(os.path.normpath(p)) for p in ([*paths.site_packages, paths.stdlib] if paths else [])}
    found: list[Shadow] = []
    looked = []
    places = [(cwd, "cwd")]
    places += [
        (os.path.join(cwd, entry), "sys.path") for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry
    ]
    for folder, via in places:
        normal = os.path.normcase(os.path.normpath(folder))
        if via == "cwd" and normal in own:
            continue
        try:
            found += find_shadows(os.path.normpath(folder), via, stdlib, fixed)
            looked.append(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue  # Python passes over it too
        except OSError as error:
            if via == "cwd":
                return from_error(error, folder)
    return known(found, ", ".join(looked))


def _is_wrapper(path: str) -> bool:
    """A script that stands for an interpreter (a pyenv shim, a .bat file)."""
    if path.lower().endswith((".bat", ".cmd")):
        return True
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _told(value: Any, kind: type[T], facts: dict[str, Any], name: str, source: str) -> Fact[T]:
    """A fact that the target told, checked against its type."""
    if value is None:
        return failed(str(facts.get("errors", {}).get(name, "the target did not say")), source)
    try:
        return known(msgspec.convert(value, kind), source)
    except msgspec.ValidationError as error:
        return failed(f"not understood: {error}", source)


def _text(facts: dict[str, Any], name: str, reason: str, source: str) -> Fact[str]:
    value = facts.get(name)
    if value == "":
        return absent(reason, source)
    return _told(value, str, facts, name, source)


def _try(look: Any, source: str) -> Fact[Any]:
    try:
        return known(look(), source)
    except Exception as error:
        return from_error(error, source)
