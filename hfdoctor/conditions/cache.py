"""Damage in the hub cache: files that are gone, cut short, or not what their names say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from ..facts.sections.hub import CacheHealth, RepoTrouble
from ..facts.snapshot import Snapshot
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Verdict

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
#: how many files a finding shows, and how many commands
SHOWN = 4


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
    steps = [Step(says="other_source")] if says == "upstream" else _steps(s, troubles)
    return Fail(says, "warning", "observed", clues, fields, Treatment("confirm", steps), examined=max(1, health.files))


def repo_name(folder: str) -> str:
    """``models--org--name`` as the hub writes it, ``org/name``."""
    return folder.partition("--")[2].replace("--", "/")


def _sizes(trouble: RepoTrouble) -> dict[str, Plain]:
    def size(value: int | None) -> str:
        return "an unknown number of" if value is None else f"{value:,}"

    return {"path": _short(trouble), "actual": size(trouble.actual_bytes), "expected": size(trouble.expected_bytes)}


def _short(trouble: RepoTrouble) -> str:
    """The model and the file; the commit between them says nothing to a person (the evidence has the whole path)."""
    parts = _parts(trouble)
    return f"{repo_name(trouble.repo)} {'/'.join(parts[3:])}" if _in_snapshot(parts) else trouble.path


def _parts(trouble: RepoTrouble) -> tuple[str, ...]:
    return PurePosixPath(trouble.path.replace("\\", "/")).parts


def _in_snapshot(parts: Sequence[str]) -> bool:
    return len(parts) > 3 and parts[1] == "snapshots"


def _steps(s: Snapshot, troubles: Sequence[RepoTrouble]) -> list[Step]:
    """Fetch the damaged files again with the target's own program; never touch a file of the cache by hand."""
    library = s.hub.library.maybe()
    chosen = s.target.chosen.maybe()
    if library is None or chosen is None or not library.cli:
        return [Step(says="with_the_library")]
    program = [chosen.python, "-m", library.cli]
    location = s.hub.cache.maybe()
    there = ["--cache-dir", location.path] if location and location.hub_path else []
    steps: list[Step] = []
    for argv, says in dict.fromkeys(_command(trouble, library.cache_rm) for trouble in troubles):
        if argv:
            steps.append(Step([*program, *argv, *there], says, network=argv[0] == "download"))
        elif says not in [step.says for step in steps]:
            steps.append(Step(says=says, fields={"folder": location.path if location else "the cache"}))
    # several files of one repository may need the same command
    return steps[:SHOWN] + ([Step(says="and_so_on")] if len(steps) > SHOWN else [])


def _command(trouble: RepoTrouble, cache_rm: bool) -> tuple[tuple[str, ...], str]:
    kind, _, rest = trouble.repo.partition("--")
    parts = _parts(trouble)
    repo = rest.replace("--", "/")
    if not rest or trouble.kind in ("folder-instead", "file-instead", "bad-ref") or not _in_snapshot(parts):
        return (), "by_hand"
    if trouble.copy:  # the library never replaces a copy: the repository has to go first
        return (("cache", "rm", f"{kind.removesuffix('s')}/{repo}", "--yes"), "remove") if cache_rm else ((), "by_hand")
    of_type = () if kind == "models" else ("--repo-type", kind.removesuffix("s"))
    file = "/".join(parts[3:])
    return ("download", repo, file, *of_type, "--revision", parts[2], "--force-download"), "again"


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
    "again": "fetch it again (only this file)",
    "remove": "remove this model from the cache; it is fetched again when it is next used",
    "by_hand": "move the damaged entries out of {folder}; what is missing is fetched again when it is next used",
    "with_the_library": "fetch the model again with snapshot_download(..., force_download=True)",
    "and_so_on": "and likewise for the others",
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
