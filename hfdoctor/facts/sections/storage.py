"""The places that matter: how much room they have and whether they can be written."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved
from .machine import Space


class FileSystem(msgspec.Struct, omit_defaults=True):
    """The file system that holds a place. ``volume`` is equal for places that share their free bytes.

    ``kind`` is the system's name for it: ext4, overlay, nfs4, NTFS, apfs ... ``network`` is true where another machine
    keeps the files.
    """

    kind: str
    mount: str
    volume: str
    network: bool = False
    read_only: bool = False


class Writable(msgspec.Struct, omit_defaults=True):
    """Whether a place can be written. ``proof`` says how that is known.

    ``created``: a file was made there and removed; ``access``: the system was asked. Where it cannot, ``why`` is one
    of permission, read-only, full, quota, not-a-folder, other, and ``error`` is what the system said.
    """

    ok: bool
    proof: str
    error: str = ""
    why: str = ""


class Place(msgspec.Struct, omit_defaults=True):
    """One place. Where it does not exist yet, ``measured_at`` is the nearest parent that does.

    ``space`` is what the system grants this user; a quota of the file server shows up there only on Windows.
    """

    #: site-packages, user-site (where pip installs if it may not write site-packages), scripts, temp, hf-home,
    #: hf-cache, xet-cache, uv-cache, pip-cache, cwd
    role: str
    path: str
    #: None where it could not be told
    exists: bool | None
    measured_at: str = ""
    #: what set this place: an environment variable's name, a configuration file, or "default"
    set_by: str = ""
    #: "folder", "file" (a file stands where a folder must be), "dangling-link"
    kind: str = "folder"
    #: of what is at ``measured_at``: "own", "root" or the user's number; "" on Windows
    owner: str = ""
    #: of a cache of pip's, uv's or hf_xet's on a disk that is short of room: bytes that come free if it is emptied
    #: (files that an environment shares with it are not counted); None where that was not measured
    bytes: int | None = None
    #: there was no time to measure all of it
    at_least: bool = False
    space: Fact[Space] = unobserved()
    filesystem: Fact[FileSystem] = unobserved()
    writable: Fact[Writable] = unobserved()


class Volume(msgspec.Struct, omit_defaults=True):
    """A disk of this machine on which this user can keep files: local, fixed, written with ordinary rights.

    ``folder`` is where: the topmost folder of the volume that is the user's to write, or their home there. Bytes.
    ``volume`` and ``kind`` as in FileSystem.
    """

    mount: str
    volume: str
    kind: str
    folder: str
    total: int
    free: int


class Storage(msgspec.Struct, omit_defaults=True):
    """The section ``storage``."""

    places: Fact[list[Place]] = unobserved()
    #: the one with the most room first; not-run where no place is short of room and the hub's cache is on a local disk
    volumes: Fact[list[Volume]] = unobserved()

    def place(self, role: str) -> Place | None:
        """The place with this role or None if there is none. Raises FactMissing if places are unknown."""
        for place in self.places.need():
            if place.role == role:
                return place
        return None
