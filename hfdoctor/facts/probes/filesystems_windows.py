"""Which file system holds a folder, asked of Windows."""

from __future__ import annotations

import ctypes
from typing import Any

from ..fact import Fact, known
from ..sections.storage import FileSystem


def filesystem_of(folder: str) -> Fact[FileSystem]:
    """The volume that holds an existing folder. Source: GetVolumeInformation. Raises OSError."""
    kernel32: Any = getattr(ctypes, "WinDLL")("kernel32", use_last_error=True)  # noqa: B009
    mount = ctypes.create_unicode_buffer(max(len(folder) + 2, 261))
    if not kernel32.GetVolumePathNameW(folder, mount, len(mount)):
        raise getattr(ctypes, "WinError")(getattr(ctypes, "get_last_error")())  # noqa: B009
    kind = ctypes.create_unicode_buffer(261)
    serial, longest, flags = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_ulong()
    told = kernel32.GetVolumeInformationW(
        mount.value, None, 0, ctypes.byref(serial), ctypes.byref(longest), ctypes.byref(flags), kind, len(kind)
    )
    if not told:
        raise getattr(ctypes, "WinError")(getattr(ctypes, "get_last_error")())  # noqa: B009
    remote, read_only_volume = 4, 0x00080000
    network = kernel32.GetDriveTypeW(mount.value) == remote or mount.value.startswith("\\\\")
    return known(
        FileSystem(
            kind=kind.value,
            mount=mount.value,
            volume=f"{serial.value:08x}" if serial.value else mount.value,
            network=network,
            read_only=bool(flags.value & read_only_volume),
        ),
        "GetVolumeInformation",
    )
