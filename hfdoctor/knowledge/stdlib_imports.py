"""Which modules of the standard library a library loads when it is imported."""

from __future__ import annotations

from hfdoctor.knowledge.loader import Row, load_table


class StdlibImports(Row, frozen=True, kw_only=True):
    """Top-level names of the modules that importing ``package`` loads, those loaded at start-up left out."""

    package: str
    modules: tuple[str, ...]


def load_stdlib_imports() -> tuple[StdlibImports, ...]:
    """All rows; KnowledgeError when the table is damaged."""
    return load_table("stdlib_imports", StdlibImports)


def stdlib_imports(package: str) -> frozenset[str]:
    """The modules that importing ``package`` loads; empty for a package that the table does not know."""
    return frozenset(name for row in load_stdlib_imports() if row.package == package for name in row.modules)
