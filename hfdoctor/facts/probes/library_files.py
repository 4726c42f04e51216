"""What torch and transformers say of themselves in their own files, read as text and never executed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from ..fact import Fact, absent, failed, known
from ..sections.packages import TorchBuild, TransformersNeeds

#: bytes; import_utils.py has a hundred thousand
LARGEST_SOURCE = 4 * 1024 * 1024

_ASSIGNMENT = re.compile(
    r"""^(\w+)[ \t]*(?::[^=\n]*)?=[ \t]*(?:'([^'\\\n]*)'|"([^"\\\n]*)"|(None|True|False))[ \t]*(?:\#.*)?$""", re.M
)
_OWN_VERSION = re.compile(r"^__version__ = \"([^\"\n]+)\"", re.M)
_TABLE_ROW = re.compile(r"""^\s*"([^"\\\n]+)"\s*:\s*"([^"\\\n]*)"\s*,?\s*$""", re.M)
_CHECKED = re.compile(r"pkgs_to_check_at_runtime\s*=\s*(\[[^\]]*\]|\"[^\"\n]*\")")
_QUOTED = re.compile(r"\"([^\"\\\n]+)\"")
_TORCH_GATE = re.compile(r"PyTorch >= (\d+(?:\.\d+)+) is required")
_TORCH_WISH = re.compile(r"torch>=(\d+(?:\.\d+)+)")


def find_package(folders: Sequence[str], package: str) -> str:
    """The folder of ``package`` that an import would find in ``folders`` (those of sys.path), or ""."""
    for folder in folders:
        path = f"{folder}{os.sep}{package}"
        if os.path.isfile(f"{path}{os.sep}__init__.py"):
            return path
    return ""


def read_source(path: str) -> str | None:
    """The text of a module, or None if there is none. Raises OSError if it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return (file.read(LARGEST_SOURCE) or b"").decode("utf-8", "replace").replace("\r\n", "\n")
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_torch_build(folders: Sequence[str]) -> Fact[TorchBuild]:
    """What torch/version.py says. Source: that file. Raises OSError."""
    package = find_package(folders, "torch")
    if not package:
        return absent("torch is not installed")
    path = f"{package}{os.sep}version.py"
    text = read_source(path)
    if text is None:
        return failed("the file is missing", path)
    values: dict[str, str] = {}
    for name, single, double, word in _ASSIGNMENT.findall(text):
        values[name] = single or double or ("" if word in ("None", "False") else word)
    version = values.get("__version__", "")
    if not version:
        return failed(f"no version in it; it begins with {text[:60]!r}", path)
    return known(
        TorchBuild(
            version=version,
            cuda=values.get("cuda", ""),
            hip=values.get("hip", ""),
            xpu=values.get("xpu", ""),
            git_version=values.get("git_version", ""),
            debug=values.get("debug", "") == "True",
        ),
        path,
    )


def read_transformers_needs(folders: Sequence[str], version: str) -> Fact[TransformersNeeds]:
    """What the files of the installed transformers ask for; ``version`` is its metadata's, "" without.

    Source: its own modules. Raises OSError.
    """
    package = find_package(folders, "transformers")
    if not package:
        return absent("transformers is not installed")
    if not version:
        match = _OWN_VERSION.search(read_source(f"{package}{os.sep}__init__.py") or "")
        version = match[1] if match else ""
    needs = TransformersNeeds(version)
    table = read_source(f"{package}{os.sep}dependency_versions_table.py")
    if table is None:
        return failed("dependency_versions_table.py is missing", package)
    needs.table = dict(_TABLE_ROW.findall(table))
    checks = read_source(f"{package}{os.sep}dependency_versions_check.py") or ""
    match = _CHECKED.search(checks)
    if match:
        listed = match[1]
        # up to transformers 4.35 the names stood in one string
        needs.checked_at_import = _QUOTED.findall(listed) if listed.startswith("[") else listed.strip('"').split()
    gate_path = f"{package}{os.sep}utils{os.sep}import_utils.py"
    gates = _TORCH_GATE.findall(read_source(gate_path) or "")
    wish = _TORCH_WISH.match(needs.table.get("torch", ""))
    if gates:
        needs.minimum_torch, needs.minimum_torch_source = gates[0], gate_path
    elif wish:
        needs.minimum_torch = wish[1]
        needs.minimum_torch_source = f"{package}{os.sep}dependency_versions_table.py"
    return known(needs, package)
