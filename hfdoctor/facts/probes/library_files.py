"""What torch and transformers say of themselves in their own files, read as text and never executed."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..fact import Fact, absent, failed, known
from ..sections.packages import TorchBuild, TransformersNeeds

#: bytes; import_utils.py has a hundred thousand
LARGEST_SOURCE = 4 * 1024 * 1024


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
    values = _assignments(text)
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
        own = read_source(f"{package}{os.sep}__init__.py") or ""
        version = _between(f"\n{own}", '\n__version__ = "', '"')
    needs = TransformersNeeds(version)
    table = read_source(f"{package}{os.sep}dependency_versions_table.py")
    if table is None:
        return failed("dependency_versions_table.py is missing", package)
    cells = [line.split('"') for line in table.split("\n")]
    needs.table = {row[1]: row[3] for row in cells if len(row) == 5 and row[2].strip() == ":"}
    checks = read_source(f"{package}{os.sep}dependency_versions_check.py") or ""
    listed = _between(checks, "pkgs_to_check_at_runtime = [", "]")
    # up to transformers 4.35 the names stood in one string
    in_one = _between(checks, 'pkgs_to_check_at_runtime = "', '"')
    needs.checked_at_import = listed.split('"')[1::2] or in_one.split()
    gate_path = f"{package}{os.sep}utils{os.sep}import_utils.py"
    gate = _version_at(read_source(gate_path) or "", "PyTorch >= ", " is required")
    wish = _version_at(needs.table.get("torch", "") + ",", "torch>=", ",")
    if gate:
        needs.minimum_torch, needs.minimum_torch_source = gate, gate_path
    elif wish:
        needs.minimum_torch = wish
        needs.minimum_torch_source = f"{package}{os.sep}dependency_versions_table.py"
    return known(needs, package)


def _assignments(text: str) -> dict[str, str]:
    """The names that a module sets at its top level to a plain string, None or a truth value, as text."""
    values = {}
    for line in text.split("\n"):
        left, equals, right = line.partition("=")
        name = left.partition(":")[0].strip()
        if not equals or not name.isidentifier() or left[:1].isspace():
            continue
        value = right.partition("#")[0].strip()
        if value in ("None", "False"):
            values[name] = ""
        elif value == "True":
            values[name] = value
        elif len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"" and value[0] not in value[1:-1]:
            values[name] = value[1:-1]
    return values


def _between(text: str, begin: str, end: str) -> str:
    """What stands between the first ``begin`` and the ``end`` after it; "" if they are not there."""
    found, rest = text.partition(begin)[1:]
    inner, ended, _ = rest.partition(end)
    return inner if found and ended else ""


def _version_at(text: str, begin: str, end: str) -> str:
    version = _between(text, begin, end)
    return version if version.replace(".", "").isdigit() and len(version) < 20 else ""
