"""Room on the disks, and the right to write where an install or a download must."""

from __future__ import annotations

from ..facts.fact import FactMissing
from ..facts.sections.storage import Place
from ..facts.snapshot import Snapshot
from . import room as ways_out
from .byte_count import size
from .install_steps import install
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Unknown, Verdict
from .outstanding import Room, install_place, missing, room_needed
from .reinstall import variant_index
from .room import volume_of

#: bytes; less than this in the hub's cache does not hold one small model
NO_ROOM_FOR_A_MODEL = 200 * 10**6
#: a repository with its folders, links and blobs takes about a hundred; a volume of millions is full before that
FEW_INODES = 1000
VERY_FEW_INODES = 100

#: Writable.why of a disk that is full, which is not a question of rights
FULL = ("full", "quota")


def _disk_full(s: Snapshot, goal: Goal) -> Verdict:
    fails: list[Fail] = []
    clues: list[Clue] = []
    unknown: Unknown | None = None
    temp = s.storage.place("temp")
    if temp is not None:
        writable = temp.writable.need()
        if writable.why in FULL:
            fails.append(_full_temp(s, temp))
        clues.append(Clue(temp.space))
    names = missing(s, goal)
    if names:
        place = install_place(s)
        if place is None:
            raise FactMissing(s.target.paths)
        room = room_needed(s, names)
        if _may_be_written(place):
            clues.append(Clue(place.space))
            if room is None:
                unknown = Unknown("not_measured", {"names": ", ".join(names)}, [Clue(s.target.interpreter)])
            else:
                found = _no_room(s, names, place, room) or _tight(s, names, place, room)
                fails += [found] if found else []
    cache = s.storage.place("hf-cache")
    if cache is not None and _may_be_written(cache):
        found = _full_cache(s, cache)
        fails += [found] if found and not s.hub.offline.need().on else []
        clues.append(Clue(cache.space))
    if fails:
        return fails
    return unknown or (Pass(len(clues), clues) if clues else Skip("nothing_to_write"))


def _may_be_written(place: Place) -> bool:
    """False where nothing would be written anyway: a read-only file system says that it is full."""
    filesystem = place.filesystem.maybe()
    if filesystem is not None and filesystem.read_only:
        return False
    writable = place.writable.maybe()
    return writable is None or writable.ok or writable.why in FULL


def _full_temp(s: Snapshot, temp: Place) -> Fail:
    writable = temp.writable.need()
    steps = ways_out.temp_there(s, temp, 0) or [Step(says="other_temp")]
    return Fail(
        "temp_full",
        "error",
        "observed",
        [Clue(temp.writable, temp.path, "trial", {"path": temp.path, "error": writable.error})],
        {"path": temp.path},
        Treatment("confirm", [*steps, Step(says="clear_temp", fields={"path": temp.path})]),
    )


def _no_room(s: Snapshot, names: list[str], place: Place, room: Room) -> Fail | None:
    """The volume of site-packages cannot hold what is to be installed."""
    space = place.space.need()
    files = room.files + (0 if s.target.pip.absent else room.compiled_files)  # uv compiles nothing unless told to
    fields: dict[str, Plain] = {
        "names": " and ".join(names),
        "path": place.path,
        "free": size(space.free),
        "needed": size(room.unpacked),
        "files": files,
        "inodes": space.inodes_free,
        "measured": room.as_of,
    }
    if space.inodes_free is not None and space.inodes_free < files:
        certain = space.inodes_free < room.least_files
        clue = Clue(place.space, space.inodes_free, "inodes", fields)
        return Fail(
            "no_inodes",
            "error" if certain else "warning",
            "derived",
            [clue],
            fields,
            Treatment("confirm", _make_room(s, place, files=True)),
        )
    if space.free >= room.unpacked:
        return None
    clue = Clue(place.space, space.free, "space", fields)
    if space.free < room.least_unpacked:
        return Fail(
            "no_room",
            "error",
            "derived",
            [clue],
            fields,
            Treatment("confirm", _make_room(s, place, room.unpacked - space.free)),
        )
    if _own_source(s):
        return None  # packages from somewhere else than was measured: perhaps the smaller build
    command = install(s, ["torch"], "--index-url", variant_index("cpu"))
    smaller = Step(command, "smaller", network=True)
    if not _only_other_cards(s):  # a card would go unused: that is for the person to decide
        smaller = Step(says="smaller_by_hand", fields={"command": " ".join(command)})
    steps = [*_make_room(s, place, room.unpacked - space.free), smaller]
    return Fail("default_too_large", "warning", "derived", [clue], fields, Treatment("confirm", steps))


def _tight(s: Snapshot, names: list[str], place: Place, room: Room) -> Fail | None:
    """It fits, but not together with what the installer keeps beside it while it works."""
    if _own_source(s) or not (s.target.pip.known or s.target.pip.absent):
        return None
    shares = _shares(s, place, room)
    for parts in shares.values():
        first = parts[0][0]
        space = first.space.maybe()
        needed = sum(count for _, count in parts)
        if space is None or space.free >= needed:
            continue
        fields: dict[str, Plain] = {
            "names": " and ".join(names),
            "free": size(space.free),
            "needed": size(needed),
            "volume": first.path if len(parts) == 1 else _mount(first),
            "what": ", ".join(f"{size(count)} in {entry.path}" for entry, count in parts),
            "tool": "uv" if s.target.pip.absent else "pip",
        }
        clues = [Clue(first.space, space.free, "share", fields)]
        clues += [Clue(entry.filesystem, entry.path) for entry, _ in parts[1:]]
        return Fail(
            "tight",
            "warning",
            "derived",
            clues,
            fields,
            Treatment("confirm", _other_way(s, parts, needed - space.free)),
        )
    return None


def _shares(s: Snapshot, place: Place, room: Room) -> dict[str, list[tuple[Place, int]]]:
    """Bytes that each place takes while the install runs, by volume. pip downloads to the temporary folder and keeps
    what it downloaded in its cache; uv unpacks in its cache and links from there where both are on one volume.
    """
    if s.target.pip.absent:
        wanted = [("uv-cache", room.unpacked)]
        cache = s.storage.place("uv-cache")
        if cache is None or volume_of(cache) != volume_of(place):
            wanted.append(("", room.unpacked))
    else:
        wanted = [("", room.unpacked + room.compiled), ("temp", room.download), ("pip-cache", room.download)]
    shares: dict[str, list[tuple[Place, int]]] = {}
    for role, count in wanted:
        entry = s.storage.place(role) if role else place
        volume = volume_of(entry) if entry is not None else ""
        if entry is not None and volume and _may_be_written(entry):
            shares.setdefault(volume, []).append((entry, count))
    return shares


def _mount(place: Place) -> str:
    filesystem = place.filesystem.maybe()
    return filesystem.mount if filesystem else place.path


def _own_source(s: Snapshot) -> bool:
    """Whether pip or uv is set up to take packages from where their sizes may be others than those measured."""
    for option in ("find-links", "no-index"):
        if s.settings.pip_option(option):
            return True
    urls = [s.settings.pip_option(option) for option in ("index-url", "extra-index-url")]
    texts = [found[0] for found in urls if found]
    texts += [entry.value for entry in s.settings.uv_config.maybe() or [] if "index" in entry.name]
    texts += [
        s.settings.variable(name) or ""
        for name in ("UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_INDEX", "UV_DEFAULT_INDEX")
    ]
    return any("pytorch.org" in text or "/cpu" in text for text in texts) or bool(
        s.settings.variable("UV_TORCH_BACKEND")
    )


def _make_room(s: Snapshot, place: Place, short: int = 0, *, files: bool = False) -> list[Step]:
    fields: dict[str, Plain] = {"mount": _mount(place), "path": place.path}
    return [*ways_out.make_room(s, place, short, files=files), Step(says="make_room", fields=fields)]


def _other_way(s: Snapshot, parts: list[tuple[Place, int]], short: int) -> list[Step]:
    needed = {entry.role: count for entry, count in parts}
    place = parts[0][0]
    steps = ways_out.make_room(s, place, short)
    for role in ("uv-cache", "pip-cache"):
        if role in needed:
            steps += ways_out.cache_there(s, place, role, needed[role])
    if "temp" in needed:
        steps += ways_out.temp_there(s, place, needed["temp"]) or [Step(says="other_temp")]
    if "pip-cache" in needed:
        steps.append(Step(says="no_cache"))
    if "uv-cache" in needed and not any(step.says == "uv_cache_there" for step in steps):
        steps.append(Step(says="other_uv_cache"))
    return steps or [Step(says="make_room", fields={"mount": _mount(place), "path": place.path})]


def _full_cache(s: Snapshot, cache: Place) -> Fail | None:
    space = cache.space.need()
    fields: dict[str, Plain] = {"path": cache.path, "free": size(space.free), "inodes": space.inodes_free}
    by_hand = [Step(says="prune"), Step(says="other_cache")]
    if space.free < NO_ROOM_FOR_A_MODEL:
        clue = Clue(cache.space, space.free, "cache_space", fields)
        treatment = Treatment("confirm", [*ways_out.make_room(s, cache, NO_ROOM_FOR_A_MODEL - space.free), *by_hand])
        return Fail("cache_full", "warning", "derived", [clue], fields, treatment)
    free, total = space.inodes_free, space.inodes_total
    if free is None or total is None:
        return None
    if free < VERY_FEW_INODES or (free < FEW_INODES and free * 100 < total):
        clue = Clue(cache.space, free, "cache_inodes", fields)
        treatment = Treatment("confirm", [*ways_out.make_room(s, cache, files=True), *by_hand])
        return Fail("cache_inodes_full", "warning", "derived", [clue], fields, treatment)
    return None


def _only_other_cards(s: Snapshot) -> bool:
    """Whether it is known that no graphics card of NVIDIA's would go unused with the smaller build."""
    devices = [] if s.gpu.devices.absent else s.gpu.devices.maybe()
    return devices is not None and not any(device.vendor == "nvidia" for device in devices)


DISK_FULL = Condition(
    id="disk-full",
    family="storage",
    title="A disk is too full for what is to be installed or downloaded",
    reads=("storage", "packages", "target", "machine", "settings", "hub", "gpu"),
    detect=_disk_full,
    words={
        **ways_out.WORDS,
        "nothing_to_write": "nothing is to be written to any place that is known",
        "not_measured": "how much room {names} takes was not measured for this kind of machine",
        "temp_full": "the folder for temporary files, {path}, is full",
        "trial": "writing one byte in {path} failed: {error}",
        "no_room": "{path} has {free} left; {names} cannot fit",
        "default_too_large": "{path} has {free} left; the default build of {names} takes {needed}",
        "space": "{free} are free; unpacked it is {needed} (default build, measured {measured})",
        "no_inodes": "the disk of {path} can take {inodes} more files; {names} brings {files}",
        "inodes": "{inodes} inodes are free (df -i shows them); {files} files are to be written (measured {measured})",
        "tight": "installing {names} with {tool} needs {needed} on {volume}, which has {free} left",
        "share": "while it installs, {tool} takes {what}",
        "cache_full": "the hub cache has {free} left: a model will not fit",
        "cache_space": "{free} are free for {path}",
        "cache_inodes_full": "the disk of the hub cache can take only {inodes} more files",
        "cache_inodes": "{inodes} inodes are free for {path} (df -i shows them)",
        "make_room": "or make room on {mount} yourself, or put the environment on another disk",
        "smaller": "or install the smaller build without CUDA",
        "smaller_by_hand": "or install the smaller build, which does not use a card of NVIDIA's: {command}",
        "clear_temp": "or delete what is not needed any more in {path}",
        "other_temp": "or set TMPDIR (Windows: TEMP and TMP) to a folder on a disk with room",
        "no_cache": "or install with --no-cache-dir, so that pip keeps no copy",
        "other_uv_cache": "or set UV_CACHE_DIR to a folder on a disk with room",
        "prune": "or see what takes the room with: hf cache ls; remove what you do not need with: hf cache rm",
        "other_cache": "or set HF_HOME to a folder on a disk with room",
    },
)


def _permission_denied(s: Snapshot, goal: Goal) -> Verdict:
    fails: list[Fail] = []
    clues: list[Clue] = []
    temp = s.storage.place("temp")
    if temp is not None:
        writable = temp.writable.need()
        clues.append(Clue(temp.writable, writable.ok))
        if not writable.ok and writable.why not in FULL:
            fields: dict[str, Plain] = {"path": temp.path, "error": writable.error}
            there = ways_out.temp_there(s, temp, 0, same_disk=True)
            steps = [Step(says="give_temp", fields={"path": temp.path}), *(there or [Step(says="other_temp")])]
            clue = Clue(temp.writable, temp.path, "trial", fields)
            fails.append(Fail("temp", "error", "observed", [clue], fields, Treatment("confirm", steps)))
    names = missing(s, goal)
    if names:
        place = install_place(s)
        if place is None:
            raise FactMissing(s.target.paths)
        for entry in (place, _scripts(s, place)):
            if entry is None:
                continue
            found = _cannot_install(s, names, entry)
            clues.append(Clue(entry.writable, entry.path))
            if found:
                fails.append(found)
                break
    if fails:
        return fails
    return Pass(len(clues), clues) if clues else Skip("nothing_to_write")


def _scripts(s: Snapshot, place: Place) -> Place | None:
    """The folder for commands such as ``hf`` and ``torchrun``, where pip writes it too."""
    return s.storage.place("scripts") if place.role == "site-packages" else None


def _cannot_install(s: Snapshot, names: list[str], place: Place) -> Fail | None:
    if s.target.externally_managed.known:
        return None  # pip refuses before it writes: that is another finding
    writable = place.writable.need()
    if writable.ok or writable.why in FULL:
        return None
    fields: dict[str, Plain] = {
        "path": place.path,
        "names": " and ".join(names),
        "error": writable.error,
        "owner": "root" if place.owner == "root" else f"user number {place.owner}",
    }
    says = {"read-only": "read_only", "not-a-folder": "not_a_folder"}.get(writable.why, "no_right")
    clues = [Clue(place.writable, place.path, "trial", fields)]
    if place.owner not in ("", "own"):
        clues.append(Clue(place.writable, place.owner, "owner", fields))
    steps = [Step(says="own_environment")]
    system = s.machine.os.maybe()
    if says == "no_right" and s.target.isolated.maybe() and system is not None and system.system != "windows":
        folder = s.target.environment.maybe() or place.path
        steps.insert(0, Step(says="own", fields={"path": folder}, administrator=True))
    basis: Basis = "observed" if writable.proof == "created" else "derived"
    return Fail(says, "error", basis, clues, fields, Treatment("print-only", steps))


PERMISSION_DENIED = Condition(
    id="permission-denied",
    family="storage",
    title="A folder that an install or a program must write cannot be written",
    reads=("storage", "packages", "target", "machine"),
    detect=_permission_denied,
    explained_by=("controlled-folder-access",),
    words={
        "nothing_to_write": "nothing is to be written to any place that is known",
        "temp": "no folder for temporary files can be written: transformers cannot even be imported",
        "trial": "{path} cannot be written: {error}",
        "owner": "it belongs to {owner}",
        "no_right": "you may not write in {path}: {names} cannot be installed there",
        "read_only": "{path} is on a read-only disk: {names} cannot be installed there",
        "not_a_folder": "{path} is no folder: {names} cannot be installed there",
        "temp_there": ways_out.WORDS["temp_there"],
        "give_temp": "let {path} be written (chmod 1777 for a shared /tmp), or free it if it is mounted read-only",
        "other_temp": "or set TMPDIR (Windows: TEMP and TMP) to a folder that you may write",
        "own": 'make the environment your own: sudo chown -R "$USER" {path}',
        "own_environment": "or make a new virtual environment in a folder of your own",
    },
)

CONDITIONS: tuple[Condition, ...] = (DISK_FULL, PERMISSION_DENIED)
