"""What tests of actions share: a place to work in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.action import Workplace


def workplace(
    folder: Path, *, environ: Mapping[str, str] | None = None, snapshot: Snapshot | None = None, token: str = "1a2b3c4d"
) -> Workplace:
    """A Workplace below ``folder``, which is the home and the current folder, too."""
    state = folder / "state"
    return Workplace(
        state=state,
        folder=state / "runs" / token,
        token=token,
        environ=dict(environ or {}),
        home=folder,
        cwd=folder,
        snapshot=snapshot or Snapshot(),
    )
