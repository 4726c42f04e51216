"""Fills the section ``gpu``, all but ``torch``: the GPUs, their drivers, and what stands between."""

from __future__ import annotations

import sys

from ..probe import Context
from ..sections.gpu import Gpu

#: seconds at most for the driver's own libraries, whose hanging must not cost the other facts
PATIENCE_S = 11.0


def probe(ctx: Context) -> None:
    """Fill ``ctx.snapshot.gpu``; comes after ``machine``."""
    section: Gpu | None = ctx.snapshot.gpu
    if section is None:
        return
    environ, machine = ctx.request.environ, ctx.snapshot.machine
    patience = ctx.left_s(PATIENCE_S)
    if sys.platform == "win32":
        from . import gpu_windows

        gpu_windows.fill(section, environ, patience)
    elif sys.platform == "darwin":
        from . import gpu_macos

        gpu_macos.fill(section)
    else:
        from . import gpu_linux

        gpu_linux.fill(section, environ, machine, patience)
