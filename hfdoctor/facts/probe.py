"""What a probe is given and what it promises."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from .snapshot import Snapshot

if TYPE_CHECKING:
    from .probes.look_ahead import Ahead


class Request(msgspec.Struct, frozen=True):
    """What to inspect. All host facts come in here, so that a test can describe another host.

    ``python`` is an interpreter, a virtual environment's folder or a conda prefix; None lets the doctor choose.
    ``timeout_s`` bounds the whole collection, in seconds.
    """

    python: str | None = None
    deep: bool = False
    online: bool = False
    timeout_s: float = 60.0
    cwd: Path = msgspec.field(default_factory=Path.cwd)
    environ: Mapping[str, str] = msgspec.field(default_factory=dict)


class Context(msgspec.Struct):
    """Shared by the probes of one run. A probe writes its own section and reads those it comes ``after``."""

    request: Request
    snapshot: Snapshot
    #: time.monotonic() at which the whole run must be over
    deadline: float
    #: what the probes of one section keep for each other
    prepared: dict[str, Any] = msgspec.field(default_factory=dict)
    #: what reads the packages since before the probes began, where there is such a process
    ahead: Ahead | None = None
    #: what a probe calls with the name of a milestone that it has reached, for those that come after it
    reached: Callable[[str], None] = lambda milestone: None

    def left_s(self, at_most: float) -> float:
        """Seconds a tool may still take: ``at_most``, or what is left of the run if that is less."""
        return max(0.05, min(at_most, self.deadline - time.monotonic()))


class Probe(msgspec.Struct, frozen=True):
    """Fills one section of the snapshot.

    ``run`` sets each fact as soon as it is known: what is still unset when ``budget_s`` (seconds) is over becomes
    ``timeout``. It should not raise; if it does, the unset facts become ``failed``. It begins when all sections and
    milestones in ``after`` are there; ``milestones`` (``packages.listed``) are those that it reaches on its way.
    """

    section: str
    run: Callable[[Context], None]
    after: tuple[str, ...] = ()
    milestones: tuple[str, ...] = ()
    #: for the most part it waits for another process, so that it needs no moment to itself
    waits: bool = False
    budget_s: float = 20.0
