"""What a person means who set a variable of the hub libraries to something that cannot be meant."""

from __future__ import annotations

import math
import ntpath
import posixpath
import re

from ..facts.cache_paths import expand_user
from ..facts.snapshot import Snapshot

QUOTES = "\"'\u201c\u201d\u2018\u2019`"
#: the variables that stand for the home on one system or the other
_HOME = r"(?:\$HOME\b|\$\{HOME\}|%HOME%|%USERPROFILE%|\$USERPROFILE\b|\$\{USERPROFILE\}|\$env:USERPROFILE\b)"
#: units that people write after a number of seconds
_SECONDS = {
    "": 1.0,
    "s": 1.0,
    "sec": 1.0,
    "secs": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 0.001,
    "m": 60.0,
    "min": 60.0,
}


def bare(value: str) -> str:
    """``value`` without the quotes and blanks around it."""
    return value.strip().strip(QUOTES).strip()


def meant_folder(s: Snapshot, value: str) -> str:
    """The absolute path that ``value`` certainly stands for; "" where only the person knows."""
    system = s.machine.os.need().system
    home = s.machine.home.maybe() or ""
    path = bare(value)
    if home:
        path = re.sub(rf"^{_HOME}(?=[/\\]|$)", lambda _: home, path, flags=re.IGNORECASE)
        if re.match(r"~(?:[/\\]|$)", path):
            path = expand_user(path, home, system)
    if re.search(r"\$\w|\$\{|%\w+%", path) or not absolute(path, windows=system == "windows"):
        return ""
    return path


def absolute(path: str, *, windows: bool) -> bool:
    """Whether the path is absolute in the system's own way; drive-relative ones on Windows are none of ours."""
    if not windows:
        return posixpath.isabs(path)
    drive, rest = ntpath.splitdrive(path)
    return bool(drive) and (rest.startswith(("\\", "/")) or (drive.startswith(("\\\\", "//")) and not rest))


def meant_seconds(value: str) -> str:
    """The whole seconds that ``value`` certainly stands for ("30s", "10.0", "5000 ms"); "" where it does not say."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*([a-z]*)\.?", bare(value).lower())
    unit = _SECONDS.get(found[2]) if found else None
    if found is None or unit is None:
        return ""
    seconds = math.ceil(float(found[1]) * unit)
    return str(seconds) if seconds else ""


def meant_address(value: str) -> str:
    """The web address that ``value`` certainly stands for: without quotes, with https:// where nothing stood; or ""."""
    address = bare(value)
    if re.match(r"https?://[^/\s:]+(?::\d+)?(?:/|$)", address, re.IGNORECASE) and not re.search(r"\s", address):
        return address
    if re.fullmatch(r"(?:[\w-]+\.)+[a-z]{2,}(?::\d+)?(?:/[^\s]*)?", address, re.IGNORECASE):
        return f"https://{address}"
    return ""
