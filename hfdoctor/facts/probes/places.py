"""Which places matter on this machine and what set them, by the rules of the tools that use them."""

from __future__ import annotations

import ntpath
import os
import sys
from collections.abc import Mapping

import msgspec

from ..cache_paths import cache_paths
from ..fact import FactMissing
from ..sections.settings import Settings
from ..sections.target import Paths

SYSTEM = "windows" if sys.platform == "win32" else "macos" if sys.platform == "darwin" else "linux"
_ON = ("1", "true", "t", "yes", "y", "on")


class Named(msgspec.Struct, frozen=True):
    """A place by name only: nothing here has been looked at. ``set_by`` as in ``storage.Place``."""

    role: str
    path: str
    set_by: str = "default"


def installed_places(paths: Paths | None, isolated: bool) -> list[Named]:
    """The folders that an installer writes in the target's environment."""
    if paths is None:
        return []
    found = [Named("site-packages", paths.purelib)]
    if not isolated and paths.user_site_enabled and paths.user_site:
        found.append(Named("user-site", paths.user_site))
    return [*found, Named("scripts", paths.scripts)]


def temp_candidates(environ: Mapping[str, str], home: str, cwd: str) -> list[Named]:
    """Where Python's ``tempfile`` looks for a folder it can write, in its order."""
    found = [Named("temp", os.path.join(cwd, environ[n]), n) for n in ("TMPDIR", "TEMP", "TMP") if environ.get(n)]
    if sys.platform == "win32":
        system = environ.get("SYSTEMROOT", "")
        places = [
            ntpath.join(home, r"AppData\Local\Temp") if home else "",
            ntpath.join(system, "Temp") if system else "",
            *(r"c:\temp", r"c:\tmp", r"\temp", r"\tmp"),
        ]
    else:
        places = ["/tmp", "/var/tmp", "/usr/tmp"]
    return [*found, *(Named("temp", place) for place in places if place), Named("temp", cwd)]


def hub_places(environ: Mapping[str, str], home: str, cwd: str) -> list[Named]:
    """Where huggingface_hub and hf_xet keep things."""
    paths = cache_paths(environ, home, SYSTEM).anchored(cwd, SYSTEM)
    return [
        Named("hf-home", paths.hf_home, paths.home_set_by),
        Named("hf-cache", paths.hub, paths.hub_set_by),
        Named("xet-cache", os.path.join(cwd, paths.xet), paths.xet_set_by),
    ]


def installer_caches(environ: Mapping[str, str], home: str, cwd: str, settings: Settings) -> list[Named]:
    """The caches of uv and pip; none for one that is told to do without."""
    found = []
    if environ.get("UV_NO_CACHE", "").lower() not in _ON:
        uv = _uv_cache(environ, home, settings)
        if uv:
            found.append(uv)
    pip = _pip_cache(environ, home, settings)
    if pip:
        found.append(pip)
    return [msgspec.structs.replace(place, path=os.path.normpath(os.path.join(cwd, place.path))) for place in found]


def _uv_cache(environ: Mapping[str, str], home: str, settings: Settings) -> Named | None:
    if environ.get("UV_CACHE_DIR"):
        return Named("uv-cache", environ["UV_CACHE_DIR"], "UV_CACHE_DIR")
    for entry in reversed(settings.uv_config.maybe() or []):
        if entry.name == "cache-dir":
            return Named("uv-cache", entry.value, entry.file)
    if sys.platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return Named("uv-cache", ntpath.join(local, "uv", "cache")) if local else None
    if environ.get("XDG_CACHE_HOME"):
        return Named("uv-cache", os.path.join(environ["XDG_CACHE_HOME"], "uv"), "XDG_CACHE_HOME")
    return Named("uv-cache", os.path.join(home, ".cache", "uv")) if home else None


def _pip_cache(environ: Mapping[str, str], home: str, settings: Settings) -> Named | None:
    try:
        without = settings.pip_option("no-cache-dir")
        named = settings.pip_option("cache-dir")
    except FactMissing:  # the configuration cannot be understood: then pip does not start either
        without = named = None
    if without and without[0].lower() in _ON:
        return None
    if named:
        path, set_by = named
        return Named("pip-cache", home + path[1:] if home and path.startswith(("~/", "~\\")) else path, set_by)
    if sys.platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return Named("pip-cache", ntpath.join(local, "pip", "cache")) if local else None
    if sys.platform == "darwin":
        return Named("pip-cache", os.path.join(home, "Library", "Caches", "pip")) if home else None
    if environ.get("XDG_CACHE_HOME"):
        return Named("pip-cache", os.path.join(environ["XDG_CACHE_HOME"], "pip"), "XDG_CACHE_HOME")
    return Named("pip-cache", os.path.join(home, ".cache", "pip")) if home else None
