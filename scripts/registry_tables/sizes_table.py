"""The table install_sizes.json: what an install of torch and transformers downloads and unpacks."""

from __future__ import annotations

from typing import Any

from registry_tables.closure import UV_PLATFORMS, Unresolvable
from registry_tables.index import Index
from registry_tables.paths_table import closure_row

ROOTS = ("torch", "transformers")
PYTHON = "3.11"  # sizes differ by less than a hundredth between Pythons

JsonRow = dict[str, Any]


def size_rows(index: Index, as_of: str) -> tuple[list[JsonRow], list[str]]:
    """One row a platform, and a line for each that could not be had."""
    rows, gaps = [], []
    for platform in UV_PLATFORMS:
        try:
            closure = closure_row(index, ROOTS, platform, PYTHON, as_of)
        except Unresolvable as reason:
            gaps.append(f"size of {' and '.join(ROOTS)} on {platform}: {reason}")
            continue
        parts = sorted(
            (_part(index, package, filename) for package, filename in closure.pop("wheels").items()),
            key=lambda part: (-part["unpacked"], part["package"]),
        )
        counted = ("download", "unpacked", "files", "python_bytes", "python_files")
        rows.append({**closure, **{name: sum(part[name] for part in parts) for name in counted}, "parts": parts})
    return rows, gaps


def _part(index: Index, package: str, filename: str) -> JsonRow:
    wheel = index.wheel_named(package, filename)
    members = index.members(wheel)
    sources = [member for member in members if member.name.endswith(".py")]
    return {
        "package": package,
        "release": str(wheel.version),
        "wheel": filename,
        "download": wheel.size,
        "unpacked": sum(member.size for member in members),
        "files": len(members),
        "python_bytes": sum(member.size for member in sources),
        "python_files": len(sources),
    }
