"""Fills the section ``packages``, from files alone: nothing of the target is imported here."""

from __future__ import annotations

import os
import time

from ..fact import Fact, known, not_run
from ..observe import observe
from ..probe import Context
from ..sections.packages import ImportTrial, Packages
from ..sections.target import Target
from .companion_builds import read_companion_builds
from .distributions import read_distributions, read_leftovers, read_orphans
from .file_state import FileJudge
from .imports import try_imports
from .installed_files import hold_files
from .library_files import read_torch_build, read_transformers_needs
from .native_marks import read_numpy_clients, read_openmp

#: seconds that presence and sizes may take: a network file system may need them
FILES_S = 15.0

#: part of the whole run's time, and least seconds of it, that the hashes leave for what comes after them: torch is
#: asked then
DEEP_RESERVE = 0.15
DEEP_RESERVE_S = 2.0

#: packages whose interrupted removal is worth a guess at the name
GUESSED = ("transformers", "torch", "tokenizers", "safetensors", "huggingface-hub", "numpy")


def probe(ctx: Context) -> None:
    """Fill every fact of ``snapshot.packages``; reads ``snapshot.target``."""
    try:
        _observe(ctx)
    finally:
        if ctx.ahead:
            ctx.ahead.end()


def _observe(ctx: Context) -> None:
    section, ahead = ctx.snapshot.packages, ctx.ahead
    until = min(ctx.deadline, time.monotonic() + FILES_S)
    read = ahead.distributions(until) if ahead else None
    there = {ahead.site: read} if ahead and read is not None else {}
    folders, source = search_folders(ctx.snapshot.target)
    if not folders:
        for name in section.__struct_fields__:
            setattr(section, name, not_run(f"the folders of the target's packages are not known: {source}"))
        return
    observe(section, "distributions", lambda: known(read_distributions(folders, there), source), source)
    names = [entry.name for entry in section.distributions.maybe() or ()]
    sites = site_folders(ctx.snapshot.target) or folders
    observe(section, "leftovers", lambda: known(read_leftovers(sites, [*names, *GUESSED]), ", ".join(sites)))
    _observe_libraries(ctx, folders)
    ctx.reached("packages.listed")
    if not section.distributions.known:
        unlisted = not_run("the distributions could not be read", source)
        section.orphans = section.files = section.numpy_clients = section.imports = unlisted
        return
    found = section.distributions.need()
    observe(section, "orphans", lambda: known(read_orphans(sites, names), ", ".join(sites)))
    observe(section, "numpy_clients", lambda: known(read_numpy_clients(section.installed(), folders), "libraries"))
    sound = ahead.sound_files(until) if ahead else {}
    judge = FileJudge(min(ctx.deadline, time.monotonic() + FILES_S), _python_version(ctx.snapshot.target))
    observe(section, "files", lambda: known(hold_files(found, judge, ready=sound), "RECORD"), "RECORD")
    if ctx.request.deep:
        reserve_s = max(DEEP_RESERVE_S, DEEP_RESERVE * ctx.request.timeout_s)
        judge = FileJudge(ctx.deadline - reserve_s, judge.python)
        observe(section, "imports", lambda: _imports(ctx))
        observe(section, "files", lambda: known(hold_files(found, judge, deep=True), "RECORD"), "RECORD")
    else:
        section.imports = not_run("only --deep imports anything")


def _observe_libraries(ctx: Context, folders: list[str]) -> None:
    """What the libraries' own files say."""
    section = ctx.snapshot.packages
    interpreter = ctx.snapshot.target.interpreter.maybe()
    prefix = interpreter.prefix if interpreter else ""
    observe(section, "torch_build", lambda: read_torch_build(folders))
    observe(section, "transformers_needs", lambda: read_transformers_needs(folders, _version(section, "transformers")))
    observe(section, "companion_builds", lambda: known(read_companion_builds(folders), "version.py"))
    observe(section, "openmp", lambda: known(read_openmp(folders, prefix), "file names"))


def _version(section: Packages, name: str) -> str:
    entry = section.installed().get(name) if section.distributions.known else None
    return entry.version if entry else ""


def _imports(ctx: Context) -> Fact[list[ImportTrial]]:
    target = ctx.snapshot.target
    start = target.start.maybe()
    chosen = target.chosen.maybe()
    if chosen is None or start is None or not start.ok:
        return not_run("the interpreter does not start")
    present = {entry.name for entry in ctx.snapshot.packages.distributions.need()}
    present.update(orphan.package for orphan in ctx.snapshot.packages.orphans.maybe() or ())
    clients = ctx.snapshot.packages.numpy_clients.maybe() or ()
    old = any(client.package == "torch" and client.built_with == "1" for client in clients)
    return known(try_imports(ctx, chosen.python, present, old), f"{chosen.python} -c import ...")


def search_folders(target: Target) -> tuple[list[str], str]:
    """The folders in which the target looks for packages, in its order, and where they were read.

    Without an answer of the interpreter itself: those that its files say. No folder twice, under whatever name.
    """
    fact: Fact[list[str]] = target.sys_path
    sites = site_folders(target)
    # Python passes over a folder of PYTHONPATH that it may not list; that of a site-packages is worth a word
    listed = [entry for entry in fact.maybe() or () if entry and (entry in sites or os.access(entry, os.R_OK))]
    source = "sys.path"
    if not listed:
        listed, source = sites, target.paths.source or "target.paths"
        if not listed:
            return [], target.paths.reason or fact.reason or "neither sys.path nor site-packages could be read"
    return _distinct(listed), source


def site_folders(target: Target) -> list[str]:
    """The site-packages folders of the target that exist, that of the user only where it is in use."""
    paths = target.paths.maybe()
    if paths is None:
        return []
    user = [paths.user_site] if paths.user_site and paths.user_site_enabled else []
    return _distinct([*paths.site_packages, paths.purelib, paths.platlib, *user])


def _python_version(target: Target) -> tuple[int, int] | None:
    interpreter = target.interpreter.maybe()
    if interpreter is None or len(interpreter.version_info) < 2:
        return None
    return interpreter.version_info[0], interpreter.version_info[1]


def _distinct(folders: list[str]) -> list[str]:
    seen: set[tuple[int, int]] = set()
    kept = []
    for folder in folders:
        try:
            status = os.stat(folder)
        except PermissionError:
            kept.append(folder)  # who lists it will say so
            continue
        except (OSError, ValueError):
            continue
        identity = (status.st_dev, status.st_ino)
        if identity not in seen:
            seen.add(identity)
            kept.append(folder)
    return kept
