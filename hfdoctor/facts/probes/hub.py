"""Fills the section ``hub``: where the cache is, how it is, what the token looks like, what the library can."""

from __future__ import annotations

import os
import re
import stat
import sys
from typing import Any

from ..cache_paths import NEWEST, CachePaths, cache_paths, offline_switch, rules_of
from ..fact import Fact, absent, failed, known
from ..legible import legible
from ..observe import observe
from ..probe import Context
from ..sections.hub import CacheHealth, CacheLocation, OfflineSwitch
from . import hub_library, hub_token, hub_trials

DEFAULT_ENDPOINT = "https://huggingface.co"


def probe(context: Context) -> None:
    """Observe the hub as the target sees it. Reads only, but for a lock and a link that it removes again."""
    section = context.snapshot.hub
    environ = context.request.environ
    system = "windows" if sys.platform == "win32" else "linux"
    hub_package, transformers_package, missing = _packages(context)
    hub_absent = missing or absent("huggingface_hub is not installed", "target.sys_path")
    if hub_package is None:
        section.library = section.variables_read = hub_absent
    else:
        package, sources = hub_package, hub_library.HUB_SOURCES
        observe(section, "library", lambda: hub_library.read_library(package), package)
        observe(
            section, "variables_read", lambda: hub_library.variables_read(package, sources, "HF_HUB_OFFLINE"), package
        )
    section.transformers_variables_read = missing or absent("transformers is not installed", "target.sys_path")
    if transformers_package is not None:
        other, files = transformers_package, hub_library.TRANSFORMERS_SOURCES
        observe(
            section,
            "transformers_variables_read",
            lambda: hub_library.variables_read(other, files, "TRANSFORMERS_VERBOSITY"),
            other,
        )

    home = _home(context)
    cwd = os.fspath(context.request.cwd)
    literal = _places(context, hub_package, transformers_package, home, system)
    places = literal.anchored(cwd, system)
    observe(section, "cache", lambda: _location(literal, places), literal.models)
    observe(section, "offline", lambda: _offline(context, system), "HF_HUB_OFFLINE")
    observe(section, "endpoint", lambda: _endpoint(context, hub_package), "HF_ENDPOINT")
    observe(section, "token", lambda: hub_token.read_token(environ, places.token, system == "windows"), places.token)
    observe(section, "lock", lambda: hub_trials.try_lock(places.models), places.models)
    observe(section, "link", lambda: hub_trials.try_link(places.models), places.models)
    observe(section, "other_users", lambda: hub_library.other_users(environ, home, cwd, hub_package), "other tools")
    observe(section, "health", lambda: _health(places, context.request.deep), places.models)


def _packages(context: Context) -> tuple[str | None, str | None, Fact[Any] | None]:
    """Folders of huggingface_hub and transformers in the target, or the reason why that cannot be told."""
    target = context.snapshot.target
    folders = target.sys_path.maybe()
    if folders is None:
        paths = target.paths.maybe()
        folders = paths.site_packages if paths else None
    if folders is None:
        reason = target.sys_path.reason or "the target did not say where it finds packages"
        return None, None, failed(reason, "target.sys_path")
    return hub_library.find_package(folders, "huggingface_hub"), hub_library.find_package(folders, "transformers"), None


def _home(context: Context) -> str:
    from .machine import home

    try:
        return home(context.request.environ).maybe() or ""
    except Exception:  # the machine's own probe says why; without a home "~" stays as it is, as in the library
        return ""


def _places(
    context: Context, hub_package: str | None, transformers_package: str | None, home: str, system: str
) -> CachePaths:
    rules, own_variables = NEWEST, False
    try:
        if hub_package:
            rules = rules_of(hub_library.read_source(hub_package, "constants.py").decode("utf-8", "replace"))
        if transformers_package:
            own_variables = b'"TRANSFORMERS_CACHE"' in hub_library.read_source(transformers_package, "utils/hub.py")
    except OSError:
        pass  # broken-install says so; the places of the newest release are the best guess
    return cache_paths(
        context.request.environ, home, system, rules=rules, transformers_variables=own_variables, home_of=_home_of
    )


def _home_of(user: str) -> str | None:
    if sys.platform == "win32":
        return None
    import pwd

    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return None


def _location(literal: CachePaths, places: CachePaths) -> Fact[CacheLocation]:
    kind = _kind(places.models)
    return known(
        CacheLocation(
            path=legible(places.models),
            set_by=literal.models_set_by,
            exists=kind == "folder",
            hf_home=legible(places.hf_home),
            xet_path=legible(places.xet),
            token_path=legible(places.token),
            literal=legible(literal.models),
            kind=kind,
            hf_home_literal=legible(literal.hf_home),
            hf_home_set_by=literal.home_set_by,
            hf_home_kind=_kind(places.hf_home),
            hub_path=legible(places.hub) if places.hub != places.models else "",
        ),
        literal.models_set_by,
    )


def _kind(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        return "unreadable"
    except NotADirectoryError:
        return "below-a-file"
    except (OSError, ValueError):
        return "dangling-link" if os.path.islink(path) else "missing"
    return "folder" if stat.S_ISDIR(mode) else "file"


def _offline(context: Context, system: str) -> Fact[OfflineSwitch]:
    on, name, value = offline_switch(context.request.environ, system)
    return known(OfflineSwitch(on, name, legible(value)[:100]), name or "HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE")


def _endpoint(context: Context, package: str | None) -> Fact[str]:
    value = context.request.environ.get("HF_ENDPOINT")
    constants = hub_library.read_source(package, "constants.py") if package else b""
    if value == "" and re.search(rb"^ENDPOINT = os.getenv.* or \(", constants, re.MULTILINE):
        value = None  # releases before 0.30; later ones take nothing literally
    if value is None:
        return known(DEFAULT_ENDPOINT, "default")
    return known(re.sub(r"//[^/@]*@", "//", legible(value))[:500], "HF_ENDPOINT")


def _health(places: CachePaths, deep: bool) -> Fact[CacheHealth]:
    from .hub_cache import scan_cache

    try:
        health = scan_cache(places.models, deep=deep)
    except (FileNotFoundError, NotADirectoryError):
        return absent("there is no cache folder", legible(places.models))
    health.old_transformers_bytes = _bytes_in(places.old_transformers)
    return known(health, legible(places.models))


def _bytes_in(folder: str) -> int:
    """Bytes of the files in one flat folder."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    total += entry.stat(follow_symlinks=False).st_size if entry.is_file(follow_symlinks=False) else 0
                except OSError:
                    continue
    except OSError:
        return total
    return total
