"""Ends every process of a run and removes its folder. Also a program: the one that does so when the doctor is killed.

    python -I -S -B guard.py FOLDER

It reads its standard input, whose other end only the doctor holds: that one closes however the doctor ends, also by a
signal that nothing can catch. ``+PID`` and ``-PID`` lines name the process groups that are alive. Only the standard
library is used.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import sys
import time
from typing import Any

#: seconds that what a dead process had started gets to end by itself: multiprocessing's tracker removes what it shared
GRACE_S = 0.4
#: seconds for which a folder is tried again: a process that is dying may still hold files, or write some
PATIENCE_S = 3.0
SHARED = "/dev/shm"


def end_group(pid: int) -> None:
    """Kill the process group that ``pid`` leads; nothing happens where it is gone."""
    if sys.platform != "win32" and pid > 1:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def end_process(pid: int) -> None:
    """Kill one process; nothing happens where it is gone."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def wait_for_the_others(folder: str) -> None:
    """Wait, for a moment, until nothing of the run is left (Linux; elsewhere nothing can be seen)."""
    until = time.monotonic() + GRACE_S
    while marked(folder) and time.monotonic() < until:
        time.sleep(0.02)


def remove_shared(pid: int) -> None:
    """Remove what a killed process cannot: files that OpenMP and torch name after it in shared memory (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(SHARED):
            if name.startswith((f"__KMP_REGISTERED_LIB_{pid}_", f"torch_{pid}_")):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(SHARED, name))


def end_marked(folder: str) -> int:
    """Kill the processes of this user in whose environment ``folder`` stands, wherever they went; how many there were.

    Every process of a run has the folder in its variables, also one that left the process group and whose parent is
    dead. Source: /proc/PID/environ (Linux; elsewhere nothing is found).
    """
    found = 0
    for _ in range(5):  # what is just being started has no variables of its own yet
        pids = marked(folder)
        for pid in pids:
            end_process(pid)
            remove_shared(pid)
        found += len(pids)
        if not pids:
            break
        time.sleep(0.01)
    return found


def marked(folder: str) -> list[int]:
    """The processes of this user in whose environment ``folder`` stands; this one is left out."""
    if not sys.platform.startswith("linux"):
        return []
    mark, own, found = os.fsencode(folder), os.getpid(), []
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == own:
                continue
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark in file.read():
                        found.append(int(name))
            except OSError:
                continue  # another user's, or gone
    return found


def remove_tree(folder: str) -> bool:
    """Remove ``folder``, also where files in it were made read-only. Whether it is gone.

    Links are removed, not followed: nothing outside the folder is changed.
    """

    def open_up(function: Any, name: str, _error: Any) -> None:
        above = os.path.dirname(name)
        with contextlib.suppress(OSError):
            if os.path.normpath(name) != os.path.normpath(folder):
                os.chmod(above, stat.S_IRWXU)
            if not os.path.islink(name):
                os.chmod(name, stat.S_IRWXU)
        with contextlib.suppress(OSError):
            if function in (os.open, os.scandir, os.lstat):  # a folder that could not be listed
                shutil.rmtree(name, ignore_errors=True)
            else:
                function(name)

    until = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(OSError, RecursionError):
            shutil.rmtree(folder, onerror=open_up)
        if not os.path.lexists(folder):
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)


def main(folder: str) -> None:
    """Wait until the doctor is gone, then clean up after it."""
    alive: set[int] = set()
    for line in iter(sys.stdin.buffer.readline, b""):
        word = line.strip().decode("ascii", "replace")
        if word[:1] == "+" and word[1:].isdigit():
            alive.add(int(word[1:]))
        elif word[:1] == "-" and word[1:].isdigit():
            alive.discard(int(word[1:]))
    for pid in alive:
        end_process(pid)
    wait_for_the_others(folder)
    for pid in alive:
        end_group(pid)
        remove_shared(pid)
    end_marked(folder)
    remove_tree(folder)


if __name__ == "__main__":
    main(sys.argv[1])
