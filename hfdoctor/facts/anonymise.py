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
    """A copy with the last component of the home folder, and ``names``, masked wherever they are a path component."""
    wanted = {name for name in names if len(name) > 1}
    home = snapshot.machine.home.maybe()
    windows = snapshot.windows is not None
    if home:
        wanted.add((PureWindowsPath(home) if windows else PurePosixPath(home)).name)
    wanted -= {"", "root", "home", "Users", "user"}  # names that say nothing, and that other folders have too
    if not wanted:
        return snapshot
    alternatives = "|".join(re.escape(name) for name in sorted(wanted, key=len, reverse=True))
    pattern = re.compile(f"{_BEFORE}(?:{alternatives}){_AFTER}", re.IGNORECASE if windows else 0)
    return msgspec.convert(_masked(msgspec.to_builtins(snapshot), pattern), Snapshot)


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
