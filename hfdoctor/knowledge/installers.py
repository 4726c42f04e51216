"""Where pip and uv write besides site-packages, and how much longer that makes a path.

What pip does with names that are too long was tried with pip 23.0 to 26.3 (tests/knowledge/test_installers.py): a file
of the wheel that cannot be created ends the installation with exit code 1 and leaves the files before it behind,
without metadata; a compiled file (.pyc) that cannot be created is passed over in silence and the installation succeeds.
pip writes the compiled file under a temporary name first, 14 to 16 characters longer, so it is missing a little earlier
than its own length says. uv compiles nothing unless asked, and passes over it too. uv unpacks each wheel below its
cache first, so that with uv the cache's own path counts as well as that of site-packages.
"""

from __future__ import annotations

from typing import Literal

from hfdoctor.knowledge.loader import Row, load_table


class InstallerPlace(Row, frozen=True, kw_only=True):
    """One folder that an installer makes below its cache or the temporary folder.

    ``template`` shows the name; ``length`` is how many characters it adds after the separator (``{name}`` counts
    nothing: the package's name comes on top). ``holds``: what lies below it. ``fatal``: whether the installation fails
    when it cannot be written.
    """

    installer: Literal["pip", "uv"]
    release: str
    purpose: str
    root: Literal["cache", "temp"]
    template: str
    length: int
    holds: Literal["wheel-contents", "wheel-file", "sdist-contents", "response"]
    fatal: bool
    verified: bool


def load_installer_places() -> tuple[InstallerPlace, ...]:
    """All rows; KnowledgeError when the table is damaged."""
    return load_table("installer_places", InstallerPlace)
