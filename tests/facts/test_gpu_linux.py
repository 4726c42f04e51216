"""GPUs on Linux: which there are, told from the files of many machines, without a driver's help."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hfdoctor.facts.probes import gpu_pci
from hfdoctor.facts.probes.gpu_loader import find_library
from tests.facts import gpu_trees as trees

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="makes Linux' own files")


def seen(root: Path) -> list[tuple[str, str, str, bool]]:
    devices = trees.observed(root).devices.need()
    return [(device.address, device.pci_id, device.kernel_driver, device.integrated) for device in devices]


@pytest.mark.parametrize("driver", ["nvidia", "nouveau", "", "vfio-pci"])
def test_a_gpu_is_there_with_whatever_driver(tmp_path: Path, driver: str) -> None:
    root = trees.make(tmp_path, trees.desktop(driver))
    assert seen(root) == [
        ("0000:00:02.0", "8086:a780", "i915", True),
        ("0000:01:00.0", "10de:2684", driver, False),
    ]
    section = trees.observed(root)
    assert section.nvml.need().answer == "library-missing"
    assert section.driver.absent
    assert section.processes.absent
    assert [device.vendor for device in section.devices.need()] == ["intel", "nvidia"]


def test_nouveau_has_taken_the_place(tmp_path: Path) -> None:
    root = trees.make(tmp_path, trees.desktop("nouveau"), modules={"nouveau": "", "i915": ""})
    section = trees.observed(root)
    assert section.kernel_modules.need() == {"nouveau": "", "i915": ""}
    assert section.driver.absent


def test_switches_and_console_chips_are_no_gpus(tmp_path: Path) -> None:
    root = trees.make(tmp_path, trees.h100_server())
    found = seen(root)
    assert len(found) == 8
    assert {pci_id for _, pci_id, _, _ in found} == {"10de:2330"}
    assert [address for address, *_ in found] == sorted(address for address, *_ in found)


def test_hybrid_laptop(tmp_path: Path) -> None:
    entries: list[trees.Entry] = [
        ("0000:00:02.0", 0x030000, 0x8086, 0x46A6, "i915"),
        ("0000:01:00.0", 0x030200, 0x10DE, 0x25A2, "nvidia"),
    ]
    assert [entry[3] for entry in seen(trees.make(tmp_path, entries))] == [True, False]


def test_graphics_of_an_amd_processor(tmp_path: Path) -> None:
    root = trees.make(tmp_path / "alone", trees.ryzen(radeon=False))
    assert seen(root) == [("0000:11:00.0", "1002:164e", "amdgpu", True)]
    root = trees.make(tmp_path / "both", trees.ryzen(radeon=True))
    assert [(entry[0], entry[3]) for entry in seen(root)] == [("0000:03:00.0", False), ("0000:11:00.0", True)]
    old: list[trees.Entry] = [
        ("0000:00:00.0", 0x060000, 0x1022, 0x1422, ""),
        ("0000:00:01.0", 0x030000, 0x1002, 0x130F, "radeon"),
    ]
    assert seen(trees.make(tmp_path / "old", old)) == [("0000:00:01.0", "1002:130f", "radeon", True)]


def test_intel_arc_beside_its_npu(tmp_path: Path) -> None:
    entries: list[trees.Entry] = [
        ("0000:00:02.0", 0x030000, 0x8086, 0x7D55, "xe"),
        ("0000:00:0b.0", 0x120000, 0x8086, 0x7D1D, "intel_vpu"),
        ("0000:03:00.0", 0x030000, 0x8086, 0xE20B, "xe"),
    ]
    assert seen(trees.make(tmp_path, entries)) == [
        ("0000:00:02.0", "8086:7d55", "xe", True),
        ("0000:03:00.0", "8086:e20b", "xe", False),
    ]


def test_a_passed_through_gpu_on_the_first_bus_is_not_integrated(tmp_path: Path) -> None:
    entries: list[trees.Entry] = [
        ("0000:00:00.0", 0x060000, 0x8086, 0x1237, ""),
        ("0000:00:02.0", 0x030000, 0x1234, 0x1111, "bochs-drm"),
        ("0000:00:05.0", 0x030200, 0x10DE, 0x20B5, ""),
        ("0000:00:06.0", 0x030000, 0x1002, 0x744C, "amdgpu"),
    ]
    assert [(entry[0], entry[3]) for entry in seen(trees.make(tmp_path, entries))] == [
        ("0000:00:05.0", False),
        ("0000:00:06.0", False),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        ("0000:00:01.0", 0x030000, 0x1AF4, 0x1050, "virtio-pci"),
        ("0000:00:02.0", 0x030000, 0x1B36, 0x0100, "qxl"),
        ("0000:00:0f.0", 0x030000, 0x15AD, 0x0405, "vmwgfx"),
        ("0000:00:08.0", 0x030000, 0x1414, 0x5353, "hyperv_drm"),
        ("0000:03:00.0", 0x030000, 0x102B, 0x0536, "mgag200"),
        ("0000:10:0d.0", 0x030000, 0x1002, 0x515E, "radeon"),
        trees.ASPEED,
    ],
    ids=lambda entry: entry[4],
)
def test_what_only_shows_a_console_is_no_gpu(tmp_path: Path, entry: trees.Entry) -> None:
    section = trees.observed(trees.make(tmp_path, [trees.INTEL_HOST, entry]))
    assert section.devices.absent
    assert section.rocm.absent
    assert section.container_gpu.absent


def test_virtual_functions_are_not_counted_beside_their_gpu(tmp_path: Path) -> None:
    entries: list[trees.Entry] = [("0000:41:00.0", 0x030200, 0x10DE, 0x20B0, "nvidia")]
    entries += [(f"0000:41:00.{number}", 0x030200, 0x10DE, 0x20B0, "nvidia") for number in (4, 5)]
    root = trees.make(tmp_path, entries)
    for number in (4, 5):
        trees.link(root, f"sys/devices/pci0000:00/0000:41:00.{number}/physfn", "../0000:41:00.0")
    assert [entry[0] for entry in seen(root)] == ["0000:41:00.0"]


def test_nothing_is_concluded_from_a_bus_that_is_not_shown(tmp_path: Path) -> None:
    """Containers without /sys, sandboxes that show an empty one."""
    hidden, empty = tmp_path / "hidden", trees.make(tmp_path / "empty")
    (hidden / "dev").mkdir(parents=True)
    for root in (hidden, empty):
        section = trees.observed(root, container="docker")
        assert section.devices.status == "failed"
        assert "cannot be told" in section.devices.reason
        assert section.rocm.status == "not-run"
    section = trees.observed(hidden)
    assert section.kernel_modules.status == "failed"
    assert section.driver.absent  # of its libraries there is none, whatever the kernel has
    assert section.secure_boot.status == "failed"


@pytest.mark.parametrize("bus", ["vmbus", "virtio"])
def test_a_virtual_machine_without_pci_has_no_gpu(bus: str, tmp_path: Path) -> None:
    """Runners of CI are such machines: their own devices are shown, so the empty PCI bus is a true one."""
    root = trees.make(tmp_path)
    (root / "sys/bus" / bus / "devices").mkdir(parents=True)
    assert trees.observed(root).devices.status == "failed"
    trees.link(root, f"sys/bus/{bus}/devices/0", "../../../devices/0")
    assert trees.observed(root).devices.absent


def test_names_come_from_the_systems_own_list(tmp_path: Path) -> None:
    root = trees.make(tmp_path, trees.desktop("nouveau"))
    text = (
        "# comment\n\n1002  Advanced Micro Devices, Inc. [AMD/ATI]\n\t2684  not this one\n"
        "10de  NVIDIA Corporation\n\t2682  no\n\t2684  AD102 [GeForce RTX 4090]\n\t\t1043 88e2  a card\n"
        "8086  Intel Corporation\n\ta780  Raptor Lake-S GT1 [UHD Graphics 770]\nC 03  Display controller\n"
    )
    trees.put(root, "usr/share/misc/pci.ids", text)
    names = [device.name for device in trees.observed(root).devices.need()]
    assert names == ["Raptor Lake-S GT1 [UHD Graphics 770]", "AD102 [GeForce RTX 4090]"]


@pytest.mark.parametrize("text", ["", "10de  NVIDIA Corporation\n8086  Intel\n\t2684  another maker's\n", "\n10de  N"])
def test_a_list_without_the_device_gives_no_name(tmp_path: Path, text: str) -> None:
    root = trees.make(tmp_path, trees.desktop("nvidia")[4:5])
    trees.put(root, "usr/share/hwdata/pci.ids", text)
    assert trees.observed(root).devices.need()[0].name == ""


def test_a_device_that_vanishes_does_not_hide_the_others(tmp_path: Path) -> None:
    root = trees.make(tmp_path, trees.desktop("nvidia"))
    (root / "sys/bus/pci/devices/0000:05:00.0").symlink_to("gone")
    trees.put(root, "sys/devices/pci0000:00/0000:06:00.0/class", "rubbish")
    (root / "sys/bus/pci/devices/0000:06:00.0").symlink_to("../../../devices/pci0000:00/0000:06:00.0")
    assert len(seen(root)) == 2


def test_kernel_module_without_any_library(tmp_path: Path) -> None:
    """A container that was not given the GPU: the host's module is seen, nothing of the driver's libraries."""
    root = trees.make(tmp_path, trees.desktop("nvidia"), modules={"nvidia": "570.86.15", "nvidia_uvm": ""})
    trees.put(root, "proc/self/mountinfo", "22 1 0:20 / / rw - overlay overlay rw\n")
    section = trees.observed(root, container="docker")
    assert section.kernel_modules.need() == {"nvidia": "570.86.15", "nvidia_uvm": ""}
    assert section.nvml.need().answer == "library-missing"
    assert section.driver.absent
    assert "is loaded, but neither" in section.driver.reason
    assert section.container_gpu.need() == "none"


def test_the_version_in_proc_where_modules_are_hidden(tmp_path: Path) -> None:
    line = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release Build  (dvs-builder@U22)\n"
    trees.put(tmp_path, "proc/driver/nvidia/version", line + "GCC version:  gcc version 12.3.0\n")
    (tmp_path / "dev").mkdir()
    section = trees.observed(tmp_path)
    assert section.kernel_modules.need() == {"nvidia": "575.57.08"}


@pytest.mark.parametrize(
    ("environ", "points", "dev", "kind", "wanted"),
    [
        ({}, ["/usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15"], [], "docker", "nvidia-runtime"),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, ["/proc/driver/nvidia"], [], "kubernetes", "nvidia-runtime"),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, ["/usr/bin/nvidia-smi"], ["nvidia0"], "podman", "cdi"),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, ["/"], [], "docker", "none"),
        ({}, ["/"], ["kfd", "dri/renderD128"], "docker", "devices"),
        ({}, ["/.singularity.d/libs/libcuda.so.1"], [], "apptainer", "apptainer"),
    ],
)
def test_how_gpus_come_into_a_container(
    tmp_path: Path, environ: dict[str, str], points: list[str], dev: list[str], kind: str, wanted: str
) -> None:
    root = trees.make(tmp_path, trees.desktop("nvidia"), dev=dev)
    lines = [f"{number} 1 0:{number} / {point} ro - ext4 /dev/sda1 rw" for number, point in enumerate(points, 30)]
    trees.put(root, "proc/self/mountinfo", "\n".join(lines) + "\n")
    assert trees.observed(root, environ, container=kind).container_gpu.need() == wanted


def test_secure_boot(tmp_path: Path) -> None:
    attributes = b"\x06\0\0\0"
    variables = "sys/firmware/efi/efivars"
    shim = "MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23"
    name = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    cases: list[tuple[str, dict[str, bytes], object]] = [
        ("on", {name: attributes + b"\1"}, True),
        ("off", {name: attributes + b"\0"}, False),
        ("not-checked", {name: attributes + b"\1", shim: attributes + b"\1"}, False),
        ("checked", {name: attributes + b"\1", shim: attributes + b"\0"}, True),
    ]
    for folder, files, wanted in cases:
        root = trees.make(tmp_path / folder)
        for file, data in files.items():
            trees.put(root, f"{variables}/{file}", data)
        assert trees.observed(root).secure_boot.need() is wanted, folder
    root = trees.make(tmp_path / "bios")
    assert trees.observed(root).secure_boot.absent
    root = trees.make(tmp_path / "hidden")
    (root / variables).mkdir(parents=True)
    assert trees.observed(root).secure_boot.status == "failed"
    root = trees.make(tmp_path / "cut")
    trees.put(root, f"{variables}/{name}", attributes)
    assert trees.observed(root).secure_boot.status == "failed"


def test_jetson(tmp_path: Path) -> None:
    root = trees.make(tmp_path, [("0001:00:00.0", 0x060400, 0x10DE, 0x229E, "pcieport")], modules={"nvgpu": ""})
    trees.put(root, "etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n")
    trees.put(root, "proc/device-tree/model", b"NVIDIA Jetson AGX Orin Developer Kit\0")
    section = trees.observed(root)
    assert section.jetson.need() == "36.4.3"
    (device,) = section.devices.need()
    assert (device.vendor, device.name, device.seen) == ("nvidia", "NVIDIA Jetson AGX Orin Developer Kit", "system")
    assert not device.integrated
    assert section.driver.status == "failed"  # it has one, which was not found: not "no driver"


def test_jetson_in_a_container_that_hides_the_release(tmp_path: Path) -> None:
    trees.put(tmp_path, "sys/firmware/devicetree/base/compatible", b"nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0")
    (tmp_path / "dev").mkdir()
    section = trees.observed(tmp_path, container="docker")
    assert section.jetson.known
    assert section.devices.need()[0].vendor == "nvidia"


def test_another_arm_board_is_no_jetson(tmp_path: Path) -> None:
    root = trees.make(tmp_path, [("0001:00:00.0", 0x060400, 0x14E4, 0x2712, "pcieport")])
    trees.put(root, "proc/device-tree/compatible", b"raspberrypi,5-model-b\0brcm,bcm2712\0")
    section = trees.observed(root)
    assert section.jetson.absent
    assert section.devices.absent


def test_the_loaders_order(tmp_path: Path) -> None:
    for path in ("opt/one/libcuda.so.1", "usr/lib64/libcuda.so.1", "usr/lib/wsl/lib/libnvidia-ml.so.1"):
        trees.put(tmp_path, path)
    root = str(tmp_path)
    trees.put(tmp_path, "usr/local/cuda-13.0/compat/libcuda.so.580.82.07")
    trees.link(tmp_path, "usr/local/cuda-13.0/compat/libcuda.so.1", "libcuda.so.580.82.07")
    trees.link(tmp_path, "usr/local/cuda", "cuda-13.0")

    def found(environ: dict[str, str], name: str = "libcuda.so.1") -> tuple[str, str, str] | None:
        library = find_library(name, environ, root)
        return (library.path, library.real, library.by) if library else None

    assert found({}) == ("/usr/lib64/libcuda.so.1", "/usr/lib64/libcuda.so.1", "default")
    trees.loader_cache(tmp_path, ["/gone/libcuda.so.1", "/opt/one/libcuda.so.1", "/usr/lib64/libcuda.so.1"])
    assert found({}) == ("/opt/one/libcuda.so.1", "/opt/one/libcuda.so.1", "ld.so.cache")
    newer = "/usr/local/cuda-13.0/compat/libcuda.so.580.82.07"
    by_variable = found({"LD_LIBRARY_PATH": ":/nowhere:relative:/usr/local/cuda/compat/"})
    assert by_variable == ("/usr/local/cuda/compat/libcuda.so.1", newer, "LD_LIBRARY_PATH")
    assert found({}, "libnvidia-ml.so.1") == (*["/usr/lib/wsl/lib/libnvidia-ml.so.1"] * 2, "elsewhere")
    # a library for 32-bit programs comes first in the cache, and is none for this one
    trees.loader_cache(tmp_path, ["/opt/one/libcuda.so.1"], flags=0x0003)
    assert found({}) == ("/usr/lib64/libcuda.so.1", "/usr/lib64/libcuda.so.1", "default")
    for rubbish in (b"libcuda.so.1\0", b"glibc-ld.so.cache1.1" + b"\xff" * 40 + b"libcuda.so.1\0"):
        trees.put(tmp_path, "etc/ld.so.cache", rubbish)
        assert found({}) == ("/usr/lib64/libcuda.so.1", "/usr/lib64/libcuda.so.1", "default")


def test_this_machines_own_cache_is_understood() -> None:
    """The C library's own file, of the real loader: each listed library is one that is there."""
    from hfdoctor.facts.probes.gpu_loader import cached

    if not Path("/etc/ld.so.cache").exists():
        pytest.skip("this system's loader has no cache")
    paths = cached("libc.so.6")
    assert paths
    assert all(Path(path).is_file() and path.endswith("/libc.so.6") for path in paths)


def test_class_codes_of_the_registry_of_pci_devices() -> None:
    functions = [gpu_pci.Function("0000:05:00.0", 0x120000, 0x1002, 0x74A1), gpu_pci.Function("?1", 0, 0x10DE, 1)]
    assert [device.pci_id for device in gpu_pci.gpus(functions)] == ["1002:74a1"]
