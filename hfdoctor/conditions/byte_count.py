"""Counts of bytes in words."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes as people read them: 1.8 TB, 5.6 GB, 340 MB, 12 kB, 300 bytes."""
    if count >= 10**12:
        return f"{count / 10**12:.1f} TB"
    if count >= 10**9:
        return f"{count / 10**9:.1f} GB"
    if count >= 10**6:
        return f"{count / 10**6:.0f} MB"
    return f"{count / 1000:.0f} kB" if count >= 1000 else f"{count} bytes"
