"""One question of Windows for everything that needs an administrator.

The values go as a plan file to a child (``elevated_child``) that Windows starts with an administrator's rights after
the person said yes. What counts afterwards is the registry, not the child's word. On Linux and macOS nothing is ever
elevated: what needs ``sudo`` is shown to the person.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from . import elevated_child, plan_file, raw_registry
from .action import Action, Refused, quiet
from .kinds.registry import RegistryAction, Stored, stored, words
from .kinds.variable_windows import WindowsVariableAction, tell_programs
from .place import own_folder

#: seconds; Windows waits for the person's answer, who may be away
DEADLINE_S = 600.0
#: seconds that a child which runs may take: it sets a handful of values
_CHILD_S = 60.0

Direction = Literal["apply", "undo"]

_CANCELLED = 1223
_REASONS = {
    elevated_child.DONE: "it was set back at once: a policy of this computer decides it",
    None: "there was no answer in time",
    elevated_child.NOT_ACCEPTED: "the part of hfdoctor that ran as administrator did not accept its plan",
    elevated_child.NOT_AS_RECORDED: "a value was changed by somebody else in between",
    elevated_child.NOT_WRITTEN: "not even an administrator may change it: a policy of this computer decides it",
    elevated_child.NOT_PUT_BACK: "not even an administrator may change it: a policy of this computer decides it",
}


def may_administer() -> bool:
    """Whether this process has an administrator's rights already."""
    if sys.platform == "win32":
        import ctypes

        return bool(ctypes.WinDLL("shell32").IsUserAnAdmin())
    return os.geteuid() == 0


def together(actions: Sequence[Action], direction: Direction, state: Path, *, force: bool = False) -> None:
    """Make (or take back) ``actions``, the parts that only an administrator may after one question of Windows.

    ``state`` is the state folder. Raises Refused with everything as it was: the person or Windows said no, nobody
    answered, a value is not as it was recorded. Where the child died half-way, a second question puts back what it
    did; what remains is named. A refusal of what this process writes itself, which comes afterwards, takes nothing
    back: that is for the journal to do.
    """
    values = _values(actions)
    end = "after" if direction == "apply" else "before"
    theirs = [value for value in values if value.look().state != end and not raw_registry.may_write(value.key)]
    if theirs:
        _elevated(theirs, direction, state, force)
    for value in values if direction == "apply" else reversed(values):
        if not any(value is other for other in theirs):
            value.apply(quiet) if direction == "apply" else value.undo(quiet, force=force)
    if any(isinstance(action, WindowsVariableAction) for action in actions):
        tell_programs()


def _values(actions: Sequence[Action]) -> list[RegistryAction]:
    found: list[RegistryAction] = []
    for action in actions:
        if isinstance(action, WindowsVariableAction):
            found += action.values
        elif isinstance(action, RegistryAction):
            found.append(action)
    return found


def _elevated(wanted: Sequence[RegistryAction], direction: Direction, state: Path, force: bool) -> None:
    if os.name != "nt":
        raise Refused("only Windows has administrators to ask")
    if may_administer():
        raise Refused(f"{wanted[0].key} {wanted[0].name} may not be changed, not even by an administrator")
    code = _asked(wanted, direction, state, force)
    if all(_is_done(value, direction) for value in wanted):
        return
    reason = _REASONS.get(code, f"the part of hfdoctor that ran as administrator ended with code {code}")
    done = [value for value in wanted if _is_done(value, direction)]
    if done:
        with contextlib.suppress(Refused):
            _asked(done, "undo" if direction == "apply" else "apply", state, force)
        done = [value for value in done if _is_done(value, direction)]
    if done:
        left = ", ".join(f"{value.key} {value.name} is {words(_end(value, direction))}" for value in done)
        raise Refused(f"{reason}, and not all of it could be put back: {left}")
    # one that hangs with its plan read cannot be ended from here: it has other rights
    late = " so far (if its window still comes, hfdoctor check tells what became of it)" if code is None else ""
    raise Refused(f"{reason}: nothing was changed{late}")


def _is_done(value: RegistryAction, direction: str) -> bool:
    return stored(value.key, value.name) == _end(value, direction)


def _end(value: RegistryAction, direction: str) -> Stored | None:
    return value.new if direction == "apply" else value.old


def _asked(values: Sequence[RegistryAction], direction: str, state: Path, force: bool) -> int | None:
    """The exit code of the elevated child, None if it was not done in time. Raises Refused if there was no child."""
    import hashlib
    import secrets

    own_folder(state)
    _sweep(state)
    nonce = secrets.token_hex(16)
    data = plan_bytes(values, direction, nonce, force)
    path = state / f"elevate-{nonce}.json"
    try:
        plan_file.write_private(str(path), data)
    except OSError as error:
        raise Refused(f"hfdoctor cannot write its plan to {path}: {error.strerror or error}") from None
    try:
        # the Store's Python is shown a private AppData, an elevated child the real one
        return _run_elevated(os.path.realpath(path), hashlib.sha256(data).hexdigest(), path)
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def plan_bytes(values: Sequence[RegistryAction], direction: str, nonce: str, force: bool) -> bytes:
    """The plan file for these values. Raises OSError."""
    import msgspec

    plan = {
        "format": elevated_child.FORMAT,
        "nonce": nonce,
        "made": time.time(),
        "owner": plan_file.my_sid(),
        "direction": direction,
        "force": force,
        "values": [
            {
                "kind": "registry",
                "key": value.key,
                "name": value.name,
                "old": msgspec.to_builtins(value.old),
                "new": msgspec.to_builtins(value.new),
                "made": value.made,
            }
            for value in values
        ],
    }
    return msgspec.json.encode(plan)


def _sweep(state: Path) -> None:
    """Remove plans that a killed hfdoctor left: they are too old for any child."""
    for path in state.glob("elevate-*.json"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > elevated_child.MAX_AGE_S:
                path.unlink()


def command(plan: str, sha256: str) -> list[str]:
    """The elevated child's command line, by absolute paths.

    The base interpreter, not a virtual environment's: that one's folder and ``pyvenv.cfg`` decide what it runs.
    """
    base = getattr(sys, "_base_executable", "") or sys.executable
    python = base if Path(base).is_file() else sys.executable
    child = os.path.abspath(elevated_child.__file__)  # noqa: PTH100
    return [python, "-I", "-S", "-B", child, plan, sha256]


def _run_elevated(plan: str, sha256: str, written: Path) -> int | None:
    import threading

    argv = command(plan, sha256)
    ended: dict[str, int | None] = {}

    def ask() -> None:
        try:
            ended["code"] = start_as_administrator(argv, _CHILD_S)
        except OSError as error:
            ended["error"] = getattr(error, "winerror", None) or error.errno

    # Windows' question holds the thread that asks it until it is answered
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    deadline = time.monotonic() + DEADLINE_S
    while thread.is_alive() and time.monotonic() < deadline:
        thread.join(0.1)  # in short turns: Ctrl-C comes through in between
    if thread.is_alive():
        with contextlib.suppress(OSError):
            written.unlink()  # a yes that comes too late finds nothing to do
        return None
    if "error" in ended:
        if ended["error"] == _CANCELLED:
            raise Refused("Windows asked for an administrator and the answer was no: nothing was changed")
        raise Refused(f"Windows could not ask for an administrator (error {ended['error']}): nothing was changed")
    return ended.get("code")


def start_as_administrator(argv: Sequence[str], timeout_s: float) -> int | None:
    """Start a program with an administrator's rights and wait for its exit code; None if it takes too long.

    Raises OSError where the person says no (error 1223) or Windows cannot ask.
    """
    if sys.platform == "win32":
        import ctypes
        import subprocess
        from ctypes import wintypes

        class Execute(ctypes.Structure):
            """SHELLEXECUTEINFOW (shellapi.h)."""

            _fields_ = (
                ("size", wintypes.DWORD),
                ("mask", wintypes.ULONG),
                ("window", wintypes.HWND),
                ("verb", wintypes.LPCWSTR),
                ("file", wintypes.LPCWSTR),
                ("parameters", wintypes.LPCWSTR),
                ("folder", wintypes.LPCWSTR),
                ("show", ctypes.c_int),
                ("instance", wintypes.HINSTANCE),
                ("id_list", ctypes.c_void_p),
                ("class_name", wintypes.LPCWSTR),
                ("class_key", wintypes.HKEY),
                ("hot_key", wintypes.DWORD),
                ("icon", wintypes.HANDLE),
                ("process", wintypes.HANDLE),
            )

        shell = ctypes.WinDLL("shell32", use_last_error=True)
        shell.ShellExecuteExW.argtypes = (ctypes.POINTER(Execute),)
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.WaitForSingleObject.argtypes = (wintypes.HANDLE, wintypes.DWORD)
        kernel.GetExitCodeProcess.argtypes = (wintypes.HANDLE, ctypes.POINTER(wintypes.DWORD))
        kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
        user = ctypes.WinDLL("user32")
        user.GetForegroundWindow.restype = wintypes.HWND
        with contextlib.suppress(OSError):
            # the shell's extensions want it; single-threaded, without DDE
            ctypes.WinDLL("ole32").CoInitializeEx(None, 0x2 | 0x4)
        keep_process, wait_for_it, no_dialogs, hidden = 0x40, 0x100, 0x400, 0
        execute = Execute(
            size=ctypes.sizeof(Execute),
            mask=keep_process | wait_for_it | no_dialogs,
            window=user.GetForegroundWindow(),
            verb="runas",
            file=argv[0],
            parameters=subprocess.list2cmdline(argv[1:]),
            folder=_system_folder(),
            show=hidden,
        )
        if not shell.ShellExecuteExW(ctypes.byref(execute)):
            raise ctypes.WinError(ctypes.get_last_error())
        if not execute.process:
            raise OSError("Windows started nothing")
        try:
            if kernel.WaitForSingleObject(execute.process, int(timeout_s * 1000)):
                return None
            code = wintypes.DWORD()
            if not kernel.GetExitCodeProcess(execute.process, ctypes.byref(code)):
                raise ctypes.WinError(ctypes.get_last_error())
            return code.value
        finally:
            kernel.CloseHandle(execute.process)
    raise OSError("only Windows has administrators to ask")


def _system_folder() -> str:
    """Where the child starts: a folder in which the person cannot put anything."""
    if sys.platform == "win32":
        import ctypes

        buffer = ctypes.create_unicode_buffer(260)
        if ctypes.WinDLL("kernel32").GetSystemDirectoryW(buffer, 260):
            return buffer.value
    return "C:\\Windows\\System32"
