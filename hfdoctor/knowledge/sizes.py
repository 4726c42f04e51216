"""How much an install of torch and transformers weighs, with everything that they bring.

Bytes are counted, not megabytes; ``download`` is the wheels' own size, ``unpacked`` the sum of the files in them.
"""

from __future__ import annotations

import msgspec

from hfdoctor.knowledge.loader import Row, load_table


class WheelSize(msgspec.Struct, frozen=True):
    """One wheel of an install. ``python_bytes`` and ``python_files`` are the part of it that pip also compiles."""

    package: str
    release: str
    wheel: str
    download: int
    unpacked: int
    files: int
    python_bytes: int
    python_files: int


class InstallSize(Row, frozen=True, kw_only=True):
    """One install on one platform, from the default index of pip: its totals and its parts, largest first.

    On Linux x86_64 that is the CUDA build with its NVIDIA libraries; a CPU build from PyTorch's own index is smaller.
    ``platform`` is ``linux_x86_64``, ``linux_aarch64``, ``win_amd64`` or ``macosx_arm64``.
    """

    roots: tuple[str, ...]
    platform: str
    python: str
    download: int
    unpacked: int
    files: int
    python_bytes: int
    python_files: int
    parts: tuple[WheelSize, ...]


def load_install_sizes() -> tuple[InstallSize, ...]:
    """Rows measured from the published wheels; KnowledgeError when the table is damaged."""
    return load_table("install_sizes", InstallSize)


def install_size(os: str, machine: str) -> InstallSize | None:
    """Return the row for an operating system (``linux``, ``macos``, ``windows``) and a machine in any usual spelling.

    None where the table has no such platform.
    """
    name = machine.lower()
    machine = "x86_64" if name in ("amd64", "x64") else "aarch64" if name == "arm64" else name
    platform = {
        ("linux", "x86_64"): "linux_x86_64",
        ("linux", "aarch64"): "linux_aarch64",
        ("windows", "x86_64"): "win_amd64",
        ("macos", "aarch64"): "macosx_arm64",
    }.get((os, machine))
    return next((row for row in load_install_sizes() if row.platform == platform), None)
