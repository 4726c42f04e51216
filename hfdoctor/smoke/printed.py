"""What the child prints, kept by stage: the last of it, in bounded memory, and the stacks in it apart."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Sequence

from ..facts.legible import legible
from .child.teller import BETWEEN, MARK

#: bytes that are kept of one stage: the last ones, since a traceback comes last
KEPT = 256 * 1024
#: letters of a line, lines of text, lines of stacks: those of the main thread come last
LONGEST, MOST_LINES, MOST_STACK = 400, 40, 160
#: letters of a mark with its key
_MARK_ROOM = 300
#: faulthandler's own words when its time is over, and before it prints what Python did when it died
_TIME_OVER = re.compile(r"Timeout \(\d+:\d\d:\d\d(?:\.\d+)?\)!$")
_DIED = ("Fatal Python error:", "Windows fatal exception:")
_THREAD = re.compile(r"(?:Current t|T)hread 0x[0-9a-f]+ ")


class Printed:
    """Takes the bytes of standard error as they come. ``word`` marks the lines that cut it into stages."""

    def __init__(self, word: str, clean: Callable[[str], str] = str) -> None:
        """``clean`` takes secrets out of a text, before its lines are cut: half a secret would not be recognised."""
        self._mark = f"\n{MARK}{word} ".encode()
        self._clean = clean
        self._parts: dict[str, bytearray] = {"": bytearray()}
        self._key = ""
        self._held = bytearray(b"\n")
        self._changed = threading.Condition()

    def feed(self, chunk: bytes) -> None:
        """Take what was read."""
        with self._changed:
            self._held += chunk
            while (place := self._held.find(self._mark)) >= 0:
                end = self._held.find(b"\n", place + len(self._mark), place + len(self._mark) + _MARK_ROOM)
                if end < 0 and len(self._held) < place + len(self._mark) + _MARK_ROOM:
                    break  # its key is still to come
                if end < 0:  # no mark of ours has such a key
                    self._keep(self._held[: place + 1])
                    del self._held[: place + 1]
                    continue
                self._keep(self._held[:place])
                self._key = self._held[place + len(self._mark) : end].decode("utf-8", "replace")
                self._parts.setdefault(self._key, bytearray())
                del self._held[:end]
                self._changed.notify_all()
            if place < 0:  # all but what may be the beginning of a mark
                done = max(0, len(self._held) - len(self._mark))
                self._keep(self._held[:done])
                del self._held[:done]

    def finish(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._keep(self._held)
            self._held.clear()
            self._key = BETWEEN
            self._changed.notify_all()

    def _keep(self, data: bytes | bytearray) -> None:
        part = self._parts.setdefault(self._key, bytearray())
        part += data
        if len(part) > 2 * KEPT:
            del part[:-KEPT]

    def wait_for_end_of(self, key: str, within_s: float) -> None:
        """Wait until all that was printed in the stage ``key`` has been read."""
        with self._changed:
            self._changed.wait_for(lambda: self._key != key and key in self._parts, within_s)

    def of(self, key: str) -> tuple[list[str], list[str]]:
        """The last lines that were printed in the stage ``key`` ("": before the first), and the stacks, apart."""
        with self._changed:
            part = bytes(self._parts.get(key, b""))
            if key == self._key:
                part += bytes(self._held)
        cut = len(part) > KEPT
        text = self._clean(legible(decoded(part[-KEPT:])))
        lines = [line.rstrip()[:LONGEST] for line in text.splitlines()[1 if cut else 0 :] if line.strip()]
        lines, stack = split_stacks(lines)
        return lines[-MOST_LINES:], stack[:1] + stack[1:][-MOST_STACK:]


def decoded(data: bytes) -> str:
    """Text of a program: UTF-8, or the code page of Windows."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if os.name == "nt":
            return data.decode("mbcs", "replace")
        return data.decode("utf-8", "replace")


def split_stacks(printed: Sequence[str]) -> tuple[list[str], list[str]]:
    """What was printed, and the stacks that faulthandler printed last, apart. The first of these lines says why."""
    for place in range(len(printed) - 1, -1, -1):
        if printed[place].startswith(_DIED) or _TIME_OVER.match(printed[place]):
            return list(printed[:place]), list(printed[place:])
    for place, line in enumerate(printed):  # so many threads that the first line was not kept
        if _THREAD.match(line):
            return list(printed[:place]), list(printed[place:])
    return list(printed), []


def time_was_over(stack: Sequence[str]) -> bool:
    """Whether the watchdog of the child printed these stacks."""
    return bool(stack) and (bool(_TIME_OVER.match(stack[0])) or not stack[0].startswith(_DIED))
