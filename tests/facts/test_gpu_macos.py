"""GPUs on macOS, by what sysctl answers on each kind of Mac."""

from __future__ import annotations

import pytest

from hfdoctor.facts.probes import gpu_macos
from hfdoctor.facts.sections.gpu import Gpu


def observed(answers: dict[str, bytes]) -> Gpu:
    section = Gpu()
    gpu_macos.fill(section, answers.get)
    return section


@pytest.mark.parametrize(
    ("brand", "name"), [(b"Apple M3 Max\0", "Apple M3 Max"), (b"VirtualApple @ 2.50GHz processor\0", "Apple silicon")]
)
def test_apple_silicon(brand: bytes, name: str) -> None:
    """The second as a program for Intel sees it."""
    memory = (36 << 30).to_bytes(8, "little")
    section = observed(
        {"hw.optional.arm64": b"\1\0\0\0", "machdep.cpu.brand_string": brand, "hw.memsize": memory},
    )
    (device,) = section.devices.need()
    assert (device.vendor, device.name, device.memory_total) == ("apple", name, 36 << 30)
    assert section.driver.absent and section.nvml.absent and section.rocm.absent


def test_intel_mac() -> None:
    section = observed({"machdep.cpu.brand_string": b"Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz\0"})
    assert section.devices.status == "not-run"


def test_every_fact_says_why() -> None:
    section = observed({})
    for name in section.__struct_fields__:
        fact = getattr(section, name)
        assert name == "torch" or fact.reason or fact.known, name
