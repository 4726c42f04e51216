"""What torch itself said of accelerators (``--deep``, or a text that somebody pasted).

What was observed wins over what is derived: a kernel that ran acquits the driver, the build and the libraries, whatever
versions and tables suggest. Every function here is pure, and says None where nothing was said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..facts.sections.gpu import TorchDevice, TorchWord
from ..facts.snapshot import Snapshot


def torch_word(s: Snapshot) -> TorchWord | None:
    """What torch said; None where it was not asked, or gave no answer."""
    return s.gpu.torch.maybe()


def computed_on(s: Snapshot, device: str | int) -> bool | None:
    """Whether a kernel of torch ran on this device, by its name or by torch's own index of it.

    Of several devices of one name: True only if it ran on all of them, False if it failed on one.
    """
    results = [one.ok for one in devices_named(s, device)]
    if False in results:
        return False
    return True if results and None not in results else None


def devices_named(s: Snapshot, device: str | int) -> list[TorchDevice]:
    """The devices of that name, or the one of that index, as torch sees them; none where it was not asked."""
    word = torch_word(s)
    if word is None:
        return []
    if isinstance(device, int):
        return [one for place, one in enumerate(word.devices) if (place if one.index is None else one.index) == device]
    return [one for one in word.devices if one.name == device]


def said(s: Snapshot, pattern: str) -> str:
    """The first line of torch that ``pattern`` (a regular expression, whatever the case) is found in; "" if none.

    Looked through are its warnings, the errors of its devices, and what its import said.
    """
    return next((line for line in _lines(s) if re.search(pattern, line, re.IGNORECASE)), "")


def _lines(s: Snapshot) -> Iterator[str]:
    word = torch_word(s)
    if word is not None:
        yield from word.messages
        yield from (one.error for one in word.devices if one.error)
    for trial in s.packages.imports.maybe() or ():
        if trial.package.partition(".")[0] == "torch":
            yield from f"{trial.message}\n{trial.stderr}".splitlines()
