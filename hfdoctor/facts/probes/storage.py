"""Observes the places that matter: room, file system, and whether they can be written."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
import time
from typing import Any

import msgspec

from ..fact import Fact, from_error, known, not_run, timed_out
from ..legible import legible
from ..observe import observe
from ..probe import Context
from ..sections.storage import Place, Writable
from . import filesystems, places
from .filesystems import Mount
from .places import Named

#: seconds for all places together: a local disk answers within a millisecond, a dead file server never
PATIENCE_S = 4.0

#: seconds for which the next place waits: one at a time takes less than all at once, as long as none hangs
MOMENT_S = 0.01

#: Windows' numbers for names with quotation marks and the like, and for paths that are none
IMPOSSIBLE_NAMES = (123, 161)

#: places where a small file may be made and removed: they exist for programs to write in
PROVED_BY_WRITING = frozenset({"temp", "hf-home", "hf-cache", "xet-cache", "uv-cache", "pip-cache"})
#: the same, but only in an environment of the person's own or where nothing but a trial can tell
INSTALLED = frozenset({"site-packages", "user-site", "scripts"})


def probe(ctx: Context) -> None:
    """Fill ``ctx.snapshot.storage``. Each place is looked at in its own thread: one that hangs costs only itself."""
    section = ctx.snapshot.storage
    mounts = filesystems.mounts()
    observe(section, "places", lambda: _places(ctx, mounts))
    places = section.places.maybe()
    if places is None:
        section.volumes = not_run("the places are not known")
        return
    from .volumes import volumes

    observe(section, "volumes", lambda: volumes(places, mounts, _home(ctx)))
    if section.volumes.known:
        from .cache_sizes import measure

        measure(places)


def _places(ctx: Context, mounts: list[Mount]) -> Fact[list[Place]]:
    target, settings = ctx.snapshot.target, ctx.snapshot.settings
    environ, cwd = ctx.request.environ, str(ctx.request.cwd)
    home = _home(ctx)
    isolated = bool(target.isolated.maybe())
    named = [
        *places.installed_places(target.paths.maybe(), isolated),
        Named("temp", "", ""),
        *places.hub_places(environ, home, cwd),
        *places.installer_caches(environ, home, cwd, settings),
        Named("cwd", cwd),
    ]
    found: list[Place | None] = [None] * len(named)

    def work(index: int, place: Named) -> None:
        try:
            if place.role == "temp":
                found[index] = temp(places.temp_candidates(environ, home, cwd), mounts)
            else:
                may_write = place.role in PROVED_BY_WRITING or (
                    place.role in INSTALLED and (isolated or sys.platform == "win32")
                )
                found[index] = look(place, may_write, mounts, own=home)
        except Exception as error:  # no place may cost the others
            found[index] = _unseen(place, from_error(error))

    threads = [threading.Thread(target=work, args=entry, daemon=True) for entry in enumerate(named)]
    until = time.monotonic() + ctx.left_s(PATIENCE_S)
    for thread in threads:
        thread.start()
        thread.join(MOMENT_S)
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = timed_out(f"the file system did not answer within {PATIENCE_S:g} s")
    return known([place or _unseen(named[index], late) for index, place in enumerate(list(found))], "the file systems")


def _unseen(named: Named, why: Fact[Any]) -> Place:
    """A place of which nothing could be told."""
    place = Place(named.role, legible(named.path), None, set_by=named.set_by)
    for name in ("space", "filesystem", "writable"):  # each its own: findings are told apart by the very fact
        setattr(place, name, msgspec.structs.replace(why))
    return place


def temp(candidates: list[Named], mounts: list[Mount]) -> Place:
    """The folder that Python's ``tempfile`` would use: the first that can be written, or the first at all."""
    first = None
    for candidate in candidates:
        place = look(candidate, True, mounts)
        writable = place.writable.maybe()
        if place.exists and writable and writable.ok:
            return place
        first = first or place
    assert first is not None  # the list ends with the current folder
    return first


def look(named: Named, may_write: bool, mounts: list[Mount], own: str = "") -> Place:
    """Look at one place. ``may_write`` allows a trial file in it; ``own`` is the home, where one is harmless too."""
    place = Place(named.role, legible(named.path), exists=None, set_by=named.set_by)
    try:
        info = os.stat(named.path)
        place.exists = True
        place.kind = "folder" if stat.S_ISDIR(info.st_mode) else "file"
    except (FileNotFoundError, NotADirectoryError):
        place.exists = False
        if os.path.islink(named.path):
            place.kind = "dangling-link"
    except (OSError, ValueError) as error:
        # a name that no file can have is one that does not exist; otherwise a folder above may not be entered
        place.exists = False if getattr(error, "winerror", None) in IMPOSSIBLE_NAMES else None
    at, blocked_by_file = _nearest(named.path)
    if blocked_by_file:
        place.kind = "file"
    place.measured_at = legible(at)
    place.owner = _owner(at)
    observe(place, "space", lambda: filesystems.space_of(at))
    observe(place, "filesystem", lambda: filesystems.filesystem_of(at, mounts))
    observe(place, "writable", lambda: writable(named.path, at, place, may_write, own))
    return place


def _nearest(path: str) -> tuple[str, bool]:
    """The nearest folder at or above ``path`` that can be looked at, and whether a file stands in the way."""
    blocked = False
    while True:
        try:
            if stat.S_ISDIR(os.stat(path).st_mode):
                return path, blocked
            blocked = True
        except (OSError, ValueError):
            pass
        parent = os.path.dirname(path)
        if parent in (path, ""):
            return path or os.curdir, blocked
        path = parent


def writable(path: str, at: str, place: Place, may_write: bool, own: str = "") -> Fact[Writable]:
    """Whether ``path`` can be written, or made below ``at`` where it does not exist yet."""
    if place.kind == "file":
        return known(Writable(False, "access", "a file stands where a folder must be", "not-a-folder"), "stat")
    if place.kind == "dangling-link":
        return known(Writable(False, "access", "a link that leads nowhere", "not-a-folder"), "stat")
    if place.exists is None:
        return known(Writable(False, "access", "a folder above it may not be entered", "permission"), "stat")
    if place.exists and may_write:
        return known(by_writing(path), "a file made and removed")
    if sys.platform == "win32":
        if any(letter in '<>"|?*' for letter in path.removeprefix("\\\\?\\")):
            return not_run("no folder can have this name", "access")
        if may_write and own and _inside(at, own):
            return known(by_writing(at), "a file made and removed in the nearest folder above")
        return not_run("Windows only tells by writing, which is not tried here", "access")
    # with the effective user's rights, as an installer would have them
    effective = os.access in os.supports_effective_ids
    if os.access(at, os.W_OK | os.X_OK, effective_ids=effective):
        return known(Writable(True, "access"), "access")
    filesystem = place.filesystem.maybe()
    read_only = filesystem is not None and filesystem.read_only
    number = errno.EROFS if read_only else errno.EACCES
    return known(Writable(False, "access", os.strerror(number), "read-only" if read_only else "permission"), "access")


def _inside(path: str, folder: str) -> bool:
    path, folder = os.path.normcase(path), os.path.normcase(folder).rstrip("\\/")
    return path == folder or path.startswith(folder + os.sep)


def by_writing(folder: str) -> Writable:
    """Make a file of one byte in ``folder`` and remove it again."""
    path = os.path.join(folder, f".hfdoctor-{os.urandom(8).hex()}")
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        return Writable(False, "created", _said(error), _why(error))
    try:
        os.write(handle, b"\n")
    except OSError as error:
        return Writable(False, "created", _said(error), _why(error))
    finally:
        os.close(handle)
        with contextlib.suppress(OSError):
            os.unlink(path)
    return Writable(True, "created")


def _why(error: OSError) -> str:
    if getattr(error, "winerror", None) == 19:  # the media is write protected
        return "read-only"
    return {
        errno.EACCES: "permission",
        errno.EPERM: "permission",
        errno.EROFS: "read-only",
        errno.ENOSPC: "full",
        errno.EDQUOT: "quota",
    }.get(error.errno or 0, "other")


def _said(error: OSError) -> str:
    return legible(f"{type(error).__name__}: {error.strerror or error}")


def _owner(path: str) -> str:
    if sys.platform == "win32":
        return ""
    try:
        uid = os.stat(path).st_uid
    except OSError:
        return ""
    return "own" if uid == os.geteuid() else "root" if uid == 0 else str(uid)


def _home(ctx: Context) -> str:
    from .machine import home

    try:
        return home(ctx.request.environ).maybe() or ""
    except Exception:  # a broken name service: the machine's own section gives the reason
        return ""
