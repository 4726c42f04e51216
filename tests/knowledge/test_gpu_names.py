"""GPUs by name and by PCI id."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from hfdoctor.knowledge.gpu_names import (
    capability_of,
    capability_of_pci_id,
    gfx_of,
    gfx_of_pci_id,
    load_gpu_names,
    name_key,
)
from tests.knowledge.published import SCRIPTS


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "8.9"),
        ("NVIDIA GeForce RTX 4090", "8.9"),
        ("RTX3090", "8.6"),
        ("GTX1080Ti", "6.1"),
        ("Tesla V100-SXM2-32GB", "7.0"),
        ("A100-PCIE-40GB", "8.0"),
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", "8.0"),
        ("NVIDIA H100 80GB HBM3", "9.0"),
        ("NVIDIA H100 NVL", "9.0"),
        ("NVIDIA GH200 480GB", "9.0"),
        ("NVIDIA H200", "9.0"),
        ("NVIDIA B200", "10.0"),
        ("NVIDIA B300 SXM6 AC", "10.3"),
        ("NVIDIA GB10", "12.1"),
        ("RTX PRO 6000 Blackwell Workstation Edition", "12.0"),
        ("NVIDIA RTX Pro 6000 Blackwell DC-48Q", "12.0"),
        ("NVIDIA GeForce RTX 5060 Ti", "12.0"),
        ("GeForce GTX 1650 with Max-Q Design", "7.5"),
        ("Quadro RTX 8000", "7.5"),
        ("TITAN RTX", "7.5"),
        ("NVIDIA TITAN V", "7.0"),
        ("NVIDIA TITAN X (Pascal)", "6.1"),
        ("NVIDIA GeForce GTX TITAN X", "5.2"),
        ("NVIDIA L40S", "8.9"),
        ("NVIDIA RTX 4000 SFF Ada Generation", "8.9"),
        ("NVIDIA RTX A2000 8GB Laptop GPU", "8.6"),
        ("NVIDIA A10G", "8.6"),
        ("Tesla K80", "3.7"),
        ("GRID A100-10C", "8.0"),
        ("GRID V100D-8Q", "7.0"),
        ("GRID RTX6000-8Q", "7.5"),
        ("NVIDIA RTX6000-Ada-48Q", "8.9"),
        ("NVIDIA A40-48Q", "8.6"),
        ("NVIDIA GeForce MX450", "7.5"),
        ("NVIDIA T1200 Laptop GPU", "7.5"),
        ("Orin", "8.7"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "8.7"),
        ("Xavier", "7.2"),
    ],
)
def test_names_as_drivers_write_them(name: str, capability: str) -> None:
    assert capability_of(name) == capability


@pytest.mark.parametrize("name", ["GeForce GT 730", "NVIDIA GeForce GT 710", "GeForce GTX 860M", "NVIDIA TITAN X"])
def test_a_name_of_several_chips_is_not_answered(name: str) -> None:
    assert capability_of(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "NVIDIA",
        "NVIDIA Graphics Device",
        "Tesla",
        "GPU 0",
        "80GB",
        "NVIDIA RTX 4000",  # Quadro RTX 4000 or RTX 4000 Ada
        "NVIDIA GeForce RTX 9090",
        "AMD Radeon RX 7900 XTX",
        "Intel(R) Arc(TM) A770 Graphics",
        "Microsoft Basic Display Adapter",
        "llvmpipe (LLVM 15.0.7, 256 bits)",
    ],
)
def test_unknown_names_are_not_guessed(name: str) -> None:
    assert capability_of(name) is None


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("AMD Radeon RX 7900 XTX", "gfx1100"),
        ("AMD Instinct MI300X", "gfx942"),
        ("AMD Instinct MI250X", "gfx90a"),
        ("AMD Instinct MI355X", "gfx950"),
        ("Radeon RX 6800 XT", "gfx1030"),
        ("AMD Radeon RX 9070 XT", "gfx1201"),
        ("AMD Radeon VII", "gfx906"),
        ("AMD Radeon(TM) Graphics", None),
        ("NVIDIA GeForce RTX 4090", None),
        ("", None),
    ],
)
def test_names_of_amd(name: str, target: str | None) -> None:
    assert gfx_of(name) == target


def test_pci_ids() -> None:
    assert capability_of_pci_id("10de:2684") == capability_of_pci_id("10DE:2684") == "8.9"
    assert gfx_of_pci_id("1002:744c") == "gfx1100" and gfx_of_pci_id("1002:75a0") == "gfx950"
    for unknown in ("10de:22ba", "10de:ffff", "1002:2684", "8086:2684", "2684", "", "10de:2684:00"):
        assert capability_of_pci_id(unknown) is None
    assert gfx_of_pci_id("10de:2684") is None


def test_rows_hold_together() -> None:
    rows = load_gpu_names()
    assert len({(row.vendor, row.chip) for row in rows}) == len(rows)
    devices = [(row.vendor, device) for row in rows for device in row.ids]
    assert len(set(devices)) == len(devices) > 500
    for row in rows:
        assert all(re.fullmatch(r"[0-9a-f]{4}", device) for device in row.ids)
        pattern = r"\d{1,2}\.\d" if row.vendor == "nvidia" else r"gfx[0-9a-f]{3,4}"
        assert row.target is None or re.fullmatch(pattern, row.target)
        assert all(name_key(name) for name in row.names), row.names
    file = Path(sys.modules[capability_of.__module__].__file__ or "").with_name("gpu_names.json")
    assert file.stat().st_size < 150_000


PCI_IDS = """\
#\tVersion: 2030.01.02
10de  NVIDIA Corporation
\t2684  AD102 [GeForce RTX 4090]
\t\t1043 88e2  a board of somebody
\t2704  AD103 [GeForce RTX 4080 / 4080 SUPER]
\t22ba  AD102 High Definition Audio Controller
\t9999  ZZ102 [GeForce RTX 9090]
1002  Advanced Micro Devices, Inc. [AMD/ATI]
\t744c  Navi 31 [Radeon RX 7900 XT/7900 XTX]
\t74a1  Aqua Vanjaram [Instinct MI300X]
\t75a0  Aqua Vanjaram [Instinct MI350X]
8086  Intel Corporation
\t2684  not a GPU of NVIDIA
C 03  Display controller
\t00  VGA compatible controller
"""


def test_the_table_is_rebuilt_from_the_list_of_pci_ids(tmp_path: Path) -> None:
    assert SCRIPTS.is_dir()
    from registry_tables.gpu_names_table import gpu_name_rows

    def row(vendor: str, chip: str, target: str, **more: list[str]) -> dict[str, object]:
        filled = {"names": [], "ids": [], **more}
        return {"as_of": "2029-01-01", "source": "a list", "vendor": vendor, "chip": chip, "target": target, **filled}

    (tmp_path / "pci.ids").write_text(PCI_IDS, encoding="utf-8")
    packaged = [
        row("nvidia", "AD102", "8.9", names=["gone"], ids=["0001"]),
        row("nvidia", "AD103", "8.9"),
        row("nvidia", "Tegra", "8.7", names=["Orin"]),
        row("amd", "Navi 31", "gfx1100"),
        row("amd", "Aqua Vanjaram", "gfx942"),
        row("amd", "Aqua Vanjaram 75", "gfx950"),
    ]
    rows, gaps = gpu_name_rows(packaged, tmp_path / "pci.ids", "2030-01-03")
    by_chip = {entry["chip"]: entry for entry in rows}
    assert by_chip["AD102"]["names"] == ["GeForce RTX 4090"] and by_chip["AD102"]["ids"] == ["2684"]
    assert by_chip["AD103"]["names"] == ["GeForce RTX 4080", "GeForce RTX 4080 SUPER"]
    assert by_chip["Tegra"] == packaged[2]  # made by hand: the list does not have it
    assert by_chip["Navi 31"]["names"] == ["Radeon RX 7900 XT", "Radeon RX 7900 XTX"]
    assert by_chip["Aqua Vanjaram"]["ids"] == ["74a1"] and by_chip["Aqua Vanjaram 75"]["ids"] == ["75a0"]
    assert by_chip["AD102"]["as_of"] == "2030-01-03" and "2030.01.02" in by_chip["AD102"]["source"]
    assert "chip: a list" in by_chip["AD102"]["source"]
    assert len(gaps) == 1 and "ZZ102" in gaps[0]
    again, _ = gpu_name_rows(rows, tmp_path / "pci.ids", "2030-01-03")
    assert again == rows
