"""The scratch folder of a run: where everything that the libraries write goes, and who removes it, whatever happens."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from ..facts.child import start_child
from .environment import FOLDERS, child_environment
from .guard import remove_tree

#: begins the folder's name, which stays short: sockets are made below it, and their paths end at 104 letters on macOS
PREFIX = "hfd-smoke-"
#: letters of a temporary directory beyond which the sockets of multiprocessing below our folder fail on macOS
LONGEST = 51
#: the file that a live run holds locked
LOCK = "lock"
#: seconds that a folder is left alone in any case: its run may not have locked it yet
YOUNG_S = 60.0
#: the same for one without a lock file
NO_LOCK_S = 24 * 3600.0
GUARD = str(Path(__file__).parent / "guard.py")


class Scratch:
    """A folder of this run alone. ``with Scratch() as scratch``: it is gone afterwards, whatever happened.

    A process of its own waits meanwhile for the doctor's death, and then ends the run's processes and removes the
    folder. Raises OSError where no folder can be made in the temporary directory.
    """

    def __init__(self, where: str | None = None) -> None:
        where = where or temporary_directory()
        sweep(where)
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=where)
        self._removing = threading.Lock()
        self._lock: int | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        try:
            self._lock = locked(os.path.join(self.path, LOCK))
            for folder in FOLDERS:
                os.makedirs(os.path.join(self.path, folder), exist_ok=True)
        except OSError:
            self.remove()
            raise
        if sys.executable:
            with contextlib.suppress(OSError):
                self._guard = start_child(
                    [sys.executable, "-I", "-S", "-B", GUARD, self.path], cwd=os.path.abspath(os.sep)
                )

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def tell_guard(self, word: str) -> None:
        """``+PID`` of a process group that was started, ``-PID`` when it has been ended."""
        stream = self._guard.stdin if self._guard is not None else None
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.write(f"{word}\n".encode("ascii"))
                stream.flush()

    def remove(self) -> None:
        """Remove the folder; harmless where it is gone. What cannot be removed now is swept by a later run."""
        with self._removing:
            if self._lock is not None:
                with contextlib.suppress(OSError):
                    os.close(self._lock)
                self._lock = None
            remove_tree(self.path)
            if self._guard is not None:
                self._guard.kill()  # all is done already
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._guard.wait(2.0)
                for stream in (self._guard.stdin, self._guard.stdout, self._guard.stderr):
                    with contextlib.suppress(OSError):
                        if stream is not None:
                            stream.close()
                self._guard = None

    def environment(self, environ: Mapping[str, str], *, online: bool) -> dict[str, str]:
        """``environ`` as the child gets it."""
        return child_environment(environ, self.path, online=online)


def temporary_directory() -> str:
    """The directory for temporary files; another one where its path is too long for sockets below it.

    Raises OSError where none can be written to.
    """
    folder = tempfile.gettempdir()
    if os.name != "nt" and len(os.fsencode(folder)) > LONGEST and os.access("/tmp", os.W_OK | os.X_OK):
        return "/tmp"
    return folder


def locked(path: str) -> int | None:
    """Create the file and lock it; its descriptor, which keeps the lock, or None where there are no locks."""
    number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        lock(number)
    except OSError:
        os.close(number)
        return None
    return number


def lock(number: int) -> None:
    """Take the lock of an open file. Raises OSError where another process has it, or there are none here."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sweep(where: str) -> None:
    """Remove the folders of runs that are dead and could not clean up, nor their guards.

    A run is alive while its lock is held. Its process would say less: in a container that shares this directory it
    has another number, and a dead one's number may be taken.
    """
    with contextlib.suppress(OSError), os.scandir(where) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX) and _is_dead(entry):
                remove_tree(entry.path)


def _is_dead(entry: os.DirEntry[str]) -> bool:
    try:
        seen = entry.stat(follow_symlinks=False)
        if not stat.S_ISDIR(seen.st_mode) or (sys.platform != "win32" and seen.st_uid != os.getuid()):
            return False
        path = os.path.join(entry.path, LOCK)
        try:
            age = time.time() - os.lstat(path).st_mtime
        except FileNotFoundError:
            return time.time() - seen.st_mtime > NO_LOCK_S
        if age < YOUNG_S:
            return False
        number = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            lock(number)
        finally:
            os.close(number)
    except OSError:
        return False  # held, or not ours to tell
    return True
