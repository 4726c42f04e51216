"""The parts of a hub cache, and how each is read.

The layout is that of huggingface_hub::

    CACHEDIR.TAG, version.txt, .locks/<repo>/<etag>.lock
    blobs/.huggingface-shared-blobs, blobs/<2 hex>/<xet hash>       the store shared by all (newer releases)
    models--<org>--<name>/refs/<branch>                             holds a commit
                          snapshots/<commit>/<file>                 link to ../../blobs/<etag>, or a copy
                          blobs/<etag>                              a file, or a link into the shared store
                          trees/<commit>.json                       the hub's list of the commit's files (newer)
                          .no_exist/<commit>/<file>                 asked for and not on the hub
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

REPO_TYPES = ("models", "datasets", "spaces", "kernels")
#: of the library, of transformers 4 and diffusers (their one-time moves of old caches), and of desktops
KNOWN_NAMES = frozenset(
    {
        ".locks",
        "CACHEDIR.TAG",
        "version.txt",
        "version_diffusers_cache.txt",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        ".gitignore",
    }
)
SHARED_MARKER = ".huggingface-shared-blobs"


class Listed(msgspec.Struct):
    """One file of the hub's list, in bytes. ``lfs_size`` is that of a large file itself, not of its pointer."""

    size: int
    lfs_size: int | None = None


class _Tree(msgspec.Struct):
    format_version: int
    files: dict[str, Listed]


_decode_tree = msgspec.json.Decoder(_Tree).decode


def read_tree(path: str, limit: int | None) -> dict[str, Listed] | None:
    """The hub's list of a commit's files; None if there is none that can be read (the library ignores it too).

    ``limit``: a longer file, in bytes, is not read.
    """
    try:
        if limit is not None and os.stat(path).st_size > limit:
            return None
        with open(path, "rb") as file:
            tree = _decode_tree(file.read())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return tree.files if tree.format_version == 1 else None


def link_targets(folder: str, names: list[str]) -> list[str]:
    """What each of the links ``names`` holds, "" for one that cannot be read."""
    targets: list[str] = []
    if os.readlink in os.supports_dir_fd:  # the system then need not walk the whole path for each
        handle = os.open(folder, os.O_RDONLY)
        try:
            for name in names:
                try:
                    targets.append(os.readlink(name, dir_fd=handle))
                except OSError:
                    targets.append("")
        finally:
            os.close(handle)
        return targets
    for name in names:
        try:
            targets.append(os.readlink(f"{folder}{os.sep}{name}"))
        except OSError:
            targets.append("")
    return targets


def names_in(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries)


def files_below(folder: str) -> Iterator[str]:
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    yield entry.path


def taken(found: os.stat_result) -> int:
    """Bytes that a file takes on its disk: a sparse or compressed one takes fewer than it is long."""
    blocks: int | None = getattr(found, "st_blocks", None)  # not on Windows
    return found.st_size if blocks is None else min(found.st_size, blocks * 512)
