"""Counts the connections that Python code makes in this process, in the moments that matter."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: events of socket.c (docs.python.org/3/library/audit_events.html) that lead out of the machine
EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")


class Wire:
    """``with Wire() as wire``: ``wire.connections`` counts them, ``wire.first`` says where the first one went.

    An audit hook cannot be taken away again: there is one for the life of the process, and it looks up who listens.
    """

    _listening: Wire | None = None
    _hooked = False

    def __init__(self) -> None:
        self.connections = 0
        self.first = ""

    def __enter__(self) -> Wire:
        if not Wire._hooked:
            sys.addaudithook(Wire._hear)
            Wire._hooked = True
        Wire._listening = self
        return self

    def __exit__(self, *_: object) -> None:
        Wire._listening = None

    @staticmethod
    def _hear(event: str, args: tuple[Any, ...]) -> None:
        self = Wire._listening
        if self is None or event not in EVENTS:
            return
        where = args[0] if event in ("socket.getaddrinfo", "socket.gethostbyname") else args[-1]
        if isinstance(where, (str, bytes)) and event == "socket.connect":
            return  # a socket of this machine alone, named by a path
        self.connections += 1
        self.first = self.first or f"{event} {where!r}"
