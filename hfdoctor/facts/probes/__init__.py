"""The probes: one module a section, imported only where the machine itself is looked at (never for a replay)."""

from __future__ import annotations

from ..probe import Probe


def all_probes() -> tuple[Probe, ...]:
    """Every probe that applies to this host, in the order of the report."""
    from . import machine, packages

    return (
        Probe("machine", machine.probe, budget_s=5.0),
        Probe("packages", packages.probe, after=("target",)),
    )
