"""GPUs, their drivers and what they can run.

The place is reserved: the GPU family has its own probe, which does not exist yet, so every fact here is
``not-run`` and no condition reads it.
"""

from __future__ import annotations

import msgspec


class Gpu(msgspec.Struct, omit_defaults=True):
    """The section ``gpu``."""
