"""The devices that Windows says are there now, as its Plug and Play manager names them."""

from __future__ import annotations

import ctypes
from typing import Any

FILTER_ENUMERATOR, FILTER_PRESENT = 0x1, 0x100
CR_SUCCESS, CR_BUFFER_SMALL, CR_NO_SUCH_VALUE = 0, 0x1A, 0x25


def present(enumerator: str = "PCI") -> list[str]:
    r"""The instance names (``PCI\VEN_10DE&DEV_2684&...\...``) of the devices below ``enumerator`` that are there now.

    The registry alone does not tell: it keeps every device that ever was. Raises OSError if Windows does not answer.
    """
    library: Any = getattr(ctypes, "WinDLL")("cfgmgr32")  # noqa: B009 - so that the types hold on other systems too
    flags = FILTER_ENUMERATOR | FILTER_PRESENT
    for _ in range(4):  # a device may be plugged in between the two questions
        size = ctypes.c_ulong(0)
        code = library.CM_Get_Device_ID_List_SizeW(ctypes.byref(size), ctypes.c_wchar_p(enumerator), flags)
        if code == CR_NO_SUCH_VALUE:
            return []
        if code != CR_SUCCESS:
            raise OSError(f"CM_Get_Device_ID_List_Size: error {code:#x}")
        if size.value <= 1:
            return []
        buffer = ctypes.create_unicode_buffer(size.value)
        code = library.CM_Get_Device_ID_ListW(ctypes.c_wchar_p(enumerator), buffer, size, flags)
        if code == CR_SUCCESS:
            return [name for name in "".join(buffer[: size.value]).split("\0") if name]
        if code != CR_BUFFER_SMALL:
            break
    raise OSError(f"CM_Get_Device_ID_List: error {code:#x}")
