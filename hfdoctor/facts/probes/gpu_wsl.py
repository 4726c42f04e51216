"""The GPU's way into WSL 2: Windows lends its driver's libraries and one device file."""

from __future__ import annotations

import os

from ..fact import Fact, known
from ..legible import legible
from ..sections.gpu import Wsl
from .gpu_loader import Library

LENT = "usr/lib/wsl/lib"
STUB = f"{LENT}/libcuda.so.1"


def wsl(cuda: Library | None, root: str) -> Fact[Wsl]:
    """What Windows lends, and a Linux driver's libcuda if the loader meets that first (``cuda``: what it finds)."""
    found = Wsl(dxg=os.path.exists(os.path.join(root, "dev/dxg")))
    if os.path.exists(os.path.join(root, STUB)):
        found.stub = f"/{STUB}"
    if cuda and not cuda.path.startswith(f"/{LENT}/") and not cuda.real.startswith("/usr/lib/wsl/"):
        found.linux_driver = legible(cuda.path)
    return known(found, "/dev/dxg, /usr/lib/wsl/lib")
