"""Gets a Snapshot for a command: from the machine, or from a file that was made elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..facts.snapshot import Snapshot
from .options import timeout_or_default


def observe(
    *, python: str | None, deep: bool, online: bool, timeout: float | None, anonymise: bool, judged: bool = True
) -> Snapshot:
    """Look at this machine. ``judged``: what judges the facts is loaded meanwhile.

    Raises click.UsageError if ``python`` names no interpreter.
    """
    from ..facts.collect import TargetError, collect
    from .progress import Progress

    with Progress() as progress:
        try:
            snapshot = collect(
                python,
                deep=deep,
                online=online,
                timeout_s=timeout_or_default(timeout, deep),
                on_wait=progress.waiting if progress.wanted else None,
                on_start=load_the_judges if judged else None,
            )
        except TargetError as error:
            raise click.UsageError(f"--python: {error}") from None
    return masked(snapshot, own_machine=True) if anonymise else snapshot


def load_the_judges() -> None:
    """Import what judges the facts while the probes wait for the target and the disk."""
    from ..conditions import catalogue
    from ..reports import text

    assert catalogue and text


def replay(file: str, *, anonymise: bool) -> Snapshot:
    """Read a snapshot, or a description that another tool printed, from ``file`` (``-``: standard input).

    Raises click.UsageError if it is neither.
    """
    from ..facts.snapshot import SnapshotError

    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        snapshot = _read(data, "standard input" if file == "-" else file)
    except OSError as error:
        raise click.UsageError(f"--snapshot: cannot read {file}: {error.strerror or error}") from None
    except SnapshotError as error:
        raise click.UsageError(f"--snapshot: {error}") from None
    return masked(snapshot, own_machine=False) if anonymise else snapshot


def _read(data: bytes, name: str) -> Snapshot:
    """The snapshot in ``data``: hfdoctor's own, or made of what people paste. Raises SnapshotError if there is none."""
    from ..facts.snapshot import SnapshotError, load

    head = data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"{") and (b"hfdoctor." in head or b'"snapshot"' in data):
        return load(data, name)  # one of ours, and if it is damaged it must not be taken for a text
    from ..facts.readers import read_bytes

    try:
        return read_bytes(data)
    except SnapshotError as error:
        raise SnapshotError(f"{name} is not a snapshot, and {error}") from None


def masked(snapshot: Snapshot, *, own_machine: bool) -> Snapshot:
    """The snapshot without names of users and machines; ``own_machine``: it was taken here."""
    from ..facts.anonymise import anonymise, own_names

    return anonymise(snapshot, own_names() if own_machine else ())
