"""Fills the section ``packages``, from files alone: nothing of the target is imported here."""

from __future__ import annotations

import os
import time

from ..fact import Fact, known, not_run
from ..observe import observe
from ..probe import Context
from ..sections.target import Target
from .distributions import read_distributions, read_leftovers
from .file_state import FileJudge
from .installed_files import hold_files

#: seconds that presence and sizes may take: a network file system may need them
FILES_S = 15.0

#: seconds that the hashes leave of the whole run for what comes after them
DEEP_RESERVE_S = 2.0

#: packages whose interrupted removal is worth a guess at the name
GUESSED = ("transformers", "torch", "tokenizers", "safetensors", "huggingface-hub", "numpy")


def probe(ctx: Context) -> None:
    """Fill every fact of ``snapshot.packages``; reads ``snapshot.target``."""
    section = ctx.snapshot.packages
    folders, source = search_folders(ctx.snapshot.target)
    if not folders:
        nowhere = not_run(f"the folders of the target's packages are not known: {source}")
        section.distributions = section.leftovers = section.orphans = section.files = nowhere
        return
    observe(section, "distributions", lambda: known(read_distributions(folders), source), source)
    names = [entry.name for entry in section.distributions.maybe() or ()]
    sites = site_folders(ctx.snapshot.target) or folders
    observe(section, "leftovers", lambda: known(read_leftovers(sites, [*names, *GUESSED]), ", ".join(sites)))
    if not section.distributions.known:
        section.files = not_run("the distributions could not be read", source)
        return
    found = section.distributions.need()
    judge = FileJudge(min(ctx.deadline, time.monotonic() + FILES_S), _python_version(ctx.snapshot.target))
    observe(section, "files", lambda: known(hold_files(found, judge), "RECORD"), "RECORD")
    if ctx.request.deep:
        judge = FileJudge(ctx.deadline - DEEP_RESERVE_S, judge.python)
        observe(section, "files", lambda: known(hold_files(found, judge, deep=True), "RECORD"), "RECORD")


def search_folders(target: Target) -> tuple[list[str], str]:
    """The folders in which the target looks for packages, in its order, and where they were read.

    Without an answer of the interpreter itself: those that its files say. No folder twice, under whatever name.
    """
    fact: Fact[list[str]] = target.sys_path
    listed = [entry for entry in fact.maybe() or () if entry]
    source = "sys.path"
    if not listed:
        listed, source = site_folders(target), target.paths.source or "target.paths"
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
        except (OSError, ValueError):
            continue
        identity = (status.st_dev, status.st_ino)
        if identity not in seen:
            seen.add(identity)
            kept.append(folder)
    return kept
