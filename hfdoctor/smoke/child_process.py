"""The child process of a run: started so that nothing of it outlives the doctor, its words read as they come."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..facts.child import kill_group, start_child
from ..facts.legible import legible
from .child.teller import MARK

SCRIPT = str(Path(__file__).parent / "child" / "start.py")
#: bytes of standard error that are kept of one stage: the last ones, since a traceback comes last
KEPT = 64 * 1024


class Said(msgspec.Struct, omit_defaults=True):
    """One line of the child: what begins, what is done and how it went, or the end."""

    begin: str = ""
    done: str = ""
    end: bool = False
    again: bool = False
    outcome: str = "pass"
    seconds: float = 0.0
    because: str = ""
    refused: str = ""
    error: str = ""
    message: str = ""
    trace: list[str] = []
    deviations: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}


class Patient:
    """A started child. ``next`` gives its words one by one; ``stop`` ends it and everything it started."""

    def __init__(self, python: str, plan_file: str, environ: Mapping[str, str], cwd: str) -> None:
        """Raises OSError if the interpreter cannot be started."""
        self.process: subprocess.Popen[bytes] = start_child([python, "-B", SCRIPT, plan_file], environ=environ, cwd=cwd)
        self._job: object = None
        if sys.platform == "win32":
            from .job_windows import Job

            with contextlib.suppress(OSError):
                self._job = Job(self.process)
        self.words: queue.Queue[Said | None] = queue.Queue()
        self.printed: dict[str, bytearray] = {}
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_words, self._read_printed)]
        for reader in self._readers:
            reader.start()

    def _read_words(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):
            for line in stream:
                # before start.py runs, a start-up file may print: such lines are none of ours
                with contextlib.suppress(msgspec.DecodeError):
                    self.words.put(msgspec.json.decode(line, type=Said))
        self.words.put(None)

    def _read_printed(self) -> None:
        stream = self.process.stderr
        assert stream is not None
        mark = MARK.encode()
        part = self.printed.setdefault("", bytearray())
        with contextlib.suppress(OSError, ValueError):
            for line in iter(lambda: stream.readline(65536), b""):
                if line.startswith(mark):
                    part = self.printed.setdefault(line[len(mark) :].strip().decode("utf-8", "replace"), bytearray())
                    continue
                part += line
                if len(part) > 2 * KEPT:
                    del part[:-KEPT]

    def next(self, until: float) -> Said | None:
        """The next words; None when it has ended. Raises TimeoutError at ``until``, a time.monotonic()."""
        try:
            return self.words.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None

    def stop(self, within_s: float = 0.0) -> int | None:
        """Wait ``within_s`` seconds for its end, then kill it and all it started. Its exit code, None if killed."""
        code = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.process.wait(within_s) if within_s else self.process.poll()
        kill_group(self.process)
        for reader in self._readers:
            reader.join(2.0)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        return code

    def printed_in(self, key: str, lines: int = 40) -> list[str]:
        """The last lines that were printed during the stage ``key`` ("": before the first)."""
        text = legible(bytes(self.printed.get(key, b"")[-KEPT:]).decode("utf-8", "replace"))
        return [line[:400] for line in text.splitlines() if line.strip()][-lines:]


def write_plan(scratch: str, plan: Mapping[str, Any]) -> str:
    """Write the plan into the scratch folder; its path."""
    path = os.path.join(scratch, "plan.json")
    Path(path).write_bytes(msgspec.json.encode(plan))
    return path
