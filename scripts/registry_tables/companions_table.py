"""The table companions.json: which torch a release of a companion was built for, by its own metadata."""

from __future__ import annotations

from email.parser import HeaderParser
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from registry_tables.index import Index, source_of

# from the first release on whose metadata ask for one torch; reports that people paste name old ones too
COMPANIONS = {
    "torchaudio": Version("0.6"),
    "torchtext": Version("0.9"),
    "torchvision": Version("0.5"),
    "xformers": Version("0.0.16"),
}

JsonRow = dict[str, Any]


def torch_requirement(metadata: str) -> str | None:
    """The specifier of ``Requires-Dist: torch``, such as ``==2.14.0``; None where any torch or none will do."""
    for line in HeaderParser().parsestr(metadata).get_all("Requires-Dist", []):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.name.lower() == "torch" and requirement.marker is None:
            return str(requirement.specifier) or None
    return None


def companion_rows(index: Index, as_of: str) -> list[JsonRow]:
    """A row for each release, newest first."""
    rows = []
    for package, oldest in sorted(COMPANIONS.items()):
        wheels = {
            file.version: file
            for file in index.files(package)
            if file.is_wheel and not file.yanked and not file.version.is_prerelease and file.version >= oldest
        }
        rows += [
            {
                "as_of": as_of,
                "source": source_of(package, wheel),
                "package": package,
                "release": str(release),
                "torch": torch_requirement(index.metadata(wheel)),
            }
            for release, wheel in sorted(wheels.items(), reverse=True)
        ]
    return rows
