"""Where hfdoctor keeps what it did: the person's state folder, nobody else's to write."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .action import Refused


def state_folder() -> Path:
    """The person's state folder for hfdoctor, which need not exist yet (platformdirs; XDG_STATE_HOME is followed)."""
    import platformdirs

    return Path(platformdirs.user_state_dir("hfdoctor", appauthor=False))


def own_folder(folder: Path) -> Path:
    """Make ``folder`` (and what is above it) where it is missing, and see that nobody else can write in it.

    Raises Refused if it cannot be made or is not safe: who can write there could have anything undone.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
    except OSError as error:
        raise Refused(f"hfdoctor cannot keep its journal in {folder}: {error.strerror or error}") from None
    if os.name == "posix":
        if found.st_uid != os.geteuid():
            raise Refused(f"{folder} belongs to another user: hfdoctor keeps its journal there and will not trust it")
        if stat.S_IMODE(found.st_mode) & 0o022:
            raise Refused(f"others can write in {folder}, where hfdoctor keeps its journal: chmod go-w it first")
    if not os.access(folder, os.W_OK):
        raise Refused(f"hfdoctor cannot keep its journal in {folder}: it may not be written")
    return folder
