"""The list of what a fix changes, in a file of its own: wholly there or not at all, its checksum in the first line."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from ..action import Refused
from ..durable import write_whole
from ..path_text import shown
from ..place import own_folder

T = TypeVar("T")


def write(path: str, listed: object) -> None:
    """Write it, and wait until it is on the disk. Raises Refused, OSError."""
    try:
        body = msgspec.json.encode(listed)
    except UnicodeEncodeError as error:
        raise Refused(f"{shown(error.object)} is no name in Unicode: rename that file or take it away first") from None
    own_folder(Path(path).parent)
    write_whole(Path(path), hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def read(path: str, kind: type[T]) -> T | None:
    """The list at ``path``; None if there is none. Raises Refused if it is damaged."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror or error}") from None
    checksum, _, body = data.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() == checksum:
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(body, type=kind)
    raise Refused(f"{path}, the list of what a fix changed, is damaged: it cannot be undone by itself")


def drop(path: str) -> None:
    """Take it away, and what a process left that was killed while it was written."""
    for one in (f"{path}.new", path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(one)
