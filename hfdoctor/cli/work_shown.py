"""How far a fix is, on stderr, where somebody is there to see it and it takes longer than half a second."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from ..conditions.room import size
from ..reports.terminal import takes_colour
from .progress import PATIENCE_S


class WorkShown:
    """A status line; rich is loaded only when there is something to show."""

    def __init__(self) -> None:
        self._wanted = takes_colour(sys.stderr)
        self._started = time.monotonic()
        self._status: Any = None

    def says(self, what: str, done: int, total: int) -> None:
        """Say what is being done, and how many bytes of how many are."""
        if not self._wanted or time.monotonic() - self._started < PATIENCE_S:
            return
        text = f"{what}: {size(done)} of {size(total)}" if total else what
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status(text, spinner="line")
            self._status.start()
        else:
            self._status.update(text)

    def __enter__(self) -> WorkShown:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
