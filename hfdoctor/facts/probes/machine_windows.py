"""The machine's facts on Windows, asked of the system itself and of the registry."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Any

from ..fact import Fact, absent, failed, known
from ..observe import observe
from ..sections.machine import Cpu, Machine, Memory, OsInfo
from .machine import architecture_name

VERSION_KEY = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion"
PROCESSOR_KEY = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"

#: IMAGE_FILE_MACHINE_* -> name
MACHINES = {0x8664: "x86_64", 0xAA64: "aarch64", 0x014C: "i686", 0x01C4: "armv7l"}

#: PF_* numbers of IsProcessorFeaturePresent -> the name that Linux gives the same extension
X86_FEATURES = {
    10: "sse2",
    13: "pni",
    36: "ssse3",
    37: "sse4_1",
    38: "sse4_2",
    39: "avx",
    40: "avx2",
    41: "avx512f",
}
ARM_FEATURES = {19: "asimd", 34: "atomics", 43: "asimddp"}
PF_SSSE3 = 36


def fill(section: Machine, environ: Mapping[str, str]) -> None:
    """Fill the facts of ``section`` that Windows tells in its own way."""
    observe(section, "os", os_info, "RtlGetVersion")
    observe(section, "architecture", lambda: architecture(environ), "IsWow64Process2")
    section.libc = absent("Windows has none of the two", "sys.platform")
    section.wsl = absent("this is Windows itself", "sys.platform")
    section.container = absent("not looked for on Windows", "sys.platform")
    section.shm = absent("Windows has no /dev/shm", "sys.platform")
    observe(section, "cpu", cpu, f"HKLM\\{PROCESSOR_KEY}")
    observe(section, "cpu_features", lambda: cpu_features(environ), "IsProcessorFeaturePresent")
    observe(section, "memory", memory, "GlobalMemoryStatusEx")
    observe(section, "elevated", elevated, "TokenElevation")


def _dll(name: str) -> Any:
    """A system library with error codes kept; typed Any so that the types hold on other systems too."""
    return getattr(ctypes, "WinDLL")(name, use_last_error=True)  # noqa: B009


def _last_error() -> OSError:
    return getattr(ctypes, "WinError")(getattr(ctypes, "get_last_error")())  # type: ignore[no-any-return] # noqa: B009


def _registry(key: str, name: str) -> str | int | None:
    """A value below HKEY_LOCAL_MACHINE in the 64-bit view; None if it is not there."""
    import winreg as registry

    winreg: Any = registry
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, winreg.KEY_READ | winreg.KEY_WOW64_64KEY) as handle:
            value = winreg.QueryValueEx(handle, name)[0]
    except FileNotFoundError:
        return None
    return value if isinstance(value, (str, int)) else None


class _VersionInfo(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_ulong),
        ("major", ctypes.c_ulong),
        ("minor", ctypes.c_ulong),
        ("build", ctypes.c_ulong),
        ("platform", ctypes.c_ulong),
        ("service_pack", ctypes.c_wchar * 128),
        ("service_pack_major", ctypes.c_ushort),
        ("service_pack_minor", ctypes.c_ushort),
        ("suite_mask", ctypes.c_ushort),
        ("product_type", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
    )


def os_info() -> Fact[OsInfo]:
    """Name, version, build and edition. Source: RtlGetVersion and the registry.

    sys.getwindowsversion would give the compatibility version of whatever program Python is embedded in. The
    registry's ProductName still says "Windows 10" on Windows 11, so the name of a workstation comes from its build.
    """
    version = _VersionInfo()
    version.size = ctypes.sizeof(version)
    if _dll("ntdll").RtlGetVersion(ctypes.byref(version)) != 0:
        return failed("Windows did not tell its version", "RtlGetVersion")
    name = ""
    if version.product_type == 1 and version.major == 10:
        name = "Windows 11" if version.build >= 22000 else "Windows 10"
    name = name or str(_registry(VERSION_KEY, "ProductName") or "Windows")
    update = _registry(VERSION_KEY, "UBR")
    return known(
        OsInfo(
            "windows",
            name=name,
            version=f"{version.major}.{version.minor}.{version.build}",
            build=str(version.build),
            edition=str(_registry(VERSION_KEY, "EditionID") or ""),
            release=str(_registry(VERSION_KEY, "DisplayVersion") or ""),
            update=update if isinstance(update, int) else None,
        ),
        "RtlGetVersion",
    )


def architecture(environ: Mapping[str, str]) -> Fact[str]:
    """The processor's own architecture, not the one that this process is emulated on. Source: IsWow64Process2."""
    kernel32 = _dll("kernel32")
    process, native = ctypes.c_ushort(), ctypes.c_ushort()
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    if hasattr(kernel32, "IsWow64Process2"):
        handle = ctypes.c_void_p(kernel32.GetCurrentProcess())
        if kernel32.IsWow64Process2(handle, ctypes.byref(process), ctypes.byref(native)) and native.value in MACHINES:
            return known(MACHINES[native.value], "IsWow64Process2")
    raw = environ.get("PROCESSOR_ARCHITEW6432") or environ.get("PROCESSOR_ARCHITECTURE")
    if raw:
        return known(architecture_name(raw), "PROCESSOR_ARCHITECTURE")
    return failed(f"unknown machine number {native.value:#x}", "IsWow64Process2")


def cpu() -> Fact[Cpu]:
    """Model, and how many processors this process may use. Source: the registry and Python's own count."""
    model = str(_registry(PROCESSOR_KEY, "ProcessorNameString") or "").strip()
    counter = getattr(os, "process_cpu_count", os.cpu_count)
    return known(Cpu(model=model, count=counter() or 1), f"HKLM\\{PROCESSOR_KEY}")


def cpu_features(environ: Mapping[str, str]) -> Fact[list[str]]:
    """Instruction set extensions, of the emulated processor where this process is emulated; Windows knows few of them.

    Source: IsProcessorFeaturePresent. Releases of Windows 10 before the newer numbers were defined answer "no" to all
    of them; every x86-64 processor that Windows 10 is used on has SSSE3, so a "no" to that means "do not know".
    """
    present = _dll("kernel32").IsProcessorFeaturePresent
    arm = environ.get("PROCESSOR_ARCHITECTURE", "").upper() == "ARM64"
    if not arm and not present(PF_SSSE3):
        return failed("this Windows does not tell about extensions after SSE3", "IsProcessorFeaturePresent")
    numbers = ARM_FEATURES if arm else X86_FEATURES
    return known(sorted(name for number, name in numbers.items() if present(number)), "IsProcessorFeaturePresent")


class _MemoryStatus(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        ("total_phys", ctypes.c_ulonglong),
        ("avail_phys", ctypes.c_ulonglong),
        ("total_page_file", ctypes.c_ulonglong),
        ("avail_page_file", ctypes.c_ulonglong),
        ("total_virtual", ctypes.c_ulonglong),
        ("avail_virtual", ctypes.c_ulonglong),
        ("avail_extended_virtual", ctypes.c_ulonglong),
    )


def memory() -> Fact[Memory]:
    """Bytes of memory; the commit limit (memory and page files together) and what is left of it.

    Source: GlobalMemoryStatusEx, whose "page file" figures are the commit limit, or this process's own if lower.
    """
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    if not _dll("kernel32").GlobalMemoryStatusEx(ctypes.byref(status)):
        raise _last_error()
    return known(
        Memory(
            ram_total=status.total_phys,
            ram_available=status.avail_phys,
            swap_total=max(0, status.total_page_file - status.total_phys),
            commit_limit=status.total_page_file,
            commit_available=status.avail_page_file,
        ),
        "GlobalMemoryStatusEx",
    )


def elevated() -> Fact[bool]:
    """Whether this process runs with an administrator's full rights. Source: TokenElevation of its own token."""
    kernel32, advapi32 = _dll("kernel32"), _dll("advapi32")
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    token, answer, size = ctypes.c_void_p(), ctypes.c_ulong(), ctypes.c_ulong()
    token_query, token_elevation = 0x0008, 20
    if not advapi32.OpenProcessToken(ctypes.c_void_p(kernel32.GetCurrentProcess()), token_query, ctypes.byref(token)):
        raise _last_error()
    try:
        done = advapi32.GetTokenInformation(
            token, token_elevation, ctypes.byref(answer), ctypes.sizeof(answer), ctypes.byref(size)
        )
        if not done:
            raise _last_error()
    finally:
        kernel32.CloseHandle(token)
    return known(bool(answer.value), "TokenElevation")


def user_language() -> str:
    """The person's language and region, such as ``ko_KR``; "" if Windows does not say. GetUserDefaultLocaleName."""
    buffer = ctypes.create_unicode_buffer(85)
    if not _dll("kernel32").GetUserDefaultLocaleName(buffer, len(buffer)):
        return ""
    return buffer.value.replace("-", "_")
