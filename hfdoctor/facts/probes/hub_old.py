"""Revisions of a cached repository that nothing points at any more, and the room that only they take."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Set

from ..sections.hub import OldRevisions
from .hub_layout import taken

#: a repository with more revisions is not judged
MOST_REVISIONS = 200
#: files of one repository that are measured
MOST_FILES = 2_000
#: above this the entries are not named one by one
MOST_ENTRIES = 400
_PLAIN = re.compile(r"[\w-][\w.-]*", re.ASCII)


def old_revisions(
    path: str, commits: Set[str], named: Set[str], used: Mapping[str, Set[str]], copied: Mapping[str, int]
) -> OldRevisions | None:
    """Those of ``commits`` that are not ``named`` by a ref and not the newest; None if there is none, or too many.

    ``path`` is the repository's folder, ``used`` the names of the blobs that each links to, ``copied`` the bytes of
    one that has no links. A file that lies in the store shared by all repositories counts as nothing.
    """
    if len(commits) > MOST_REVISIONS:
        return None
    folder = f"{path}{os.sep}snapshots{os.sep}"
    times: dict[str, float] = {}
    for commit in sorted(commits):
        try:
            found = os.lstat(folder + commit)
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode) and _PLAIN.fullmatch(commit):
            times[commit] = found.st_mtime
    if not times:
        return None
    newest = max(times, key=lambda commit: times[commit])
    old = sorted(commit for commit in times if commit not in named and commit != newest)
    if not old:
        return None
    kept: set[str] = set().union(*(blobs for commit, blobs in used.items() if commit not in old))
    alone = {
        blob for commit in old for blob in used.get(commit, ()) if blob not in kept and _PLAIN.fullmatch(blob)
    }  # fmt: skip
    size = sum(copied.get(commit, 0) for commit in old)
    files: list[str] = []
    for blob in sorted(alone)[:MOST_FILES]:
        try:
            found = os.lstat(f"{path}{os.sep}blobs{os.sep}{blob}")
        except OSError:
            continue
        if stat.S_ISREG(found.st_mode):
            size += taken(found)
            files.append(blob)
    repo = os.path.basename(path)
    entries = [os.path.join(repo, "snapshots", commit) for commit in old]
    entries += [os.path.join(repo, "blobs", blob) for blob in files]
    whole = len(alone) <= MOST_FILES and len(entries) <= MOST_ENTRIES
    return OldRevisions(repo, old, size, entries if whole else [])
