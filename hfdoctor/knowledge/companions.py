"""Which torchvision, torchaudio, torchtext and xformers go with a torch, by their published metadata."""

from __future__ import annotations

from hfdoctor.knowledge.loader import Row, load_table
from hfdoctor.knowledge.versions import admits


class Companion(Row, frozen=True, kw_only=True):
    """One release of a companion. ``torch`` is the specifier of the torch it asks for, such as ``==2.13.0``.

    None where its metadata does not name torch at all (torchaudio 2.11.0), or any torch: then nothing is known from it.
    """

    package: str
    release: str
    torch: str | None


def load_companions() -> tuple[Companion, ...]:
    """Rows by package, newest release first; KnowledgeError when the table is damaged."""
    return load_table("companions", Companion)


def companion_for(package: str, torch: str) -> Companion | None:
    """Return the newest release of ``package`` whose own metadata admits this torch release.

    ``torch`` may carry a local part (``2.13.0+cu130``), which does not count. None where no release of the table
    names it: that says nothing about releases after the table's day.
    """
    public = torch.partition("+")[0]
    return next(
        (row for row in load_companions() if row.package == package and row.torch and admits(row.torch, public)), None
    )
