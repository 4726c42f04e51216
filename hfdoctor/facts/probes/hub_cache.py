"""Scans a hub cache: structure, sizes and a few first bytes. Only reads, follows no folder out of the cache.

A person's cache can hold 100,000 files. What costs is one system call each, so without ``deep`` the sizes of
ordinary files are asked for up to a bound; beyond it only weights and the like are measured, and for the rest it
is enough that the link leads to a name that the blobs folder lists.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections import Counter

from ..legible import legible
from ..sections.hub import TROUBLES, CacheHealth, Leftover, RepoTrouble
from .hub_content import WEIGHTS, Look, kind_of, look_into
from .hub_layout import (
    KNOWN_NAMES,
    REPO_TYPES,
    SHARED_MARKER,
    Listed,
    files_below,
    link_targets,
    names_in,
    read_tree,
    taken,
)
from .hub_repo import Budget, Repo

#: without ``deep``: how many ordinary files of models, and of all else, are measured, how many weights, how many opened
ORDINARY_LIMIT = 5_000
OTHER_LIMIT = 2_000
IMPORTANT_LIMIT = 50_000
OPEN_LIMIT = 2_000
LOCK_LIMIT = 20_000
#: what is measured beyond the first bounds
WORTH_MEASURING = (*sorted(f".{suffix}" for suffix in WEIGHTS), ".json")
#: bytes; lists of files (trees) longer than this are not read without ``deep``
TREE_LIMIT = 32 * 1024 * 1024

#: seconds; a younger *.incomplete file may be a download that is running now
RECENT_S = 3600
TROUBLES_SHOWN = 400
LEFTOVERS_SHOWN = 100
EXAMPLES = 5


def scan_cache(folder: str, *, deep: bool = False, now: float | None = None) -> CacheHealth:
    """Scan the hub cache in ``folder``. Raises OSError if that folder itself cannot be listed.

    Whatever vanishes meanwhile (a download that runs, a clean-up) counts as never having been there.
    """
    if sys.platform == "win32" and not folder.startswith("\\\\"):
        folder = "\\\\?\\" + os.path.abspath(folder)  # names in a cache soon pass 260 characters
    scan = _Scan(folder, deep, time.time() if now is None else now)
    scan.run()
    return scan.health


class _Scan:
    def __init__(self, root: str, deep: bool, now: float) -> None:
        self.root = root
        self.deep = deep
        self.now = now
        self.uid = os.geteuid() if sys.platform != "win32" else None
        self.health = CacheHealth(repos=0, revisions=0, files=0, blob_bytes=0)
        self.troubles: list[RepoTrouble] = []
        #: of models and kernels, and of datasets and spaces: many small files of a dataset must not use up the models'
        self.budgets = [Budget(sys.maxsize if deep else limit) for limit in (ORDINARY_LIMIT, OTHER_LIMIT)]
        self.important_left = sys.maxsize if deep else IMPORTANT_LIMIT
        self.open_left = sys.maxsize if deep else OPEN_LIMIT
        self.may_write = False

    def run(self) -> None:
        health = self.health
        with os.scandir(self.root) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        self.may_write = self.uid is not None and os.access(self.root, os.W_OK)
        for entry in found:
            kind, dashes, _ = entry.name.partition("--")
            if dashes and kind in REPO_TYPES:
                self._guard(entry.name, entry.path, lambda entry=entry: self._repo(entry.name, entry.path))
            elif entry.name == "blobs":
                self._shared_store(entry.path)
            elif entry.name == ".locks":
                self._guard("", entry.path, lambda entry=entry: self._locks(entry.path))
            elif entry.name not in KNOWN_NAMES and len(health.strangers) < 20:
                health.strangers.append(legible(entry.name))
        health.troubles_total = len(self.troubles)
        health.trouble_counts = dict(sorted(Counter(trouble.kind for trouble in self.troubles).items()))
        order = list(TROUBLES)
        self.troubles.sort(key=lambda trouble: (order.index(trouble.kind), trouble.path))
        health.troubles = _a_few_of_each(self.troubles)
        if health.troubles:
            from .hub_damage import name_entries

            name_entries(self.root, health.troubles)
        health.leftovers = sorted(health.leftovers, key=lambda one: -one.bytes)[:LEFTOVERS_SHOWN]
        health.old_revisions.sort(key=lambda one: -one.bytes)

    # --- one repository

    def _repo(self, name: str, path: str) -> None:
        if not os.path.isdir(path):
            self._trouble(name, "dangling-link" if os.path.islink(path) else "file-instead", path)
            return
        self.health.repos += 1
        self._own_folder(path)
        holds_models = name.startswith(("models--", "kernels--"))
        repo = Repo(name, holds_models, self.budgets[0 if holds_models else 1])
        parts: set[str] = set()
        for part in names_in(path):
            inner = f"{path}{os.sep}{part}"
            parts.add(part)
            if part in ("blobs", "snapshots", "refs", "trees"):
                if not os.path.isdir(inner):
                    self._trouble(name, "file-instead", inner)
                    parts.discard(part)
                    repo.unread = True
                else:
                    self._own_folder(inner)
        if "blobs" in parts:
            self._guard(name, path, lambda: self._blobs(repo, f"{path}{os.sep}blobs"))
        if "snapshots" in parts and not self._guard(name, path, lambda: self._snapshots(repo, path, "trees" in parts)):
            repo.unread = True
        if "refs" in parts and not self._guard(name, path, lambda: self._refs(repo, path)):
            repo.unread = True
        if len(repo.commits) > 1 and not repo.unread and not os.path.islink(path):
            from .hub_old import old_revisions

            old = old_revisions(path, repo.commits, repo.named, repo.used, repo.copied)
            self.health.old_revisions += [old] if old else []

    def _blobs(self, repo: Repo, folder: str) -> None:
        """Gather the names: sizes are asked for only through the links, so that each file costs one call."""
        repo.blobs = names = set(os.listdir(folder))
        for name in [name for name in names if name.endswith(".incomplete")]:
            names.discard(name)
            self._incomplete(f"{folder}{os.sep}{name}")
        if self.health.shared_blobs:  # then a name may be a link that leads nowhere: let each be followed
            with os.scandir(folder) as entries:
                repo.links = {entry.name for entry in entries if entry.is_symlink()}

    def _incomplete(self, path: str) -> None:
        try:
            found = os.stat(path, follow_symlinks=False)
        except OSError:
            return  # finished or given up meanwhile
        if self.now - found.st_mtime < RECENT_S:
            self.health.incomplete_recent += 1
        else:
            self.health.incomplete += 1
            self.health.incomplete_bytes += found.st_size
            below = self._below(path)
            if path.endswith(below):  # a name that is text: only such can be named later
                self.health.leftovers.append(Leftover(below, taken(found)))

    def _snapshots(self, repo: Repo, path: str, has_trees: bool) -> None:
        folder = f"{path}{os.sep}snapshots"
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if entry.name in KNOWN_NAMES:
                continue
            if not entry.is_dir():
                kind = "dangling-link" if entry.is_symlink() else "file-instead"
                self._trouble(repo.name, kind, entry.path)
                continue
            repo.commits.add(entry.name)
            self.health.revisions += 1
            tree = self._tree(f"{path}{os.sep}trees{os.sep}{entry.name}.json") if has_trees else {}
            used = repo.used.setdefault(entry.name, set()) if len(found) > 1 else None
            before = self.health.blob_bytes
            if not self._guard(
                repo.name, entry.path, lambda at=entry.path, tree=tree, used=used: self._snapshot(repo, at, tree, used)
            ):
                repo.unread = True
            if not used:  # no links: all that was measured are copies
                repo.copied[entry.name] = self.health.blob_bytes - before

    def _tree(self, path: str) -> dict[str, Listed]:
        tree = read_tree(path, None if self.deep else TREE_LIMIT)
        if tree is None:
            return {}
        self.health.listed += 1
        return tree

    def _snapshot(self, repo: Repo, top: str, tree: dict[str, Listed], used: set[str] | None) -> None:
        """Follow the links of one snapshot. Its loops run 100,000 times: nothing in them that can stand outside."""
        health, in_place = self.health, repo.blobs - repo.links
        waiting = [(top, "", 2)]
        while waiting:
            folder, inside, depth = waiting.pop()
            linked: list[str] = []
            copied: list[str] = []
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        linked.append(entry.name)
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, f"{inside}{entry.name}/", depth + 1))
                    else:
                        health.copies += 1
                        copied.append(entry.name)
                        self._file(repo, entry.path, entry.name, None, tree.get(inside + entry.name))
            health.links += len(linked)
            if sys.platform == "win32":
                self._longest(folder, linked, copied)
            to_blobs = f"..{os.sep}" * depth + f"blobs{os.sep}"
            cut = len(to_blobs)
            targets = link_targets(folder, linked)
            if used is not None:  # by its last name: a link in another form uses its blob, too
                used.update([target.rpartition(os.sep)[2] for target in targets])
            for name, target in zip(linked, targets, strict=True):
                blob = target[cut:]
                if target[:cut] != to_blobs or blob not in in_place:
                    blob = blob if blob in repo.links else ""
                elif repo.budget.ordinary > 0:
                    repo.budget.ordinary -= 1
                elif name.endswith(WORTH_MEASURING) and self.important_left > 0:
                    self.important_left -= 1
                else:
                    continue
                self._file(repo, f"{folder}{os.sep}{name}", name, blob, tree.get(inside + name))
        health.files = health.links + health.copies

    def _file(self, repo: Repo, path: str, name: str, blob: str | None, listed: Listed | None) -> None:
        """Measure one file of a snapshot, hold it against the list, and look into it where that is called for.

        ``blob`` is the name of the file that the link leads to, "" if it leads elsewhere, None for a copy.
        """
        try:
            found = os.stat(path)
        except OSError as error:
            self._failed(repo.name, path, error)
            return
        health = self.health
        health.measured += 1
        if stat.S_ISDIR(found.st_mode):
            self._trouble(repo.name, "folder-instead", path)
            return
        if found.st_uid != self.uid and self.uid is not None:
            self._foreign(path)
        size = found.st_size
        if not blob:
            health.blob_bytes += size
        elif blob not in repo.measured:
            health.blob_bytes += size
            repo.measured.add(blob)
        wrong: Look | None = None
        if listed is not None:
            right = listed.size if listed.lfs_size is None else listed.lfs_size
            if size != right:
                wrong = Look("shorter-than-listed" if size < right else "longer-than-listed", right)
        meant_to_be_empty = listed is not None and size == 0 and wrong is None
        if repo.holds_models and not meant_to_be_empty and kind_of(name):
            key = blob or path
            if key not in repo.looked:
                repo.looked[key] = self._look(repo, path, name, size, blob or "")
            wrong = repo.looked[key] or wrong
        if wrong is not None:
            self._trouble(repo.name, wrong.kind, path, wrong.expected_bytes, size, copy=blob is None)

    def _look(self, repo: Repo, path: str, name: str, size: int, blob: str) -> Look | None:
        if size and self.open_left <= 0:
            return None
        self.open_left -= 1
        self.health.opened += 1
        try:
            return look_into(path, name, size, blob, deep=self.deep)
        except OSError as error:
            self._failed(repo.name, path, error)
            return None

    def _refs(self, repo: Repo, path: str) -> None:
        for file in files_below(f"{path}{os.sep}refs"):
            if file.endswith(".tmp") or os.path.basename(file) in KNOWN_NAMES:
                continue
            with open(file, "rb") as opened:
                commit = opened.read(200)
            if not re.fullmatch(rb"[\w.-]{1,128}", commit):  # 40 hexadecimal digits at the hub itself
                self._trouble(repo.name, "bad-ref", file)
                repo.unread = True
                continue
            repo.named.add(name := commit.decode())
            if name not in repo.commits and not os.path.isdir(f"{path}/.no_exist/{name}"):
                # (a commit that was only asked for files it does not have is right to have no snapshot)
                self._trouble(repo.name, "no-refs-target", file)

    # --- beside the repositories

    def _shared_store(self, path: str) -> None:
        try:
            with open(os.path.join(path, SHARED_MARKER), "rb") as marker:
                version = marker.read(100)
        except OSError:
            self.health.strangers.append("blobs")  # without the marker the library does not touch it either
            return
        self.health.shared_blobs = True
        self.health.shared_blobs_version = version.decode("ascii", "replace").strip()
        self._own_folder(path)

    def _locks(self, path: str) -> None:
        self._own_folder(path)
        for name in names_in(path):
            folder = f"{path}{os.sep}{name}"
            if os.path.isdir(folder):
                self._own_folder(folder)
                if self.health.lock_files < LOCK_LIMIT:
                    self.health.lock_files += sum(1 for inner in names_in(folder) if inner.endswith(".lock"))

    # --- notes

    def _longest(self, folder: str, linked: list[str], copied: list[str]) -> None:
        names = linked + copied
        if names:
            longest = f"{folder}{os.sep}{max(names, key=len)}"
            if len(longest) - len(self.root) - 1 > len(self.health.longest_file):
                self.health.longest_file = self._below(longest)

    def _own_folder(self, path: str) -> None:
        if self.uid is None:
            return
        try:
            foreign = os.stat(path).st_uid != self.uid
        except OSError:
            return
        if foreign:
            self._foreign(path)
        if self.may_write and not os.access(path, os.W_OK | os.X_OK):
            self.health.unwritable_folders += 1
            if len(self.health.unwritable_examples) < EXAMPLES:
                self.health.unwritable_examples.append(self._below(path))

    def _foreign(self, path: str) -> None:
        self.health.foreign_owner += 1
        if len(self.health.foreign_examples) < EXAMPLES:
            self.health.foreign_examples.append(self._below(path))

    def _failed(self, repo: str, path: str, error: OSError) -> None:
        """Note why a file could not be examined, unless it is simply gone."""
        if not os.path.lexists(path):
            return
        if os.path.islink(path) and not isinstance(error, PermissionError):
            self._trouble(repo, "dangling-link", path)
        else:
            self._trouble(repo, "unreadable", path)

    def _guard(self, repo: str, path: str, work: object) -> bool:
        """Whether ``work`` came to its end."""
        try:
            work()  # type: ignore[operator]
        except FileNotFoundError:
            return False  # removed meanwhile
        except OSError as error:
            self._trouble(repo, "unreadable", error.filename if isinstance(error.filename, str) else path)
            return False
        return True

    def _trouble(
        self,
        repo: str,
        kind: str,
        path: str,
        expected: int | None = None,
        actual: int | None = None,
        copy: bool = False,
    ) -> None:
        if kind in ("file-instead", "dangling-link") and not os.path.lexists(path):
            return  # removed between two looks at it
        self.troubles.append(RepoTrouble(legible(repo), kind, self._below(path), expected, actual, copy))

    def _below(self, path: str) -> str:
        return legible(path.removeprefix(self.root).lstrip("/\\"))


def _a_few_of_each(troubles: list[RepoTrouble]) -> list[RepoTrouble]:
    """At most TROUBLES_SHOWN of the sorted ``troubles``, with some of every kind among them."""
    shown: list[RepoTrouble] = []
    rest: list[RepoTrouble] = []
    per_kind: Counter[str] = Counter()
    for trouble in troubles:
        per_kind[trouble.kind] += 1
        (shown if per_kind[trouble.kind] <= 3 else rest).append(trouble)
    kept = {id(trouble) for trouble in (shown + rest)[:TROUBLES_SHOWN]}
    return [trouble for trouble in troubles if id(trouble) in kept]
