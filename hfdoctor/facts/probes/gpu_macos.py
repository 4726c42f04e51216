"""The facts about GPUs on macOS: Apple silicon has one; on Intel Macs nothing quick tells which there is."""

from __future__ import annotations

from collections.abc import Callable

from ..fact import Fact, absent, known, not_run
from ..legible import legible
from ..observe import observe
from ..sections.gpu import Device, Gpu
from .machine_macos import number_of, sysctl, text_of


def fill(section: Gpu, ask: Callable[[str], bytes | None] = sysctl) -> None:
    """Fill the facts of ``section``; ``ask`` gives the raw value of a sysctl name."""
    observe(section, "devices", lambda: devices(ask), "sysctl machdep.cpu.brand_string")
    section.kernel_modules = absent("macOS does not show its GPU drivers as modules", "sys.platform")
    for name in ("nvml", "driver", "processes", "cuda_compat", "rocm", "jetson"):
        setattr(section, name, absent("neither NVIDIA nor AMD has compute software for this macOS", "sys.platform"))
    section.device_files = absent("macOS has none", "sys.platform")
    section.secure_boot = not_run("it keeps no driver out on macOS", "sys.platform")
    section.container_gpu = absent("macOS has no containers of its own", "sys.platform")
    section.wsl = absent("this is macOS", "sys.platform")


def devices(ask: Callable[[str], bytes | None]) -> Fact[list[Device]]:
    """Apple's GPU, with the memory that it shares with the processor (bytes). Source: sysctl."""
    if number_of(ask("hw.optional.arm64")) != 1:
        return not_run("on an Intel Mac only the slow system profiler tells which GPU there is", "sysctl")
    name = legible(text_of(ask("machdep.cpu.brand_string")))
    if not name.startswith("Apple"):  # a translated program is shown an Intel processor
        name = "Apple silicon"
    memory = number_of(ask("hw.memsize"))
    return known(
        [Device("apple", name=name, seen="system", memory_total=memory)], "sysctl machdep.cpu.brand_string, hw.memsize"
    )
