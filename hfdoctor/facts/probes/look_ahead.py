"""Looks at the packages' files in a process of its own while the target interpreter is still starting.

Holding ten thousand files against RECORD takes as long as everything else of a check together, and nearly always it
is plain from the start which environment will be asked for. What is read ahead is used only if the interpreter then
names the same folder; otherwise it was for nothing, and is read again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence

import msgspec

from ..probe import Request
from ..sections.packages import Distribution, PackageFiles
from .distributions import read_distributions
from .file_state import FileJudge
from .installed_files import hold_files


class Ahead:
    """A forked process that reads ahead the folder ``site``, and the pipe on which its two answers come.

    The first line lists the distributions, the second holds their files against RECORD, which takes much longer.
    """

    def __init__(self, pid: int, pipe: int, site: str) -> None:
        self.pid = pid
        self.pipe = os.fdopen(pipe, "rb", buffering=0)
        self.site = site
        self._read = b""

    def distributions(self, until: float) -> list[Distribution] | None:
        """What is installed in ``site``; None if it is not there by ``until``, a time.monotonic(). Never raises."""
        line = self._line(until)
        try:
            return msgspec.json.decode(line, type=list[Distribution]) if line else None
        except msgspec.DecodeError:
            return None

    def sound_files(self, until: float) -> dict[str, PackageFiles]:
        """The packages without a flaw, by the path of their .dist-info: damage is judged anew, knowing the target.

        None are, if they are not there by ``until``. Never raises; the process is gone afterwards.
        """
        line = self._line(until)
        self.stop()
        try:
            files = msgspec.json.decode(line, type=list[PackageFiles]) if line else []
        except msgspec.DecodeError:
            return {}
        return {held.path: held for held in files if not (held.damaged or held.altered or held.problem)}

    def _line(self, until: float) -> bytes:
        """The next whole line; empty if there will be none, or none by then."""
        import select

        try:
            while b"\n" not in self._read:
                ready, _, _ = select.select([self.pipe], [], [], max(0.0, until - time.monotonic()))
                part = self.pipe.read(1 << 20) if ready else b""
                if not part:
                    return b""
                self._read += part
        except (OSError, ValueError):
            return b""
        line, _, self._read = self._read.partition(b"\n")
        return line

    def stop(self) -> None:
        """Stop the process, if it is still there. Who waits for its answers is told that there will be none."""
        pid, self.pid = self.pid, 0
        if pid:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(pid, 0)

    def end(self) -> None:
        """Stop the process and close the pipe: not while another thread may be waiting at it."""
        self.stop()
        self.pipe.close()


#: what was begun before the command line was understood, until somebody takes it over
_begun: list[Ahead] = []


def begin(python: str | None) -> None:
    """Start reading before click is loaded, which takes a third as long, with a guess at what ``--python`` will be.

    ``look_ahead`` takes over what was begun; if the guess was wrong, it starts anew.
    """
    with contextlib.suppress(OSError, ValueError):  # the folder is gone, a path with a zero in it: they are told later
        ahead = look_ahead(Request(python=python, environ=dict(os.environ)))
        if ahead:
            _begun.append(ahead)


def end_begun() -> None:
    """Stop what was begun and nobody took over: the command line was wrong, say."""
    while _begun:
        _begun.pop().end()


def look_ahead(request: Request) -> Ahead | None:
    """Start reading the environment that will most likely be inspected; None where that is not to be had.

    Must be called before the process has a second thread: a fork copies none of the others, but all of their locks.
    """
    if sys.platform == "win32" or sys.platform == "darwin":  # macOS' own libraries do not survive a fork
        return None
    site = guess_site(_likely_environment(request))
    if _begun and _begun[0].site == site:
        return _begun.pop()
    end_begun()
    if not site or threading.active_count() > 1 or (os.cpu_count() or 1) < 2:
        return None
    answer, question = os.pipe()
    try:
        pid = os.fork()
    except OSError:  # no room for another process
        os.close(answer)
        os.close(question)
        return None
    if pid:
        os.close(question)
        return Ahead(pid, answer, site)
    code = 1
    try:
        os.close(answer)
        distributions = read_distributions([site])
        _write(question, distributions)
        _write(question, hold_files(distributions, FileJudge(time.monotonic() + request.timeout_s)))
        code = 0
    finally:
        os._exit(code)  # nothing of the parent's is to be flushed or cleaned up twice


def _write(pipe: int, answer: Sequence[msgspec.Struct]) -> None:
    data = memoryview(msgspec.json.encode(answer) + b"\n")
    while data:
        data = data[os.write(pipe, data) :]


def _likely_environment(request: Request) -> str:
    """The folder of the environment that the target probe will choose, as far as the names alone tell."""
    named = request.python or request.environ.get("VIRTUAL_ENV") or str(request.cwd / ".venv")
    path = os.path.join(request.cwd, named)
    if os.path.isfile(path):  # an interpreter: PREFIX/bin/python
        path = os.path.dirname(os.path.dirname(path))
    return path if os.path.isdir(path) else ""


def guess_site(environment: str) -> str:
    """The site-packages folder of an environment by its layout; "" if there is not exactly one."""
    if not environment:
        return ""
    try:
        names = [name for name in os.listdir(f"{environment}/lib") if name.startswith(("python3", "pypy3"))]
    except OSError:
        return ""
    found = [path for name in names if os.path.isdir(path := f"{environment}/lib/{name}/site-packages")]
    return found[0] if len(found) == 1 else ""
