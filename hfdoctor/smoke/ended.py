"""How a process died, in words: the name of the signal, or of Windows' exception."""

from __future__ import annotations

import signal

#: NTSTATUS values with which Windows ends a process (ntstatus.h; learn.microsoft.com/openspecs ms-erref 2.3.1)
NTSTATUS = {
    0xC0000005: "access violation",
    0xC0000006: "a page of a file could not be read",
    0xC0000017: "no memory",
    0xC000001D: "illegal instruction",
    0xC0000094: "division by zero",
    0xC00000FD: "stack overflow",
    0xC0000135: "a DLL was not found",
    0xC0000139: "an entry point was not found in a DLL",
    0xC0000142: "a DLL failed to initialise",
    0xC000013A: "interrupted",
    0xC0000374: "heap corruption",
    0xC0000409: "abort or stack buffer overrun",
    0xE06D7363: "an unhandled C++ exception",
}


def error_of(code: int | None) -> str:
    """An exit code: "signal SIGBUS", "exit 0xC0000005", "exit 3"; "" for an ordinary end, "timeout" for None."""
    if code is None:
        return "timeout"
    if code == 0:
        return ""
    if code < 0 and code > -128:
        try:
            return f"signal {signal.Signals(-code).name}"
        except ValueError:
            return f"signal {-code}"
    unsigned = code & 0xFFFFFFFF
    return f"exit 0x{unsigned:X}" if unsigned >= 0x80000000 else f"exit {code}"


def meaning(error: str) -> str:
    """What the exit code says in words, where it is one of Windows' own; "" for all others."""
    if not error.startswith("exit 0x"):
        return ""
    return NTSTATUS.get(int(error[7:], 16), "")
