"""Looks at the packages' files while the target interpreter is still starting.

Where an environment keeps its packages is nearly always plain from its layout. What is read ahead is used only if the
interpreter then names the same folder; otherwise it was for nothing, and is read again.
"""

from __future__ import annotations

import os
import time

from ..probe import Context
from ..sections.packages import PackageFiles
from .distributions import read_distributions
from .file_state import FileJudge
from .installed_files import hold_files

#: seconds to wait for the target probe to choose an environment, and between two looks
CHOICE_S = 0.25
LOOK_S = 0.002


def look_ahead(ctx: Context, until: float) -> dict[str, PackageFiles]:
    """The sound packages of the environment that was chosen, by the path of their .dist-info. Never raises.

    ``until`` (time.monotonic()) ends it; returns at once if the target probe is done.
    """
    site = guess_site(_environment(ctx))
    if not site:
        return {}
    try:
        held = hold_files(read_distributions([site]), FileJudge(until))
    except (OSError, ValueError):  # TimeoutError among them: whoever looks in earnest will say so
        return {}
    # damage is judged anew, knowing the target's version
    return {files.path: files for files in held if not (files.damaged or files.altered or files.problem)}


def _environment(ctx: Context) -> str:
    """The folder of the chosen environment, "" if there is none or the target is known already."""
    give_up = time.monotonic() + CHOICE_S
    while not ctx.is_done("target") and time.monotonic() < give_up:
        fact = ctx.snapshot.target.environment
        if fact.status != "not-run":
            return fact.maybe() or ""
        time.sleep(LOOK_S)
    return ""


def guess_site(environment: str) -> str:
    """The site-packages folder of an environment by its layout; "" if there is not exactly one."""
    if not environment:
        return ""
    found = []
    try:
        if os.name == "nt":
            found = [f"{environment}\\Lib\\site-packages"]
        else:
            names = [name for name in os.listdir(f"{environment}/lib") if name.startswith(("python3", "pypy3"))]
            found = [f"{environment}/lib/{name}/site-packages" for name in names]
    except OSError:
        return ""
    found = [path for path in found if os.path.isdir(path)]
    return found[0] if len(found) == 1 else ""
