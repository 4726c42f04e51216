"""Which CUDA a version of PTX came with: a driver of an older CUDA does not compile it."""

from __future__ import annotations

from hfdoctor.knowledge.loader import Row, load_table


class PtxVersion(Row, frozen=True, kw_only=True):
    """Version ``isa`` of the language, and the first CUDA that writes and reads it."""

    isa: str
    cuda: str


def load_ptx_isa() -> tuple[PtxVersion, ...]:
    """All rows; KnowledgeError when the table is damaged."""
    return load_table("ptx_isa", PtxVersion)


def cuda_of_ptx(isa: str) -> str | None:
    """The CUDA that a driver must at least run to compile PTX of version ``isa``; None where that is not known.

    >>> cuda_of_ptx("8.7"), cuda_of_ptx("99.0")
    ('12.8', None)
    """
    return next((row.cuda for row in load_ptx_isa() if row.isa == isa), None)
