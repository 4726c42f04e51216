"""Which CUDA (or none) torchvision and torchaudio were built for, by their own version.py, read as text."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from .library_files import find_package, read_source

PACKAGES = ("torchvision", "torchaudio")

_VERSION = re.compile(r"""^__version__\s*=\s*['"]([^'"\n]+)['"]""", re.M)


def read_companion_builds(folders: Sequence[str]) -> dict[str, str]:
    """Package -> ``__version__`` of those in ``folders`` (of sys.path) that say one. Raises OSError.

    The metadata of wheels from the public index lacks the build (``0.28.0``), this file has it (``0.28.0+cu130``).
    """
    found = {}
    for package in PACKAGES:
        folder = find_package(folders, package)
        match = _VERSION.search(read_source(f"{folder}{os.sep}version.py") or "") if folder else None
        if match:
            found[package] = match[1]
    return found
