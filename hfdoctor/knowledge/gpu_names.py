"""What a GPU is, by its name or its PCI id: NVIDIA's compute capability, AMD's gfx target.

A driver that answers says it itself, and its word comes first. The table is for machines known only from a description,
and for GPUs whose driver is missing. A name that was sold with chips of different capability is answered with None.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from hfdoctor.knowledge.loader import Row, load_table


class GpuChip(Row, frozen=True, kw_only=True):
    """One chip: the names under which it is sold and its PCI device ids (four hexadecimal digits, lower case).

    ``target`` is what it runs: ``8.9`` or ``gfx1100``. None for names that are on more than one kind of chip.
    """

    vendor: Literal["nvidia", "amd"]
    chip: str
    target: str | None
    names: tuple[str, ...]
    ids: tuple[str, ...]


#: words that say how a GPU is built in or how much memory it has, not what it is
_NOISE = re.compile(
    r"(nvidia|corporation|geforce|tesla|grid|gpu|laptop|notebook|mobile|with|design|generation|edition|workstation|server"
    r"|embedded|hgx|dgx|lhr|oem|ac|sxm\d*|pcie?|nvl\d*|hbm\d*e?|\d+gb?|\d+(\.\d+)?gib|jetson|agx|nvgpu|developer|kit|dc"
    r"|amd|ati|advanced|micro|devices|inc|radeon|instinct|graphics|series|oam|hf|vf|mxgpu)"
)
#: a slice that a virtual machine gets: A100-10C, T4-16Q, A100-3-20C, RTX6000-Ada-48Q
_SLICE = re.compile(r"-(?:\d+-)?\d+[abcq](?:me)?$")
_PCI_ID = re.compile(r"(?:0x)?([0-9a-f]{4}):(?:0x)?([0-9a-f]{4})")


def load_gpu_names() -> tuple[GpuChip, ...]:
    """All rows; KnowledgeError when the table is damaged."""
    return load_table("gpu_names", GpuChip)


def capability_of(name: str) -> str | None:
    """The compute capability ``"8.9"`` of an NVIDIA GPU named as its driver names it: ``NVIDIA GeForce RTX 4090``.

    MIG slices and slices for virtual machines have that of their GPU. None for a name that the table does not know,
    and for one that was sold with different chips (GeForce GT 730).
    """
    return _of_name("nvidia", name)


def gfx_of(name: str) -> str | None:
    """The gfx target ``"gfx1100"`` of an AMD GPU named ``AMD Radeon RX 7900 XTX``; None as for capability_of."""
    return _of_name("amd", name)


def capability_of_pci_id(pci_id: str) -> str | None:
    """The compute capability of an NVIDIA GPU by ``"10de:2684"``; None for other vendors and unknown devices."""
    return _of_id("nvidia", "10de", pci_id)


def gfx_of_pci_id(pci_id: str) -> str | None:
    """The gfx target of an AMD GPU by ``"1002:744c"``; None for other vendors and unknown devices."""
    return _of_id("amd", "1002", pci_id)


def name_key(name: str) -> str:
    """What two spellings of a GPU's name have in common: ``"rtx 4090"`` of ``NVIDIA GeForce RTX 4090 Laptop GPU``.

    "" where nothing is left that says what it is.
    """
    text = re.sub(r"\((?:r|tm|c)\)|[\u00ae\u2122]", " ", name.lower())
    text = re.sub(r"\bmig\b.*|\bmax-?q\b", " ", text)
    text = re.sub(r"\b(rtx|gtx|gt|rx)(?=\d)", r"\1 ", text)
    text = re.sub(r"(?<=\d)(ti|super|xtx|xt)\b", r" \1", text)
    words = [word for word in re.split(r"[\s\-_,;/()\[\]]+", text) if word]
    return " ".join(word for word in words if not _NOISE.fullmatch(word))


def _of_name(vendor: str, name: str) -> str | None:
    known = _by_name(vendor)
    key = name_key(name)
    if key in known:
        return known[key]
    if vendor == "nvidia" and (cut := _SLICE.search(name.strip().lower())):
        # V100D, V100X, P100C: the letter tells the board apart; RTX6000 without "Ada" is the Quadro
        card = name_key(name.strip()[: cut.start()])
        for candidate in (card, f"quadro {card}", re.sub(r"(?<=\d)[cdpsxl]$", "", card)):
            if candidate in known:
                return known[candidate]
    return None


@cache
def _by_name(vendor: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for row in load_gpu_names():
        if row.vendor == vendor:
            for name in row.names:
                key = name_key(name)
                found[key] = row.target if found.get(key, row.target) == row.target else None
    found.pop("", None)
    return found


def _of_id(vendor: str, number: str, pci_id: str) -> str | None:
    match = _PCI_ID.fullmatch(pci_id.strip().lower())
    return _by_id(vendor).get(match[2]) if match and match[1] == number else None


@cache
def _by_id(vendor: str) -> dict[str, str | None]:
    return {device: row.target for row in load_gpu_names() if row.vendor == vendor for device in row.ids}
