"""Damage in the hub cache: files that are gone, cut short, or not what their names say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import msgspec

from ..facts.sections.hub import CacheHealth, RepoTrouble
from ..facts.snapshot import Snapshot
from .byte_count import size
from .changes import Command, PutAway
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Verdict
from .room import path_of

#: kinds of trouble (sections.hub.TROUBLES) that mean a file must be fetched again
DAMAGE = (
    "dangling-link",
    "empty",
    "zeroed",
    "cut-short",
    "too-long",
    "shorter-than-listed",
    "longer-than-listed",
    "not-weights",
    "html-instead",
    "folder-instead",
    "file-instead",
    "bad-ref",
)
POINTERS = ("lfs-pointer", "lfs-pointer-upstream")
#: kinds for which a download changes nothing, or nothing alone
NOT_FETCHED = ("lfs-pointer-upstream", "no-refs-target", "bad-ref", "folder-instead", "file-instead")
#: how many files a finding shows
SHOWN = 4
#: bytes; a download of so much, which takes hours on a slow line, is not begun unasked
LONG_DOWNLOAD = 8 * 10**9
#: a command line is not for ever
FILES_A_COMMAND = 40


def _cache_corrupt(s: Snapshot, goal: Goal) -> Verdict:
    health = s.hub.health.or_absent()
    if health is None:
        return Skip("no_cache")
    kinds: tuple[str, ...] = DAMAGE
    if health.trouble_counts.get("no-refs-target") and s.hub.offline.need().on:
        kinds = (*DAMAGE, "no-refs-target")  # with the network the branch is simply asked for again
    return _damaged(s, health, kinds)


def _git_lfs_pointer(s: Snapshot, goal: Goal) -> Verdict:
    health = s.hub.health.or_absent()
    if health is None:
        return Skip("no_cache")
    return _damaged(s, health, POINTERS)


def _damaged(s: Snapshot, health: CacheHealth, kinds: Sequence[str]) -> Verdict:
    count = sum(health.trouble_counts.get(kind, 0) for kind in kinds)
    if count == 0:
        if health.files == 0:
            return Skip("nothing_cached")
        return Pass(health.files, [Clue(s.hub.health, health.files)])
    troubles = [trouble for trouble in health.troubles if trouble.kind in kinds]
    repos = sorted({repo_name(trouble.repo) for trouble in troubles if trouble.repo})
    shown = troubles[:SHOWN]
    clues = [Clue(s.hub.health, trouble.path, trouble.kind, _sizes(trouble)) for trouble in shown]
    if count > len(shown):
        clues.append(Clue(s.hub.health, count, "more", {"more": count - len(shown)}))
    fields: dict[str, Plain] = {"count": count, "repos": ", ".join(repos[:3]) + (", ..." if len(repos) > 3 else "")}
    found = {trouble.kind for trouble in troubles}
    says = "one" if count == 1 else "several"
    if found == {"lfs-pointer-upstream"}:
        says = "upstream"
    elif found == {"dangling-link"}:
        says = "one_gone" if count == 1 else "several_gone"
    steps = _steps(s, troubles)
    return Fail(says, "warning", "observed", clues, fields, Treatment("confirm", steps), examined=max(1, health.files))


def repo_name(folder: str) -> str:
    """``models--org--name`` as the hub writes it, ``org/name``."""
    return folder.partition("--")[2].replace("--", "/")


def _sizes(trouble: RepoTrouble) -> dict[str, Plain]:
    def count(value: int | None) -> str:
        return "an unknown number of" if value is None else f"{value:,}"

    return {"path": _short(trouble), "actual": count(trouble.actual_bytes), "expected": count(trouble.expected_bytes)}


def _short(trouble: RepoTrouble) -> str:
    """The model and the file; the commit between them says nothing to a person (the evidence has the whole path)."""
    parts = _parts(trouble)
    return f"{repo_name(trouble.repo)} {'/'.join(parts[3:])}" if _in_snapshot(parts) else trouble.path


def _parts(trouble: RepoTrouble) -> tuple[str, ...]:
    return PurePosixPath(trouble.path.replace("\\", "/")).parts


def _in_snapshot(parts: Sequence[str]) -> bool:
    return len(parts) > 3 and parts[1] == "snapshots"


def _steps(s: Snapshot, troubles: Sequence[RepoTrouble]) -> list[Step]:
    """Put what is damaged away and fetch it again with the target's own program; or only put it away."""
    location = s.hub.cache.maybe()
    folder = location.path if location else "the cache"
    fields: dict[str, Plain] = {"folder": folder}
    entries = list(dict.fromkeys(entry for trouble in troubles for entry in trouble.entries))
    offline = s.hub.offline.maybe()
    online = not (offline is not None and offline.on)
    if not entries or location is None:
        again = _fetch(s, [one for one in troubles if not one.copy and one.kind not in NOT_FETCHED]) if online else []
        if again:
            return [msgspec.structs.replace(again[0], says="again"), *again[1:]]
        return [Step(says=says, fields=fields) for says in sorted({_remark(s, trouble) for trouble in troubles})]
    remarks = [
        Step(says=says, fields=fields) for says in sorted({_remark(s, one) for one in troubles if not one.entries})
    ]
    path = path_of(s)

    def away(says: str, entries: Sequence[str]) -> list[Step]:
        first, *rest = [PutAway(str(path(folder) / entry)) for entry in entries]
        return [Step(says=says, fields=fields, change=first), *(Step(change=change) for change in rest)]

    gone = [one for one in troubles if one.entries]
    fetch = _fetch(s, gone) if online else []
    if not fetch:
        return [*away("away", entries), *remarks]
    # the branch of a version that is fetched again by its commit must go on pointing at it
    broken = {trouble.path for trouble in troubles}
    staying = [entry for entry in entries if entry in broken or path(entry).parts[1] != "refs"]
    download = sum(one.expected_bytes or 0 for one in gone)  # at least: of some it is not known
    if download > LONG_DOWNLOAD:
        fields["size"] = size(download)
        return [*away("away", entries), *remarks, *away("or_again", staying), *fetch]
    return [*away("away_and_again", staying), *fetch, *remarks, *away("or_away", entries)]


def _remark(s: Snapshot, trouble: RepoTrouble) -> str:
    """What is said of a damaged entry that hfdoctor leaves where it is."""
    if trouble.kind in NOT_FETCHED:
        return {"lfs-pointer-upstream": "other_source", "no-refs-target": "go_online"}.get(trouble.kind, "by_hand")
    library = s.hub.library.maybe()
    return "by_hand" if library is not None and library.cli else "with_the_library"


def _fetch(s: Snapshot, troubles: Sequence[RepoTrouble]) -> list[Step]:
    """The commands that download the files again, one for each revision of a repository; none without the program."""
    library, chosen, location = s.hub.library.maybe(), s.target.chosen.maybe(), s.hub.cache.maybe()
    if library is None or chosen is None or not library.cli:
        return []
    there = ["--cache-dir", location.path] if location and location.hub_path else []
    wanted: dict[tuple[str, str, str], list[RepoTrouble]] = {}
    for trouble in troubles:
        parts = _parts(trouble)
        kind, _, rest = trouble.repo.partition("--")
        if rest and _in_snapshot(parts) and not any(word.startswith("-") for word in (rest, parts[2], parts[3])):
            # (names in a cache are anybody's: the program must not take one for an option)
            wanted.setdefault((kind, rest.replace("--", "/"), parts[2]), []).append(trouble)
    steps = []
    for (kind, repo, commit), found in wanted.items():
        of_type = [] if kind == "models" else ["--repo-type", kind.removesuffix("s")]
        for portion in _portions(found):
            files = ["/".join(_parts(trouble)[3:]) for trouble in portion]
            argv = [chosen.python, "-m", library.cli, "download", repo, *files, *of_type]
            argv += ["--revision", commit, *there]
            sizes = [trouble.expected_bytes or 0 for trouble in portion]
            # what was put away needs no force, and a download that was cut short goes on where it was
            forced = () if all(trouble.entries for trouble in portion) else ("--force-download",)
            change = Command((*argv, *forced), network=True, bytes=sum(sizes) if all(sizes) else 0)
            steps.append(Step([*argv, "--force-download"], network=True, change=change))
    return steps


def _portions(troubles: Sequence[RepoTrouble]) -> list[Sequence[RepoTrouble]]:
    """At most FILES_A_COMMAND in one; a name that the program would take for a pattern goes alone."""
    odd = [trouble for trouble in troubles if set("*?[") & set(trouble.path)]
    rest = [trouble for trouble in troubles if trouble not in odd]
    portions = [rest[at : at + FILES_A_COMMAND] for at in range(0, len(rest), FILES_A_COMMAND)]
    return [*portions, *([one] for one in odd)]


_KINDS = {
    "dangling-link": "{path}: the link leads to a file that is not there",
    "empty": "{path}: empty, 0 bytes",
    "zeroed": "{path}: begins with nothing but zero bytes",
    "cut-short": "{path}: cut short, it has {actual} bytes of {expected}",
    "too-long": "{path}: has {actual} bytes, its own header says {expected}",
    "shorter-than-listed": "{path}: cut short, it has {actual} bytes of {expected}",
    "longer-than-listed": "{path}: has {actual} bytes, the hub's list says {expected}",
    "not-weights": "{path}: not a file of the format that its name says",
    "html-instead": "{path}: a web page, not the file",
    "folder-instead": "{path}: a folder stands where a file should be",
    "file-instead": "{path}: this is no folder, and a folder should be here",
    "bad-ref": "{path}: holds no commit, so this branch cannot be found",
    "no-refs-target": "{path}: names a commit that is not in the cache, and offline mode is on",
    "lfs-pointer": "{path}: {actual} bytes of text that only point to the real file of {expected} bytes",
    "lfs-pointer-upstream": "{path}: only points to the real file, in the repository itself too",
}

_COMMON = {
    **_KINDS,
    "no_cache": "nothing has been cached yet",
    "nothing_cached": "the cache holds no files",
    "more": "and {more} more",
    "away_and_again": "move what is damaged out of {folder}, and fetch just these files again",
    "or_again": "or move it out and fetch just these files again now ({size})",
    "or_away": "or only move it out: the library fetches it again when it is next used",
    "away": "move what is damaged out of {folder}; the library fetches it when it is next used with a network",
    "again": "fetch these files again",
    "by_hand": "move the damaged entries out of {folder}; what is missing is fetched again when it is next used",
    "with_the_library": "fetch the model again with snapshot_download(..., force_download=True)",
    "go_online": "switch offline mode off once and load the model, so that its branch is asked for again",
    "other_source": "use another revision or another copy of this model: this one was uploaded without Git LFS",
}

CACHE_CORRUPT = Condition(
    id="cache-corrupt",
    family="cache",
    title="The hub cache holds damaged files",
    reads=("hub",),
    detect=_cache_corrupt,
    words={
        **_COMMON,
        "one": "a cached file is damaged: loading {repos} will fail or give nonsense",
        "several": "{count} cached files are damaged: loading {repos} will fail or give nonsense",
        "one_gone": "a file of {repos} is gone from the cache: without a network it cannot be loaded",
        "several_gone": "{count} files are gone from the cache: without a network {repos} cannot be loaded",
        "upstream": "a cached file is damaged",
    },
)

GIT_LFS_POINTER = Condition(
    id="git-lfs-pointer",
    family="cache",
    title="Text that Git LFS leaves stands where model weights should be",
    reads=("hub",),
    detect=_git_lfs_pointer,
    words={
        **_COMMON,
        "one": "a file of {repos} is only a Git LFS pointer, not the weights: loading it fails",
        "several": "{count} files of {repos} are only Git LFS pointers, not the weights: loading them fails",
        "upstream": "{repos} was uploaded with a Git LFS pointer in place of the weights: loading it fails",
    },
)

CONDITIONS: tuple[Condition, ...] = (CACHE_CORRUPT, GIT_LFS_POINTER)
