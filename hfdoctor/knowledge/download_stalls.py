"""Which packages that fetch the hub's files are known to hang without an error, and since which release no more."""

from __future__ import annotations

from hfdoctor.knowledge.loader import Row, load_table


class DownloadStall(Row, frozen=True, kw_only=True):
    """Releases of ``package`` before ``fixed`` hang; ``cure`` is the specifier to install, ``switch`` turns it off."""

    package: str
    fixed: str
    cure: str
    switch: str


def load_download_stalls() -> tuple[DownloadStall, ...]:
    """Rows; KnowledgeError when the table is damaged."""
    return load_table("download_stalls", DownloadStall)
