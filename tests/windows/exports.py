"""The whole registry as bytes, read inside Windows without hfdoctor's own reader, to be held against another time.

As a program it prints what ``differing`` compares: everything below the keys that are its arguments.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

#: (key, value name) -> type and bytes; a key without values stands there with the name None
Export = dict[tuple[str, str | None], tuple[int, bytes] | None]

if sys.platform == "win32":
    import winreg
    from ctypes import wintypes

    HIVES = {"HKLM": winreg.HKEY_LOCAL_MACHINE, "HKCU": winreg.HKEY_CURRENT_USER}
    _advapi = ctypes.WinDLL("advapi32")
    _advapi.RegEnumValueW.argtypes = (
        wintypes.HKEY,
        wintypes.DWORD,
        wintypes.LPWSTR,
        ctypes.POINTER(wintypes.DWORD),
        ctypes.c_void_p,
        ctypes.POINTER(wintypes.DWORD),
        ctypes.c_void_p,
        ctypes.POINTER(wintypes.DWORD),
    )
    _advapi.RegSetValueExW.argtypes = (
        wintypes.HKEY,
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        ctypes.c_char_p,
        wintypes.DWORD,
    )

    _NAME, _DATA = ctypes.create_unicode_buffer(16384), ctypes.create_string_buffer(1 << 20)

    def whole(*keys: str) -> Export:
        """Everything below ``keys``, or in both hives."""
        found: Export = {}
        for key in keys or tuple(HIVES):
            hive, _, rest = key.partition("\\")
            try:
                handle = winreg.OpenKey(HIVES[hive], rest, 0, winreg.KEY_READ | winreg.KEY_WOW64_64KEY)
            except FileNotFoundError:
                continue
            with handle:
                _walk(key, handle, found)
        return found

    #: what Wine itself writes at its own time: that it has no screen, how its first console looks
    _WINES_OWN = (r"HKLM\SYSTEM\CURRENTCONTROLSET\CONTROL\VIDEO", r"HKCU\CONSOLE")

    def _walk(key: str, handle: winreg.HKEYType, found: Export) -> None:
        if key.upper() in _WINES_OWN:
            return
        try:
            children, values, _ = winreg.QueryInfoKey(handle)
        except OSError:  # Wine's performance counters, which are no real key
            return
        found[key, None] = None
        for index in range(values):
            length, kind, size = wintypes.DWORD(16384), wintypes.DWORD(), wintypes.DWORD(1 << 20)
            code = _advapi.RegEnumValueW(
                int(handle), index, _NAME, ctypes.byref(length), None, ctypes.byref(kind), _DATA, ctypes.byref(size)
            )
            assert code == 0, (key, index, code)
            found[key, _NAME.value] = (kind.value, ctypes.string_at(_DATA, size.value))
        for index in range(children):
            child = winreg.EnumKey(handle, index)
            try:
                opened = winreg.OpenKey(handle, child, 0, winreg.KEY_READ | winreg.KEY_WOW64_64KEY)
            except OSError:
                continue
            with opened:
                _walk(f"{key}\\{child}", opened, found)

    def put(key: str, name: str, kind: int, data: bytes) -> None:
        """Write a value as these bytes, as whatever program may have done."""
        hive, _, rest = key.partition("\\")
        access = winreg.KEY_SET_VALUE | winreg.KEY_WOW64_64KEY
        with winreg.CreateKeyEx(HIVES[hive], rest, 0, access) as handle:
            code = _advapi.RegSetValueExW(int(handle), name, 0, kind, data + b"\xff\xff\xff\xff", len(data))
            assert code == 0, code

    def remove(key: str, name: str | None = None) -> None:
        """Take a value away, or with no name a key and all below it."""
        hive, _, rest = key.partition("\\")
        try:
            with winreg.OpenKey(HIVES[hive], rest, 0, winreg.KEY_ALL_ACCESS | winreg.KEY_WOW64_64KEY) as handle:
                if name is not None:
                    winreg.DeleteValue(handle, name)
                    return
                children = [winreg.EnumKey(handle, index) for index in range(winreg.QueryInfoKey(handle)[0])]
        except FileNotFoundError:
            return
        for child in children:
            remove(f"{key}\\{child}")
        winreg.DeleteKeyEx(HIVES[hive], rest, winreg.KEY_WOW64_64KEY, 0)


def changes(before: Export, after: Export) -> dict[tuple[str, str | None], tuple[object, object]]:
    """What differs: (KEY, name) -> the old and the new one, "gone" where there is none; the key in capital letters."""
    return {
        (at[0].upper(), at[1]): (before.get(at, "gone"), after.get(at, "gone"))
        for at in before.keys() | after.keys()
        if before.get(at, "gone") != after.get(at, "gone")
    }


def differing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What is not the same in two documents of this program, "KEY name" -> how it is in the second or "gone".

    The key is in capital letters. Wine writes the values of its display card anew each time it starts.
    """
    names = {name for name in before.keys() | after.keys() if before.get(name, "gone") != after.get(name, "gone")}
    return {name: after.get(name, "gone") for name in names if r"CURRENTCONTROLSET\CONTROL\CLASS" not in name}


if __name__ == "__main__":
    everything = whole(*sys.argv[1:]).items()
    told = {f"{key.upper()} {name}": value and (value[0], value[1].hex()) for (key, name), value in everything}
    print(json.dumps(told))
