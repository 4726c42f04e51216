"""Kills Python code at every moment at which it changes something, for tests of what is left then.

    def test_move_survives_being_killed(tmp_path):
        def fresh():                       # called before each run: makes everything anew, returns the code
            room = make_room(tmp_path)
            return f"from x import work; work({str(room)!r})"

        for moment in every_moment(fresh):          # 1st, 2nd, 3rd ... change, until the code ends by itself
            recover(); check()                      # ``moment.what`` says before which change it died
        # here the code has run to its end once (that run is not yielded)

A moment is right before a change: opening for writing, rename, remove, mkdir, link, chmod, utime, truncate, starting a
program, writing to or closing a file object, os.write, os.fsync, sendfile; an ``os.write`` has a second moment, with
half of its bytes written. Code that prepares something first can call ``arm()`` (a name it finds defined): only what
comes after that counts; ``moment("words")`` is a moment of its own. What it prints to standard output or error does
not count.

``killed_after`` kills at a time instead, with everything that the code started: for what other programs do (uv, git).
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import psutil

ROOT = Path(__file__).parent.parent.parent
#: code as a string, or a script's path with its arguments
Code = str | Sequence[str]
#: an environment variable that what the code starts inherits: so its orphans are known
MARK = "HFDOCTOR_TEST_KILLED"
#: seconds after which code that was not killed is taken for hung
PATIENCE_S = 120.0

#: runs in the child: argv is moment, then "-" and code, or a script and its arguments
_BOOT = r"""
import builtins, io, os, sys, threading
moment, words = int(sys.argv[1]), sys.argv[2:]
count, armed, busy, pending = 0, True, False, os.getpid()
lock = threading.RLock()

def note(text):
    real_write(2, ("\n" + text + "\n").encode("utf-8", "backslashreplace"))

def die(what):
    note("killed before moment %d: %s" % (count, what))
    os.kill(os.getpid(), 9)
    threading.Event().wait()

def tick(what):
    global count
    if not armed or os.getpid() != pending:
        return
    with lock:
        count += 1
        if count == moment:
            die(what)

def arm():
    global armed, count
    armed, count = True, 0

EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
          "os.chown", "os.utime", "os.setxattr", "os.removexattr", "subprocess.Popen", "os.posix_spawn",
          "os.startfile", "winreg.SetValue", "winreg.DeleteValue", "winreg.DeleteKey", "winreg.CreateKey"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

def hook(event, args):
    if event == "open":
        path, mode, flags = args
        if isinstance(path, int) or not isinstance(flags, int) or not flags & WRITING:
            return
        if os.fspath(path) in ("/dev/null", "nul", "NUL", b"/dev/null"):
            return
        tick("open %r" % (path,))
    elif event in EVENTS:
        tick("%s %r" % (event, args[:2]))

real_write = os.write
def write(fd, data):
    if fd in (1, 2):
        return real_write(fd, data)
    tick("os.write %d bytes" % len(data))
    if armed and count + 1 == moment:
        real_write(fd, bytes(data)[: len(data) // 2])
    tick("os.write with half of its bytes written")
    return real_write(fd, data)
os.write = write

def wrap(name):
    real = getattr(os, name, None)
    if real is not None:
        def wrapped(*args, **named):
            tick("os." + name)
            return real(*args, **named)
        setattr(os, name, wrapped)
for name in ("fsync", "fdatasync", "sendfile", "copy_file_range", "pwrite", "writev", "posix_fallocate"):
    wrap(name)

FILES = (io.FileIO, io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)
METHODS = {"write", "writelines", "flush", "close", "truncate"}
def profile(frame, event, arg):
    if event == "c_call" and arg.__name__ in METHODS:
        file = getattr(arg, "__self__", None)
        if isinstance(file, FILES) and not file.closed and writable(file):
            tick("%s of %r" % (arg.__name__, getattr(file, "name", "")))

def writable(file):
    try:
        return file.fileno() > 2 and file.writable() and not isinstance(file.name, int)
    except (OSError, ValueError, AttributeError):
        return False

builtins.arm, builtins.moment = arm, tick
if words[0] == "-":
    code = compile(words[1], "<killed>", "exec")
    sys.argv[:] = ["-"]
    armed = "arm()" not in words[1]
else:
    with open(words[0], encoding="utf-8") as script:
        source = script.read()
    code = compile(source, words[0], "exec")
    sys.argv[:] = words
    armed = "arm()" not in source
sys.addaudithook(hook)
threading.setprofile(profile)
sys.setprofile(profile)
try:
    exec(code, {"__name__": "__main__", "__builtins__": builtins})
finally:
    sys.setprofile(None)
    armed = False
    note("moments in all: %d" % count)
"""


class Moment(int):
    """The number of a moment, from 1; ``what`` is the change that was not made any more."""

    what: str

    def __new__(cls, number: int, what: str) -> Moment:
        self = super().__new__(cls, number)
        self.what = what
        return self


def killed_at(
    code: Code,
    moment: int,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    python: Sequence[str] = (sys.executable,),
) -> bool:
    """Run ``code`` in a child that kills itself right before its ``moment``-th change; see the module's words.

    Returns True if it ended by itself before that. ``environ`` is added to this process's environment; hfdoctor can
    be imported unless PYTHONPATH is in it. ``python`` starts the interpreter; a launcher of the Windows Python works,
    too: its TerminateProcess is as sudden. What the child had started is killed with it. Raises AssertionError if the
    code fails by itself.
    """
    return _run(code, moment, environ, cwd, python)[0] is None


def moments_of(
    code: Code,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    python: Sequence[str] = (sys.executable,),
) -> int:
    """How many moments ``code`` has: it runs to its end."""
    return _run(code, 0, environ, cwd, python)[1]


def every_moment(
    code: Code | Callable[[], Code],
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    python: Sequence[str] = (sys.executable,),
    at_most: int | None = None,
) -> Iterator[Moment]:
    """Kill ``code`` at its first moment, its second ... until it ends by itself; yields after each kill.

    A callable ``code`` is called before each run: it makes everything anew and returns the code. ``at_most``: of more
    moments than these, so many are taken, evenly spread, the first and the last among them (one more run counts them).
    """

    def again() -> Code:
        return code() if callable(code) else code

    chosen: Sequence[int] | None = None
    if at_most is not None:
        total = moments_of(again(), environ=environ, cwd=cwd, python=python)
        if total > at_most:
            chosen = sorted({1 + round(n * (total - 1) / max(1, at_most - 1)) for n in range(at_most)})
    number = 0
    while True:
        if chosen is not None and number == len(chosen):
            break
        moment = chosen[number] if chosen is not None else number + 1
        what, _ = _run(again(), moment, environ, cwd, python)
        if what is None:
            break
        number += 1
        yield Moment(moment, what)
    assert number, "the code changes nothing: it was never killed"


def killed_after(
    code: Code,
    seconds: float | None = None,
    *,
    at_most_s: float = 1.0,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    python: Sequence[str] = (sys.executable,),
    chance: random.Random | None = None,
    family: bool = True,
) -> bool:
    """Run ``code`` and kill it, with all that it started, after ``seconds`` (None: at random, at most ``at_most_s``).

    Time counts from when the code calls ``arm()``, where it does, else from its start. Without ``family`` only the
    process itself is killed, and what it started goes on. Returns True if it ended by itself before that.
    """
    delay = seconds if seconds is not None else (chance or random.Random()).uniform(0, at_most_s)
    text = code if isinstance(code, str) else Path(code[0]).read_text("utf-8")
    mark = uuid.uuid4().hex
    boot = "import builtins, os\nbuiltins.arm = lambda: os.write(1, b'armed\\n')\n"
    if isinstance(code, str):
        argv = [*python, "-B", "-c", boot + code]
    else:
        argv = [*python, "-B", "-c", boot + f"import runpy, sys\nsys.argv[:] = {list(code)!r}\n"]
        argv[-1] += f"runpy.run_path({code[0]!r}, run_name='__main__')\n"
    child = _start(argv, environ, cwd, mark)
    assert child.stdout is not None
    if "arm()" in text:
        for line in child.stdout:
            if line.strip() == b"armed":
                break
    try:
        ended = child.wait(delay)
    except subprocess.TimeoutExpired:
        ended = None
        if family:
            _kill(child)
        else:
            child.kill()
    if family:
        _kill_orphans(mark)
    _, said = child.communicate()
    assert ended is None or ended == 0, said.decode(errors="replace")
    return ended is not None


def _start(argv: list[str], environ: Mapping[str, str] | None, cwd: Path | None, mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        env=_environ(environ, mark),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=os.name == "posix",
    )


def _run(
    code: Code, moment: int, environ: Mapping[str, str] | None, cwd: Path | None, python: Sequence[str]
) -> tuple[str | None, int]:
    """What it was killed before (None: it ended by itself), and how many moments it had until its end."""
    mark = uuid.uuid4().hex
    words = [str(moment), "-", code] if isinstance(code, str) else [str(moment), *code]
    try:
        if sys.platform == "linux" and isinstance(code, str) and tuple(python) == (sys.executable,):
            ended, said = _forked(words, environ, cwd, mark)
        else:
            ended, said = _started([*python, "-B", "-c", _BOOT, *words], environ, cwd, mark)
    finally:
        _kill_orphans(mark)
    if died := re.search(r"^killed before moment \d+: (.*)$", said, re.MULTILINE):
        assert ended in (-getattr(signal, "SIGKILL", 9), 9), said
        return died.group(1).strip(), moment
    assert ended == 0, said
    total = re.search(r"^moments in all: (\d+)", said, re.MULTILINE)
    assert total, said
    return None, int(total.group(1))


def _started(argv: list[str], environ: Mapping[str, str] | None, cwd: Path | None, mark: str) -> tuple[int, str]:
    """How a new interpreter ended, and what it said."""
    child = _start(argv, environ, cwd, mark)
    try:
        printed, raw = child.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        _kill(child)
        printed, raw = child.communicate()
        raise AssertionError(f"hung: {printed.decode(errors='replace')} {raw.decode(errors='replace')}") from None
    return child.returncode, printed.decode(errors="replace") + raw.decode(errors="replace")


def _forked(words: list[str], environ: Mapping[str, str] | None, cwd: Path | None, mark: str) -> tuple[int, str]:
    """The same of a fork of this interpreter: a new one takes nine times as long, for all that it imports."""
    assert sys.platform == "linux"
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            _be_the_child(words, environ, cwd, mark, said.fileno())
        until = time.monotonic() + PATIENCE_S
        hung = False
        while not (found := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > until and not hung:
                os.killpg(child, signal.SIGKILL)
                hung = True
            time.sleep(0.002)
        ended = os.waitstatus_to_exitcode(found[1])
        said.seek(0)
        text = said.read().decode(errors="replace")
    assert not hung, f"hung: {text}"
    return ended, text


def _be_the_child(
    words: list[str], environ: Mapping[str, str] | None, cwd: Path | None, mark: str, said: int
) -> NoReturn:
    ended = 1
    try:
        os.setsid()
        for standard in (1, 2):
            os.dup2(said, standard)
        sys.stdout = sys.stderr = open(2, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115
        os.environ.update(_environ(environ, mark))
        sys.dont_write_bytecode = True
        if cwd is not None:
            os.chdir(cwd)
        sys.argv[:] = ["-c", *words]
        exec(compile(_BOOT, "<boot>", "exec"), {"__name__": "<boot>"})
        ended = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(ended)


def _environ(added: Mapping[str, str] | None, mark: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **(added or {}), "PYTHONDONTWRITEBYTECODE": "1", MARK: mark}


def _kill(child: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()


def _kill_orphans(mark: str) -> None:
    """Kill what the child started in groups of its own."""
    for _ in range(20):  # one that is killed may just have started another
        found = [process for process in psutil.process_iter() if _marked(process, mark)]
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not found:
            return
        psutil.wait_procs(found, timeout=5)


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False
