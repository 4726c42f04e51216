"""GPUs as people and tools write them."""

from __future__ import annotations

import re

from ..legible import legible
from ..sections.gpu import Device
from .notes import nothing

_AMD = re.compile(r"\b(?:amd|radeon|instinct|gfx\d{3,4}[a-f\d]?|firepro|vega|mi\d{2,3}x?)\b", re.I)
_INTEL = re.compile(r"\bintel\b|\barc\b|\biris\b|data center gpu (?:max|flex)", re.I)
_APPLE = re.compile(r"\bapple\b|\bm[1-5](?: (?:pro|max|ultra))?\Z", re.I)
_GFX = re.compile(r"\s*\((gfx[0-9a-f]{3,5})(?:[:][^()]{0,60})?\)\s*\Z")
_SM = re.compile(r"\s*[(,]?\s*(?:sm_|cc |compute capability )(\d{1,2})\.?(\d[af]?)\)?\s*\Z", re.I)
_TAIL = re.compile(r"\s*(?:\(UUID:[^)]*\)?|,?\s*\d{4,6}\s?Mi?B|NoGCNArchNameOnOldPyTorch)\s*\Z")
#: a person's words after "GPU:" are a GPU only if they look like one ("not detected" is none)
_LIKE_ONE = re.compile(
    r"\b(?:nvidia|geforce|rtx|gtx|gt|tesla|quadro|titan|mx\d|amd|radeon|instinct|firepro|vega|intel|arc|iris|apple|orin"
    r"|xavier|jetson|grid|ascend|gaudi|m[1-5](?: |\Z)|(?:gb|gh|mi|rx|[abhklmptv])-?\d{1,4}[a-z]{0,4})\b",
    re.I,
)
_NOT_ONE = re.compile(r"\b(?:not?|none|without|isn't|doesn't|cannot|can't|fails?|missing|undetected)\b", re.I)
_COUNT = re.compile(r"(\d{1,2})\s*[x\u00d7*]\s*(?=[A-Za-z])", re.I)
_COUNT_AFTER = re.compile(r"\s*(?:[x\u00d7*]\s*|\([x\u00d7*])(\d{1,2})\)?\Z", re.I)


def vendor_of(name: str) -> str:
    """nvidia, amd, intel, apple, or other, by the name."""
    if re.search(r"\b(?:nvidia|geforce|tesla|quadro|titan|rtx|gtx)\b", name, re.I):
        return "nvidia"
    for vendor, pattern in (("amd", _AMD), ("intel", _INTEL), ("apple", _APPLE)):
        if pattern.search(name):
            return vendor
    if re.search(r"\b(?:ascend|npu|gaudi|mlu|dcu|musa|tpu|iluvatar|metax)\b", name, re.I):
        return "other"
    return "nvidia"  # A100-PCIE-40GB: NVIDIA's own tools left their name out


def device(text: str, uuid: str = "") -> Device | None:
    """One GPU from the way it is written, or None where that is no name at all."""
    found = re.search(r"\(UUID: ([\w-]{8,60})\)", text)
    if found:
        uuid = found[1]
    name = legible(text.strip()[:160])
    capability = ""
    for _ in range(3):
        name = _TAIL.sub("", name).strip(" ,;")
        gfx, sm = _GFX.search(name), _SM.search(name)
        if gfx:
            capability, name = gfx[1], name[: gfx.start()]
        elif sm:
            capability, name = f"{int(sm[1])}.{sm[2]}", name[: sm.start()]
    if nothing(name) or not re.search(r"[A-Za-z]", name) or len(name) < 2:
        return None
    return Device(vendor=vendor_of(name), name=name, seen="text", capability=capability, uuid=uuid)


def devices_in(text: str) -> list[Device]:
    """The GPUs of a free line: ``NVIDIA A100``, ``GPU 0: GeForce GTX 1650``, ``4x A100``."""
    text = re.sub(r"^\s*GPU\s?\d{1,2}\s*:\s*", "", text)
    count = _COUNT.match(text)
    after = _COUNT_AFTER.search(text[:160])
    if count:
        text = text[count.end() :]
    elif after:
        text, count = text[: after.start()], after
    one = device(text)
    if one is None or not _LIKE_ONE.search(one.name) or _NOT_ONE.search(one.name):
        return []
    if one.name.lower().startswith(("yes", "no ", "true", "false", "http", "colab", "several", "any")):
        return []
    return [one] + [device(text) or one for _ in range(int(count[1]) - 1 if count else 0)]


def same_name(one: str, other: str) -> bool:
    """Whether two names may be one GPU's: with or without NVIDIA before it, cut short with dots."""
    left, right = (re.sub(r"^nvidia\s+", "", name.lower()).strip() for name in (one, other))
    for short, long in ((left, right), (right, left)):
        if short.endswith("...") and long.startswith(short[:-3].strip()):
            return True
    return left == right
