"""A person's environment variables on a real registry; see inside.py."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from hfdoctor.conditions.changes import VariableChange
from hfdoctor.remedies import raw_registry
from hfdoctor.remedies.action import Workplace, quiet
from hfdoctor.remedies.kinds import variable_windows
from hfdoctor.remedies.kinds.registered import prepare
from hfdoctor.remedies.kinds.variable_windows import MACHINE, PERSON, VOLATILE, WindowsVariableAction
from tests.remedies.made import workplace

from . import exports
from .cases_registry import applied_and_undone, nothing_to_do, refused, through_journal

HOME = VariableChange("HF_HOME", r"D:\모델 hf")


def place(**environ: str) -> Workplace:
    return workplace(Path(os.environ["TEMP"]), environ=environ)


def text(value: str) -> bytes:
    return (value + "\0").encode("utf-16-le")


def new_process() -> dict[str, str]:
    """The variables that Windows itself gives a program of this user (CreateEnvironmentBlock), in capital letters."""
    assert sys.platform == "win32"
    userenv, advapi, kernel = (ctypes.WinDLL(name) for name in ("userenv", "advapi32", "kernel32"))
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    token, block = ctypes.c_void_p(), ctypes.c_void_p()
    advapi.OpenProcessToken.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
    assert advapi.OpenProcessToken(kernel.GetCurrentProcess(), 0xB, ctypes.byref(token))
    userenv.CreateEnvironmentBlock.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
    assert userenv.CreateEnvironmentBlock(ctypes.byref(block), token, 0)
    found, address = {}, block.value
    assert address
    while entry := ctypes.wstring_at(address):
        name, _, value = entry.partition("=")
        found[name.upper()] = value
        address += 2 * (len(entry) + 1)
    return found


def agrees(action: WindowsVariableAction) -> bool:
    """Whether Windows gives a new program what the action says."""
    told = action.environ_after({action.name.lower(): "of this terminal", "OTHER": "stays"})
    assert told.pop("OTHER") == "stays"
    assert len(told) == (0 if action.value is None else 1)
    return new_process().get(action.name.upper()) == told.get(action.name)


def case_set_where_nothing_was() -> None:
    exports.remove(PERSON, "HF_HOME")
    action = prepare(HOME, place())
    assert isinstance(action, WindowsVariableAction)
    assert [(one.what, one.old, one.new) for one in action.describe()] == [
        ("environment variable HF_HOME", "not set", r"D:\모델 hf")
    ]
    assert not action.needs().administrator
    assert "new terminal" in action.still_to_do()[0]
    applied_and_undone(HOME, {(PERSON.upper(), "HF_HOME"): ("gone", (1, text(r"D:\모델 hf")))})


def case_set_over_every_kind_of_old_value() -> None:
    olds: dict[str, tuple[int, bytes]] = {
        "hf_home": (2, text(r"%USERPROFILE%\hf")),
        "HF_Home": (1, r"C:\hf without end".encode("utf-16-le")),
        "HF_HOME": (4, b"\1\0\0\0"),
        "hF_hOmE": (1, text("")),
    }
    for name, (kind, data) in olds.items():
        exports.put(PERSON, name, kind, data)
        before = exports.whole("HKCU")
        action = through_journal(prepare(HOME, place()))
        action.apply(quiet)
        assert exports.changes(before, exports.whole("HKCU")) == {
            (PERSON.upper(), name): ((kind, data), (1, text(r"D:\모델 hf")))
        }
        assert agrees(action)
        with nothing_to_do():
            prepare(HOME, place(HF_HOME="of this terminal"))
        action.undo(quiet)
        assert exports.whole("HKCU") == before, name
        exports.remove(PERSON, name)


def case_percent_signs_are_taken_literally() -> None:
    for value in (r"C:\100%\x", r"%TEMP%\hf", "%%"):
        action = prepare(VariableChange("HF_HOME", value), place())
        action.apply(quiet)
        assert agrees(action), value
        with nothing_to_do():
            prepare(VariableChange("HF_HOME", value), place())
        action.undo(quiet)
    # the same letters in a text that Windows expands are another value
    exports.put(PERSON, "HF_HOME", 2, text(r"%TEMP%\hf"))
    action = prepare(VariableChange("HF_HOME", r"%TEMP%\hf"), place())
    action.apply(quiet)
    assert agrees(action)
    action.undo(quiet)
    exports.put(PERSON, "HF_HOME", 2, text(r"C:\hf"))
    with nothing_to_do():
        prepare(VariableChange("HF_HOME", r"C:\hf"), place())
    exports.remove(PERSON, "HF_HOME")


def case_the_persons_value_stands_above_the_computers() -> None:
    exports.put(MACHINE, "HF_HOME", 1, text(r"E:\all"))
    with nothing_to_do():
        prepare(VariableChange("HF_HOME", r"E:\all"), place())
    action = prepare(HOME, place())
    action.apply(quiet)
    assert agrees(action)
    action.undo(quiet)
    assert new_process()["HF_HOME"] == r"E:\all"
    exports.remove(MACHINE, "HF_HOME")


def case_taken_away_wherever_it_is_set() -> None:
    gone = VariableChange("HF_HUB_OFFLINE")
    person = ((PERSON.upper(), "HF_HUB_OFFLINE"), (2, text("%X%")))
    machine = ((MACHINE.upper(), "hf_hub_offline"), (1, text("1")))
    exports.put(PERSON, "HF_HUB_OFFLINE", *person[1])
    applied_and_undone(gone, {person[0]: (person[1], "gone")})
    exports.put(MACHINE, "hf_hub_offline", *machine[1])
    applied_and_undone(gone, {person[0]: (person[1], "gone"), machine[0]: (machine[1], "gone")})
    both = prepare(gone, place())
    assert isinstance(both, WindowsVariableAction)
    assert [one.what for one in both.describe()] == [
        "environment variable HF_HUB_OFFLINE",
        "environment variable of the computer hf_hub_offline",
    ]
    both.apply(quiet)
    assert agrees(both)
    both.undo(quiet)
    exports.remove(PERSON, "HF_HUB_OFFLINE")
    alone = prepare(gone, place())
    assert isinstance(alone, WindowsVariableAction)
    assert [value.key for value in alone.values] == [MACHINE]
    raw_may_write = raw_registry.may_write
    raw_registry.may_write = lambda key: key.startswith("HKCU")
    try:
        assert prepare(gone, place()).needs().administrator
        exports.put(MACHINE, "SOMEBODYS", 1, text("1"))
        with refused("whole computer", "Edit the system environment variables"):
            prepare(VariableChange("SOMEBODYS"), place())
    finally:
        raw_registry.may_write = raw_may_write
    exports.remove(MACHINE, "SOMEBODYS")
    exports.remove(MACHINE, "hf_hub_offline")
    with nothing_to_do():
        prepare(gone, place())
    with refused('"set HF_HUB_OFFLINE="', "only in this terminal"):
        prepare(gone, place(hf_hub_offline="1"))


def case_killed_in_the_middle() -> None:
    gone = VariableChange("HF_HUB_OFFLINE")
    exports.put(PERSON, "HF_HUB_OFFLINE", 1, text("1"))
    exports.put(MACHINE, "HF_HUB_OFFLINE", 1, text("0"))
    before = exports.whole(PERSON, MACHINE)
    action = through_journal(prepare(gone, place()))
    for half in (PERSON, MACHINE):
        exports.remove(half, "HF_HUB_OFFLINE")
        assert action.look().state == "between"
        action.undo(quiet)
        assert exports.whole(PERSON, MACHINE) == before
        exports.remove(half, "HF_HUB_OFFLINE")
        action.apply(quiet)
        assert action.look().state == "after"
        action.undo(quiet)
        assert exports.whole(PERSON, MACHINE) == before
    for key in (PERSON, MACHINE):
        exports.remove(key, "HF_HUB_OFFLINE")


def case_changed_by_somebody_else_since() -> None:
    action = prepare(HOME, place())
    action.apply(quiet)
    exports.put(PERSON, "HF_HOME", 1, text(r"E:\theirs"))
    seen = action.look()
    assert seen.state == "other"
    assert [(one.what, one.old, one.new) for one in seen.shows] == [
        ("environment variable HF_HOME", r"D:\모델 hf", r"E:\theirs")
    ]
    with refused("somebody else"):
        action.undo(quiet)
    action.undo(quiet, force=True)
    assert exports.whole(PERSON).get((PERSON, "HF_HOME")) is None


def case_names_and_values_that_cannot_be() -> None:
    before = exports.whole(PERSON)
    for name in ("", "A=B", "A\0B", "A" * 300):
        with refused("is no name"):
            prepare(VariableChange(name, "x"), place())
    for name in ("PATH", "Path"):
        with refused(name):
            prepare(VariableChange(name, "x"), place())
    with refused("no variable can hold"):
        prepare(VariableChange("HF_HOME", "a\0b"), place())
    with refused("too long"):
        prepare(VariableChange("HF_HOME", "x" * 32767), place())
    long = prepare(VariableChange("HF_HOME", "x" * 32000), place())
    long.apply(quiet)
    long.undo(quiet)
    assert exports.whole(PERSON) == before


def case_what_is_set_at_each_sign_in() -> None:
    exports.put(VOLATILE, "HF_HOME", 1, text("x"))
    for change in (HOME, VariableChange("HF_HOME")):
        with refused("each time you sign in"):
            prepare(change, place(HF_HOME="x"))
    exports.remove(VOLATILE, "HF_HOME")


def case_secrets_stay_out_of_plans() -> None:
    secrets = {
        "HF_ENDPOINT": "https://ana:geheim@mirror.example.org",
        "HTTPS_PROXY": "http://ana:ge#heim@proxy:8080",
        "UV_INDEX_URL": "https://ana:geheim@index.example.org/simple",
    }
    for name, value in secrets.items():
        for key in (PERSON, MACHINE):
            exports.put(key, name, 1, text(value))
            with refused(name):
                prepare(VariableChange(name), place())
            exports.remove(key, name)


def case_a_packaged_python_gives_the_steps() -> None:
    real = variable_windows.packaged
    variable_windows.packaged = lambda: True
    try:
        with refused("Edit environment variables for your account", r"set HF_HOME to D:\모델 hf"):
            prepare(HOME, place())
        with nothing_to_do():
            prepare(VariableChange("HF_HOME"), place())
    finally:
        variable_windows.packaged = real


def case_programs_that_run_are_told() -> None:
    """A window of our own hears that "Environment" changed, once when it is set and once when it is put back."""
    assert sys.platform == "win32"
    import threading
    from ctypes import wintypes

    user = ctypes.WinDLL("user32", use_last_error=True)
    kind = ctypes.WINFUNCTYPE(ctypes.c_ssize_t, wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM)
    user.DefWindowProcW.argtypes = (wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM)
    user.DefWindowProcW.restype = ctypes.c_ssize_t
    heard: list[str] = []

    def hear(window: int, message: int, wide: int, long: int) -> int:
        if message == 0x1A and long:
            heard.append(ctypes.wstring_at(long))
        return int(user.DefWindowProcW(window, message, wide, long))

    procedure = kind(hear)

    class WindowClass(ctypes.Structure):
        _fields_ = (
            ("style", wintypes.UINT),
            ("procedure", kind),
            ("extra", ctypes.c_int * 2),
            ("instance", wintypes.HINSTANCE),
            ("icon", wintypes.HANDLE),
            ("cursor", wintypes.HANDLE),
            ("brush", wintypes.HANDLE),
            ("menu", wintypes.LPCWSTR),
            ("name", wintypes.LPCWSTR),
        )

    ready = threading.Event()
    state: dict[str, int] = {}

    def listen() -> None:
        described = WindowClass(procedure=procedure, name="hfdoctor tests")
        user.RegisterClassW(ctypes.byref(described))
        user.CreateWindowExW.argtypes = (
            *(wintypes.DWORD, wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.DWORD),
            *[ctypes.c_int] * 4,
            *[ctypes.c_void_p] * 4,
        )
        user.CreateWindowExW.restype = wintypes.HWND
        state["window"] = user.CreateWindowExW(0, "hfdoctor tests", "", 0, 0, 0, 0, 0, None, None, None, None) or 0
        ready.set()
        message = wintypes.MSG()
        while state["window"] and user.GetMessageW(ctypes.byref(message), None, 0, 0) > 0:
            user.DispatchMessageW(ctypes.byref(message))

    threading.Thread(target=listen, daemon=True).start()
    assert ready.wait(30)
    assert state["window"], ctypes.get_last_error()
    action = prepare(HOME, place())
    action.apply(quiet)
    assert heard == ["Environment"]
    action.undo(quiet)
    assert heard == ["Environment"] * 2
    user.PostMessageW(state["window"], 0x12, 0, 0)  # WM_QUIT ends its thread's loop
