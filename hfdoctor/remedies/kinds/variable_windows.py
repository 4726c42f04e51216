"""A person's environment variable on Windows: HKCU's Environment, and the machine's where that one decides."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from ...conditions.changes import VariableChange
from .. import raw_registry
from ..action import Action, Difference, Needs, NothingToDo, Progress, Refused, Seen, Workplace
from ..elevated_child import may_be_changed
from ..raw_registry import TYPES
from .registry import RegistryAction, Stored, one_line, packaged, prepared, stored, text_bytes, text_of, words

PERSON = r"HKCU\Environment"
MACHINE = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
#: written anew at each sign-in, above the person's own
VOLATILE = r"HKCU\Volatile Environment"

#: put together from the machine's part and the person's part
_JOINED = ("PATH", "LIBPATH", "OS2LIBPATH")
#: characters of name, value, "=" and the end together that a process can hold
_LIMIT = 32767
#: milliseconds that each window may take to answer; one that hangs is passed over
_BROADCAST_MS = 500


class WindowsVariableAction(Action, tag_field="kind", tag="windows-variable"):
    """``name`` becomes ``value`` for programs started from now on; the values in the registry make it so."""

    name: str
    value: str | None
    values: list[RegistryAction]

    def describe(self) -> list[Difference]:
        """Old value, new value; the machine's is told apart from the person's."""
        return [self._difference(one, one.old, one.new) for one in self.values]

    def needs(self) -> Needs:
        """An administrator for the machine's value."""
        return Needs(administrator=any(one.administrator for one in self.values))

    def look(self) -> Seen:
        """What the registry holds now."""
        shows = []
        states = set()
        for one in self.values:
            state = one.look().state
            states.add(state)
            if state == "other":
                shows.append(self._difference(one, one.new, stored(one.key, one.name)))
        if "other" in states:
            return Seen("other", shows)
        return Seen(states.pop() if len(states) == 1 else "between")

    def apply(self, progress: Progress) -> None:
        """Write the values and tell the programs that run."""
        for one in self.values:
            one.apply(progress)
        tell_programs()

    def undo(self, progress: Progress, *, force: bool = False) -> None:
        """Put the values back and tell the programs that run."""
        for one in reversed(self.values):
            one.undo(progress, force=force)
        tell_programs()

    def environ_after(self, environ: Mapping[str, str]) -> dict[str, str]:
        """``environ`` with the variable as a new terminal has it."""
        after = {name: value for name, value in environ.items() if name.upper() != self.name.upper()}
        if self.value is not None:
            after[self.name] = self.value
        return after

    def still_to_do(self, *, undone: bool = False) -> list[str]:
        """Programs that run keep what they have."""
        return [f"open a new terminal, and start your editor anew: programs that run keep the old value of {self.name}"]

    def _difference(self, one: RegistryAction, old: Stored | None, new: Stored | None) -> Difference:
        whose = "environment variable" if one.key == PERSON else "environment variable of the computer"
        return Difference(f"{whose} {one.name}", _words(old), _words(new))


def prepare_windows_variable(change: VariableChange, place: Workplace) -> WindowsVariableAction:
    """See ``registered.prepare``."""
    name, value = change.name, change.value
    _check(name, value)
    keys = [PERSON] if value is not None else [key for key in (PERSON, MACHINE) if stored(key, name) is not None]
    if value is None and not keys and any(there.upper() == name.upper() for there in place.environ):
        _refuse_volatile(name)
        raise Refused(
            f"{name} is set only in this terminal, or by the program that opened it: open a new terminal, or type "
            f'"set {name}=" (in PowerShell: Remove-Item Env:{name})'
        )
    if not keys or (value is not None and _is(name, value)):
        raise NothingToDo
    _refuse_volatile(name)
    _refuse_secrets(name, keys)
    if packaged():
        raise Refused(_by_hand(name, value))
    if MACHINE in keys and not raw_registry.may_write(MACHINE) and not may_be_changed(MACHINE, name):
        raise Refused(
            f"{name} is set for the whole computer, where hfdoctor does not change it: press the Windows key, type "
            '"environment variables" and open "Edit the system environment variables"'
        )
    new = None if value is None else Stored(TYPES["REG_SZ"], text_bytes(value))
    return WindowsVariableAction(name=name, value=value, values=[prepared(key, name, new) for key in keys])


def _is(name: str, value: str) -> bool:
    """Whether a new program finds this value already: the person's if there is one, else the computer's."""
    there = stored(PERSON, name) or stored(MACHINE, name)
    if there is None or there.type not in (TYPES["REG_SZ"], TYPES["REG_EXPAND_SZ"]):
        return False
    text = text_of(there.data)
    return text == value and not (there.type == TYPES["REG_EXPAND_SZ"] and "%" in text)


def _check(name: str, value: str | None) -> None:
    if os.name != "nt":
        raise Refused(f"{name} is a variable of Windows, which is not here")
    if not name or "=" in name or "\0" in name or len(name) > 255:
        raise Refused(f"{name!r} is no name of an environment variable")
    if name.upper() in _JOINED:
        raise Refused(f"{name} is put together from many parts: hfdoctor does not change it")
    if value is not None and "\0" in value:
        raise Refused(f"the value for {name} holds a character that no variable can hold")
    if value is not None and len(name) + len(value) + 2 > _LIMIT:
        raise Refused(f"the value for {name} is too long: Windows takes {_LIMIT} characters, this has {len(value)}")


def _refuse_volatile(name: str) -> None:
    if stored(VOLATILE, name) is not None:
        raise Refused(f"{name} is set anew each time you sign in to Windows: hfdoctor does not change it")


def _refuse_secrets(name: str, keys: list[str]) -> None:
    """Raises Refused for old values that must stand in no plan and in no journal."""
    from ...facts.redaction import proxy_without_credentials, without_credentials

    for key in keys:
        old = stored(key, name)
        text = text_of(old.data) if old else ""
        if text != without_credentials(text) or (
            name.upper().endswith("_PROXY") and text != proxy_without_credentials(text)[0]
        ):
            raise Refused(f"{name} holds a password, which hfdoctor does not write down: set or unset it yourself")


def _by_hand(name: str, value: str | None) -> str:
    what = f"take {name} away" if value is None else f"set {name} to {value}"
    return (
        "this Python came from the Microsoft Store, and what it sets no other program sees. Do it by hand: press the "
        f'Windows key, type "environment variables", open "Edit environment variables for your account" and {what} '
        "there (or run hfdoctor with another Python)"
    )


def _words(value: Stored | None) -> str:
    if value is None:
        return "not set"
    if value.type in (TYPES["REG_SZ"], TYPES["REG_EXPAND_SZ"]):
        return one_line(text_of(value.data)) or "empty"
    return words(value)


def tell_programs() -> None:
    """Tell the programs that run (Explorer above all, which starts others) that variables changed.

    Where nobody can be told, the next sign-in tells them.
    """
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        try:
            send = ctypes.WinDLL("user32").SendMessageTimeoutW
        except OSError:  # a Windows without windows
            return
        send.argtypes = (
            wintypes.HWND,
            wintypes.UINT,
            wintypes.WPARAM,
            wintypes.LPCWSTR,
            wintypes.UINT,
            wintypes.UINT,
            ctypes.POINTER(ctypes.c_size_t),
        )
        everyone, setting_change, skip_hung = 0xFFFF, 0x1A, 0x2
        answer = ctypes.c_size_t()
        send(everyone, setting_change, 0, "Environment", skip_hung, _BROADCAST_MS, ctypes.byref(answer))
