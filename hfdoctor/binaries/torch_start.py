"""What ``import torch`` does to the loader before its own code runs, read from the text of the installed __init__.py.

Releases differ: which of NVIDIA's libraries are loaded ahead from site-packages, in which order, and whether only
after a first failure. Read on torch 2.1 to 2.15; what a release does not say in this form is taken as not done.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .files import Files
from .loader_linux import Flaw, LinuxProcess


class Ahead(msgspec.Struct):
    """The libraries that are loaded ahead: folder and pattern of each, and whether its absence ends the work."""

    #: after libtorch_global_deps.so failed because of one of them
    after_failure: list[tuple[str, str, bool]] = []
    #: after it succeeded
    after_success: list[tuple[str, str, bool]] = []
    #: what must be in the path of a loaded library for the second
    sign: str = ""
    #: it also looks into nvidia/cu13/lib and the like, and outside nvidia/
    in_common_folder: bool = False
    outside: bool = False


def read_ahead(text: str, cuda: str) -> Ahead:
    """What the text of torch/__init__.py does; ``cuda`` is the build's version, such as 12.4."""
    import re  # only where torch is a CUDA build

    text = text[max(0, text.find("_preload_cuda") - 2000) : text.rfind("_preload_cuda") + 200]
    found = Ahead(
        in_common_folder='f"cu{maj_cuda_version}"' in text,
        outside="os.path.join(path, lib_folder" in text,
    )
    pairs = r"""(_preload_cuda_\w+)?[(\[]?["'](\w+)["']\]?\s*[:,=]\s*["'](lib[\w-]+\.so[^"']*)["']([^)\n]*)"""
    direct: list[tuple[str, str, bool]] = []
    optional: list[tuple[str, str, bool]] = []
    major = int(cuda.partition(".")[0]) if cuda.partition(".")[0].isdigit() else 0
    for match in re.finditer(pairs, text):
        call, folder, pattern, rest = match.groups()
        if call:
            (optional if "required=False" in rest else direct).append((folder, pattern, "required=False" not in rest))
        elif folder != "cufile" or '["cufile"]' not in match.group(0) or major >= 12:
            found.after_failure.append((folder, pattern, True))
    found.after_failure += optional
    found.after_success = direct
    whole = re.search(r"\n\s+_preload_cuda_deps\((required=False)?\)", text)
    if whole:
        needed = whole.group(1) is None
        found.after_success = [(folder, pattern, must and needed) for folder, pattern, must in found.after_failure]
    sign = re.search(r"""if ["']([\w/.]*libcudart\.so)["'] not in""", text)
    found.sign = sign.group(1) if sign else ""
    return found


def start_torch(
    process: LinuxProcess, torch: str, entry: str, ahead: Ahead, sys_path: Sequence[str], cuda: str
) -> list[Flaw]:
    """Load what ``import torch`` loads; what it stumbles over. ``torch`` is its folder, ``entry`` the module ``_C``."""
    files = process.files
    deps = f"{torch}/lib/libtorch_global_deps.so"

    def load_all(rows: list[tuple[str, str, bool]]) -> list[Flaw]:
        for folder, pattern, must in rows:
            path = _first(files, sys_path, folder, pattern, cuda, ahead)
            if not path:
                if must:
                    name = pattern.removesuffix(".*[0-9]")
                    searched = [f"{place}/nvidia/{folder}/lib" for place in sys_path]
                    return [Flaw("missing", None, name, searched=searched)]
            elif flaws := process.load(path):
                return flaws
        return []

    flaws: list[Flaw] = []
    if files.is_file(deps):
        flaws = process.load(deps)
        if flaws and _about(flaws, ahead):
            first = flaws
            # what it could not find ahead is better told by what the library wants
            flaws = load_all(ahead.after_failure)
            again = process.load(deps)
            flaws = again or _by_its_name(flaws, first)
        elif not flaws and any(ahead.sign in library.path for library in process.loaded if ahead.sign):
            load_all(ahead.after_success)  # it passes over whatever goes wrong here
    known = {(flaw.kind, flaw.needs) for flaw in flaws}
    return flaws + [flaw for flaw in process.load(entry) if (flaw.kind, flaw.needs) not in known]


def _about(flaws: list[Flaw], ahead: Ahead) -> bool:
    """Whether the message of the loader would name one of the libraries."""
    flaw = flaws[0]
    says = f"{flaw.needs} {flaw.found} {flaw.library.path if flaw.library else ''}"
    return any(pattern.partition(".")[0] in says for _, pattern, _ in ahead.after_failure)


def _by_its_name(ahead: list[Flaw], first: list[Flaw]) -> list[Flaw]:
    """The flaws met while loading ahead, in the words of who needs the library where somebody does."""
    return [next((flaw for flaw in first if flaw.needs.startswith(met.needs)), met) for met in ahead]


def _first(files: Files, sys_path: Sequence[str], folder: str, pattern: str, cuda: str, ahead: Ahead) -> str:
    """The first file that torch's own search (glob) for ``pattern`` in sys.path finds, "" without."""
    begin, starred, end = pattern.partition(".*")
    if not starred or end != "[0-9]":
        return ""  # no release up to 2.15 has another form
    for place in sys_path:
        folders = [f"{place}/nvidia/{folder}/lib"]
        if ahead.in_common_folder and cuda:
            folders.append(f"{place}/nvidia/cu{cuda.partition('.')[0]}/lib")
        if ahead.outside:
            folders.append(f"{place}/{folder}/lib")
        for here in folders:
            for name in files.names(here):
                if name.startswith(f"{begin}.") and name[-1].isdigit():
                    return f"{here}/{name}"
    return ""
