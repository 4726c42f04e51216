"""Runs hfdoctor at a pseudo-terminal and answers its questions, as a person would."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def _take_the_terminal() -> None:
    """Make Ctrl-C reach the program, also where whoever runs the tests has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def at_a_terminal(
    words: Sequence[str],
    answers: Sequence[tuple[str, str]],
    *,
    environ: Mapping[str, str],
    cwd: Path,
    limit_s: float = 60.0,
) -> tuple[int, str]:
    """Run ``hfdoctor WORDS``; each of ``answers`` is typed once its first part has been printed.

    Returns the exit code and all that was shown. Raises TimeoutError if it does not end within ``limit_s`` seconds.
    """
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "hfdoctor", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        cwd=cwd,
        start_new_session=True,
        preexec_fn=_take_the_terminal,
    )
    os.close(theirs)
    shown, unread = "", ""
    typed, at = "", 0.0
    waiting = list(answers)
    ends = time.monotonic() + limit_s
    try:
        while True:
            if time.monotonic() > ends:
                raise TimeoutError(f"still running after {limit_s:g} s; it said:\n{shown}")
            ready, _, _ = select.select([mine], [], [], 0.2)
            if ready:
                try:
                    text = os.read(mine, 65536).decode("utf-8", "replace")
                except OSError:  # the terminal is closed: it has ended
                    text = ""
                if not text:
                    break
                shown += text
                unread += text
            while waiting and waiting[0][0] in unread:
                question, answer = waiting.pop(0)
                unread = unread[unread.index(question) + len(question) :]
                os.write(mine, answer.encode())
                typed, at = answer, time.monotonic()
            if typed == "\x03" and time.monotonic() > at + 2:
                os.write(mine, b"\x03")  # it came while Python was on its way to the question: a person tries again
                at = time.monotonic()
        return child.wait(10), shown.replace("\r\n", "\n")
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(mine)
