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

import msgspec

from ..probe import Request
from ..sections.packages import Distribution, PackageFiles
from .distributions import read_distributions
from .file_state import FileJudge
from .installed_files import hold_files


class Read(msgspec.Struct):
    """What was read ahead: the distributions in the folder ``site``, and the packages' files against RECORD."""

    site: str = ""
    distributions: list[Distribution] = []
    files: list[PackageFiles] = []

    def sound(self) -> dict[str, PackageFiles]:
        """The packages without a flaw, by the path of their .dist-info: damage is judged anew, knowing the target."""
        return {held.path: held for held in self.files if not (held.damaged or held.altered or held.problem)}


class Ahead:
    """A forked process that reads ahead, and the pipe on which its answer comes."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self.pipe = pipe

    def result(self, until: float) -> Read:
        """What was read; empty if it is not there by ``until``, a time.monotonic().

        Never raises; the process is gone afterwards.
        """
        import select

        parts = []
        complete = False
        read = Read()
        try:
            while not complete:
                ready, _, _ = select.select([self.pipe], [], [], max(0.0, until - time.monotonic()))
                if not ready:
                    break
                part = os.read(self.pipe, 1 << 20)
                parts.append(part)
                complete = not part
            if complete:
                read = msgspec.json.decode(b"".join(parts), type=Read)
        except (OSError, ValueError, msgspec.DecodeError):
            read = Read()
        self.end()
        return read

    def end(self) -> None:
        """Stop the process, if it is still there."""
        with contextlib.suppress(OSError):
            os.close(self.pipe)
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.waitpid(self.pid, 0)


def look_ahead(request: Request) -> Ahead | None:
    """Start reading the environment that will most likely be inspected; None where that is not to be had.

    Must be called before the process has a second thread: a fork copies none of the others, but all of their locks.
    """
    if sys.platform == "win32" or sys.platform == "darwin":  # macOS' own libraries do not survive a fork
        return None
    if threading.active_count() > 1 or (os.cpu_count() or 1) < 2:
        return None
    site = guess_site(_likely_environment(request))
    if not site:
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
        return Ahead(pid, answer)
    code = 1
    try:
        os.close(answer)
        distributions = read_distributions([site])
        files = hold_files(distributions, FileJudge(time.monotonic() + request.timeout_s))
        data = memoryview(msgspec.json.encode(Read(site, distributions, files)))
        while data:
            data = data[os.write(question, data) :]
        code = 0
    finally:
        os._exit(code)  # nothing of the parent's is to be flushed or cleaned up twice


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
