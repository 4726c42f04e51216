"""Ways to make room on a full disk, those first that help at once and can be taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath

from ..facts.cache_paths import TRANSFORMERS_CACHE_VARIABLES
from ..facts.sections.hub import CacheHealth, OldRevisions
from ..facts.sections.storage import Place, Volume
from ..facts.snapshot import Snapshot
from .byte_count import size
from .changes import Command, PutAway, TreeMove, VariableChange
from .model import Plain, Step
from .reinstall import python_of

#: bytes that a disk must have left when something has moved there
SPARE = 2 * 10**9
#: bytes; whatever frees less is no way out
WORTH_FREEING = 20 * 10**6
#: two places whose free bytes differ by less than this, and whose sizes are equal, are one disk seen twice
ALIKE = 64 * 2**20
#: of how many repositories one command names the old versions
MOST_REPOSITORIES = 10
#: names of the folders that are made on another disk
CACHE_FOLDER = "huggingface-hub"
TEMP_FOLDER = "temporary-files"

#: a folder of this name that is somebody else's, or a link, is not taken
_MAKE_FOLDER = """
import os, stat, sys
path = sys.argv[1]
if not os.path.lexists(path):
    os.mkdir(path, 0o700)
found = os.lstat(path)
own = os.name == "nt" or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)
sys.exit(0 if own and stat.S_ISDIR(found.st_mode) else path + " is there already and not a folder of your own")
"""
_REMOVE_FOLDER = "import os, sys; os.listdir(sys.argv[1]) or os.rmdir(sys.argv[1])"

#: the templates that these steps name; a condition that uses them takes these into its words
WORDS: Mapping[str, str] = {
    "move_cache": "or move the hub cache ({size}) from {path} to {new}, where {free} are free",
    "say_where": "and set {name} to {new}, so that it is found there",
    "cache_there": "or keep models in {new} from now on, where {free} are free (variable {name})",
    "old_versions": "or remove old versions of {repos} from the hub cache ({size}): no branch points at them any more, "
    "and a program that asks for one by its commit fetches it again",
    "old_away": "or put away old versions of {repos} in the hub cache ({size}): no branch points at them any more",
    "leftovers": "or put away the remains of downloads that broke off ({size})",
    "xet": "or put away the pieces of files that hf_xet keeps in {path} ({size})",
    "forget": "the room comes free when this fix is given up for good: hfdoctor undo --forget N (hfdoctor undo --list "
    "shows its number N)",
    "purge": "or empty {path}, which is only a cache",
    "purge_known": "or empty {path}, which is only a cache ({size})",
    "purge_at_least": "or empty {path}, which is only a cache ({size} at least)",
    "uv_cache_there": "or let uv keep its cache in {new}, where {free} are free (variable UV_CACHE_DIR)",
    "pip_cache_there": "or let pip keep its cache in {new}, where {free} are free (variable PIP_CACHE_DIR)",
    "temp_there": "or let programs keep temporary files in {new}, where {free} are free (variable {name})",
}


def volume_of(place: Place) -> str:
    """What tells the place's volume from others; "" where it is not known."""
    filesystem = place.filesystem.maybe()
    return filesystem.volume if filesystem else ""


def make_room(s: Snapshot, place: Place, short: int = 0, *, files: bool = False) -> list[Step]:
    """Ways to make room on the volume of ``place``; every way begins with "or".

    First those that free ``short`` bytes, as far as that is known. What is put away keeps its room until it is given
    up: that comes last, and not at all where it is ``files`` (inodes) that are short.
    """
    moved = move_cache(s, place)
    held = 10**18 if place.role == "hf-cache" else _held(s, place)  # it moves away from the disk that is full
    ways = [(held, moved)] if moved else []
    ways += [(_freed(steps), steps) for steps in (*old_versions(s, place), *purge(s, place))]
    ways.sort(key=lambda way: way[0] < short)  # (stable: what can be taken back stays before what cannot)
    found = [step for _, steps in ways for step in steps]
    return found if files else [*found, *put_away(s, place)]


def _freed(steps: list[Step]) -> int:
    """Bytes that the commands among ``steps`` free, as far as that is known."""
    return sum(-step.change.bytes for step in steps if isinstance(step.change, Command))


def _held(s: Snapshot, place: Place) -> int:
    """Bytes of the hub's cache on the volume of ``place``, as far as they were measured."""
    cache = _cache_on(s, place)
    health = _health(s, cache) if cache is not None else None
    return health.blob_bytes + health.incomplete_bytes if health is not None else 0


def elsewhere(s: Snapshot, place: Place, needed: int) -> Volume | None:
    """The disk with the most room beside the one of ``place`` that takes ``needed`` bytes and some more."""
    space = place.space.maybe()
    for volume in s.storage.volumes.maybe() or []:
        if volume.volume == volume_of(place) or volume.free < needed + SPARE:
            continue
        if space is None or space.total != volume.total or abs(space.free - volume.free) > ALIKE:
            return volume
    return None


def below(s: Snapshot, volume: Volume, name: str) -> str:
    """A folder of this name where the person can write on ``volume``."""
    return str(path_of(s)(volume.folder) / name)


def path_of(s: Snapshot) -> type[PureWindowsPath] | type[PurePosixPath]:
    """How paths are written on the machine of the snapshot."""
    system = s.machine.os.maybe()
    return PureWindowsPath if system is not None and system.system == "windows" else PurePosixPath


def _cache_on(s: Snapshot, place: Place) -> Place | None:
    """The hub's cache if it is on the volume of ``place``."""
    cache = s.storage.place("hf-cache")
    return cache if cache is not None and volume_of(cache) and volume_of(cache) == volume_of(place) else None


def _health(s: Snapshot, cache: Place) -> CacheHealth | None:
    """What is known of the inside of ``cache``; None where that was seen of another one (transformers 4)."""
    location = s.hub.cache.maybe()
    return s.hub.health.maybe() if location is not None and location.path == cache.path else None


def cache_variable(s: Snapshot, cache: Place) -> str:
    """The variable that places the hub's cache and nothing else: the token stays where it is."""
    if cache.set_by in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", *TRANSFORMERS_CACHE_VARIABLES):
        return cache.set_by
    read = s.hub.variables_read.maybe()
    return "HUGGINGFACE_HUB_CACHE" if read is not None and "HF_HUB_CACHE" not in read else "HF_HUB_CACHE"


def move_cache(s: Snapshot, place: Place) -> list[Step]:
    """The hub's cache to the disk with the most room, and the variable that says so; only that where it is empty."""
    cache = _cache_on(s, place)
    if cache is None or cache.kind != "folder":
        return []
    health = _health(s, cache)
    held = _held(s, place)
    volume = elsewhere(s, cache, held)
    if volume is None:
        return []
    new = below(s, volume, CACHE_FOLDER)
    name = cache_variable(s, cache)
    fields: dict[str, Plain] = {"path": cache.path, "new": new, "free": size(volume.free), "name": name}
    set_it = VariableChange(name, new)
    if not cache.exists or (health is not None and not health.files and not health.incomplete):
        # an empty cache takes no room: that only helps where it is the cache that has none
        return [Step(says="cache_there", fields=fields, change=set_it)] if place.role == cache.role else []
    if health is None or (held < WORTH_FREEING and place.role != cache.role):
        return []
    fields["size"] = size(held) if health.measured >= health.files else f"{size(held)} or more"
    return [
        Step(says="move_cache", fields=fields, change=TreeMove(cache.path, new)),
        Step(says="say_where", fields=fields, change=set_it),
    ]


def old_versions(s: Snapshot, place: Place) -> list[list[Step]]:
    """Versions in the hub's cache that no branch points at, by the library's own program: a way, or none."""
    cache, library, chosen = _cache_on(s, place), s.hub.library.maybe(), s.target.chosen.maybe()
    if cache is None or library is None or chosen is None or not library.cache_rm:
        return []
    old = _old(s, cache)[:MOST_REPOSITORIES]
    total = sum(one.bytes for one in old)
    if total < WORTH_FREEING:
        return []
    location = s.hub.cache.maybe()
    there = ["--cache-dir", cache.path] if location is not None and location.hub_path else []
    commits = [commit for one in old for commit in one.commits]
    argv = [chosen.python, "-m", library.cli, "cache", "rm", *commits, "--yes", *there]
    return [[Step(argv, "old_versions", _named(old, total), change=Command(tuple(argv), bytes=-total))]]


def put_away(s: Snapshot, place: Place) -> list[Step]:
    """Ways whose room comes free only later: old versions where the library cannot remove them, dead downloads."""
    cache = _cache_on(s, place)
    health = _health(s, cache) if cache is not None else None
    if cache is None or health is None:
        return []
    steps = []
    library = s.hub.library.maybe()
    old = [one for one in _old(s, cache) if one.entries]
    total = sum(one.bytes for one in old)
    # (the files of a store that repositories share are the newer library's to count)
    if (library is None or not library.cache_rm) and not health.shared_blobs and total >= WORTH_FREEING:
        entries = [entry for one in old for entry in one.entries]
        steps += _away(s, cache, "old_away", _named(old, total), entries)
    left = sum(one.bytes for one in health.leftovers)
    if left >= WORTH_FREEING:
        fields: dict[str, Plain] = {"size": size(left)}
        steps += _away(s, cache, "leftovers", fields, [one.path for one in health.leftovers])
    return [*steps, *_pieces(s, place)]


def _pieces(s: Snapshot, place: Place) -> list[Step]:
    """What hf_xet keeps of what it has downloaded; the models do not need it."""
    xet = s.storage.place("xet-cache")
    if xet is None or not xet.exists or volume_of(xet) != volume_of(place) or (xet.bytes or 0) < WORTH_FREEING:
        return []
    fields: dict[str, Plain] = {"path": xet.path, "size": size(xet.bytes or 0)}
    return [Step(says="xet", fields=fields, change=PutAway(xet.path)), Step(says="forget")]


def _old(s: Snapshot, cache: Place) -> list[OldRevisions]:
    health = _health(s, cache)
    return [one for one in health.old_revisions if one.bytes] if health is not None else []


def _named(old: Sequence[OldRevisions], total: int) -> dict[str, Plain]:
    names = [one.repo.partition("--")[2].replace("--", "/") for one in old]
    return {
        "size": size(total),
        "repos": ", ".join(names[:3]) + (", ..." if len(names) > 3 else ""),
    }


def _away(s: Snapshot, cache: Place, says: str, fields: Mapping[str, Plain], entries: list[str]) -> list[Step]:
    first, *others = [PutAway(str(path_of(s)(cache.path) / entry)) for entry in entries]
    rest = [Step(change=change) for change in others]
    return [Step(says=says, fields=fields, change=first), *rest, Step(says="forget")]


def purge(s: Snapshot, place: Place) -> list[list[Step]]:
    """The caches of pip and uv on the volume of ``place``, a way each: what is gone is fetched again when needed."""
    found: list[tuple[int, Step]] = []
    for role, argv in (
        ("pip-cache", [python_of(s), "-m", "pip", "cache", "purge"]),
        ("uv-cache", ["uv", "cache", "clean"]),
    ):
        cache = s.storage.place(role)
        known = role != "pip-cache" or s.target.pip.known
        if cache is None or not cache.exists or not known or not volume_of(cache):
            continue
        if volume_of(cache) != volume_of(place):
            continue
        fields: dict[str, Plain] = {"path": cache.path}
        says, freed = "purge", cache.bytes or 0
        if cache.bytes is not None:
            if cache.bytes < WORTH_FREEING and not cache.at_least:
                continue
            fields["size"] = size(cache.bytes)
            says = "purge_at_least" if cache.at_least else "purge_known"
        found.append((freed, Step(argv, says, fields, change=Command(tuple(argv), bytes=-freed))))
    return [[step] for _, step in sorted(found, key=lambda one: -one[0])]


def cache_there(s: Snapshot, place: Place, role: str, needed: int) -> list[Step]:
    """Another place for pip's or uv's cache, with room for ``needed`` bytes; the tool makes the folder itself."""
    volume = elsewhere(s, place, needed)
    if volume is None:
        return []
    tool = role.removesuffix("-cache")
    new = below(s, volume, f"{tool}-cache")
    fields: dict[str, Plain] = {"new": new, "free": size(volume.free)}
    name = {"uv": "UV_CACHE_DIR", "pip": "PIP_CACHE_DIR"}[tool]
    return [Step(says=f"{tool}_cache_there", fields=fields, change=VariableChange(name, new))]


def temp_there(s: Snapshot, place: Place, needed: int, *, same_disk: bool = False) -> list[Step]:
    """Another folder for temporary files, with room for ``needed`` bytes; programs do not make it themselves.

    ``same_disk``: it may be on the disk of ``place``, which has room but may not be written.
    """
    volume, chosen = elsewhere(s, place, needed), s.target.chosen.maybe()
    if same_disk:
        volume = next((one for one in s.storage.volumes.maybe() or [] if one.free >= SPARE), volume)
    if volume is None or chosen is None:
        return []
    new = below(s, volume, TEMP_FOLDER)
    names = ("TEMP", "TMP") if path_of(s) is PureWindowsPath else ("TMPDIR",)
    fields: dict[str, Plain] = {"new": new, "free": size(volume.free), "name": " and ".join(names)}
    # -S -I: this must work where no temporary file can be made
    python = (chosen.python, "-I", "-S", "-c")
    folder = Command((*python, _MAKE_FOLDER, new), undo=(*python, _REMOVE_FOLDER, new))
    return [
        Step(says="temp_there", fields=fields, change=folder),
        *(Step(change=VariableChange(name, new)) for name in names),
    ]
