"""The stages of a run while they run: a line as each ends, and on a terminal what runs now and for how long."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, TextIO

from ..facts.sections.smoke import StageRun
from ..facts.snapshot import Snapshot
from ..reports import terminal
from ..reports.stages import stage_line


class StageView:
    """Writes to ``stream``. ``lines``: also one line for each stage that ends, after a first line about the target.

    What runs now is shown on standard error while it is a terminal, and taken away again.
    """

    def __init__(self, stream: TextIO, *, lines: bool, header: bool = False, ascii_only: bool = False) -> None:
        import sys

        self.stream = stream
        self.lines = lines
        self.header = header
        self.ascii_only = ascii_only
        #: whether the first line was written: the report then begins after it
        self.begun = False
        self._live = terminal.takes_colour(sys.stderr)
        self._status: Any = None
        self._lock = threading.Lock()
        self._width = terminal.columns(stream)
        self._paint = terminal.paint if terminal.takes_colour(stream) else lambda text, role: text

    def inspects(self, snapshot: Snapshot) -> None:
        """The target is known, and the first stage is about to begin."""
        if not (self.lines and self.header):
            return
        from ..conditions.engine import target_line
        from ..reports.text import first_line

        self._write(first_line(target_line(snapshot)))
        self._write("")
        self.begun = True

    def begins(self, key: str) -> None:
        """A stage begins."""
        if not self._live:
            return
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = SpinnerColumn("line"), TextColumn("{task.description}"), TimeElapsedColumn()
        with self._lock:
            self._hide()
            self._status = Progress(*columns, console=Console(stderr=True), transient=True)
            self._status.add_task(f"running {key}")
            self._status.start()

    def ends(self, stage: StageRun) -> None:
        """A stage is over."""
        with self._lock:
            self._hide()
        if self.lines:
            self._write(stage_line(stage, self._width, self._paint))

    def _write(self, text: str) -> None:
        with self._lock:
            self.stream.write((terminal.to_ascii(text) if self.ascii_only else text) + "\n")
            self.stream.flush()

    def _hide(self) -> None:
        """Take away what is shown of the stage that runs, so that the next line begins at the left."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def __enter__(self) -> StageView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hide()
