"""The list of what a fix changes, in a file of its own: wholly there or not at all, its checksum in the first line."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from ..action import Refused
from ..durable import settle, settle_folder

T = TypeVar("T")


def write(path: str, listed: object) -> None:
    """Write it, and wait until it is on the disk."""
    body = msgspec.json.encode(listed)
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    partial = _partial(path)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        file.flush()
        settle(file.fileno())
    os.replace(partial, path)
    settle_folder(folder)


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
    for one in (_partial(path), path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(one)


def _partial(path: str) -> str:
    return path + ".new"
