"""The Microsoft Store's Python: whether the target is one, and the aliases on PATH that stand for one or for none."""

from __future__ import annotations

import ntpath
import os
import struct
import sys
from collections.abc import Mapping

from ..fact import Fact, known, not_run
from ..legible import legible
from ..sections.target import Target
from ..sections.windows import Alias

#: names under which people start Python
NAMES = ("python.exe", "python3.exe", "py.exe")

#: a reparse point that stands for a packaged program (IO_REPARSE_TAG_APPEXECLINK)
APPEXECLINK = 0x8000001B

#: the package whose aliases only open the Store
STUB_PACKAGE = "microsoft.desktopappinstaller_"


def is_store_python(target: Target) -> Fact[bool]:
    """Whether the target is, or is based on, the Store's Python, by the folder that it is installed in."""
    interpreter = target.interpreter.maybe()
    if interpreter is None:
        return not_run("the target interpreter is not known", "sys.base_prefix")
    folder = interpreter.base_prefix.replace("/", "\\").lower()
    return known(r"\windowsapps\pythonsoftwarefoundation.python." in folder, "sys.base_prefix")


def aliases(environ: Mapping[str, str]) -> Fact[list[Alias]]:
    """The app execution aliases for Python on PATH, in its order, with the real program that each one hides."""
    found: list[Alias] = []
    real: dict[str, str] = {}
    for folder in (environ.get("PATH") or "").split(";"):
        folder = folder.strip().strip('"')
        if not ntpath.isabs(folder):
            continue
        for name in NAMES:
            path = ntpath.join(folder, name)
            try:
                status = os.lstat(path)
            except (OSError, ValueError):
                continue
            if getattr(status, "st_reparse_tag", 0) != APPEXECLINK:
                real.setdefault(name, path)
            elif all(alias.path.lower() != path.lower() for alias in found):
                package = alias_package(path)
                stub = package.lower().startswith(STUB_PACKAGE)
                found.append(Alias(name, legible(path), stub, name not in real, package))
    for alias in found:
        if alias.first:
            alias.hides = legible(real.get(alias.name, ""))
    return known(found, "PATH")


def package_in(reparse: bytes) -> str:
    """The package family in an alias' reparse data: after the tag and the length come a version and four texts.

    "" for what is not of that form.
    """
    if len(reparse) < 12 or struct.unpack_from("<I", reparse)[0] != APPEXECLINK:
        return ""
    length = struct.unpack_from("<H", reparse, 4)[0]
    texts = reparse[12 : 8 + length].decode("utf-16-le", "replace").split("\0")
    return texts[0]


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    def alias_package(path: str) -> str:
        """The package family that an alias belongs to; "" if it could not be read."""
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateFileW.restype = wintypes.HANDLE
        kernel.CreateFileW.argtypes = [wintypes.LPCWSTR, *[wintypes.DWORD] * 2, wintypes.LPVOID]
        kernel.CreateFileW.argtypes += [wintypes.DWORD, wintypes.DWORD, wintypes.HANDLE]
        kernel.CloseHandle.argtypes = [wintypes.HANDLE]
        kernel.DeviceIoControl.argtypes = [wintypes.HANDLE, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD]
        kernel.DeviceIoControl.argtypes += [wintypes.LPVOID, wintypes.DWORD, wintypes.LPDWORD, wintypes.LPVOID]
        share_all, open_existing, the_point_itself = 7, 3, 0x02000000 | 0x00200000
        handle = kernel.CreateFileW(path, 0, share_all, None, open_existing, the_point_itself, None)
        if handle in (None, ctypes.c_void_p(-1).value):
            return ""
        try:
            data, size = ctypes.create_string_buffer(16 * 1024), wintypes.DWORD()
            get_reparse_point = 0x000900A8
            if not kernel.DeviceIoControl(
                handle, get_reparse_point, None, 0, data, len(data), ctypes.byref(size), None
            ):
                return ""
            return package_in(data.raw[: size.value])
        finally:
            kernel.CloseHandle(handle)

else:

    def alias_package(path: str) -> str:
        """Only Windows has such aliases."""
        return ""
