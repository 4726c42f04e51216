r"""Registry values as the bytes that they are, so that what is put back is what was there.

Python's ``winreg`` makes texts and numbers of them: a text without its end, a number of three bytes would come back as
something else. Standard library alone: the elevated child runs this file without hfdoctor's other parts.

Keys are named ``HKLM\...`` or ``HKCU\...``; it is always the 64-bit half that is meant.
"""

from __future__ import annotations

import sys

#: type numbers by name (winnt.h)
TYPES = {
    "REG_NONE": 0,
    "REG_SZ": 1,
    "REG_EXPAND_SZ": 2,
    "REG_BINARY": 3,
    "REG_DWORD": 4,
    "REG_DWORD_BIG_ENDIAN": 5,
    "REG_LINK": 6,
    "REG_MULTI_SZ": 7,
    "REG_QWORD": 11,
}

#: a value: the number of its type and its bytes
Raw = tuple[int, bytes]


def parents(key: str) -> list[str]:
    """``key`` and the keys above it below its hive, the topmost first."""
    parts = key.split("\\")
    return ["\\".join(parts[: count + 1]) for count in range(1, len(parts))]


if sys.platform == "win32":
    import ctypes
    import winreg
    from ctypes import wintypes

    _HIVES = {"HKLM": winreg.HKEY_LOCAL_MACHINE, "HKCU": winreg.HKEY_CURRENT_USER}
    _MORE_DATA = 234
    #: RegFlushKey wants KEY_QUERY_VALUE
    _CHANGE = winreg.KEY_SET_VALUE | winreg.KEY_QUERY_VALUE
    _advapi = ctypes.WinDLL("advapi32")
    # these functions return their error code: WinDLL's default result type, c_int, holds it
    _advapi.RegQueryValueExW.argtypes = (
        wintypes.HKEY,
        wintypes.LPCWSTR,
        wintypes.LPVOID,
        ctypes.POINTER(wintypes.DWORD),
        ctypes.c_char_p,
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

    def _open(key: str, access: int) -> winreg.HKEYType:
        hive, _, rest = key.partition("\\")
        return winreg.OpenKey(_HIVES[hive], rest, 0, access | winreg.KEY_WOW64_64KEY)

    def key_exists(key: str) -> bool:
        """Whether there is such a key. Raises PermissionError, OSError."""
        try:
            _open(key, winreg.KEY_READ).Close()
        except FileNotFoundError:
            return False
        return True

    def read(key: str, name: str) -> Raw | None:
        """The value, None if it (or its key) is not there. Raises PermissionError, OSError."""
        try:
            handle = _open(key, winreg.KEY_READ)
        except FileNotFoundError:
            return None
        with handle:
            kind, size = wintypes.DWORD(), wintypes.DWORD()
            while True:
                # first without a buffer, which tells the size; a buffer of that size has no room for an end that
                # the system would add to a text
                buffer = ctypes.create_string_buffer(size.value) if size.value else None
                code = _advapi.RegQueryValueExW(int(handle), name, None, ctypes.byref(kind), buffer, ctypes.byref(size))
                if code == _MORE_DATA or (code == 0 and buffer is None and size.value):
                    continue
                if code == 2:  # ERROR_FILE_NOT_FOUND
                    return None
                if code:
                    raise ctypes.WinError(code)
                return kind.value, buffer.raw[: size.value] if buffer else b""

    def stored_name(key: str, name: str) -> str:
        """How the value's name is written in the registry, which takes upper and lower case for the same."""
        try:
            with _open(key, winreg.KEY_READ) as handle:
                for index in range(winreg.QueryInfoKey(handle)[1]):
                    found: str = winreg.EnumValue(handle, index)[0]
                    if found.upper() == name.upper():
                        return found
        except FileNotFoundError:
            pass
        return name

    def may_write(key: str) -> bool:
        """Whether this process may set values of ``key``, or make it where it is missing."""
        there = next((above for above in reversed(parents(key)) if key_exists(above)), key.partition("\\")[0] + "\\")
        access = _CHANGE if there == key else winreg.KEY_CREATE_SUB_KEY
        try:
            _open(there, access).Close()
        except PermissionError:
            return False
        return True

    def write(key: str, name: str, value: Raw) -> None:
        """Set the value, and make its key where it is missing. Raises PermissionError, OSError."""
        hive, _, rest = key.partition("\\")
        access = _CHANGE | winreg.KEY_WOW64_64KEY
        kind, data = value
        # Windows adds an end to a text that it finds right behind it: what lies there must not look like one
        guarded = data + b"\xff\xff\xff\xff"
        with winreg.CreateKeyEx(_HIVES[hive], rest, 0, access) as handle:
            code = _advapi.RegSetValueExW(int(handle), name, 0, kind, guarded, len(data))
            if code:
                raise ctypes.WinError(code)
            winreg.FlushKey(handle)

    def delete(key: str, name: str) -> None:
        """Take the value away; one that is not there is no error. Raises PermissionError, OSError."""
        try:
            with _open(key, _CHANGE) as handle:
                winreg.DeleteValue(handle, name)
                winreg.FlushKey(handle)
        except FileNotFoundError:
            return

    def is_empty(key: str) -> bool:
        """Whether the key is there and holds neither keys nor values. Raises PermissionError, OSError."""
        try:
            with _open(key, winreg.KEY_READ) as handle:
                keys, values, _ = winreg.QueryInfoKey(handle)
        except FileNotFoundError:
            return False
        return keys == 0 and values == 0

    def remove_if_empty(key: str) -> None:
        """Take the key away if it holds neither keys nor values. Raises PermissionError, OSError."""
        hive, _, rest = key.partition("\\")
        if is_empty(key):
            winreg.DeleteKeyEx(_HIVES[hive], rest, winreg.KEY_WOW64_64KEY, 0)

else:

    def key_exists(key: str) -> bool:
        """Only Windows has a registry."""
        return False

    def read(key: str, name: str) -> Raw | None:
        """Only Windows has a registry."""
        return None

    def stored_name(key: str, name: str) -> str:
        """Only Windows has a registry."""
        return name

    def may_write(key: str) -> bool:
        """Only Windows has a registry."""
        return False

    def write(key: str, name: str, value: Raw) -> None:
        """Only Windows has a registry."""
        raise OSError("only Windows has a registry")

    def delete(key: str, name: str) -> None:
        """Only Windows has a registry."""
        raise OSError("only Windows has a registry")

    def is_empty(key: str) -> bool:
        """Only Windows has a registry."""
        return False

    def remove_if_empty(key: str) -> None:
        """Only Windows has a registry."""
        raise OSError("only Windows has a registry")


def put(key: str, name: str, value: Raw | None) -> None:
    """Set the value, or take it away where it is None. Raises PermissionError, OSError."""
    if value is None:
        delete(key, name)
    else:
        write(key, name, value)
