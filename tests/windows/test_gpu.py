"""GPUs on Windows: real registry keys, as drivers and the Plug and Play manager leave them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .machine import Step, WindowsMachine, hfdoctor, windows_path

pytestmark = [pytest.mark.wine, pytest.mark.allow_subprocess]

ENUM = r"HKLM\SYSTEM\CurrentControlSet\Enum"
DISPLAY = "{4d36e968-e325-11ce-bfc1-08002be10318}"
CLASS = rf"HKLM\SYSTEM\CurrentControlSet\Control\Class\{DISPLAY}"
SECURE_BOOT = r"HKLM\SYSTEM\CurrentControlSet\Control\SecureBoot\State"
PROGRAM = windows_path(Path(__file__).with_name("gpu_probe.py"))

UHD = r"PCI\VEN_8086&DEV_4680&SUBSYS_88821043&REV_0C\3&11583659&0&10"
RTX = r"PCI\VEN_10DE&DEV_2684&SUBSYS_88E21043&REV_A1\4&2a46ec1&0&0008"
SOUND = r"PCI\VEN_10DE&DEV_22BA&SUBSYS_88E21043&REV_A1\4&2a46ec1&0&0108"
HOST = r"PCI\VEN_8086&DEV_4660&SUBSYS_88821043&REV_02\3&11583659&0&00"
RADEON = r"PCI\VEN_1002&DEV_164E&SUBSYS_88771043&REV_C1\4&1c5a1b9a&0&0041"
SECURITY = r"PCI\VEN_1022&DEV_1649&SUBSYS_88771043&REV_00\4&1c5a1b9a&0&0241"


def device(
    instance: str, code: str, place: str, *, service: str = "", driver: str = "", description: str = ""
) -> list[list[Any]]:
    """The registry values of one device; ``place`` is bus, device and function."""
    key = rf"{ENUM}\{instance}"
    vendor = instance[4:12]
    location = rf"@System32\drivers\pci.sys,#65536;PCI bus %1, device %2, function %3;({place})"
    found: list[list[Any]] = [
        [key, "CompatibleIDs", "REG_MULTI_SZ", [rf"PCI\{vendor}&CC_{code}", rf"PCI\CC_{code}", rf"PCI\CC_{code[:4]}"]],
        [key, "LocationInformation", "REG_SZ", location],
    ]
    if service:
        found.append([key, "Service", "REG_SZ", service])
    if driver:
        found += [[key, "Driver", "REG_SZ", rf"{DISPLAY}\{driver}"], [key, "ClassGUID", "REG_SZ", DISPLAY]]
    if description:
        found.append([key, "DeviceDesc", "REG_SZ", description])
    return found


def software(number: str, name: str, version: str, memory: list[Any] | None = None) -> list[list[Any]]:
    """The registry values of one display driver."""
    key = rf"{CLASS}\{number}"
    found = [[key, "DriverDesc", "REG_SZ", name], [key, "DriverVersion", "REG_SZ", version]]
    return [*found, [key, "HardwareInformation.qwMemorySize", *memory]] if memory else found


DESKTOP = [
    *device(HOST, "060000", "0,0,0"),
    *device(UHD, "030000", "0,2,0", service="igfxn", driver="0001"),
    *device(RTX, "030000", "1,0,0", service="nvlddmkm", driver="0002"),
    *device(SOUND, "040300", "1,0,1", service="HDAudBus"),
    *software("0001", "Intel(R) UHD Graphics 770", "31.0.101.4502", ["REG_QWORD", 134217728]),
    *software("0002", "NVIDIA GeForce RTX 4090", "32.0.15.6094", ["REG_QWORD", 25757220864]),
]


def gpu(machine: WindowsMachine, *steps: Step) -> list[dict[str, Any]]:
    results = machine.run(*steps)
    assert [result.code for result in results] == [0] * len(results), results[0].stderr.decode("utf-8", "replace")
    return [result.report for result in results]


def look(*present: str, **step: Any) -> Step:
    return {"argv": [PROGRAM, *present], **step}


def test_what_the_registry_says_of_the_devices_that_are_there(machine: WindowsMachine) -> None:
    both, unplugged, none = gpu(
        machine,
        look(HOST, UHD, RTX, SOUND, set=[*DESKTOP, [SECURE_BOOT, "UEFISecureBootEnabled", "REG_DWORD", 1]]),
        look(HOST, UHD),  # the keys of the other stay behind in the registry
        look(HOST, delete=[[SECURE_BOOT, "UEFISecureBootEnabled"]]),
    )
    assert both["devices"]["value"] == [
        {
            "vendor": "intel",
            "name": "Intel(R) UHD Graphics 770",
            "seen": "registry",
            "address": "0000:00:02.0",
            "pci_id": "8086:4680",
            "kernel_driver": "igfxn",
            "integrated": True,
        },
        {
            "vendor": "nvidia",
            "name": "NVIDIA GeForce RTX 4090",
            "seen": "registry",
            "address": "0000:01:00.0",
            "pci_id": "10de:2684",
            "kernel_driver": "nvlddmkm",
            "memory_total": 25757220864,
        },
    ]
    assert both["driver"]["value"] == {"version": "560.94", "numbering": "windows"}
    assert both["nvml"]["value"]["answer"] == "library-missing"
    assert both["secure_boot"]["value"] is True
    assert [found["vendor"] for found in unplugged["devices"]["value"]] == ["intel"]
    assert unplugged["driver"]["status"] == "absent"
    assert none["devices"]["status"] == "absent"
    assert none["secure_boot"]["status"] == "absent"


def test_a_gpu_without_its_makers_driver(machine: WindowsMachine) -> None:
    """Windows' own makeshift driver, and none at all: a device without a class."""
    basic = device(RTX, "030000", "1,0,0", service="BasicDisplay", driver="0003")
    bare = r"PCI\VEN_10DE&DEV_20B5&SUBSYS_153310DE&REV_A1\4&2a46ec1&0&0010"
    prepare: Step = {
        "set": [
            *device(bare, "030200", "2,0,0", description="3D Video Controller"),
            *software("0003", "Microsoft Basic Display Adapter", "10.0.26100.1"),
        ]
    }
    # a step sets before it drops
    (section,) = gpu(machine, {"drop": [rf"{ENUM}\{RTX}"]}, prepare, look(HOST, RTX, bare, set=basic))
    found = section["devices"]["value"]
    assert [(one["pci_id"], one.get("name", ""), one.get("kernel_driver", "")) for one in found] == [
        ("10de:2684", "", "BasicDisplay"),
        ("10de:20b5", "", ""),
    ]
    assert section["driver"]["status"] == "absent"


def test_graphics_of_an_amd_processor_and_memory_as_bytes(machine: WindowsMachine) -> None:
    card = r"PCI\VEN_1002&DEV_744C&SUBSYS_0E3B1002&REV_C8\6&37a6d5d1&0&00000019"
    values = [
        *device(RADEON, "030000", "17,0,0", service="amduw23g", driver="0004"),
        *device(SECURITY, "108000", "17,0,2", service="amdpsp"),
        *device(card, "030000", "3,0,0", service="amduw23g", driver="0005"),
        *software("0004", "AMD Radeon(TM) Graphics", "32.0.11021.1011", ["REG_QWORD", 536870912]),
        *software(
            "0005", "AMD Radeon RX 7900 XTX", "32.0.11021.1011", ["REG_BINARY", (24 << 30).to_bytes(8, "little").hex()]
        ),
    ]
    (section,) = gpu(machine, look(RADEON, SECURITY, card, set=values))
    found = {one["name"]: one for one in section["devices"]["value"]}
    own, other = found["AMD Radeon(TM) Graphics"], found["AMD Radeon RX 7900 XTX"]
    assert own["integrated"] is True and "memory_total" not in own
    assert "integrated" not in other and other["memory_total"] == 24 << 30
    assert "status" not in section["rocm"] and section["rocm"]["reason"]  # not looked at


def test_devices_of_which_the_registry_says_little(machine: WindowsMachine) -> None:
    """No location, no class code, values of wrong types: the device is there all the same."""
    odd = r"PCI\VEN_10DE&DEV_2204&SUBSYS_147D10DE&REV_A1\4&odd"
    values: list[list[Any]] = [
        [rf"{ENUM}\{odd}", "ClassGUID", "REG_SZ", DISPLAY],
        [rf"{ENUM}\{odd}", "Service", "REG_SZ", "nvlddmkm"],
        [rf"{ENUM}\{odd}", "Driver", "REG_SZ", rf"{DISPLAY}\0006"],
        [rf"{CLASS}\0006", "DriverVersion", "REG_SZ", "not a version"],
        [rf"{CLASS}\0006", "HardwareInformation.qwMemorySize", "REG_SZ", "much"],
    ]
    section, nameless, empty = gpu(
        machine, look(odd, set=values), look(r"PCI\VEN_10DE&DEV_2204\gone", r"ROOT\rubbish"), look()
    )
    (found,) = section["devices"]["value"]
    assert found == {"vendor": "nvidia", "seen": "registry", "pci_id": "10de:2204", "kernel_driver": "nvlddmkm"}
    assert section["driver"]["status"] == "failed"
    assert nameless["devices"]["status"] == "absent"
    assert empty["devices"]["status"] == "failed"
    assert "cannot be told" in empty["devices"]["reason"]


def test_windows_own_answer_and_the_whole_snapshot(machine: WindowsMachine) -> None:
    """Wine's Plug and Play manager is asked for real: it names no PCI device, and that proves nothing."""
    asked, snapshot = gpu(machine, look("--ask"), hfdoctor("snapshot"))
    for section in (asked, snapshot["gpu"]):
        assert section["devices"]["status"] in ("failed", "known", "absent")
        for name, fact in section.items():
            assert name == "torch" or fact.get("status") == "known" or fact.get("reason"), name


@pytest.fixture(scope="module")
def nvml_dll(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake library for Windows."""
    compiler = shutil.which("x86_64-w64-mingw32-gcc")
    if compiler is None:
        pytest.skip("there is no C compiler for Windows")
    source = Path(__file__).parents[1] / "facts/fake_nvml.c"
    target = tmp_path_factory.mktemp("dll") / "nvml.dll"
    subprocess.run([compiler, "-shared", "-w", "-o", target, source], check=True, capture_output=True)
    return target


def test_the_driver_is_asked(machine: WindowsMachine, nvml_dll: Path) -> None:
    place = machine.drive_c / "windows/system32/nvml.dll"
    shutil.copy2(nvml_dll, place)
    try:
        mode = {"FAKE_NVML": "ok"}
        ok, refused = gpu(
            machine,
            look(HOST, RTX, set=DESKTOP, environ=mode),
            look(HOST, RTX, environ={"FAKE_NVML": "not-loaded"}),
        )
    finally:
        place.unlink()
    assert ok["nvml"]["value"]["answer"] == "ok"
    assert ok["driver"]["value"] == {"version": "570.86.15", "cuda": "12.8", "numbering": "windows"}
    assert [one["seen"] for one in ok["devices"]["value"]] == ["registry", "nvml", "nvml"]
    assert refused["nvml"]["value"]["answer"] == "driver-not-loaded"
    assert refused["driver"]["value"] == {"version": "560.94", "numbering": "windows"}
