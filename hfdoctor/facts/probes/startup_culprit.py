"""Which start-up file keeps the target from starting: each is tried alone, in the order in which site reads them."""

from __future__ import annotations

import ast
import os
import time

from ..child import Ended, run_child
from ..inspect_python import pth_files
from ..probe import Context
from .start_target import RETRY_S, folder_to_run_in

#: seconds for all trials together: each costs one start of the interpreter, or RETRY_S where it hangs
TRIALS_S = 15.0
SURVIVED = b"hfdoctor-survived"

TRY_PTH = """
import os, site, sys
folder, name = sys.argv[1:]
sys.path.append(folder)
site.addpackage(folder, name, None)
os.write(1, b"hfdoctor-survived")
"""

TRY_MODULE = """
import os, sys
del sys.path[0]
sys.path.extend(sys.argv[2:])
import importlib.util
spec = importlib.util.find_spec(sys.argv[1])
os.write(1, ascii((spec and spec.origin) or "").encode() + b"\\n")
try:
    __import__(sys.argv[1])
except Exception:
    pass
os.write(1, b"hfdoctor-survived")
"""


def find_culprit(context: Context, python: str, folders: list[str], version: tuple[int, int]) -> tuple[str, str]:
    """(path, what it does) of the start-up file that stops the interpreter; ("", "") if none was found.

    ``folders`` are those whose .pth files site reads.
    """
    over = time.monotonic() + TRIALS_S
    for entry in pth_files(folders, version):
        path = entry["path"]
        if entry["error"].startswith("undecodable"):
            return path, f"cannot be read ({entry['error']})"
        if not entry["executes"] or time.monotonic() > over:
            continue
        why, _ = _trial(context, python, TRY_PTH, os.path.dirname(path), os.path.basename(path))
        if why:
            return path, why
    for name in ("sitecustomize", "usercustomize"):
        if time.monotonic() > over:
            break
        why, origin = _trial(context, python, TRY_MODULE, name, *folders)
        if why:
            return origin or name, why
    return "", ""


def _trial(context: Context, python: str, code: str, *arguments: str) -> tuple[str, str]:
    """(what went wrong when this file alone was processed, the module's path as it was printed before).

    The first is "" if the interpreter survived.
    """
    try:
        ended = run_child(
            [python, "-S", "-B", "-c", code, *arguments],
            context.left_s(RETRY_S),
            environ=context.request.environ,
            cwd=folder_to_run_in(context),
        )
    except OSError:
        return "", ""
    if SURVIVED in ended.stdout:
        return "", ""
    try:
        origin = ast.literal_eval(ended.stdout.partition(b"\n")[0].decode("ascii"))
    except (ValueError, SyntaxError):
        origin = ""
    return how_it_ended(ended), origin if isinstance(origin, str) else ""


def how_it_ended(ended: Ended) -> str:
    """In words: that it hung, which signal, which exit code or exception."""
    if ended.timed_out:
        return "does not end"
    if ended.signal:
        return f"killed the interpreter ({ended.signal})"
    lines = [line.strip() for line in ended.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    said = f": {lines[-1][:200]}" if lines else ""
    return f"ended the interpreter with exit code {ended.code}{said}"
