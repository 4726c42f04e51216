"""Environment settings of the Hugging Face libraries that came, went or changed their meaning."""

from __future__ import annotations

from typing import Literal

from hfdoctor.knowledge.loader import Row, load_table
from hfdoctor.knowledge.versions import reaches


class EnvVariable(Row, frozen=True, kw_only=True):
    """One change to one setting.

    ``change``: ``removed`` (from ``release`` on nobody reads it) · ``without-effect`` (still read, and nothing follows
    but perhaps a warning) · ``alias`` (still read, but ``instead`` is the newer name and wins where both are set) ·
    ``added`` (an older ``library`` does not know it). ``release`` is the first release where that is so, ``before`` the
    last release checked where it was not. ``library`` is the distribution whose files were read.
    """

    name: str
    library: str
    change: Literal["removed", "without-effect", "alias", "added"]
    release: str
    before: str
    instead: str | None
    verified: bool


def load_env_variables() -> tuple[EnvVariable, ...]:
    """All changes; KnowledgeError when the table is damaged."""
    return load_table("env_variables", EnvVariable)


def changes_for(name: str, library: str, installed: str) -> tuple[EnvVariable, ...]:
    """Return the changes that hold for ``name`` with this release of ``library`` installed.

    For ``added`` these are the rows whose release is newer than the installed one: the setting is not read yet. Between
    ``before`` and ``release`` lie only pre-releases, or releases that were not looked at: there nothing is claimed.
    """
    return tuple(
        row
        for row in load_env_variables()
        if row.name == name
        and row.library == library
        and (reaches(row.before, installed) if row.change == "added" else reaches(installed, row.release))
    )
