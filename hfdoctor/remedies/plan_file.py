"""The file in which an elevated child finds its orders: written and read so that nobody else has a hand in it.

Standard library alone: the elevated child runs this file without hfdoctor's other parts.
"""

from __future__ import annotations

import sys

#: bytes; a plan holds a handful of values
LIMIT = 128 * 1024
#: Windows' own administrators and the system itself (well-known SIDs)
TRUSTED = ("S-1-5-32-544", "S-1-5-18")


class NotOurs(Exception):
    """The file is not as the one who asked has written it; says why."""


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _GENERIC_READ, _GENERIC_WRITE, _READ_CONTROL = 0x80000000, 0x40000000, 0x00020000
    _CREATE_NEW, _OPEN_EXISTING = 1, 3
    _OPEN_REPARSE_POINT = 0x00200000
    _DIRECTORY, _REPARSE_POINT = 0x10, 0x400
    _SE_FILE_OBJECT, _OWNER_AND_DACL = 1, 0x1 | 0x4
    _TOKEN_QUERY, _TOKEN_USER = 0x8, 1

    class _Attributes(ctypes.Structure):
        """SECURITY_ATTRIBUTES."""

        _fields_ = (("length", wintypes.DWORD), ("descriptor", ctypes.c_void_p), ("inherit", wintypes.BOOL))

    class _Information(ctypes.Structure):
        """BY_HANDLE_FILE_INFORMATION."""

        _fields_ = (
            ("attributes", wintypes.DWORD),
            ("times", wintypes.FILETIME * 3),
            ("volume", wintypes.DWORD),
            ("size_high", wintypes.DWORD),
            ("size_low", wintypes.DWORD),
            ("links", wintypes.DWORD),
            ("index", wintypes.DWORD * 2),
        )

    class _AceHead(ctypes.Structure):
        """ACCESS_ALLOWED_ACE, of which the SID is the rest."""

        _fields_ = (
            ("type", ctypes.c_ubyte),
            ("flags", ctypes.c_ubyte),
            ("size", wintypes.WORD),
            ("mask", wintypes.DWORD),
            ("sid", wintypes.DWORD),
        )

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _advapi = ctypes.WinDLL("advapi32", use_last_error=True)
    _kernel.CreateFileW.restype = wintypes.HANDLE
    _kernel.CreateFileW.argtypes = (
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        ctypes.c_void_p,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    )
    _kernel.WriteFile.argtypes = _kernel.ReadFile.argtypes = (
        wintypes.HANDLE,
        ctypes.c_char_p,
        wintypes.DWORD,
        ctypes.POINTER(wintypes.DWORD),
        ctypes.c_void_p,
    )
    _kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    _kernel.GetCurrentProcess.restype = wintypes.HANDLE
    _kernel.GetFileInformationByHandle.argtypes = (wintypes.HANDLE, ctypes.POINTER(_Information))
    _kernel.LocalFree.argtypes = (ctypes.c_void_p,)
    _advapi.OpenProcessToken.argtypes = (wintypes.HANDLE, wintypes.DWORD, ctypes.POINTER(wintypes.HANDLE))
    _advapi.GetTokenInformation.argtypes = (
        wintypes.HANDLE,
        ctypes.c_int,
        ctypes.c_void_p,
        wintypes.DWORD,
        ctypes.POINTER(wintypes.DWORD),
    )
    _advapi.ConvertSidToStringSidW.argtypes = (ctypes.c_void_p, ctypes.POINTER(wintypes.LPWSTR))
    _advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW.argtypes = (
        wintypes.LPCWSTR,
        wintypes.DWORD,
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.c_void_p,
    )
    _advapi.GetSecurityInfo.argtypes = (
        wintypes.HANDLE,
        ctypes.c_int,
        wintypes.DWORD,
        *[ctypes.POINTER(ctypes.c_void_p)] * 5,
    )
    _advapi.GetAce.argtypes = (ctypes.c_void_p, wintypes.DWORD, ctypes.POINTER(ctypes.c_void_p))

    def _failure() -> OSError:
        return ctypes.WinError(ctypes.get_last_error())

    def _sid_text(sid: int | None) -> str:
        text = wintypes.LPWSTR()
        if not sid or not _advapi.ConvertSidToStringSidW(sid, ctypes.byref(text)):
            return ""
        told = str(text.value)
        _kernel.LocalFree(ctypes.cast(text, ctypes.c_void_p))
        return told

    def my_sid() -> str:
        """The user of this process (S-1-5-21-...). Raises OSError."""
        token = wintypes.HANDLE()
        if not _advapi.OpenProcessToken(_kernel.GetCurrentProcess(), _TOKEN_QUERY, ctypes.byref(token)):
            raise _failure()
        try:
            size = wintypes.DWORD()
            buffer = ctypes.create_string_buffer(256)
            if not _advapi.GetTokenInformation(token, _TOKEN_USER, buffer, 256, ctypes.byref(size)):
                raise _failure()
            # TOKEN_USER begins with the pointer to the SID
            return _sid_text(ctypes.cast(buffer, ctypes.POINTER(ctypes.c_void_p))[0])
        finally:
            _kernel.CloseHandle(token)

    def write_private(path: str, data: bytes) -> None:
        """Make the file, which must not exist, for this user, administrators and the system alone. Raises OSError."""
        me = my_sid()
        full = "".join(f"(A;;FA;;;{who})" for who in (me, *TRUSTED))
        descriptor = ctypes.c_void_p()
        if not _advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(
            f"O:{me}D:P{full}", 1, ctypes.byref(descriptor), None
        ):
            raise _failure()
        attributes = _Attributes(ctypes.sizeof(_Attributes), descriptor, False)
        try:
            handle = _kernel.CreateFileW(path, _GENERIC_WRITE, 0, ctypes.byref(attributes), _CREATE_NEW, 0, None)
            if handle == wintypes.HANDLE(-1).value:
                raise _failure()
        finally:
            _kernel.LocalFree(descriptor)
        try:
            written = wintypes.DWORD()
            if not _kernel.WriteFile(handle, data, len(data), ctypes.byref(written), None) or written.value != len(
                data
            ):
                raise _failure()
        finally:
            _kernel.CloseHandle(handle)

    def read_once(path: str) -> tuple[bytes, str]:
        """What the file holds and who owns it (a SID); nobody can write it while it is read, and it is read once.

        Raises NotOurs for what is no plain small file that its owner, administrators and the system alone can open;
        OSError.
        """
        readers_only = 1  # FILE_SHARE_READ
        handle = _kernel.CreateFileW(
            path, _GENERIC_READ | _READ_CONTROL, readers_only, None, _OPEN_EXISTING, _OPEN_REPARSE_POINT, None
        )
        if handle == wintypes.HANDLE(-1).value:
            raise _failure()
        try:
            found = _Information()
            if not _kernel.GetFileInformationByHandle(handle, ctypes.byref(found)):
                raise _failure()
            if found.attributes & (_DIRECTORY | _REPARSE_POINT) or found.links != 1:
                raise NotOurs("the plan is a link or no file")
            if found.size_high or found.size_low > LIMIT:
                raise NotOurs("the plan is too large")
            owner = _owner_alone(handle)
            buffer = ctypes.create_string_buffer(LIMIT + 1)
            count = wintypes.DWORD()
            if not _kernel.ReadFile(handle, buffer, LIMIT + 1, ctypes.byref(count), None):
                raise _failure()
            if count.value > LIMIT:
                raise NotOurs("the plan is too large")
            return buffer.raw[: count.value], owner
        finally:
            _kernel.CloseHandle(handle)

    def _owner_alone(handle: int) -> str:
        owner, group, dacl, sacl, descriptor = (ctypes.c_void_p() for _ in range(5))
        code = _advapi.GetSecurityInfo(
            handle,
            _SE_FILE_OBJECT,
            _OWNER_AND_DACL,
            *(ctypes.byref(out) for out in (owner, group, dacl, sacl, descriptor)),
        )
        if code:
            raise ctypes.WinError(code)
        try:
            who = _sid_text(owner.value)
            if not dacl.value:
                raise NotOurs("anybody can open the plan")
            # ACL: two bytes of revision, its size, the number of entries
            count = ctypes.cast(dacl, ctypes.POINTER(wintypes.WORD))[2]
            for number in range(count):
                entry = ctypes.c_void_p()
                if not _advapi.GetAce(dacl, number, ctypes.byref(entry)) or not entry.value:
                    raise _failure()
                head = _AceHead.from_address(entry.value)
                trustee = _sid_text(entry.value + _AceHead.sid.offset)
                if head.type != 0 or (head.mask and trustee not in (who, *TRUSTED)):
                    raise NotOurs(f"others can open the plan ({trustee})")
            return who
        finally:
            _kernel.LocalFree(descriptor)

else:

    def my_sid() -> str:
        """Only Windows has SIDs."""
        raise OSError("only Windows has elevated children")

    def write_private(path: str, data: bytes) -> None:
        """Only Windows has elevated children."""
        raise OSError("only Windows has elevated children")

    def read_once(path: str) -> tuple[bytes, str]:
        """Only Windows has elevated children."""
        raise OSError("only Windows has elevated children")
