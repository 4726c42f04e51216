"""The table gpu_names.json: which names and PCI ids each chip is sold under, by the public list of PCI ids.

Which capability a chip has is kept from the packaged table, where it is written by hand from the makers' lists; a chip
that the table lacks is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hfdoctor.knowledge.gpu_names import name_key

VENDORS = {"10de": "nvidia", "1002": "amd"}
#: where Debian's packages pci.ids and hwdata put the list
PLACES = ("/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids")
_NO_GPU = re.compile(
    r"audio|usb|ucsi|bridge|controller|nvswitch|pcie host|root complex|upstream|downstream|endpoint", re.IGNORECASE
)
#: chips that run today's CUDA or ROCm: one of these without a row is a gap
_MODERN = re.compile(r"(?!GT2|NV|NF|CK|MC|R|S|ES)[A-Z]{2}\d{2}[0-9A-Z]|Navi \d+")
_BRANDS = ("geforce", "quadro", "tesla", "titan", "grid", "rtx", "gtx", "nvs", "radeon", "instinct", "pro", "firepro")

JsonRow = dict[str, Any]


def gpu_name_rows(packaged: list[JsonRow], pci_ids: Path, as_of: str) -> tuple[list[JsonRow], list[str]]:
    """The packaged rows with names and ids as ``pci_ids`` has them, and the chips that no row is there for.

    Rows without ids that are not in the list either (made by hand) stay as they are.
    """
    text = pci_ids.read_text(encoding="utf-8")
    version = re.search(r"Version: *(\S+)", text)
    source = f"https://pci-ids.ucw.cz/ version {version[1] if version else 'unknown'}"
    chips = {(row["vendor"], row["chip"]): row for row in packaged}
    names: dict[tuple[str, str], list[str]] = {key: [] for key in chips}
    ids: dict[tuple[str, str], list[str]] = {key: [] for key in chips}
    strange: dict[tuple[str, str], int] = {}
    for vendor, device, description in devices(text):
        key = chip_of(vendor, device, description, chips)
        if key is None:
            match = _MODERN.match(description)
            if match:
                strange[vendor, match[0]] = strange.get((vendor, match[0]), 0) + 1
            continue
        ids[key].append(device)
        names[key] += sold_as(description)
    rows = []
    for key, row in chips.items():
        if not ids[key]:
            rows.append(row)
            continue
        capability_source = row["source"].partition("; chip: ")[2] or row["source"]
        rows.append(
            {
                "as_of": as_of,
                "source": f"{source}; chip: {capability_source}",
                "vendor": row["vendor"],
                "chip": row["chip"],
                "target": row["target"],
                "names": sorted(set(names[key])),
                "ids": sorted(ids[key]),
            }
        )
    gaps = [f"{vendor} {chip}: {count} devices, no row says what it runs" for (vendor, chip), count in strange.items()]
    return rows, gaps


def devices(text: str) -> Iterator[tuple[str, str, str]]:
    """Vendor, device and description of every GPU of the list."""
    vendor = ""
    for line in text.splitlines():
        if re.match(r"[0-9a-f]{4}  ", line):
            vendor = VENDORS.get(line[:4], "")
        elif line.startswith("C "):
            return
        elif vendor and (match := re.match(r"\t([0-9a-f]{4})  (.+)", line)) and not _NO_GPU.search(match[2]):
            yield vendor, match[1], match[2]


def chip_of(
    vendor: str, device: str, description: str, chips: dict[tuple[str, str], JsonRow]
) -> tuple[str, str] | None:
    """The row that a device belongs to: one that names its description's beginning, the longest one.

    A row whose chip is written ``Aqua Vanjaram 75`` takes the devices whose ids begin with 75: AMD's list calls
    chips with different targets the same.
    """
    best = None
    for owner, chip in chips:
        name, _, digits = chip.rpartition(" ") if vendor == "amd" and chip.count(" ") == 2 else (chip, "", "")
        fits = owner == vendor and re.match(rf"{re.escape(name)}(?![0-9])", description) and device.startswith(digits)
        if fits and (best is None or len(chip) > len(best[1])):
            best = (owner, chip)
    return best


def sold_as(description: str) -> Iterator[str]:
    """The names between the brackets: one of ``RTX 3070 Mobile / Max-Q``, two of ``Radeon RX 7900 XT/7900 XTX``."""
    match = re.search(r"\[(.+)\]", description)
    if match is None:
        return
    first = re.split(r" */ *", match[1])[0]
    brand = " ".join(word for word in first.split(" ")[: _leading(first)])
    for part in re.split(r" */ *", match[1]):
        if name_key(part) and re.search(r"\d|titan|vii", part, re.IGNORECASE):
            yield part if part is first or part.lower().startswith(_BRANDS) else f"{brand} {part}".strip()


def _leading(name: str) -> int:
    """How many words come before the first one with a digit: they are the brand."""
    return next((place for place, word in enumerate(name.split(" ")) if re.search(r"\d", word)), 0)
