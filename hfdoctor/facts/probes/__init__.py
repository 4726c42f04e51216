"""The probes: one module a section, imported only where the machine itself is looked at (never for a replay)."""

from __future__ import annotations

import sys

from ..probe import Probe


def all_probes(deep: bool = False) -> tuple[Probe, ...]:
    """Every probe that applies to this host, in the order of the report."""
    from . import gpu, hub, machine, native, network, packages, settings, storage, target

    on_windows: tuple[Probe, ...] = ()
    if sys.platform == "win32":
        from . import windows

        on_windows = (Probe("windows", windows.probe, after=("target",), budget_s=15.0),)
    return (
        Probe("machine", machine.probe, budget_s=5.0),
        Probe("target", target.probe, waits=True, budget_s=45.0),
        Probe("settings", settings.probe, after=("target",), budget_s=5.0),
        Probe(
            "packages",
            packages.probe,
            after=("target",),
            milestones=("packages.listed",),
            waits=True,
            budget_s=600.0,
        ),
        Probe("storage", storage.probe, after=("target", "settings"), budget_s=8.0),
        Probe("hub", hub.probe, after=("target",), budget_s=20.0),
        Probe("network", network.probe, after=("settings", "hub"), budget_s=15.0),
        Probe("gpu", gpu.probe, after=("machine",), budget_s=16.0),
        # what is installed where is enough for it, but asking torch (--deep) comes after the hashes
        Probe("native", native.probe, after=("packages" if deep else "packages.listed", "gpu"), budget_s=300.0),
        *on_windows,
    )
