"""The child process of a run: started so that nothing of it outlives the doctor, its words read as they come."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..facts.child import kill_group, start_child
from .guard import end_group, end_marked, end_process, remove_shared, wait_for_the_others
from .job_windows import Job
from .printed import Printed
from .scratch import Scratch

SCRIPT = str(Path(__file__).parent / "child" / "start.py")
#: bytes of a line that the child may say; what is longer is none of its words
LONGEST_LINE = 1024 * 1024
#: seconds that a killed process may take to be gone: one that hangs in a driver never is
KILLED_S = 2.0


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
    #: the child has closed its end of the pipe, by its death or before
    closed: bool = False


class Patient:
    """A started child. ``next`` gives its words one by one; ``stop`` ends it and everything it started.

    ``word`` begins each of its lines (see the plan), so that nothing else is taken for one.
    """

    def __init__(
        self,
        python: str,
        plan_file: str,
        environ: Mapping[str, str],
        cwd: str,
        *,
        scratch: Scratch,
        word: str,
        clean: Callable[[str], str] = str,
    ) -> None:
        """``clean`` takes secrets out of what is printed. Raises OSError if the interpreter cannot be started."""
        self._scratch = scratch
        self._word = word.encode()
        self.printed = Printed(word, clean)
        #: its exit code once it has ended; None before, and where it was killed from here
        self.code: int | None = None
        self._killed = False
        self._stopping = threading.Lock()
        #: it has ended; and all is over, with what it had started
        self._dead, self._gone = threading.Event(), threading.Event()
        self._words: queue.Queue[Said | None] = queue.Queue()
        self.process = start_child([python, "-B", SCRIPT, plan_file], environ=environ, cwd=cwd, suspended=True)
        self._job: Job | None = None
        if sys.platform == "win32":
            self._run_in_a_job()
        scratch.tell_guard(f"+{self.process.pid}")
        stdin = self.process.stdin
        if stdin is not None:
            stdin.close()  # whoever asks something gets no answer, at once
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_words, self._read_printed)]
        for thread in (*self._readers, threading.Thread(target=self._wait, daemon=True)):
            thread.start()

    def _run_in_a_job(self) -> None:
        """Before it runs: the python.exe of a virtual environment at once starts another one."""
        import psutil

        with contextlib.suppress(OSError):
            self._job = Job(self.process)
        try:
            psutil.Process(self.process.pid).resume()
        except psutil.Error as error:
            self.process.kill()
            raise OSError(f"the interpreter does not begin to run: {error}") from None

    # -- what it says -------------------------------------------------------------------------------------------------

    def _read_words(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):
            for line in iter(lambda: stream.readline(LONGEST_LINE), b""):
                # start-up files may print, and libraries may write into any descriptor: such lines are none of ours
                if line.startswith(self._word + b" "):
                    with contextlib.suppress(msgspec.MsgspecError):
                        self._words.put(msgspec.json.decode(line[len(self._word) :], type=Said))
        self._words.put(Said(closed=True))

    def _read_printed(self) -> None:
        stream = self.process.stderr
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):
            for chunk in iter(lambda: stream.read1(65536), b""):  # type: ignore[attr-defined]
                self.printed.feed(chunk)
        self.printed.finish()

    def next(self, until: float) -> Said | None:
        """The next words; None when it has ended. Raises TimeoutError at ``until``, a time.monotonic()."""
        try:
            return self._words.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None

    def printed_in(self, key: str) -> tuple[list[str], list[str]]:
        """The last lines that were printed during the stage ``key`` ("": before the first), and stacks in them."""
        return self.printed.of(key)

    # -- its end ------------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait for its end, end what it left running, and read what it had said by then."""
        if hasattr(os, "waitid"):  # its number is not given to another process before its group has been killed
            with contextlib.suppress(OSError):
                os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
            self._dead.set()
            wait_for_the_others(self._scratch.path)
            end_group(self.process.pid)
        code = self.process.wait()
        self._dead.set()
        self._end_the_others()
        remove_shared(self.process.pid)
        for reader in self._readers:
            reader.join(1.0)
        if not self._killed:
            self.code = code
        self._scratch.tell_guard(f"-{self.process.pid}")
        self._gone.set()
        self._words.put(None)

    def _end_the_others(self) -> None:
        """End what it started: also what holds our pipes open in a session of its own."""
        if self._job is not None:
            self._job.end()
        end_marked(self._scratch.path)

    def gone_within(self, seconds: float) -> bool:
        """Wait for its end; False if it takes longer."""
        return self._gone.wait(max(0.0, seconds))

    def abort(self, within_s: float) -> None:
        """Have it print its stacks and die, and kill it where it does not. Where there are no signals: kill it."""
        if sys.platform != "win32" and not self._gone.is_set():
            self._killed = True
            for number in (signal.SIGABRT, signal.SIGCONT):
                with contextlib.suppress(OSError):
                    os.kill(self.process.pid, number)
            self.gone_within(within_s)
        self.stop()

    def stop(self) -> None:
        """Kill it and all it started, now; harmless where it is gone, and from any thread."""
        with self._stopping:
            if not self._gone.is_set():
                self._killed = True
                family = self._family()
                if self._job is not None:
                    self._job.end()
                if sys.platform == "win32" or not hasattr(os, "waitid"):
                    kill_group(self.process)
                elif not self._dead.is_set():
                    end_process(self.process.pid)  # what it started is ended once it is gone
                gone = self.gone_within(KILLED_S)
                for process in family:
                    with contextlib.suppress(Exception):
                        process.kill()
                if not gone:
                    self._end_the_others()
            for reader in self._readers:
                reader.join(0.2)
            for stream, reader in ((self.process.stdout, self._readers[0]), (self.process.stderr, self._readers[1])):
                # closing waits for a thread that still reads: then the pipe stays, and ends with the doctor
                if stream is not None and not reader.is_alive():
                    with contextlib.suppress(OSError):
                        stream.close()

    def _family(self) -> list[Any]:
        """What it started and has not left: children of other groups may have shed their environment."""
        import psutil

        try:
            return list(psutil.Process(self.process.pid).children(recursive=True))
        except (psutil.Error, OSError):
            return []


def write_plan(scratch: str, plan: Mapping[str, Any]) -> str:
    """Write the plan into the scratch folder; its path. Raises OSError."""
    path = os.path.join(scratch, "plan.json")
    # not msgspec: the name of a folder may have bytes that are no text
    Path(path).write_text(json.dumps(plan), "ascii")
    return path
