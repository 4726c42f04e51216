"""Caches on Windows in a folder so deep that what must be kept below it goes beyond the limit."""

from __future__ import annotations

from ..facts.sections.storage import Place
from ..facts.snapshot import Snapshot
from .model import Clue, Plain
from .move_cache import HOME, SET_WITH_HOME
from .path_lengths import FILE_LIMIT, FOLDER_LIMIT, Reach, drive_of_home, reach

#: a path that begins so is taken as it is and has no limit
NO_LIMIT = ("\\\\?\\", "\\\\.\\")

#: the folder of the shortest model that there can be: the hub keeps each snapshot in one, named by a commit
SHORTEST_SNAPSHOT = "models--x/snapshots/" + 40 * "0"
#: the source of one compiled function: two letters of its hash, then the hash (torch/_inductor/codecache.py)
COMPILED = f"{2 * 'c'}/{52 * 'c'}.main.cpp"
INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"


def too_deep_for_models(s: Snapshot) -> Reach | None:
    """The snapshot of whatever model, where not even the shortest one fits below the hub cache.

    The library itself can write beyond the limit with a prefix, but it makes the snapshots, and transformers opens
    what is in them, without one. None where it fits or where the cache is not known.
    """
    cache = s.hub.cache.maybe()
    if cache is None or not cache.path or cache.literal.startswith(NO_LIMIT):
        return None
    found = reach(cache.path, SHORTEST_SNAPSHOT, FOLDER_LIMIT)
    return found if found.over > 0 else None


def too_long_in_cache(s: Snapshot) -> Reach | None:
    """The longest cached file, where Python cannot open it. None where it can, or where nothing is known of it."""
    cache, health = s.hub.cache.maybe(), s.hub.health.maybe()
    if cache is None or cache.literal.startswith(NO_LIMIT) or health is None or not health.longest_file:
        return None
    found = reach(cache.path, health.longest_file, FILE_LIMIT)
    return found if found.over > 0 else None


def too_deep_for_compiled(s: Snapshot) -> Reach | None:
    """What torch.compile writes below the folder that the person chose for it, where that does not fit."""
    folder = s.settings.variable(INDUCTOR) if s.settings.variables.known else None
    if not folder or folder.startswith(NO_LIMIT):
        return None
    found = reach(folder, COMPILED, FILE_LIMIT)
    return found if found.over > 0 else None


def hub_places(s: Snapshot) -> list[Place]:
    """The hub's folders that must move for a shorter path: the one above the cache, if that is what sets it."""
    places = {place.role: place for place in s.storage.places.maybe() or ()}
    cache = places.get("hf-cache")
    if cache is None:
        return []
    if cache.set_by in SET_WITH_HOME and HOME in places:
        return [places[HOME]]
    return [cache]


def short_cache(s: Snapshot) -> str:
    r"""A folder for models with a path as short as can be: ``C:\hf-cache``."""
    return drive_of_home(s) + "\\hf-cache"


def fits_in_short_cache(s: Snapshot, one: Reach) -> bool:
    """Whether the name would be short enough there: a model's own names can be too long for any place."""
    return reach(short_cache(s) + "\\hub", one.name, one.limit).over <= 0


def short_compiled(s: Snapshot) -> str:
    r"""The same for what torch.compile keeps: ``C:\hf-compiled``."""
    return drive_of_home(s) + "\\hf-compiled"


def length_clue(s: Snapshot, one: Reach, says: str) -> Clue:
    """The line that says how long the name gets; ``says`` names its template."""
    fact = s.settings.variables if says == "compiled_length" else s.hub.cache
    fields: dict[str, Plain] = {"folder": one.folder, "name": one.name, "length": one.length, "limit": one.limit}
    return Clue(fact, one.path, says, fields)
