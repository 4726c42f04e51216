"""The machine's facts on macOS, asked of sysctl."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ..fact import Fact, absent, failed, known
from ..observe import observe
from ..sections.machine import Cpu, Machine, Memory, OsInfo
from .machine import architecture_name

#: words of machdep.cpu.features and machdep.cpu.leaf7_features (Intel) -> Linux' names
INTEL_FEATURES = {
    "SSE2": "sse2",
    "SSE3": "pni",
    "SSSE3": "ssse3",
    "SSE4.1": "sse4_1",
    "SSE4.2": "sse4_2",
    "POPCNT": "popcnt",
    "AVX1.0": "avx",
    "AVX2": "avx2",
    "FMA": "fma",
    "F16C": "f16c",
    "BMI1": "bmi1",
    "BMI2": "bmi2",
    "AVX512F": "avx512f",
}
#: names of hw.optional (Apple silicon) -> Linux' names
ARM_FEATURES = {
    "AdvSIMD": "asimd",
    "arm.FEAT_FP16": "asimdhp",
    "arm.FEAT_DotProd": "asimddp",
    "arm.FEAT_LSE": "atomics",
    "arm.FEAT_BF16": "bf16",
    "arm.FEAT_I8MM": "i8mm",
}


def fill(section: Machine, environ: Mapping[str, str]) -> None:
    """Fill the facts of ``section`` that macOS tells in its own way."""
    observe(section, "os", os_info, "sysctl kern.osproductversion")
    observe(section, "architecture", architecture, "sysctl hw.optional.arm64")
    section.libc = absent("macOS has none of the two", "sys.platform")
    section.wsl = absent("this is macOS", "sys.platform")
    section.container = absent("macOS has no containers of its own", "sys.platform")
    section.shm = absent("macOS has no /dev/shm", "sys.platform")
    observe(section, "cpu", cpu, "sysctl machdep.cpu.brand_string")
    observe(section, "cpu_features", cpu_features, "sysctl")
    observe(section, "memory", memory, "sysctl hw.memsize")
    section.elevated = known(os.geteuid() == 0, "geteuid")


def sysctl(name: str) -> bytes | None:
    """The raw value of a sysctl name; None if this machine does not have it."""
    call = ctypes.CDLL(None).sysctlbyname
    size = ctypes.c_size_t(0)
    if call(name.encode(), None, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return None
    buffer = ctypes.create_string_buffer(size.value or 1)
    if call(name.encode(), buffer, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return None
    return buffer.raw[: size.value]


def text_of(raw: bytes | None) -> str:
    """A sysctl string."""
    return (raw or b"").rstrip(b"\0").decode("utf-8", "replace").strip()


def number_of(raw: bytes | None) -> int | None:
    """A sysctl number of 4 or 8 bytes."""
    return int.from_bytes(raw, "little") if raw and len(raw) in (4, 8) else None


def os_info() -> Fact[OsInfo]:
    """Product version and build. Source: sysctl; SystemVersion.plist on releases before 10.13.4."""
    version, build = text_of(sysctl("kern.osproductversion")), text_of(sysctl("kern.osversion"))
    source = "sysctl kern.osproductversion"
    if not version:
        import plistlib

        path = Path("/System/Library/CoreServices/SystemVersion.plist")
        source = str(path)
        with path.open("rb") as stream:
            version = str(plistlib.load(stream).get("ProductVersion", ""))
    return known(OsInfo("macos", name=f"macOS {version}".strip(), version=version, build=build), source)


def architecture(ask: Callable[[str], bytes | None] = sysctl) -> Fact[str]:
    """The processor's own architecture; uname says x86_64 to a process that Rosetta translates."""
    if number_of(ask("hw.optional.arm64")):
        return known("aarch64", "sysctl hw.optional.arm64")
    return known(architecture_name(os.uname().machine), "uname")


def cpu() -> Fact[Cpu]:
    """Model and number of processors. Source: sysctl machdep.cpu.brand_string."""
    count = number_of(sysctl("hw.logicalcpu")) or os.cpu_count() or 1
    return known(Cpu(text_of(sysctl("machdep.cpu.brand_string")), count), "sysctl machdep.cpu.brand_string")


def cpu_features(ask: Callable[[str], bytes | None] = sysctl) -> Fact[list[str]]:
    """Instruction set extensions. Source: machdep.cpu.features (Intel), hw.optional (Apple silicon)."""
    if number_of(ask("hw.optional.arm64")):
        found = [linux for name, linux in ARM_FEATURES.items() if number_of(ask(f"hw.optional.{name}"))]
        return known(sorted({"asimd", *found}), "sysctl hw.optional")
    words = f"{text_of(ask('machdep.cpu.features'))} {text_of(ask('machdep.cpu.leaf7_features'))}".split()
    if not words:
        return failed("sysctl does not list the processor's features", "sysctl machdep.cpu.features")
    return known(
        sorted(linux for name, linux in INTEL_FEATURES.items() if name in words), "sysctl machdep.cpu.features"
    )


def memory() -> Fact[Memory]:
    """Bytes of memory; what is free or can be freed at once counts as available. Source: sysctl.

    macOS grows its swap files as it needs them: ``swap_total`` is what it has at the moment.
    """
    total = number_of(sysctl("hw.memsize"))
    if total is None:
        return failed("sysctl does not say how much memory there is", "sysctl hw.memsize")
    page = number_of(sysctl("hw.pagesize")) or 4096
    pages = sum(number_of(sysctl(f"vm.page_{kind}_count")) or 0 for kind in ("free", "speculative", "purgeable"))
    swap = sysctl("vm.swapusage") or b""  # struct xsw_usage: total, available, used ... as 64-bit numbers
    return known(
        Memory(
            ram_total=total,
            ram_available=min(total, pages * page),
            swap_total=int.from_bytes(swap[:8], "little"),
        ),
        "sysctl hw.memsize",
    )
