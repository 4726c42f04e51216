"""What CUDA_VISIBLE_DEVICES and its kin leave to be seen, by the rules of the CUDA runtime and of torch.

https://docs.nvidia.com/cuda/cuda-programming-guide/ (environment variables): the list is read from the left, and the
first entry that names no GPU ends it: what comes after is not seen either.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

#: what schedulers write where they gave a job no GPU
NO_DEVICES = ("nodevfiles", "none", "void")


class Visible(msgspec.Struct, frozen=True):
    """How many GPUs a value leaves (None: cannot be told), and why it leaves none.

    ``trouble``: "" (some are left), empty, minus-one, none, nonsense, out-of-range, unknown-uuid, twice.
    """

    count_seen: int | None
    trouble: str = ""
    #: the entry that ends the list
    entry: str = ""


def visible(value: str, count: int | None, uuids: Sequence[str] = (), *, mig: bool = False) -> Visible:
    """Read ``value`` on a machine of ``count`` GPUs (None: not known) with these UUIDs.

    ``mig``: slices are there, whose numbers and UUIDs do not follow those of the GPUs.

    >>> visible("1,0", 2).count_seen, visible("0,-1,1", 2).count_seen, visible("2", 2).trouble, visible("", 1).trouble
    (2, 1, 'out-of-range', 'empty')
    >>> visible("GPU-5c2d", 1, ["GPU-5c2d8f0e-3b1a"]).count_seen, visible("cuda:0", 1).trouble
    (1, 'nonsense')
    """
    text = value.strip()
    if not text:
        return Visible(0, "empty")
    if text.lower() in NO_DEVICES:
        return Visible(0, "none", text)
    seen: list[str] = []
    for entry in (part.strip() for part in text.split(",")):
        chosen, trouble = _resolve(entry, count, uuids, mig)
        if trouble == "unknown":
            return Visible(None)
        if trouble:
            return Visible(len(seen), "" if seen else trouble, entry)
        if chosen in seen:
            return Visible(0, "twice", entry)
        seen.append(chosen)
    return Visible(len(seen))


def _resolve(entry: str, count: int | None, uuids: Sequence[str], mig: bool) -> tuple[str, str]:
    """The GPU that one entry names, or why it names none ("unknown": cannot be told)."""
    if entry.upper().startswith("MIG-"):
        return entry, "" if mig else "unknown"
    if entry.upper().startswith("GPU-"):
        found = [one for one in uuids if one.lower().startswith(entry.lower())]
        if len(found) == 1:
            return found[0], ""
        # where not every GPU told its UUID, the one that is meant may be among the others
        return entry, "unknown" if count is None or len(uuids) < count or mig else "unknown-uuid"
    digits = entry.removeprefix("+")
    number = digits[: len(digits) - len(digits.lstrip("0123456789"))]
    if entry.startswith("-"):
        return entry, "minus-one"
    if not number:
        return entry, "nonsense"
    if count is not None and not mig and int(number) >= count:
        return entry, "out-of-range"
    return str(int(number)), ""
