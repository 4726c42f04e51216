"""The hub cache and the system under it: permissions, symbolic links, file locks, several libraries on one cache."""

from __future__ import annotations

from ..facts.sections.hub import CacheHealth, CacheLocation
from ..facts.sections.storage import Place
from ..facts.snapshot import Snapshot
from .byte_count import size
from .changes import RegistryChange, VariableChange
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Unknown, Verdict
from .room import CACHE_FOLDER, below, cache_variable, elsewhere

#: Windows: "A required privilege is not held by the client"
NO_PRIVILEGE = 1314
#: errno ENOSYS: newer releases of the library then make do with a lock by a file's mere existence
NO_SUCH_CALL = 38

#: the value behind the switch "Developer Mode"
DEVELOPER_MODE = (r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\AppModelUnlock", "AllowDevelopmentWithoutDevLicense")
#: by this variable a person says that copies are fine
QUIET = "HF_HUB_DISABLE_SYMLINKS_WARNING"

#: of sections.hub.TROUBLES
UNREADABLE = "unreadable"


def _cache_permission(s: Snapshot, goal: Goal) -> Verdict:
    if s.hub.health.status == "denied":
        location = s.hub.cache.need()
        return Fail(
            "closed",
            "warning",
            "observed",
            [Clue(s.hub.health, location.path, "closed_clue", {"path": location.path, "why": s.hub.health.reason})],
            {"path": location.path},
            Treatment("print-only", [_own_again(s, location.path)]),
        )
    location = s.hub.cache.need()
    if location.kind in ("file", "below-a-file", "dangling-link"):
        return Skip("no_folder")
    health = s.hub.health.or_absent()
    unreadable = health.trouble_counts.get(UNREADABLE, 0) if health else 0
    if health is not None and unreadable:
        return _closed_parts(s, location, health, unreadable)
    if s.hub.offline.need().on:
        return Skip("offline")
    if location.hub_path:
        return _own_cache_of_transformers(s, location)
    place = s.storage.place("hf-cache")
    if place is None:
        return Skip("no_place")
    if not location.exists and place.writable.status == "not-run":
        return Skip("not_made_yet")
    writable = place.writable.need()
    if writable.why in ("full", "quota"):
        return Skip("full")
    if not writable.ok:
        return _not_writable(s, place, location, health)
    if health is not None and health.unwritable_folders:
        clues = [
            Clue(s.hub.health, example, "folder_clue", {"path": example}) for example in health.unwritable_examples[:3]
        ]
        fields: dict[str, Plain] = {"count": health.unwritable_folders, "path": location.path}
        steps = [_own_again(s, location.path)]
        return Fail("others_folders", "warning", "observed", clues, fields, Treatment("print-only", steps))
    return Pass(1 + (health.repos if health else 0), [Clue(place.writable, writable.ok)])


def _own_cache_of_transformers(s: Snapshot, location: CacheLocation) -> Verdict:
    """TRANSFORMERS_CACHE with transformers 4: a folder beside the hub's; the lock that was tried there tells enough."""
    if s.hub.lock.status == "denied":
        fields: dict[str, Plain] = {"path": location.path, "set_by": location.set_by}
        clue = Clue(s.hub.lock, location.path, "write_clue", fields)
        steps = [_own_again(s, location.path), Step(says="elsewhere")]
        return Fail("not_writable", "warning", "observed", [clue], fields, Treatment("print-only", steps))
    if s.hub.lock.or_absent() is None:
        return Skip("not_made_yet")
    return Pass(1, [Clue(s.hub.lock, location.path)])


def _closed_parts(s: Snapshot, location: CacheLocation, health: CacheHealth, count: int) -> Fail:
    troubles = [trouble for trouble in health.troubles if trouble.kind == UNREADABLE]
    clues = [Clue(s.hub.health, trouble.path, "part_clue", {"path": trouble.path}) for trouble in troubles[:3]]
    fields: dict[str, Plain] = {"count": count, "path": location.path}
    treatment = Treatment("print-only", [_own_again(s, location.path)])
    return Fail("closed_parts", "warning", "observed", clues, fields, treatment)


def _not_writable(s: Snapshot, place: Place, location: CacheLocation, health: CacheHealth | None) -> Verdict:
    filesystem = place.filesystem.maybe()
    fields: dict[str, Plain] = {"path": location.path, "set_by": location.set_by}
    clue = Clue(place.writable, place.path, "write_clue", {"path": place.measured_at or place.path})
    if health is not None and health.files and filesystem is not None and filesystem.read_only:
        return Pass(health.files, [clue])  # a cache that was mounted to be read: what is there loads
    if not location.exists and location.set_by in ("default", "XDG_CACHE_HOME"):
        # nothing was ever cached here: a machine that loads its models from folders is well as it is
        return Unknown("never_used", fields, [clue])
    steps = [Step(says="elsewhere")]
    if filesystem is None or not filesystem.read_only:
        steps.insert(0, _own_again(s, location.path if location.exists else place.measured_at or place.path))
    says = "not_writable" if location.exists else "cannot_be_made"
    return Fail(says, "warning", "observed", [clue], fields, Treatment("print-only", steps))


def _own_again(s: Snapshot, path: str) -> Step:
    system = s.machine.os.maybe()
    if system is not None and system.system == "windows":
        return Step(says="take_back_windows", fields={"path": path})
    return Step(says="take_back", fields={"path": path}, administrator=True)


def _cache_symlink(s: Snapshot, goal: Goal) -> Verdict:
    if s.hub.link.status == "denied":
        return Skip("not_writable")
    trial = s.hub.link.or_absent()
    if trial is None:
        return Skip("no_cache")
    if trial.ok:
        return Pass(1, [Clue(s.hub.link, True)])
    for name in ("HF_HUB_DISABLE_SYMLINKS", QUIET):
        if _on(s.settings.variable(name)):
            return Skip("accepted", {"name": name})
    clue = Clue(s.hub.link, trial.error, "trial", {"path": trial.at, "error": trial.error or "not supported"})
    says, first = "no_links", [Step(says="other_disk")]
    if trial.code == NO_PRIVILEGE:
        says, first = "no_privilege", [_developer_mode(s)]
    steps = [*first, Step(says="quiet", change=VariableChange(QUIET, "1"))]
    return Fail(says, "note", "observed", [clue], {"path": trial.at}, Treatment("confirm", steps))


def _developer_mode(s: Snapshot) -> Step:
    if s.windows is not None and s.windows.developer_mode.maybe():
        return Step(says="start_anew")  # it is on: what was started before it was does not know
    return Step(says="developer_mode", administrator=True, change=RegistryChange(*DEVELOPER_MODE, "REG_DWORD", 1))


def _on(value: str | None) -> bool:
    return value is not None and value.upper() in ("1", "ON", "YES", "TRUE")


def _cache_locking(s: Snapshot, goal: Goal) -> Verdict:
    if s.hub.lock.status == "denied":
        return Skip("not_writable")
    trial = s.hub.lock.or_absent()
    if trial is None:
        return Skip("no_cache")
    if trial.ok:
        return Pass(1, [Clue(s.hub.lock, True)])
    place = s.storage.place("hf-cache") if s.storage.places.known else None
    filesystem = place.filesystem.maybe() if place else None
    fields: dict[str, Plain] = {
        "path": trial.at,
        "error": trial.error or "not supported",
        "filesystem": filesystem.kind if filesystem else "this file system",
    }
    clues = [Clue(s.hub.lock, trial.error, "trial", fields)]
    if place is not None and filesystem is not None:
        clues.append(Clue(place.filesystem, filesystem.kind, "filesystem_clue", fields))
    health = s.hub.health.maybe()
    says = "fails"
    if trial.code == NO_SUCH_CALL and health is not None and health.lock_files:
        says = "old_locks"
        clues.append(Clue(s.hub.health, health.lock_files, "lock_files", {"count": health.lock_files}))
    return Fail(says, "warning", "observed", clues, fields, _on_a_local_disk(s, place))


def _on_a_local_disk(s: Snapshot, place: Place | None) -> Treatment:
    volume = elsewhere(s, place, 0) if place is not None else None
    if place is None or volume is None:
        return Treatment("print-only", [Step(says="local_disk")])
    new, name = below(s, volume, CACHE_FOLDER), cache_variable(s, place)
    fields: dict[str, Plain] = {"new": new, "free": size(volume.free), "name": name}
    return Treatment("confirm", [Step(says="local_there", fields=fields, change=VariableChange(name, new))])


def _cache_shared_versions(s: Snapshot, goal: Goal) -> Verdict:
    health = s.hub.health.or_absent()
    if health is None:
        return Skip("no_cache")
    if not health.shared_blobs:
        return Skip("no_store")
    library = s.hub.library.or_absent()
    others = s.hub.other_users.need()
    old = [user for user in others if not user.shared_blobs]
    store = Clue(s.hub.health, True, "store")
    if library is not None and not library.shared_blobs:
        fields: dict[str, Plain] = {"version": library.version, "python": "this environment"}
        clues = [Clue(s.hub.library, library.version, "own", fields), store]
        return Fail("older", "note", "derived", clues, fields, Treatment("print-only", _share_steps()))
    if old:
        fields = {"version": old[0].version, "python": old[0].python}
        clues = [Clue(s.hub.other_users, user.python, "other", {"python": user.python, "version": user.version})
                 for user in old[:3]]  # fmt: skip
        return Fail("older", "note", "derived", [*clues, store], fields, Treatment("print-only", _share_steps()))
    return Pass(1 + len(others), [Clue(s.hub.health, True)])


def _share_steps() -> list[Step]:
    return [Step(says="clear_with_the_newer"), Step(says="cache_of_its_own")]


CACHE_PERMISSION = Condition(
    id="cache-permission",
    family="cache",
    title="The hub cache cannot be written or read",
    reads=("hub", "storage"),
    detect=_cache_permission,
    explained_by=("controlled-folder-access",),
    words={
        "offline": "offline mode is on: nothing is written to the cache",
        "not_made_yet": "the cache folder does not exist yet, and whether it can be made was not tried",
        "no_folder": "what stands there is no folder, which hub-settings reports",
        "no_place": "no place of the cache was examined",
        "closed": "the hub cache {path} may not be opened: nothing can be loaded from it or saved to it",
        "closed_clue": "{path}: {why}",
        "closed_parts": "{count} entries of the hub cache may not be read: these models cannot be loaded",
        "part_clue": "{path}: may not be read",
        "full": "the disk of the hub cache is full, which disk-full reports",
        "not_writable": "the hub cache {path} cannot be written: no model can be downloaded",
        "cannot_be_made": "the folder {path} for the hub cache cannot be made: no model can be downloaded",
        "write_clue": "nothing can be written in {path}",
        "never_used": "nothing is cached, and {path} cannot be made: set HF_HOME before downloading a model",
        "others_folders": "{count} folders of the hub cache cannot be written: their models cannot be updated",
        "folder_clue": "{path}: belongs to another user and cannot be written",
        "take_back": 'give it back to yourself: sudo chown -R "$USER" {path}',
        "take_back_windows": "in the properties of {path}, tab Security, give yourself full control",
        "elsewhere": "or set HF_HOME to a folder that you can write",
    },
)

CACHE_SYMLINK = Condition(
    id="cache-symlink",
    family="cache",
    title="The hub cache keeps copies because it cannot make symbolic links",
    reads=("hub", "settings", "windows"),
    detect=_cache_symlink,
    words={
        "no_cache": "there is no cache folder yet",
        "not_writable": "nothing can be written in the cache, which cache-permission reports where it matters",
        "accepted": "{name} is set: copies instead of links are accepted",
        "no_privilege": "the hub cache keeps copies instead of links: it works, but uses more disk space",
        "no_links": "the disk of the hub cache has no symbolic links: it works, but uses more disk space",
        "trial": "a link tried in {path} failed: {error}",
        "developer_mode": "switch on Developer Mode (Settings, System, For developers): later downloads use links",
        "start_anew": "Developer Mode is on: restart Windows and look again",
        "other_disk": "set HF_HOME to a folder on a disk with symbolic links (NTFS, ext4, APFS)",
        "quiet": "or leave it, and set HF_HUB_DISABLE_SYMLINKS_WARNING=1 to hear no more of it",
    },
)

CACHE_LOCKING = Condition(
    id="cache-locking",
    family="cache",
    title="File locks do not work where the hub cache is",
    reads=("hub", "storage", "machine"),
    detect=_cache_locking,
    words={
        "no_cache": "there is no cache folder yet",
        "not_writable": "nothing can be written in the cache, which cache-permission reports where it matters",
        "fails": "files cannot be locked in the hub cache: downloads stop with an error or hang",
        "old_locks": "files cannot be locked in the hub cache, and old lock files there make downloads wait for ever",
        "trial": "a lock tried in {path} failed: {error}",
        "filesystem_clue": "the cache is on {filesystem}",
        "lock_files": "{count} lock files are in its folder .locks",
        "local_there": "keep models in {new} on a disk of this machine ({free} free, variable {name}); "
        "what is in the cache now stays where it is",
        "local_disk": "set HF_HOME to a folder on a disk of this machine",
    },
)

CACHE_SHARED_VERSIONS = Condition(
    id="cache-shared-versions",
    family="cache",
    title="Libraries of different generations share one hub cache",
    reads=("hub", "target"),
    detect=_cache_shared_versions,
    words={
        "no_cache": "there is no cache folder yet",
        "no_store": "the cache has the layout that every release knows",
        "older": "huggingface_hub {version} in {python} does not know that models in this cache share files: "
        "removing an old version of one model with it breaks the others",
        "own": "the huggingface_hub {version} of this environment has no code for shared files",
        "other": "{python} has huggingface_hub {version}, which has no code for shared files",
        "store": "the cache has a store of shared files",
        "clear_with_the_newer": "clear this cache only with the hf program of the newer huggingface_hub",
        "cache_of_its_own": "or give one of the two a cache of its own (HF_HUB_CACHE)",
    },
)

CONDITIONS: tuple[Condition, ...] = (CACHE_PERMISSION, CACHE_SYMLINK, CACHE_LOCKING, CACHE_SHARED_VERSIONS)
