"""The Snapshot: everything observed about one machine and one target Python. It never judges."""

from __future__ import annotations

from typing import Any

import msgspec

from .fact import Fact
from .sections.gpu import Gpu
from .sections.hub import Hub
from .sections.machine import Machine
from .sections.native import Native
from .sections.network import Network
from .sections.packages import Packages
from .sections.settings import Settings
from .sections.smoke import Smoke
from .sections.storage import Storage
from .sections.target import Target
from .sections.windows import Windows
from .walk import walk_facts

SCHEMA = "hfdoctor.snapshot/1"


class ProbeRun(msgspec.Struct, omit_defaults=True):
    """How one probe went: seconds of wall time, and whether its deadline or an exception cut it short."""

    seconds: float
    outcome: str = "done"  # done, deadline, crash
    detail: str = ""


class Snapshot(msgspec.Struct):
    """Facts only: plain typed data, JSON in and out, versioned."""

    schema: str = SCHEMA
    hfdoctor: str = ""
    #: when it was taken, ISO 8601 UTC
    taken_at: str = ""
    #: seconds of wall time for all probes together
    elapsed_s: float = 0.0
    #: "deep", "online" where these were asked for
    modes: list[str] = []
    #: the formats of the text that it was read from, in the words of a report: "torch collect_env", "pip list"; empty
    #: where the machine itself was looked at
    described: list[str] = []
    machine: Machine = msgspec.field(default_factory=Machine)
    target: Target = msgspec.field(default_factory=Target)
    settings: Settings = msgspec.field(default_factory=Settings)
    packages: Packages = msgspec.field(default_factory=Packages)
    storage: Storage = msgspec.field(default_factory=Storage)
    hub: Hub = msgspec.field(default_factory=Hub)
    network: Network = msgspec.field(default_factory=Network)
    gpu: Gpu = msgspec.field(default_factory=Gpu)
    native: Native = msgspec.field(default_factory=Native)
    smoke: Smoke = msgspec.field(default_factory=Smoke)
    #: None where the machine is not Windows
    windows: Windows | None = None
    probes: dict[str, ProbeRun] = {}

    def facts(self) -> list[tuple[str, Fact[Any]]]:
        """All facts with their paths."""
        return list(walk_facts(self))


#: the sections in the order in which they are shown
SECTIONS = (
    "machine",
    "target",
    "settings",
    "packages",
    "storage",
    "hub",
    "network",
    "gpu",
    "native",
    "smoke",
    "windows",
)


class SnapshotError(Exception):
    """A snapshot file that cannot be read: the message is one line for the person."""


#: a snapshot is some 100 kB; this bounds what a wrong file can cost
LARGEST_SNAPSHOT = 256 * 1024 * 1024


def dump(snapshot: Snapshot) -> bytes:
    """The snapshot as one JSON document in ASCII with a final newline.

    ASCII, because it survives every code page between here and whoever reads it, and because file names that are
    not valid Unicode (lone surrogates in Python) have no UTF-8 form at all.
    """
    import json

    return json.dumps(msgspec.to_builtins(snapshot), indent=1).encode("ascii") + b"\n"


def load(data: bytes, name: str = "the snapshot") -> Snapshot:
    """Read a snapshot, or the ``snapshot`` inside a report made with ``--with-facts``.

    Raises SnapshotError if ``data`` is not JSON, not a snapshot, or of another major version.
    """
    import json

    if len(data) > LARGEST_SNAPSHOT:
        raise SnapshotError(f"{name} is larger than {LARGEST_SNAPSHOT >> 20} MiB: not a snapshot")
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{name} is not JSON: {error}") from None
    if isinstance(raw, dict) and str(raw.get("schema", "")).startswith("hfdoctor.report/"):
        if "snapshot" not in raw:
            raise SnapshotError(f"{name} is a report without facts; make it with --with-facts")
        raw = raw["snapshot"]
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if not isinstance(schema, str) or not schema.startswith("hfdoctor.snapshot/"):
        raise SnapshotError(f"{name} is not a snapshot of hfdoctor (its schema is not {SCHEMA})")
    if schema != SCHEMA:
        raise SnapshotError(f"{name} has schema {schema}; this hfdoctor reads {SCHEMA}")
    try:
        return msgspec.convert(raw, Snapshot)
    except (msgspec.ValidationError, RecursionError) as error:
        raise SnapshotError(f"{name} cannot be read: {error}") from None
