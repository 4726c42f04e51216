"""Whose packages they are: which must not be changed here, by whose settings, and which are sound already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from ...conditions.reinstall import CONDA_NAMES
from ...facts.probes.distributions import read_distributions, read_small
from ...facts.probes.record import read_record
from ...facts.sections.packages import Distribution
from ..action import Refused
from .resolve import Package, Resolver
from .target import Site, Told

#: installers that leave a RECORD which says all that they wrote
_OURS = ("", "pip", "uv", "poetry", "pdm", "installer", "hatch")


def refuse_what_is_not_ours(
    installed: Sequence[Distribution], packages: Sequence[Package], prefix: str, python: str
) -> None:
    """Raises Refused if a package that would change belongs to conda, to the person's own source, or to no list."""
    names = {package.name for package in packages if package.old}
    for entry in installed:
        if entry.name not in names:
            continue
        what = f"{entry.name} {entry.version}".strip()
        installer = entry.installer.lower()
        if installer.startswith("conda") or _in_conda_list(entry, prefix):
            name = CONDA_NAMES.get(entry.name, entry.name)
            raise Refused(f"{what} is conda's: change it with `conda install --prefix {prefix} {name}`")
        if not installer.startswith(_OURS[1:]) and installer:
            raise Refused(f"{what} was installed by {entry.installer}: change it with that")
        if entry.editable or entry.path.endswith((".egg-link", ".egg")) or ".egg" + os.sep in entry.path:
            raise Refused(f"{what} is installed from a folder of yours (editable): uninstall it yourself if you want")
        origin = read_small(os.path.join(entry.path, "direct_url.json")) or b""
        if b'"vcs_info"' in origin or b'"dir_info"' in origin:
            raise Refused(f"{what} was installed from {entry.direct_url}: hfdoctor does not replace your own build")
        if entry.path.endswith(".egg-info") and not os.path.isdir(entry.path):
            raise Refused(f"{what} was installed without a list of its files: no installer can replace it")


def _in_conda_list(entry: Distribution, prefix: str) -> bool:
    if entry.installer or not os.path.isdir(os.path.join(prefix, "conda-meta")):
        return False
    from ...facts.probes.conda_meta import read_conda_record

    return read_conda_record(entry) is not None


def tool_of(site: Site, names: set[str]) -> Literal["pip", "uv"]:
    """Whose settings say where packages come from: uv's where it installed what changes, or there is no pip."""
    installed = {entry.name: entry for entry in read_distributions([site.roots[n].path for n in site.libraries])}
    if any(installed[name].installer.startswith("uv") for name in names if name in installed):
        return "uv"
    return "pip" if "pip" in installed else "uv"


def tool_at(told: Told) -> Literal["pip", "uv"]:
    """Whose settings say where packages for a new environment come from: pip's where there is one."""
    folders = dict.fromkeys((told.paths["purelib"], told.paths["platlib"]))
    return "pip" if any(entry.name == "pip" for entry in read_distributions(list(folders))) else "uv"


def is_the_persons(told: Told, names: set[str]) -> bool:
    """Whether a Python that all share keeps what changes in the folder of this person alone."""
    folder = told.user_paths.get("purelib", "")
    if not folder or not os.path.isdir(folder):
        return False
    if any(entry.name in names for entry in read_distributions([folder])):
        return True
    return not os.access(told.paths["purelib"], os.W_OK)


def whole(resolver: Resolver, requirements: Sequence[str]) -> bool:
    """Whether each of ``requirements`` is an exact version that is there, once, with every file as it was installed."""
    from .stage import wrong_in

    for text in requirements:
        name, _, version = (part.strip() for part in text.partition("=="))
        found = [entry for entry in resolver.installed if entry.name == name]
        if not version or len(found) != 1 or found[0].problem or found[0].version != version:
            return False
        library = os.path.dirname(found[0].path)
        record, problem = read_record(os.path.join(found[0].path, "RECORD"))
        if problem or wrong_in(library, record):
            return False
    return True
