"""Trees of files for tests of moves, and everything about them that a move must keep."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import Any


def make_tree(root: Path, *, large: int = 300_000) -> None:
    """A tree like a hub's cache, with all that trees may have: links, hard links, names of any kind, times, holes."""
    blobs, snapshot, korean = root / "blobs", root / "snapshots" / "rev", root / "모델"
    for folder in (blobs, snapshot, korean, root / "empty"):
        folder.mkdir(parents=True)
    (blobs / "aaaa").write_bytes(os.urandom(large))
    (blobs / "bbbb").write_bytes(b"{}")
    (blobs / "aaaa").chmod(0o444)
    if os.name == "posix":
        (snapshot / "model.safetensors").symlink_to("../../blobs/aaaa")
        (snapshot / "config.json").symlink_to("../../blobs/bbbb")
        (root / "dangling").symlink_to("/nowhere/at/all")
        (root / os.fsdecode(b"caf\xe9 \xff")).write_text("bytes in its name")
    (korean / "config.json").write_text("{}")
    (korean / ("x" * 200)).write_text("long")
    os.link(korean / "config.json", root / "twin.json")
    with open(root / "holes", "wb") as stream:
        stream.truncate(2_000_000)
        stream.seek(1_000_000)
        stream.write(b"middle")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o750)
    korean.chmod(0o711)
    (root / "empty").chmod(0o555)
    for number, path in enumerate([*sorted(root.rglob("*")), root]):
        os.utime(path, ns=(10**18 + number, 10**18 + 7 * number + 123), follow_symlinks=os.name != "posix")


def tree_state(
    root: Path, *, besides: frozenset[str] | set[str] = frozenset(), times: bool = True, folder_times: bool = False
) -> dict[str, tuple[Any, ...]]:
    """All that is below ``root`` by its path: type, mode, time, link text, contents, which names are one file.

    ``besides`` are names in ``root`` that do not count, nor do the ``times`` of files and links where that is False;
    ``folder_times``: when names in a folder changed counts, too.
    """
    found: dict[str, tuple[Any, ...]] = {}
    twins: dict[tuple[int, int], str] = {}

    def visit(path: str, key: str) -> None:
        info = os.lstat(path)
        what: tuple[Any, ...] = (stat.S_IFMT(info.st_mode),)
        time = info.st_mtime_ns if times else 0
        if stat.S_ISLNK(info.st_mode):
            found[key] = (*what, time, os.readlink(path))
        elif stat.S_ISDIR(info.st_mode):
            found[key] = (*what, stat.S_IMODE(info.st_mode), info.st_mtime_ns if folder_times else 0)
            try:
                names = sorted(os.listdir(path))
            except PermissionError:  # its mode says so
                names = []
            for name in names:
                if not (key == "" and name in besides):
                    visit(os.path.join(path, name), f"{key}/{name}" if key else name)
        elif not stat.S_ISREG(info.st_mode):
            found[key] = what
        else:
            with open(path, "rb") as stream:
                digest = hashlib.sha256(stream.read()).hexdigest()
            first = twins.setdefault((info.st_dev, info.st_ino), key)
            found[key] = (*what, stat.S_IMODE(info.st_mode), info.st_size, time, digest, first)

    visit(str(root), "")
    return found
