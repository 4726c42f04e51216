"""The step to another release of torch that keeps its build fitting this machine, and its companions fitting it."""

from __future__ import annotations

from collections.abc import Mapping

from ..facts.snapshot import Snapshot
from .install_steps import install, install_like
from .model import Plain, Step
from .reinstall import torch_index, variant_index
from .torch_choice import TOGETHER, python_tag, releases_for
from .torch_wanted import Nothing, wanted_build

WORDS: Mapping[str, str] = {"newer_torch": "install a newer torch"}


def newer_torch(
    s: Snapshot,
    least: str = "",
    fields: Mapping[str, Plain] = {},
    *,
    told: str = "",
    says: str = "newer_torch",
) -> Step | None:
    """The step to a newer torch (of the release ``least`` or a later one) with the companions that are there.

    It comes from the index of its own variant as long as that has such a release, else in the variant that this
    machine should have. None where no build would do. ``told`` is the present version where it is known from elsewhere
    than the list of packages. ``says`` is a key of the condition's words, ``fields`` is what these name.
    """
    entry = s.packages.installed().get("torch")
    version = told or (entry.version if entry else "")
    packages = _with_companions(s)
    if entry is not None and entry.installer.lower().startswith("conda"):
        return Step(install_like(s, "torch", f">={least}" if least else ""), says, fields, network=True)
    wanted = [f"torch>={least}" if least else "torch", *packages[1:]]
    newest = [] if least else ["--upgrade"]
    index = torch_index(version)
    if _keeps_its_build(s, index, least):
        return Step(install(s, wanted, *newest, *index), says, fields, network=True)
    answer = wanted_build(s)
    if isinstance(answer, Nothing) or answer.choice.release not in releases_for(python_tag(s), least):
        return None
    wanted[0] = f"torch=={answer.choice.release}"
    index = [] if answer.plain else ["--index-url", variant_index(answer.choice.variant)]
    return Step(install(s, wanted, *index), says, fields, network=True)


def torch_release(s: Snapshot, release: str, version: str, fields: Mapping[str, Plain], *, says: str) -> Step:
    """The step to one release of torch (``2.7.0``) in the build of the present ``version``, with its companions."""
    packages = _with_companions(s)
    wanted = [f"torch=={release.partition('+')[0]}", *packages[1:]]
    return Step(install(s, wanted, *torch_index(version)), says, fields, network=True)


def _with_companions(s: Snapshot) -> list[str]:
    installed = s.packages.installed()
    return ["torch", *(name for name in TOGETHER if name != "torch" and name in installed)]


def _keeps_its_build(s: Snapshot, index: list[str], least: str) -> bool:
    """Whether a newer release of the same variant is there and is of use on this machine."""
    from ..knowledge.torch_builds import variants_of

    if index:
        variant = index[-1].rpartition("/")[2]
        return "/nightly/" in index[-1] or any(
            variant in variants_of(one) for one in releases_for(python_tag(s), least)
        )
    # PyPI has one variant of each release, which may be for a newer driver than this one
    build = s.packages.torch_build.maybe()
    if build is None or not build.cuda:
        return True
    answer = wanted_build(s)
    return isinstance(answer, Nothing) or answer.kind != "cuda" or answer.plain
