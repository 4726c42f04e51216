"""Where things go that are taken away: on their own volume, by one rename, nobody else's to read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat

import msgspec

from ..facts.probes.filesystems import mounts
from .action import Refused, Workplace
from .anchored import Folder, Identity, identity, make_way, open_folder
from .path_text import long_path, read_back, shown, written
from .trees import remove_tree
from .volumes import volume_of

FOLDER = ".hfdoctor-quarantine"


class Spot(msgspec.Struct, frozen=True, array_like=True):
    """A folder that may take something: ``names``, made where they are missing, below ``start``, which exists."""

    start: str
    who: Identity
    names: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where it is."""
        return os.path.join(read_back(self.start), *map(read_back, self.names))


def spots_for(path: str, place: Workplace) -> list[Spot]:
    """Where the thing at ``path`` (from ``bounds.located``) may go, best first. Raises OSError, Refused."""
    parent = os.path.dirname(path)
    own = hashlib.blake2b(written(path).encode(), digest_size=4).hexdigest()
    table = mounts()
    volume = volume_of(parent, table)
    spots = []
    start, names = _nearest(place.folder / "quarantine" / own)
    if volume_of(start, table) == volume:
        spots.append(_spot(start, names))
    tops = []
    at = parent
    while volume_of(at, table) == volume:
        if _ours(at):
            tops.append(at)
        if os.path.dirname(at) == at:
            break
        at = os.path.dirname(at)
    spots += [_spot(top, (FOLDER, place.token, own)) for top in reversed(tops)]
    if not spots:
        raise Refused(f"no folder on the volume of {shown(path)} is yours, so that it could be kept for an undo")
    return spots


def _nearest(folder: os.PathLike[str]) -> tuple[str, tuple[str, ...]]:
    """The deepest folder above or at ``folder`` that exists, without links, and the names below it."""
    at, names = os.path.abspath(folder), []
    while not os.path.isdir(long_path(at)):
        at, name = os.path.split(at)
        names.append(name)
    return os.path.realpath(at), tuple(reversed(names))


def _spot(start: str, names: tuple[str, ...]) -> Spot:
    return Spot(written(start), identity(os.lstat(long_path(start))), tuple(map(written, names)))


def _ours(folder: str) -> bool:
    found = os.lstat(long_path(folder))
    if os.name == "nt":
        return True  # only making a folder there tells
    return found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o300 == 0o300 and os.access(folder, os.W_OK)


def put(spots: list[Spot], parent: Folder, name: str, *, under: str = "") -> None:
    """Rename ``name`` in ``parent`` into the first of ``spots`` that takes it; ``under``: into a folder there.

    Raises Refused if none does, OSError if the thing itself cannot be renamed. Nothing was changed then.
    """
    why = ""
    for spot in spots:
        try:
            folder = _made(spot, under)
        except (OSError, Refused) as error:
            tidy([spot])
            why = str(error) if isinstance(error, Refused) else (error.strerror or str(error))
            continue
        with folder:
            try:
                parent.rename(name, folder, name)
            except OSError as error:
                tidy([spot])
                raise Refused(rename_words(error, parent.of(name))) from None
            folder.sync()
            parent.sync()
        return
    because = f": {why}" if why else ""
    raise Refused(f"no folder on the volume of {shown(parent.of(name))} can keep it for an undo{because}")


def displace(spots: list[Spot], path: str) -> None:
    """Put away what somebody put at ``path`` since, where an undo is insisted on. Raises OSError, Refused."""
    with open_folder(os.path.dirname(path)) as parent:
        number = 1
        while holder(spots, f"instead-{number}") is not None:
            number += 1
        put(spots, parent, os.path.basename(path), under=f"instead-{number}")


def _made(spot: Spot, under: str) -> Folder:
    folder = open_folder(read_back(spot.start), spot.who)
    for name in (*map(read_back, spot.names), *([under] if under else [])):
        folder = make_way(folder, [name], [0o700])
        found = folder.itself()
        if os.name == "posix" and (found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022):
            folder.close()
            raise Refused(f"{shown(folder.path)} is another user's, or others can write in it")
    return folder


def entered(spot: Spot) -> Folder | None:
    """The folder of ``spot``, or None if it does not exist: what is behind a link is not it. Raises OSError."""
    try:
        return open_folder(spot.path)
    except (FileNotFoundError, NotADirectoryError, Refused):
        return None


def holder(spots: list[Spot], name: str) -> Spot | None:
    """The spot that holds ``name``."""
    for spot in spots:
        folder = entered(spot)
        if folder is not None:
            with folder:
                if folder.find(name) is not None:
                    return spot
    return None


def begun(spots: list[Spot]) -> bool:
    """Whether the folder of one of them exists, whatever is in it."""
    return any(os.path.lexists(long_path(spot.path)) for spot in spots)


def tidy(spots: list[Spot]) -> None:
    """Remove the folders of ``spots`` that were made and are empty."""
    for spot in spots:
        names = [read_back(name) for name in spot.names]
        for count in range(len(names), 0, -1):
            above = os.path.join(read_back(spot.start), *names[: count - 1])
            try:
                with open_folder(above) as folder:
                    if folder.find(names[count - 1]) is not None:
                        folder.rmdir(names[count - 1])
                        folder.sync()
            except (OSError, Refused):
                break


def empty(spots: list[Spot]) -> None:
    """Remove all that ``spots`` hold, for good. Raises OSError, Refused."""
    for spot in spots:
        names = [read_back(name) for name in spot.names]
        try:
            above = open_folder(os.path.join(read_back(spot.start), *names[:-1]))
        except (FileNotFoundError, NotADirectoryError, Refused):
            continue
        with above:
            found = above.find(names[-1])
            if found is not None:
                remove_tree(above, names[-1])
                above.sync()
    tidy(spots)


def rename_words(error: OSError, path: str) -> str:
    if os.name == "nt" and getattr(error, "winerror", 0) in (5, 32, 33):
        return f"{shown(path)} is in use by a program (or not yours to move): close the programs that use it"
    if error.errno == errno.EXDEV:
        return f"{shown(path)} cannot be renamed on its own volume (a container does not let go of its image's folders)"
    return f"{shown(path)} cannot be moved: {error.strerror or error}"
