"""What is waited for or done, on stderr, once it takes longer than half a second and somebody is there to see."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from ..reports.terminal import takes_colour

#: seconds of silence before anything is shown
PATIENCE_S = 0.5


class Progress:
    """Shows a status line on an interactive stderr; rich is loaded only when there is something to show."""

    def __init__(self) -> None:
        self.wanted = takes_colour(sys.stderr)
        self._started = time.monotonic()
        self._text = ""
        self._status: Any = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def waiting(self, probes: Sequence[str]) -> None:
        """Say which probes are still at work."""
        self._show(f"looking at {', '.join(probes)}")

    def says(self, what: str, done: int, total: int) -> None:
        """Say what a fix is doing, and how many bytes of how many are done (0: not known)."""
        if total:
            from ..conditions.byte_count import size

            what = f"{what}: {size(done)} of {size(total)}"
        self._show(what)

    def _show(self, text: str) -> None:
        if not self.wanted:
            return
        self._text = text
        left = PATIENCE_S - (time.monotonic() - self._started)
        if left <= 0:
            self._write()
        elif self._timer is None:  # it may be long until there is another word
            self._timer = threading.Timer(left, self._write)
            self._timer.daemon = True
            self._timer.start()

    def _write(self) -> None:
        with self._lock:
            if not self._text:
                return
            if self._status is None:
                from rich.console import Console

                self._status = Console(stderr=True).status(self._text, spinner="line")
                self._status.start()
            else:
                self._status.update(self._text)

    def pause(self) -> None:
        """Clear the line, so that something else can be written or asked."""
        with self._lock:
            self._text = ""
            if self._status is not None:
                self._status.stop()
                self._status = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.pause()
