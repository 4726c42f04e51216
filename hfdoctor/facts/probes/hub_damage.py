"""What must go away together when a cached file is damaged, so that huggingface_hub fetches it again.

The library takes a file for whole if its link or its blob is there. So all links to a damaged blob go with it, and
where the blob is a link into the store that several repositories share, what it leads to, with their links to it.

Names come from a folder that anybody's program may have written: only what lies in the cache by the layout's own form
is named. A link that leads elsewhere goes itself, never what it leads to, and behind a folder that is a link there is
nothing of ours.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence

from ..sections.hub import RepoTrouble
from .hub_layout import REPO_TYPES, files_below, link_targets

#: kinds of trouble (sections.hub.TROUBLES) for which nothing is gained by putting files away
KEPT = frozenset({"unreadable", "lfs-pointer-upstream", "no-refs-target"})
#: lines of a list of references that are read
MOST_REFERENCES = 1000
_STORED = re.compile(r"[0-9a-f]{64}")


def name_entries(root: str, troubles: Sequence[RepoTrouble]) -> None:
    """Fill ``entries`` of each of ``troubles`` of the cache in ``root``. Only reads; survives what vanishes."""
    repos: dict[str, _Repo] = {}
    for trouble in troubles:
        parts = trouble.path.split(os.sep)
        if trouble.kind in KEPT or "\ufffd" in trouble.path or any(part in ("", ".", "..") for part in parts):
            continue
        try:
            if _only_folders(root, parts[:-1]):
                trouble.entries = list(dict.fromkeys(_entries(root, trouble, parts, repos)))
        except OSError:
            continue


def _only_folders(root: str, parts: Sequence[str]) -> bool:
    """Whether each of these folders below ``root`` is one and no link."""
    path = root
    for part in parts:
        path = f"{path}{os.sep}{part}"
        found = os.lstat(path)
        # (Windows' junctions are folders by their mode)
        if not stat.S_ISDIR(found.st_mode) or getattr(found, "st_reparse_tag", 0) == 0xA0000003:
            return False
    return True


def _entries(root: str, trouble: RepoTrouble, parts: Sequence[str], repos: dict[str, _Repo]) -> Iterator[str]:
    if len(parts) < 4 or parts[1] != "snapshots":
        yield trouble.path
        return
    repo = repos.get(parts[0]) or repos.setdefault(parts[0], _Repo(root, parts[0]))
    if trouble.kind == "dangling-link" and repo.dead(parts[2]):
        yield os.path.join(*parts[:3])
        yield from repo.refs_to(parts[2])
        return
    yield trouble.path
    blob = repo.blob_of(os.path.join(*parts[2:]))
    if not blob:
        return
    yield from repo.links_to(blob)
    path = os.path.join(parts[0], "blobs", blob)
    if not os.path.lexists(os.path.join(root, path)):
        return
    yield path
    stored = _stored(root, path)
    if stored and os.path.lexists(os.path.join(root, stored)):
        yield from _other_users(root, stored, parts[0], repos)
        yield stored


def _stored(root: str, blob: str) -> str:
    """Where in the shared store the blob's link leads, below ``root``; "" if it is no link or leads elsewhere."""
    path = os.path.join(root, blob)
    if not os.path.islink(path):
        return ""
    target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    name = os.path.basename(target)
    wanted = os.path.join("blobs", name[:2], name)
    if not _STORED.fullmatch(name) or target != os.path.normpath(os.path.join(root, wanted)):
        return ""
    return wanted if _only_folders(root, ("blobs", name[:2])) else ""


def _other_users(root: str, stored: str, own: str, repos: dict[str, _Repo]) -> Iterator[str]:
    """The links of other repositories to a file of the shared store, by the list that the library keeps beside it."""
    try:
        with open(os.path.join(root, f"{stored}.refs"), encoding="utf-8") as file:
            lines = file.read(1 << 18).splitlines()[:MOST_REFERENCES]
    except (OSError, UnicodeError):
        return
    for line in dict.fromkeys(lines):
        parts = line.split("/")
        if len(parts) != 3 or parts[0] == own or parts[1] != "blobs" or parts[2] in ("", ".", ".."):
            continue
        if parts[0].partition("--")[0] not in REPO_TYPES or os.sep in line.replace("/", ""):
            continue
        try:
            if not _only_folders(root, parts[:2]) or _stored(root, os.path.join(*parts)) != stored:
                continue
            repo = repos.get(parts[0]) or repos.setdefault(parts[0], _Repo(root, parts[0]))
        except OSError:
            continue
        yield from repo.links_to(parts[2])
        yield os.path.join(*parts)


class _Repo:
    """The links of one repository's snapshots. Raises OSError if they cannot be listed."""

    def __init__(self, root: str, name: str) -> None:
        self.root = root
        self.name = name
        #: path below snapshots -> name of the blob that it links to, "" for a link that leads elsewhere
        self.blobs: dict[str, str] = {}
        #: blob -> the links to it, below the cache
        self.links: dict[str, list[str]] = {}
        #: commits with something in them that can be read
        self.alive: set[str] = set()
        self.commits: set[str] = set()
        top = os.path.join(root, name, "snapshots")
        if not _only_folders(root, (name, "snapshots")):
            return
        there = self._there()
        with os.scandir(top) as entries:
            found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for commit in found:
            self.commits.add(commit)
            self._walk(commit, there)

    def _there(self) -> set[str]:
        """Names of the blobs that can be opened."""
        folder = os.path.join(self.root, self.name, "blobs")
        try:
            if not _only_folders(self.root, (self.name, "blobs")):
                return set()
            with os.scandir(folder) as entries:
                return {entry.name for entry in entries if not entry.is_symlink() or os.path.exists(entry.path)}
        except OSError:
            return set()

    def _walk(self, commit: str, there: set[str]) -> None:
        top = os.path.join(self.root, self.name, "snapshots")
        waiting = [(commit, 2)]
        while waiting:
            inside, depth = waiting.pop()
            linked: list[str] = []
            with os.scandir(os.path.join(top, inside)) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        linked.append(entry.name)
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append((os.path.join(inside, entry.name), depth + 1))
                    else:
                        self.alive.add(commit)
            to_blobs = f"..{os.sep}" * depth + f"blobs{os.sep}"
            for name, target in zip(linked, link_targets(os.path.join(top, inside), linked), strict=True):
                path = os.path.join(inside, name)
                blob = target[len(to_blobs) :] if target.startswith(to_blobs) else ""
                if os.sep in blob or "/" in blob or blob in (".", ".."):
                    blob = ""
                self.blobs[path] = blob
                if blob and _text(path):
                    self.links.setdefault(blob, []).append(os.path.join(self.name, "snapshots", path))
                if blob in there or (not blob and os.path.exists(os.path.join(top, path))):
                    self.alive.add(commit)

    def blob_of(self, path: str) -> str:
        """The blob that the link at ``path`` below snapshots leads to; "" for none, for a copy, for another place."""
        blob = self.blobs.get(path, "")
        return blob if _text(blob) else ""

    def links_to(self, blob: str) -> list[str]:
        """All links to ``blob``, below the cache."""
        return sorted(self.links.get(blob, ()))

    def dead(self, commit: str) -> bool:
        """Whether not one file of this revision can be opened."""
        return commit in self.commits and commit not in self.alive

    def refs_to(self, commit: str) -> Iterator[str]:
        """The branches and tags that point at ``commit``, below the cache."""
        top = os.path.join(self.root, self.name, "refs")
        if not os.path.lexists(top) or not _only_folders(self.root, (self.name, "refs")):
            return
        for file in files_below(top):
            if os.path.islink(file) or not _text(file):
                continue
            with open(file, "rb") as opened:
                if opened.read(200) == commit.encode("utf-8", "surrogateescape"):
                    yield os.path.relpath(file, self.root)


def _text(name: str) -> bool:
    """Whether a name is text, so that a snapshot can hold it as it is."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
