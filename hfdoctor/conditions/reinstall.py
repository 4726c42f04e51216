"""The steps that put a damaged package back, from the same release and for the same build."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..facts.sections.packages import Distribution
from ..facts.snapshot import Snapshot
from .changes import PutAway
from .model import Plain, Step

#: where PyTorch keeps the builds whose version ends in +cpu, +cu126, +rocm6.4, +xpu
TORCH_INDEX = "https://download.pytorch.org/whl/"
TORCH_FAMILY = ("torch", "torchvision", "torchaudio", "torchtext")

#: the names of conda's packages where they differ from those on PyPI
CONDA_NAMES: Mapping[str, str] = {
    "huggingface-hub": "huggingface_hub",
    "torch": "pytorch",
    "typing-extensions": "typing_extensions",
}

#: variables that send pip and uv to another index
_PLACES = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL"),
    *("UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
)
#: the same in pip.conf (global.index-url) and uv.toml (pip.index-url, index[0].url)
_PLACE = r"(?:\A|\.)(?:(?:extra-)?index-url|find-links|index\[)"
_NIGHTLY = r"\.dev\d{8}\+"
_BUILD = r"\+(cpu|xpu|cu\d+|rocm\d+(?:\.\d+)*)\Z"

#: the templates that these steps name; a condition that uses them takes these into its words
WORDS: Mapping[str, str] = {
    "reinstall": "install {package} again over what is there",
    "reinstall_conda": "install {package} again with conda",
    "reinstall_from_own": "or install {package} again from where pip (or uv) is set up to look",
    "reinstall_elsewhere": "install {package} again from where it came from: {url}",
    "reinstall_managed": "install {package} again with the package manager that {installer} stands for",
    "out_of_the_way": "move {path} out of the way",
}


def put_away(path: str) -> Step:
    """The step that takes a file or folder out of the way; hfdoctor keeps it until it is told to forget it."""
    return Step(says="out_of_the_way", fields={"path": path}, change=PutAway(path))


def python_of(s: Snapshot) -> str:
    """The target's interpreter for a command line."""
    chosen = s.target.chosen.maybe()
    return chosen.python if chosen else "python"


def variant_index(variant: str) -> str:
    """The index of the builds of one variant (``cpu``, ``cu126``)."""
    return TORCH_INDEX + variant


def torch_index(version: str) -> list[str]:
    """The ``--index-url`` of the builds that go with torch ``version`` (``+cpu``, ``+cu126``); none for the others."""
    build = re.search(_BUILD, version)
    if build is None:
        return []
    nightly = "nightly/" if re.search(_NIGHTLY, version) else ""
    return ["--index-url", variant_index(nightly + build[1])]


def reinstall(s: Snapshot, entry: Distribution, *, over: bool = False, asked: str = "") -> list[Step]:
    """The steps that install ``entry`` again in the version it has.

    ``over``: write over what is there without removing it first, which pip cannot do when the list of files is lost.
    ``asked`` is the specifier that its users ask for, where its version is not known.
    """
    fields: dict[str, Plain] = {"package": entry.name}
    installer = entry.installer.lower()
    if installer.startswith("conda"):
        interpreter = s.target.interpreter.maybe()
        prefix = ["--prefix", interpreter.prefix] if interpreter else []
        command = ["conda", "install", *prefix, "--force-reinstall", CONDA_NAMES.get(entry.name, entry.name)]
        return [Step(command, "reinstall_conda", fields, network=True)]
    if installer and not installer.startswith(("pip", "uv", "poetry", "pdm", "installer", "hatch")):
        return [Step(says="reinstall_managed", fields={**fields, "installer": entry.installer}, network=True)]
    if entry.direct_url:
        return [Step(says="reinstall_elsewhere", fields={**fields, "url": entry.direct_url}, network=True)]
    what = f"{entry.name}=={entry.version}" if entry.version else entry.name + asked
    index = torch_index(entry.version) if entry.name in TORCH_FAMILY else []
    python = python_of(s)
    if installer.startswith("uv") or s.target.pip.absent:
        command = ["uv", "pip", "install", "--python", python, "--reinstall", "--no-deps", what]
    else:
        way = "--ignore-installed" if over else "--force-reinstall"
        command = [python, "-m", "pip", "install", way, "--no-deps", what]
    steps = [Step([*command, *index], "reinstall", fields, network=True)]
    if index and _has_a_mirror(s):
        steps.append(Step(command, "reinstall_from_own", fields, network=True))
    return steps


def _has_a_mirror(s: Snapshot) -> bool:
    """Whether pip or uv is set up to look elsewhere than on PyPI: there may be builds of torch as well."""
    if s.settings.variables.known and any(s.settings.variable(name) for name in _PLACES):
        return True
    named = [*(s.settings.pip_config.maybe() or ()), *(s.settings.uv_config.maybe() or ())]
    return any(re.search(_PLACE, entry.name) for entry in named)
