"""Requirements that a package declares and does not import before a part of it is used that needs them."""

from __future__ import annotations

from hfdoctor.knowledge.loader import Row, load_table
from hfdoctor.knowledge.versions import reaches


class LazyImport(Row, frozen=True, kw_only=True):
    """``package``, a requirement of ``by``, was taken out of an environment that works: everything went on working.

    Imported were torch, transformers and its AutoModel, AutoTokenizer and pipeline; a model was made, run, saved and
    loaded again. ``uses`` is what needs the package after all. ``seen`` are the releases of ``by`` that were tried; of
    older ones nothing is known, and of newer ones it is likely.
    """

    by: str
    package: str
    uses: str
    seen: tuple[str, ...]


def load_lazy_imports() -> tuple[LazyImport, ...]:
    """All of them; KnowledgeError when the table is damaged."""
    return load_table("lazy_imports", LazyImport)


def lazy_import(by: str, version: str, package: str) -> LazyImport | None:
    """The row for ``by`` (both names normalised) in a release that was tried or a newer one; None without."""
    for row in load_lazy_imports():
        if row.by == by and row.package == package:
            return row if any(reaches(version, seen) for seen in row.seen) else None
    return None
