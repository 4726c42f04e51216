"""Fills the section ``gpu``."""

from __future__ import annotations

from ..probe import Context


def probe(ctx: Context) -> None:
    """Fill every fact of ``snapshot.gpu``."""
    section = ctx.snapshot.gpu
    assert section is not None
