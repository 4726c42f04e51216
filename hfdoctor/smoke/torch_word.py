"""What the stages ``device`` and ``compile`` saw, as torch's word of its devices: the conditions judge that."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..facts.sections.gpu import TorchDevice, TorchWord
from ..facts.sections.smoke import StageRun

#: ends of a stage that say nothing of its device: slow, ended from outside, or without memory that others hold
NO_VERDICT = re.compile(r"timeout|no-answer|not-started|signal SIGKILL|.*OutOfMemoryError|.*out of memory", re.DOTALL)
#: what is tried after the device has proved that it computes: two of them, or the library, are at fault
AFTERWARDS = ("copies between ", "giving memory back")
#: how deviations of those begin
BESIDES = ("numbers copied from ", "memory ")


def torch_word_of(stages: Sequence[StageRun]) -> TorchWord | None:
    """What torch said and did on its devices; None where it was not asked."""
    listing = next((stage for stage in stages if stage.key == "device"), None)
    if listing is None or (listing.outcome == "skip" and "cuda" not in listing.facts):
        return None
    told = listing.facts
    word = TorchWord(
        cuda=_truth(told.get("cuda")),
        mps=_truth(told.get("mps")),
        xpu=_truth(told.get("xpu")),
        arch_list=str(told.get("arch_list") or "").split(),
        devices=[_device(listing, name) for name in str(told.get("seen") or "").split()],
        cudnn=str(told.get("cudnn") or ""),
        messages=[str(told[name]) for name in told if name.startswith("message ")],
    )
    for stage in stages:
        if stage.outcome == "fail" and stage.name in ("device", "compile") and stage.error != "wrong result":
            word.messages.append(f"{stage.key}: {said_by(stage)}")
        if stage.name == "device" and stage.subject and stage.outcome != "skip":
            _judge(word, stage)
    return word


def merged(heard: TorchWord | None, word: TorchWord) -> TorchWord:
    """``word`` with what ``--deep`` heard before, where it went further than that or was not tried here."""
    if heard is None:
        return word
    tried = {(one.kind, one.index): one for one in word.devices if one.ok is not None or one.error}
    heard.devices = [tried.get((one.kind, one.index), one) for one in heard.devices]
    heard.messages += [message for message in word.messages if message not in heard.messages]
    if word.cudnn_ok is not None:
        heard.cudnn_ok = word.cudnn_ok and heard.cudnn_ok is not False
    return heard


def said_by(stage: StageRun) -> str:
    """The failure of a stage in one line."""
    message = " ".join(stage.message.split())
    return (f"{stage.error}: {message}" if message and not stage.error.startswith("signal ") else stage.error)[:700]


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _device(listing: StageRun, name: str) -> TorchDevice:
    kind, _, index = name.partition(":")
    memory = listing.facts.get(f"{name} memory")
    return TorchDevice(
        name=str(listing.facts.get(f"{name} name") or name),
        capability=str(listing.facts.get(f"{name} capability") or ""),
        memory_total=memory if isinstance(memory, int) else None,
        kind=kind,
        index=int(index or 0),
    )


def _judge(word: TorchWord, stage: StageRun) -> None:
    """Take up how the stage of one device went."""
    kind, _, index = stage.subject.partition(":")
    device = next((one for one in word.devices if (one.kind, one.index) == (kind, int(index or 0))), None)
    if device is None:
        return
    if stage.facts.get("convolution_by") == "Cudnn":
        word.cudnn_ok = word.cudnn_ok is not False
    if stage.outcome == "pass":
        device.ok = True
        return
    error = said_by(stage)
    under_way = str(stage.facts.get("doing") or "")
    computed = stage.facts.get("kernel") is True
    if stage.error == "wrong result":
        wrong = [one.what for one in stage.deviations if not one.what.startswith(BESIDES)]
        device.ok = not wrong
        device.error = f"wrong result: {wrong[0]}" if wrong else ""
        if set(wrong) == {"convolution"} and word.cudnn:
            device.ok, device.error, word.cudnn_ok = True, "", False
    elif computed and word.cudnn and "cudnn" in error.lower():
        device.ok, word.cudnn_ok = True, False
    elif computed and under_way.startswith(AFTERWARDS):
        device.ok = True
    else:
        device.ok = None if NO_VERDICT.match(error) else False
        device.error = error
