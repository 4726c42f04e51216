"""Reads the Windows registry: one value, or the names below a key, always in the view that is asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ..fact import Fact, absent, failed, known
from ..legible import legible
from ..sections.windows import RegistryValue

#: names of the value types, by number (winreg knows the numbers, but not the names of unknown ones)
TYPES = {
    0: "REG_NONE",
    1: "REG_SZ",
    2: "REG_EXPAND_SZ",
    3: "REG_BINARY",
    4: "REG_DWORD",
    5: "REG_DWORD_BIG_ENDIAN",
    6: "REG_LINK",
    7: "REG_MULTI_SZ",
    11: "REG_QWORD",
}

#: bytes of a binary value that are kept, as hexadecimal digits
BINARY_LIMIT = 64


def plain(key: str, name: str, kind: int, data: Any) -> RegistryValue:
    """A value as JSON can hold it: numbers and texts as they are, bytes as hexadecimal digits, nothing as ""."""
    value: str | int | list[str]
    if isinstance(data, int):
        value = data
    elif isinstance(data, (list, tuple)):
        value = [legible(str(item)) for item in data]
    elif isinstance(data, bytes):
        value = data[:BINARY_LIMIT].hex()
    else:
        value = "" if data is None else legible(str(data))
    return RegistryValue(key=legible(key), name=legible(name), type=TYPES.get(kind, f"type {kind}"), value=value)


def place(key: str, name: str) -> str:
    """How a registry value is named as the source of a fact."""
    return f"{key}, {name}" if name else key


def split(key: str) -> tuple[str, str]:
    r"""``HKLM\SOFTWARE\X`` as its hive and the rest."""
    hive, _, rest = key.partition("\\")
    return hive, rest


if sys.platform == "win32":
    import winreg

    HIVES = {"HKLM": winreg.HKEY_LOCAL_MACHINE, "HKCU": winreg.HKEY_CURRENT_USER}

    def _open(key: str, view: int) -> winreg.HKEYType:
        # a 32-bit Python would otherwise be shown the 32-bit half of HKLM\SOFTWARE
        access = winreg.KEY_READ | (winreg.KEY_WOW64_32KEY if view == 32 else winreg.KEY_WOW64_64KEY)
        hive, rest = split(key)
        return winreg.OpenKey(HIVES[hive], rest, 0, access)

    def read_value(key: str, name: str, view: int = 64) -> RegistryValue:
        """One value of a key such as ``HKLM\\SOFTWARE\\X`` in the 64- or 32-bit view.

        Raises FileNotFoundError if the key or the value is not there, PermissionError, OSError.
        """
        with _open(key, view) as handle:
            data, kind = winreg.QueryValueEx(handle, name)
        return plain(key, name, kind, data)

    def subkeys(key: str, view: int = 64) -> list[str]:
        """The names of the keys right below ``key``. Raises as read_value does."""
        with _open(key, view) as handle:
            return [winreg.EnumKey(handle, index) for index in range(winreg.QueryInfoKey(handle)[0])]

    def values(key: str, view: int = 64) -> list[RegistryValue]:
        """All values of a key. Raises as read_value does."""
        with _open(key, view) as handle:
            found = [winreg.EnumValue(handle, index) for index in range(winreg.QueryInfoKey(handle)[1])]
        return [plain(key, name, kind, data) for name, data, kind in found]

else:

    def read_value(key: str, name: str, view: int = 64) -> RegistryValue:
        """Only Windows has a registry."""
        raise FileNotFoundError(key)

    def subkeys(key: str, view: int = 64) -> list[str]:
        """Only Windows has a registry."""
        raise FileNotFoundError(key)

    def values(key: str, view: int = 64) -> list[RegistryValue]:
        """Only Windows has a registry."""
        raise FileNotFoundError(key)


def value_fact(key: str, name: str) -> Fact[RegistryValue]:
    """One registry value as a fact: absent when it is not there. Raises PermissionError and OSError."""
    source = place(key, name)
    try:
        return known(read_value(key, name), source)
    except FileNotFoundError:
        return absent("there is no such value", source)


def converted(fact: Fact[RegistryValue], kinds: tuple[str, ...], read: Callable[[Any], Any]) -> Fact[Any]:
    """The value read by ``read`` if it has one of the types ``kinds``; another type is ``failed``, not a default."""
    if not fact.known:
        return fact
    value = fact.need()
    if value.type not in kinds:
        return failed(f"{value.name} has the type {value.type}, not {' or '.join(kinds)}", fact.source)
    return known(read(value.value), fact.source)
