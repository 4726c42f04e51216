"""Runs another program under a deadline: its whole process group dies with it, its output is bounded."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

import msgspec

#: bytes kept of each stream: no tool that is asked here says more, and a runaway one must not fill memory
OUTPUT_LIMIT = 16 * 1024 * 1024
#: a flag of CreateProcessW that the module subprocess has no name for (winbase.h)
CREATE_SUSPENDED = 0x4


class Ended(msgspec.Struct, frozen=True):
    """How a child ended: ``code`` is None if it was killed at the deadline; ``signal`` is a name such as SIGSEGV."""

    code: int | None
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    signal: str = ""


def run_child(
    argv: Sequence[str],
    timeout_s: float,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: str | None = None,
    stdin: bytes = b"",
) -> Ended:
    """Run ``argv`` (an argument list, never a shell) and wait at most ``timeout_s`` seconds.

    Raises OSError if the program cannot be started.
    """
    child = start_child(argv, environ=environ, cwd=cwd)
    return finish_child(child, timeout_s, stdin)


def start_child(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    cwd: str | None = None,
    suspended: bool = False,
) -> subprocess.Popen[bytes]:
    """Start ``argv`` as the leader of its own process group. Raises OSError if it cannot be started.

    ``suspended``: on Windows it does not run before it is resumed; elsewhere it runs at once.
    """
    options: dict[str, object] = {}
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        options["creationflags"] = flags | (CREATE_SUSPENDED if suspended else 0)
    else:
        options["start_new_session"] = True
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        list(argv),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=None if environ is None else dict(environ),
        cwd=cwd,
        **options,
    )


def finish_child(child: subprocess.Popen[bytes], timeout_s: float, stdin: bytes = b"") -> Ended:
    """Feed ``stdin``, gather the output, and kill the process group if it takes over ``timeout_s`` seconds."""
    gathered: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}

    def drain(name: str) -> None:
        stream = child.stdout if name == "out" else child.stderr
        assert stream is not None
        while chunk := stream.read1(65536):  # type: ignore[attr-defined]
            if len(gathered[name]) < OUTPUT_LIMIT:
                gathered[name] += chunk

    readers = [threading.Thread(target=drain, args=(name,), daemon=True) for name in gathered]
    for reader in readers:
        reader.start()
    try:
        assert child.stdin is not None
        if stdin:
            child.stdin.write(stdin)
        child.stdin.close()
    except OSError:
        pass  # it ended without reading
    try:
        timed_out = not _ends_within(child, timeout_s)
    except BaseException:  # Ctrl-C reaches us alone: the child leads a group of its own
        kill_group(child)
        raise
    kill_group(child)  # also what an ended child left running: it would hold our pipes open
    for reader in readers:
        reader.join(1.0)
    code = child.poll()
    name = ""
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
    return Ended(
        code=None if timed_out else code,
        stdout=bytes(gathered["out"]),
        stderr=bytes(gathered["err"]),
        timed_out=timed_out,
        signal="" if timed_out else name,
    )


def _ends_within(child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Wait for the child's end; False if it takes longer.

    A thread waits without a limit: ``Popen.wait(timeout)`` polls on POSIX, and would add up to 50 ms to each child.
    """
    ended = threading.Event()

    def wait() -> None:
        child.wait()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended.wait(timeout_s)


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and everything it started that is still in its group."""
    if sys.platform == "win32":
        if child.poll() is None:
            import psutil

            try:
                family = psutil.Process(child.pid).children(recursive=True)
            except psutil.Error:
                family = []
            child.kill()
            for process in family:
                try:
                    process.kill()
                except psutil.Error:
                    continue
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in the kernel (a hung driver): no more can be done
        child.wait(2.0)
