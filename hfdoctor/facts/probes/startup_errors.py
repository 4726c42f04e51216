"""What Python printed about start-up files that raised: it goes on without them, so this is all there is."""

from __future__ import annotations

import re
from collections.abc import Sequence

PTH = r"Error processing line (\d+) of (.+):$"


def errors_of_pth_files(stderr: str) -> dict[str, str]:
    """Path of a .pth file -> the line that raised and what."""
    errors: dict[str, str] = {}
    path, number, last = "", "", ""
    for line in stderr.splitlines():
        match = re.match(PTH, line)
        if match:
            number, path, last = match[1], match[2], ""
        elif path and line.startswith("Remainder of file ignored"):
            errors[path] = f"line {number}: {last}"[:300]
            path = ""
        elif path and line.strip():
            last = line.strip()
    if path:
        errors[path] = f"line {number}: {last}"[:300]
    return errors


def match_errors(paths: Sequence[str], stderr: str) -> dict[str, str]:
    """Path of each .pth file that failed -> its error.

    What Python printed is spelt in the code page of its output: letters that it lacks come as ``\\uc624``, and of
    those that were read in another code page only the file's own name may be left to go by.
    """
    errors = {_ascii(path): error for path, error in errors_of_pth_files(stderr).items()}
    found = {path: errors.pop(_ascii(path)) for path in paths if _ascii(path) in errors}
    for printed, error in errors.items():
        name = re.split(r"[/\\]", printed)[-1]
        same = [path for path in paths if path not in found and re.split(r"[/\\]", _ascii(path))[-1] == name]
        if len(same) == 1:
            found[same[0]] = error
    return found


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode("ascii")


def error_of_module(name: str, stderr: str) -> str:
    """What the import of sitecustomize or usercustomize raised; "" if nothing was said of it."""
    match = re.search(rf"^Error in {name}; set PYTHONVERBOSE for traceback:\n(.+)$", stderr, re.MULTILINE)
    return match[1].strip()[:300] if match else ""
