"""The explicit, ordered list of conditions: no registration on import, no reflection.

One module a family; each exports ``CONDITIONS``. The order here is the order of the report.
"""

from __future__ import annotations

from . import (
    cache,
    cache_places,
    cuda_missing,
    cuda_mixed,
    dll_load,
    driver_age,
    extension_fit,
    gpu_arch,
    gpu_driver,
    gpu_reach,
    gpu_required,
    gpu_runtime,
    hub,
    hub_download,
    hub_offline_ready,
    installation,
    limits,
    memory,
    model_types,
    network,
    optional_packages,
    platform_fit,
    python_environment,
    python_settings,
    python_wheels,
    rocm,
    smoke_stages,
    storage,
    torch_build_fit,
    torch_pairs,
    torch_too_old,
    versions,
    windows,
    wsl_gpu,
)
from .model import Condition
from .stage_findings import with_stages

FAMILIES: tuple[tuple[Condition, ...], ...] = (
    python_environment.CONDITIONS,
    python_settings.CONDITIONS,
    python_wheels.CONDITIONS,
    versions.CONDITIONS,
    torch_too_old.CONDITIONS,
    torch_pairs.CONDITIONS,
    optional_packages.CONDITIONS,
    model_types.CONDITIONS,
    cuda_mixed.CONDITIONS,
    cuda_missing.CONDITIONS,
    dll_load.CONDITIONS,
    extension_fit.CONDITIONS,
    platform_fit.CONDITIONS,
    installation.CONDITIONS,
    torch_build_fit.CONDITIONS,
    gpu_driver.CONDITIONS,
    driver_age.CONDITIONS,
    gpu_arch.CONDITIONS,
    gpu_reach.CONDITIONS,
    wsl_gpu.CONDITIONS,
    rocm.CONDITIONS,
    gpu_required.CONDITIONS,
    gpu_runtime.CONDITIONS,
    hub.CONDITIONS,
    hub_download.CONDITIONS,
    hub_offline_ready.CONDITIONS,
    cache.CONDITIONS,
    cache_places.CONDITIONS,
    storage.CONDITIONS,
    network.CONDITIONS,
    limits.CONDITIONS,
    memory.CONDITIONS,
    windows.CONDITIONS,
    smoke_stages.CONDITIONS,
)

CATALOGUE: tuple[Condition, ...] = tuple(with_stages(condition) for family in FAMILIES for condition in family)


def page(condition_id: str) -> str:
    """The Markdown page of a condition. Raises FileNotFoundError if it has none."""
    from importlib.resources import files

    return files("hfdoctor.conditions").joinpath(f"pages/{condition_id}.md").read_text("utf-8")
