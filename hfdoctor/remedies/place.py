"""Where hfdoctor keeps what it did: the person's state folder, nobody else's to write."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from .action import Refused
from .durable import settle_folder

_WAY_OUT = "chmod go-w it, or let XDG_STATE_HOME name a folder that is yours alone"


def state_folder() -> Path:
    """The person's state folder for hfdoctor, which need not exist yet (platformdirs; XDG_STATE_HOME is followed).

    Raises Refused where the person has no home.
    """
    import platformdirs

    folder = Path(platformdirs.user_state_dir("hfdoctor", appauthor=False))
    if not folder.is_absolute():  # the XDG specification: a relative path in these variables is ignored
        folder = Path("~/.local/state/hfdoctor").expanduser()
    if not folder.is_absolute():
        raise Refused("hfdoctor cannot keep its journal: HOME does not name a folder")
    return folder


def own_folder(folder: Path) -> Path:
    """Make ``folder`` (and what is above it) where it is missing, and see that nobody else can write in it.

    Raises Refused if it cannot be made or is not safe: who can write there could have anything undone.
    """
    try:
        _make(folder)
        found = folder.stat()
    except OSError as error:
        raise Refused(f"hfdoctor cannot keep its journal in {folder}: {_why(error)}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise Refused(f"hfdoctor cannot keep its journal in {folder}: it is not a folder")
    if os.name == "posix":
        if found.st_uid != os.geteuid():
            raise Refused(f"{folder} belongs to another user: hfdoctor keeps its journal there and will not trust it")
        if stat.S_IMODE(found.st_mode) & 0o022:
            raise Refused(f"others can write in {folder}, where hfdoctor keeps its journal: {_WAY_OUT}")
        _check_above(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Refused(f"hfdoctor cannot keep its journal in {folder}: it may not be written")
    return folder


def _make(folder: Path) -> None:
    """Make what is missing, for this user alone, and wait until it is on the disk."""
    missing = []
    above = folder
    while not os.path.lexists(above):
        missing.append(above)
        above = above.parent
    if missing:
        _check_sudo(above, folder)
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        settle_folder(one.parent)


def _check_sudo(above: Path, folder: Path) -> None:
    """A folder of root's in the home of the person who called sudo would shut them out of their own journal later."""
    if os.name == "posix" and os.geteuid() == 0:
        person = os.environ.get("SUDO_UID", "")
        if person not in ("", "0") and str(above.stat().st_uid) == person:
            raise Refused(
                f"the journal in {folder} would belong to root, in another user's home: run hfdoctor without sudo"
            )


def _check_above(folder: Path) -> None:
    """Who can write in a folder above (and it is not sticky, as /tmp is) can put another one in this one's place.

    The home itself is left out: who can write there can do anything in the person's name anyway, and in containers
    homes are made so where there is nobody else.
    """
    above = list(folder.resolve().parents)
    with contextlib.suppress(RuntimeError, OSError):
        home = Path.home().resolve()
        if home in above:
            above = above[: above.index(home)]
    for one in above:
        mode = one.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise Refused(f"everybody can write in {one}, above hfdoctor's journal: {_WAY_OUT}")


def _why(error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{error.filename} is not a folder"
    where = f"{error.filename}: " if error.filename and error.filename != error.filename2 else ""
    return f"{where}{error.strerror or error}"
