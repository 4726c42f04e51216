"""Start the target interpreter and have it tell what it is; when it does not start, find out why.

A healthy target is started once. Only when it gives no answer is it started again, with less and less of its
surroundings (without start-up files, without the PYTHON* variables), so that the cause is observed and not guessed.
"""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..child import Ended, finish_child, run_child, start_child
from ..inspect_python import MARKER
from ..probe import Context
from ..sections.target import Start
from .choose_target import Choice, looks_like_python

SCRIPT = str(Path(__file__).parent.parent / "ask_python.py")
#: seconds that a start of the target may take: a cold network disk is slow, an endless start-up file is not waited for
START_S = 10.0
#: the same for each later, barer start
RETRY_S = 4.0

WINDOWS_NO_BASE = 103  # exit codes of the launcher that is python.exe in a virtual environment
WINDOWS_NO_CONFIG = 106
WINDOWS_DLL_NOT_FOUND = 0xC0000135
WINDOWS_STORE_STUB = 9009


class Started(msgspec.Struct):
    """What came of starting the target.

    ``facts`` is what it said of itself: all of it if it started, and None if not. ``bare`` is what it said when it was
    started without site and without PYTHON* variables, where only that worked.
    """

    start: Start
    facts: dict[str, Any] | None = None
    bare: dict[str, Any] | None = None


class Starting:
    """The first start, under way: the doctor looks at files meanwhile."""

    def __init__(self, context: Context, choice: Choice) -> None:
        self.context = context
        self.choice = choice
        self.child: subprocess.Popen[bytes] | None = None
        self.error: OSError | None = None
        try:
            # in the user's own folder: relative entries of PYTHONPATH mean what they mean to the user. That folder is
            # not on sys.path, since a script is started by path. -B: an inspection leaves no files behind
            self.child = start_child(
                [choice.python, "-B", SCRIPT], environ=context.request.environ, cwd=folder_to_run_in(context)
            )
        except OSError as error:
            self.error = error

    def finish(self) -> Started:
        """Wait for the answer; find the cause where there is none."""
        if self.child is None:
            assert self.error is not None
            return Started(_could_not_run(self.choice.python, self.error))
        ended = finish_child(self.child, self.context.left_s(START_S))
        facts = answer_in(ended.stdout)
        if facts is not None:
            return Started(Start(ok=True, exit_code=ended.code, signal=ended.signal, stderr=tail(ended.stderr)), facts)
        return self._explain(ended)

    def _explain(self, ended: Ended) -> Started:
        def again(*options: str) -> dict[str, Any] | None:
            return try_start(self.context, self.choice.python, *options)

        start = Start(ok=False, exit_code=ended.code, signal=ended.signal, stderr=tail(ended.stderr))
        bare = again("-E", "-s", "-S")
        if bare is None:
            start.trouble, start.detail = classify(self.choice, ended, self.context.request.environ)
            return Started(start)
        if again("-S") is not None:
            start.trouble = "startup-file"
        elif again("-E") is not None:
            start.trouble = "settings"
            start.culprit, start.detail = self._blocking_variable(), "it starts without the PYTHON* variables"
        else:
            start.trouble = "hung" if ended.timed_out else "crashed"
            start.detail = "it starts without the PYTHON* variables and without start-up files"
        return Started(start, bare=bare)

    def _blocking_variable(self) -> str:
        """The one PYTHON* variable without which the target starts; "" if it takes more than one."""
        environ = self.context.request.environ
        names = [name for name in environ if name.startswith("PYTHON")]
        for name in sorted(names, key=lambda name: name not in ("PYTHONHOME", "PYTHONPATH")):
            less = {key: value for key, value in environ.items() if key != name}
            if try_start(self.context, self.choice.python, environ=less) is not None:
                return name
        return ""


def try_start(
    context: Context, python: str, *options: str, environ: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """What the target says when it is started with these options; None if nothing."""
    try:
        ended = run_child(
            [python, *options, "-B", SCRIPT],
            context.left_s(RETRY_S),
            environ=context.request.environ if environ is None else environ,
            cwd=folder_to_run_in(context),
        )
    except OSError:
        return None
    return answer_in(ended.stdout)


def folder_to_run_in(context: Context) -> str:
    """The user's folder, or the root where that one is gone or closed to us."""
    cwd = str(context.request.cwd)
    return cwd if os.path.isdir(cwd) and os.access(cwd, os.X_OK) else os.path.abspath(os.sep)


def answer_in(stdout: bytes) -> dict[str, Any] | None:
    """The JSON after the last marker; start-up files may have printed before and after it."""
    marker = MARKER.encode("ascii")
    for line in reversed(stdout.splitlines()):
        before, found, text = line.partition(marker)
        if found and not before:
            try:
                facts = _decode(text)
            except ValueError:
                continue
            return facts if isinstance(facts, dict) else None
    return None


def _decode(text: bytes) -> Any:
    """The value of a JSON text; raises ValueError."""
    if b"\\udc" in text.lower():  # a path with bytes that are no text: msgspec refuses it, and it must stay a path
        import json

        return json.loads(text)
    return msgspec.json.decode(text)


def tail(stream: bytes, limit: int = 2000) -> str:
    """The end of an output as text."""
    try:
        text = stream.decode("utf-8")
    except UnicodeDecodeError:
        # Python writes in the code page of Windows: 949 for Korean, in which user names and so paths are spelt
        text = stream.decode("mbcs" if os.name == "nt" else "utf-8", "backslashreplace")
    text = text.replace("\r\n", "\n").strip()
    return text if len(text) <= limit else "..." + text[-limit:]


# -- why it did not start ---------------------------------------------------------------------------------------------


def _could_not_run(python: str, error: OSError) -> Start:
    detail = f"{type(error).__name__}: {error.strerror or error}"
    if os.path.islink(python) and not os.path.exists(python):
        if error.errno in (errno.EACCES, errno.EPERM):  # the Python of another user's home: it may well be there
            detail = f"{python} is a link to {link_end(python)}, which this user may not open"
            return Start(ok=False, trouble="forbidden", detail=detail)
        return Start(ok=False, trouble="base-gone", detail=f"{python} is a link to {link_end(python)}, which is gone")
    if not os.path.lexists(python) and error.errno not in (errno.EACCES, errno.EPERM):
        return Start(ok=False, trouble="no-interpreter", detail=f"{python} is not there")
    windows_code = getattr(error, "winerror", None)
    if windows_code == 193:
        return Start(ok=False, trouble=_kind_of_program(python) or "not-python", detail=detail)
    if windows_code == 1920:  # "the file cannot be accessed by the system": an alias without its app
        return Start(ok=False, trouble="store-stub", detail=detail)
    if error.errno == errno.ENOEXEC:
        return Start(ok=False, trouble=_kind_of_program(python) or "not-python", detail=detail)
    if error.errno in (errno.EACCES, errno.EPERM) and not _may_give_right(python):
        return Start(ok=False, trouble="forbidden", detail=detail)
    if error.errno in (errno.EACCES, errno.EPERM) or os.path.isdir(python):
        return Start(ok=False, trouble="not-executable", detail=detail)
    if error.errno == errno.ENOENT:  # the file is there: what is missing is the program that would load it
        trouble = _kind_of_program(python)
        if trouble == "wrong-architecture":
            return Start(ok=False, trouble=trouble, detail=detail)
        return Start(ok=False, trouble="missing-library" if trouble is not None else "not-python", detail=detail)
    return Start(ok=False, trouble="other", detail=detail)


def _may_give_right(python: str) -> bool:
    """Whether this user could make the file executable: chmod is for its owner, and needs the way to it open."""
    try:
        return os.name == "nt" or os.stat(python).st_uid == os.geteuid()
    except OSError:
        return False


def link_end(path: str) -> str:
    """Where a chain of links ends, whether or not something is there."""
    for _ in range(40):
        if not os.path.islink(path):
            break
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return path


#: e_machine of ELF -> what os.uname() calls it
ELF_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64", 21: "ppc64", 22: "s390x"}
FAMILIES = (("x86_64", "amd64"), ("aarch64", "arm64"), ("i386", "i486", "i586", "i686"))


def _kind_of_program(path: str) -> str | None:
    """wrong-architecture, "" for a program of this machine's kind, or None for what is no program at all."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError:
        return None
    machine = os.uname().machine.lower() if os.name != "nt" else ""
    if head[:4] == b"\x7fELF" and len(head) >= 20:
        if os.name == "nt":
            return "wrong-architecture"
        order = "big" if head[5] == 2 else "little"
        built_for = ELF_MACHINES.get(int.from_bytes(head[18:20], order), "another processor")  # type: ignore[arg-type]
        same = built_for == machine or any(built_for in family and machine in family for family in FAMILIES)
        return "" if same else "wrong-architecture"
    if head[:4] in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe"):
        return "wrong-architecture"  # the system of a Mac refused it, or this is no Mac
    if head[:2] == b"MZ":
        return "wrong-architecture"
    if head[:2] == b"#!":
        return ""
    return None


NO_STDLIB = ("No module named 'encodings'", "No module named encodings", "unable to load the file system codec")
NO_LIBRARY = ("error while loading shared libraries", "Library not loaded", "cannot open shared object file")


def classify(choice: Choice, ended: Ended, environ: Mapping[str, str]) -> tuple[str, str]:
    """(word of START_TROUBLES, detail) for a target that gave no answer, however bare it was started."""
    stderr = ended.stderr.decode("utf-8", "replace")
    said = stderr + ended.stdout[-4000:].decode("utf-8", "replace")
    line = _telling_line(said)
    code = ended.code
    if code == WINDOWS_NO_BASE or re.search(r"No Python at ['\"]", said):
        return "base-gone", line
    if code == WINDOWS_NO_CONFIG:
        return "other", line or "pyvenv.cfg is missing"
    if code == WINDOWS_STORE_STUB or "Microsoft Store" in said:
        return "store-stub", line
    if code == WINDOWS_DLL_NOT_FOUND or any(words in said for words in NO_LIBRARY):
        return "missing-library", line
    if any(words in said for words in NO_STDLIB):
        return "no-stdlib", line
    if ended.timed_out:
        return "hung", ""
    if ended.signal:
        return "crashed", f"killed by {ended.signal}"
    if code == 0:
        return "not-python", "it ran and answered something else"
    if not looks_like_python(choice.python) or _kind_of_program(choice.python) is None:
        return "not-python", line
    return "other", line


def _telling_line(text: str) -> str:
    """The line of an output that says most: the last one that names an error, else the first one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        if re.search(r"error|cannot|not found|no such|no python at", line, re.IGNORECASE):
            return line[:300]
    return lines[0][:300] if lines else ""
