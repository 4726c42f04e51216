"""Masks user and host names in a snapshot, so that it can be posted.

A mask is as long as the name (in UTF-16 units, as Windows counts): what is judged by the length of a path must come
out the same. Only whole path components are masked, never keys of the document and never parts of other words.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import msgspec

from .snapshot import Snapshot

_AFTER = r"(?=[\\/:;,'\"\s]|$)"
_BEFORE = r"(?:(?<=[\\/:;,@='\"\s])|^)"


def own_names() -> list[str]:
    """The names of this machine's user and of the machine, as its environment gives them."""
    import platform

    names = [os.environ.get(name, "") for name in ("USER", "USERNAME", "LOGNAME", "COMPUTERNAME", "HOSTNAME")]
    return [*names, platform.node(), platform.node().partition(".")[0]]


def anonymise(snapshot: Snapshot, names: Iterable[str] = ()) -> Snapshot:
    """A copy with the last component of the home folder, and ``names``, masked wherever they are a path component.

    So are the UUIDs of GPUs, where equal ones stay equal, and the names of the programs that use one.
    """
    wanted = {name for name in names if len(name) > 1}
    home = snapshot.machine.home.maybe()
    windows = snapshot.windows is not None
    if home:
        wanted.add((PureWindowsPath(home) if windows else PurePosixPath(home)).name)
    wanted -= {"", "root", "home", "Users", "user"}  # names that say nothing, and that other folders have too
    if not wanted and not _shows_gpus(snapshot):
        return snapshot
    document = _without_gpu_names(msgspec.to_builtins(snapshot))
    if not wanted:
        return msgspec.convert(document, Snapshot)
    alternatives = "|".join(re.escape(name) for name in sorted(wanted, key=len, reverse=True))
    pattern = re.compile(f"{_BEFORE}(?:{alternatives}){_AFTER}", re.IGNORECASE if windows else 0)
    return msgspec.convert(_masked(document, pattern), Snapshot)


def _shows_gpus(snapshot: Snapshot) -> bool:
    return bool(snapshot.gpu.devices.maybe() or snapshot.gpu.processes.maybe())


#: as NVIDIA's driver and CUDA_VISIBLE_DEVICES write them: whole, or only so much of it that it is unique
_UUID = re.compile(r"\b((?:MIG-)?GPU-|MIG-)([0-9a-fA-F][0-9a-fA-F-]{3,35})")


def _without_gpu_names(document: Any) -> Any:
    """Mask the UUIDs of GPUs wherever they are: the n-th becomes n over and over, so that a part still fits its whole.

    The names of programs that use a GPU become as many x.
    """
    for process in document.get("gpu", {}).get("processes", {}).get("value") or []:
        process["name"] = "x" * len(process.get("name", ""))
    whole: list[str] = sorted({match[2].lower() for match in _UUID.finditer(repr(document)) if len(match[2]) == 36})

    def mask(match: re.Match[str]) -> str:
        number = next((index for index, uuid in enumerate(whole, 1) if uuid.startswith(match[2].lower())), 0)
        digits = f"{number:04x}"
        return match[1] + "".join("-" if c == "-" else digits[i % 4] for i, c in enumerate(match[2]))

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return _UUID.sub(mask, value)
        if isinstance(value, list):
            return [walk(item) for item in value]
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        return value

    return walk(document)


def _masked(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(lambda match: "x" * (len(match[0].encode("utf-16-le", "surrogatepass")) // 2), value)
    if isinstance(value, list):
        return [_masked(item, pattern) for item in value]
    if isinstance(value, dict):
        # a key is part of the document's form, unless it is a path (then it is data)
        return {
            _masked(key, pattern) if "/" in key or "\\" in key else key: _masked(item, pattern)
            for key, item in value.items()
        }
    return value
