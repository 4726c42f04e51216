"""What the readers gather before a Snapshot is made of it: claims with who made them, so that they can be compared."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..sections.gpu import Device, GpuProcess, Nvml

#: what stands where a tool had nothing to print: it says nothing of the machine
NOTHING = frozenset(
    {"", "n/a", "na", "none", "null", "nan", "-", "--", "?", "unknown", "could not collect", "not available", "no cuda"}
    | {"<fill in>", "not installed", "not found", "module not found", "no relevant packages", "[n/a]", "not set", "no"}
    | {"not applicable", "[not supported]", "[unknown error]", "err!", "undefined", "xxx", "skip", "same", "yes"}
)


class Claim(NamedTuple):
    """One thing that a part of the text says; ``weak`` where it is only hinted at (a path, a line typed by hand)."""

    value: Any
    who: str
    weak: bool = False


class PackageList(NamedTuple):
    """Packages as one listing names them, by normalised name: version and installer."""

    who: str
    entries: dict[str, tuple[str, str]]


class DeviceList(NamedTuple):
    """GPUs as one listing names them. ``whole``: it is meant to hold every GPU of the machine."""

    who: str
    devices: list[Device]
    whole: bool


class Contradiction(Exception):
    """Two parts of the text say different things of one fact: the message is the reason."""


class Notes:
    """Everything that was read, before it is compared and judged worth a fact."""

    def __init__(self) -> None:
        self.formats: dict[str, None] = {}
        self.claims: dict[str, list[Claim]] = {}
        #: topic -> why the text has nothing on it although it has a line for it
        self.blanks: dict[str, str] = {}
        self.lists: list[PackageList] = []
        self.devices: list[DeviceList] = []
        #: name as torch gives it -> compute capability
        self.capabilities: dict[str, str] = {}
        self.variables: dict[str, str] = {}
        self.messages: list[str] = []
        self.processes: list[GpuProcess] = []
        self.nvml: Nvml | None = None

    def format(self, name: str) -> None:
        """The text holds something of this format."""
        self.formats[name] = None

    def say(self, topic: str, value: Any, who: str, *, weak: bool = False) -> None:
        """``who`` says ``value`` of ``topic``; the same again says nothing new."""
        claim = Claim(value, who, weak)
        claims = self.claims.setdefault(topic, [])
        if claim not in claims and len(claims) < 40:
            claims.append(claim)

    def blank(self, topic: str, who: str, value: str) -> None:
        """``who`` has a line for ``topic`` with nothing on it (``Could not collect``)."""
        self.blanks.setdefault(topic, f"{who} says {value!r}, which does not tell whether it is there")

    def list_devices(self, who: str, devices: list[Device], *, whole: bool) -> None:
        """``who`` lists these GPUs; the same list again says nothing new."""
        entry = DeviceList(who, devices, whole)
        if 0 < len(devices) <= 128 and len(self.devices) < 40 and entry not in self.devices:
            self.devices.append(entry)

    def one(self, topic: str) -> Claim | None:
        """The one value that is said of ``topic``, the most detailed of those that agree; None if there is none.

        Raises Contradiction where two parts of the text disagree. A weak claim yields to any other.
        """
        claims = self.claims.get(topic, [])
        strong = [claim for claim in claims if not claim.weak] or claims
        best: Claim | None = None
        for claim in strong:
            if best is None:
                best = claim
                continue
            both = agreed(best.value, claim.value)
            if both is None:
                places = f"{best.who} says {best.value}, {claim.who} says {claim.value}"
                raise Contradiction(f"the text contradicts itself: {places}"[:300])
            best = best if both == best.value else claim
        return best

    def message(self, text: str) -> None:
        """Something that torch itself printed."""
        line = " ".join(text.split())[:600]
        if line not in self.messages and len(self.messages) < 50:
            self.messages.append(line)


def agreed(one: Any, other: Any) -> Any:
    """The more detailed of two values that may both be true of one thing, else None: 2.3.1 and 2.3.1+cu121."""
    if one == other:
        return one
    if not isinstance(one, str) or not isinstance(other, str):
        return None
    short, long = sorted((one, other), key=len)
    return long if long.startswith(short) and long[len(short)] in ".+ " else None


def nothing(value: str) -> bool:
    """Whether ``value`` is one of the words that stand for no answer."""
    return value.strip().lower() in NOTHING
