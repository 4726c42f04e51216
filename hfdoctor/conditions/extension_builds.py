"""For which torch a compiled extension was built, by the label that its maker gave the wheel.

flash_attn-2.7.4+cu12torch2.5cxx11abiFALSE-cp312-..., torch-scatter 2.1.2+pt25cu124, natten 0.17.3+torch250cu124: the
label stands in the version, or only in the name of the file that was installed.
"""

from __future__ import annotations

import re

import msgspec

from ..facts.sections.native import LinkProblem
from ..facts.sections.packages import Distribution
from ..facts.snapshot import Snapshot
from .model import Clue, Plain
from .torch_pairs import COMPANIONS, TRITONS

#: torch's own family names its build in the same place: other conditions judge it
_OWN = frozenset({"torch", *COMPANIONS, *TRITONS})
#: loaded by transformers with every model where it is installed and a GPU is there
LOADED_BY_TRANSFORMERS = frozenset({"flash-attn"})


class Label(msgspec.Struct, frozen=True):
    """What a label says: torch's major and minor (() if nothing, two where it can be read in two ways), CUDA's digits
    ("" if nothing), the C++ ABI (None if nothing).
    """

    torch: tuple[str, ...]
    cuda: str
    cxx11: bool | None
    text: str


class Misfit(msgspec.Struct, frozen=True):
    """An extension whose label does not fit the installed torch."""

    entry: Distribution
    clue: Clue


def label_of(entry: Distribution) -> Label | None:
    """The label of a distribution; None for one that has none."""
    file = entry.direct_url.replace("\\", "/").partition("#")[0].partition("?")[0].rpartition("/")[2]
    parts = file.replace("%2B", "+").replace("%2b", "+").split("-") if file.endswith(".whl") else []
    for version in (entry.version, *parts[1:2]):
        local = version.partition("+")[2].lower()
        if not local:
            continue
        torch = re.search(r"(?:torch|pt)[._-]?v?(\d+)(?:\.(\d+))?", local)
        cuda = re.search(r"cu(\d{2,3})(?!\d)", local)
        abi = re.search(r"cxx11abi(true|false)", local)
        if not (torch or abi):
            continue
        return Label(
            _series(torch) if torch else (), cuda[1] if cuda else "", abi[1] == "true" if abi else None, version
        )
    return None


def _series(match: re.Match[str]) -> tuple[str, ...]:
    """2.5 of torch2.5, pt25 and torch250; pt210 may stand for 2.10 and for 2.1.0."""
    digits, minor = match[1], match[2]
    if minor is not None:
        return (f"{digits}.{minor}",)
    if len(digits) == 2:
        return (f"{digits[0]}.{digits[1]}",)
    if len(digits) == 3:
        short, long = f"{digits[0]}.{digits[1]}", f"{digits[0]}.{digits[1:]}"
        return (short, long) if digits[1] == "1" else (short,)
    return (f"{digits[0]}.{digits[1:3]}",) if len(digits) == 4 else ()


def misfits(s: Snapshot) -> tuple[list[Misfit], int]:
    """The extensions that were built for another torch, and how many with a label there are.

    Raises FactMissing if the distributions are not known.
    """
    torch = s.packages.installed().get("torch")
    build = s.packages.torch_build.maybe()
    version = (build.version if build else "") or (torch.version if torch else "")
    found = []
    looked_at = 0
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None:
        return [], 0
    ours = f"{numbers[1]}.{numbers[2]}"
    for entry in s.packages.installed().values():
        if entry.name in _OWN or not (label := label_of(entry)):
            continue
        looked_at += 1
        if s.packages.imported(entry.name) or s.packages.imported(entry.name.replace("-", "_")):
            continue
        fields: dict[str, Plain] = {"package": entry.name, "label": label.text, "torch": version}
        says = _misfit(s, label, ours, version, fields)
        if says:
            found.append(Misfit(entry, Clue(s.packages.distributions, f"{entry.name} {label.text}", says, fields)))
    return found, looked_at


def other_torch(s: Snapshot) -> list[LinkProblem]:
    """Libraries of another torch that the loader finds first (a libtorch for C++ in LD_LIBRARY_PATH)."""
    linkage = s.native.linkage.maybe()
    if linkage is None or s.packages.imported("torch"):
        return []
    names = ("libtorch", "libc10", "torch_", "c10")
    return [
        one
        for one in linkage.problems
        if one.kind in ("shadowed", "version") and one.found and one.needs.lower().startswith(names)
    ]


def _misfit(s: Snapshot, label: Label, ours: str, version: str, fields: dict[str, Plain]) -> str:
    build = s.packages.torch_build.maybe()
    if label.torch and ours not in label.torch:
        fields["built"] = label.torch[0]
        return "for_torch"
    cuda = build.cuda.partition(".")[0] if build else ""
    if label.cuda and build is not None and label.cuda[:2] != cuda:
        fields |= {"built": label.cuda[:2], "cuda": build.cuda or "no CUDA"}
        return "for_cuda"
    row = _abi(s, version, build.cuda if build else "")
    if label.cxx11 is None or row is None or row[0] == label.cxx11:
        return ""
    fields |= {"built": "the new" if label.cxx11 else "the old", "own": "the new" if row[0] else "the old"}
    fields |= {"source": row[1], "as_of": row[2]}
    return "for_abi"


def _abi(s: Snapshot, version: str, cuda: str) -> tuple[bool, str, str] | None:
    """Which C++ ABI PyTorch's own Linux wheels of this release have, with source and date; None where not known."""
    os, machine = s.machine.os.maybe(), s.machine.architecture.maybe()
    if os is None or os.system != "linux" or machine != "x86_64":
        return None
    if not re.fullmatch(r"\d+\.\d+\.\d+(?:\+cu\d+)?", version):
        return None  # built by another maker, who chose for himself
    from ..knowledge.generations import cxx11_abi

    row = cxx11_abi(version, cuda)
    return (row.cxx11, row.source, row.as_of.isoformat()) if row else None
