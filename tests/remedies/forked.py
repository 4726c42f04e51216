"""Work that is done in a fork of the tests' process: with less than its rights, or with less room."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

NOBODY = 65534


def said_in_fork(work: Callable[[], str], first: Callable[[], object]) -> str:
    """What ``work`` says in a child that has done ``first``; "crashed: ..." if either raised."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "crashed"
        try:
            first()
            said = work()
        except BaseException as error:
            said = f"crashed: {error!r}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def as_nobody(work: Callable[[], str]) -> str:
    """What ``work`` says without root's rights, who may do what modes forbid.

    What it imports must be loaded: root's own Python may be closed to it.
    """
    if os.geteuid() != 0:
        return work()
    assert ctypes, "loaded: hfdoctor imports it while it moves"
    return said_in_fork(work, _become_nobody)


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
