"""hfdoctor: an environment doctor for Hugging Face transformers and PyTorch.

snapshot = hfdoctor.collect()
report = hfdoctor.diagnose(snapshot)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .conditions.engine import diagnose
    from .conditions.model import Finding, Report
    from .facts.collect import collect
    from .facts.snapshot import Snapshot

__all__ = ["Finding", "Report", "Snapshot", "__version__", "collect", "diagnose"]

#: where each public name lives: loaded on first use, so that ``hfdoctor --version`` pays for none of them
_HOMES = {
    "collect": "hfdoctor.facts.collect",
    "Snapshot": "hfdoctor.facts.snapshot",
    "diagnose": "hfdoctor.conditions.engine",
    "Finding": "hfdoctor.conditions.model",
    "Report": "hfdoctor.conditions.model",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hfdoctor' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
