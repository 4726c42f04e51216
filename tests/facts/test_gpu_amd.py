"""AMD's side: the kernel's compute driver, ROCm, and who may use the device files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hfdoctor.facts.probes.gpu_amd import gfx_name
from tests.facts import gpu_trees as trees

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="makes Linux' own files")
INSTINCTS = ("05", "26", "46", "65", "85", "a6", "c6", "e5")


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (90402, "gfx942"),
        (90500, "gfx950"),
        (90010, "gfx90a"),
        (90006, "gfx906"),
        (90012, "gfx90c"),
        (100300, "gfx1030"),
        (110000, "gfx1100"),
        (110501, "gfx1151"),
        (120001, "gfx1201"),
    ],
)
def test_names_of_targets(number: int, name: str) -> None:
    assert gfx_name(number) == name


def mi300x(root: Path) -> Path:
    entries: list[trees.Entry] = [(f"0000:{bus}:00.0", 0x120000, 0x1002, 0x74A1, "amdgpu") for bus in INSTINCTS]
    trees.make(root, [*entries, trees.ASPEED], modules={"amdgpu": "6.12.12"}, dev=["kfd", "dri/renderD128"])
    for number in (0, 1):
        trees.kfd_node(root, number, 0)
    for number, bus in enumerate(INSTINCTS, 2):
        trees.kfd_node(root, number, 90402, f"0000:{bus}:00.0")
        trees.put(root, f"sys/bus/pci/devices/0000:{bus}:00.0/mem_info_vram_total", "206141652992\n")
        trees.put(root, f"sys/bus/pci/devices/0000:{bus}:00.0/mem_info_vram_used", "297652224\n")
    trees.put(root, "opt/rocm-6.4.1/.info/version", "6.4.1-83\n")
    return root


def test_instinct_server(tmp_path: Path) -> None:
    section = trees.observed(mi300x(tmp_path))
    devices = section.devices.need()
    assert len(devices) == 8
    first = devices[0]
    assert (first.vendor, first.capability, first.seen) == ("amd", "gfx942", "pci+kfd")
    assert (first.memory_total, first.memory_free) == (206141652992, 206141652992 - 297652224)
    assert not any(device.integrated for device in devices)
    rocm = section.rocm.need()
    assert (rocm.version, rocm.targets) == ("6.4.1", ["gfx942"])
    assert section.kernel_modules.need() == {"amdgpu": "6.12.12"}
    assert section.nvml.need().answer == "library-missing"


def test_processor_graphics_beside_a_card(tmp_path: Path) -> None:
    root = trees.make(tmp_path, trees.ryzen(radeon=True), modules={"amdgpu": ""}, dev=["kfd"])
    trees.kfd_node(root, 0, 0)
    trees.kfd_node(root, 1, 110000, "0000:03:00.0")
    trees.kfd_node(root, 2, 100306, "0000:11:00.0")
    trees.put(root, "sys/bus/pci/devices/0000:11:00.0/mem_info_vram_total", "536870912\n")
    card, own = trees.observed(root).devices.need()
    assert (card.capability, card.integrated) == ("gfx1100", False)
    assert (own.capability, own.integrated, own.memory_total) == ("gfx1036", True, None)


def test_a_card_without_its_driver(tmp_path: Path) -> None:
    section = trees.observed(trees.make(tmp_path, [("0000:03:00.0", 0x030000, 0x1002, 0x744C, "")]))
    assert section.devices.need()[0].capability == ""
    assert section.rocm.need().version == ""
    assert section.rocm.need().targets == []


def test_nodes_that_a_control_group_hides(tmp_path: Path) -> None:
    root = mi300x(tmp_path)
    for number in range(3, 10):
        (root / f"sys/class/kfd/kfd/topology/nodes/{number}/properties").write_bytes(b"")
    devices = trees.observed(root).devices.need()
    assert [device.capability for device in devices] == ["gfx942", *[""] * 7]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_groups_that_a_user_is_not_in(tmp_path: Path) -> None:
    """Seen by a real other user: the kernel itself says what is allowed."""
    root = trees.make(tmp_path, trees.ryzen(radeon=True), modules={"amdgpu": ""})
    for name, group, mode in (
        ("kfd", 992, 0o660),
        ("dri/renderD128", 992, 0o660),
        ("dri/renderD129", 44, 0o660),
        ("nvidia0", 0, 0o666),
        ("nvidiactl", 44, 0o640),
    ):
        file = trees.put(root, f"dev/{name}")
        os.chown(file, 0, group)
        file.chmod(mode)
    for name, driver in (("renderD128", "amdgpu"), ("renderD129", "i915")):
        trees.link(root, f"sys/class/drm/{name}/device/driver", f"../../../../bus/pci/drivers/{driver}")
    (root / "dev/nvidiactl").unlink()  # no child is to be started here
    outer = tmp_path
    while outer != outer.parent and outer.stat().st_mode & 0o005 != 0o005:
        outer.chmod(outer.stat().st_mode | 0o005)
        outer = outer.parent
    stranger, member = as_user(root, 65534, []), as_user(root, 65534, [992])
    assert stranger["missing"] == ["render"]  # the other render node is not AMD's
    assert stranger["files"]["/dev/kfd"] == [False, "EACCES", "root render 0660"]
    assert stranger["files"]["/dev/nvidia0"] == [True, "", "root root 0666"]
    assert member["missing"] == []
    assert member["files"]["/dev/kfd"][0] is True
    assert member["files"]["/dev/dri/renderD129"] == [False, "EACCES", "root video 0660"]


def as_user(root: Path, uid: int, groups: list[int]) -> Any:
    """What the probe sees in a process of that user."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(groups)
            os.setgid(uid)
            os.setuid(uid)
            section = trees.observed(root)
            files = {f.path: [f.usable, f.error, f.owner] for f in section.device_files.need()}
            said = {"missing": section.rocm.need().missing_groups, "files": files}
            os.write(write, json.dumps(said).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        data = stream.read()
    os.waitpid(pid, 0)
    return json.loads(data)
