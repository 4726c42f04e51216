"""Fills the section ``native``."""

from __future__ import annotations

from ..probe import Context


def probe(ctx: Context) -> None:
    """Fill every fact of ``snapshot.native``."""
    section = ctx.snapshot.native
    assert section is not None
