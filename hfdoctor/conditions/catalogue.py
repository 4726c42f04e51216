"""The explicit, ordered list of conditions: no registration on import, no reflection.

One module a family; each exports ``CONDITIONS``. The order here is the order of the report.
"""

from __future__ import annotations

from . import (
    cache,
    cache_places,
    cuda_missing,
    cuda_mixed,
    extension_fit,
    hub,
    installation,
    limits,
    network,
    optional_packages,
    platform_fit,
    python_environment,
    python_settings,
    python_wheels,
    storage,
    torch_pairs,
    versions,
    windows,
)
from .model import Condition

FAMILIES: tuple[tuple[Condition, ...], ...] = (
    python_environment.CONDITIONS,
    python_settings.CONDITIONS,
    python_wheels.CONDITIONS,
    versions.CONDITIONS,
    torch_pairs.CONDITIONS,
    optional_packages.CONDITIONS,
    cuda_mixed.CONDITIONS,
    cuda_missing.CONDITIONS,
    extension_fit.CONDITIONS,
    platform_fit.CONDITIONS,
    installation.CONDITIONS,
    hub.CONDITIONS,
    cache.CONDITIONS,
    cache_places.CONDITIONS,
    storage.CONDITIONS,
    network.CONDITIONS,
    limits.CONDITIONS,
    windows.CONDITIONS,
)

CATALOGUE: tuple[Condition, ...] = tuple(condition for family in FAMILIES for condition in family)


def page(condition_id: str) -> str:
    """The Markdown page of a condition. Raises FileNotFoundError if it has none."""
    from importlib.resources import files

    return files("hfdoctor.conditions").joinpath(f"pages/{condition_id}.md").read_text("utf-8")
