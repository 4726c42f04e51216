"""A Python as Debian has it: a file in its standard library says that the system manages it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest


def managed_python(folder: Path) -> Path:
    """A Python of links to this one's, with the file that says who manages it."""
    base = Path(sys.base_prefix)
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": str(base)}))
    own = folder / "lib" / library.name
    (own / "site-packages").mkdir(parents=True)
    (folder / "bin").mkdir()
    for path in library.iterdir():
        if path.name not in ("site-packages", "EXTERNALLY-MANAGED"):
            (own / path.name).symlink_to(path)
    (own / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=use apt\n")
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    program = folder / "bin" / name
    shutil.copy2(Path(sys._base_executable).resolve(), program)  # type: ignore[attr-defined]
    (folder / "bin" / "python3").symlink_to(name)
    told = subprocess.run(
        [str(program), "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=False
    )
    if told.stdout.strip() != str(folder):
        pytest.skip(f"this Python cannot be copied: {told.stdout}{told.stderr[-200:]}")
    return program
