"""What Python printed about start-up files that raised: it goes on without them, so this is all there is."""

from __future__ import annotations

import re

PTH = re.compile(r"^Error processing line (\d+) of (.+):$")


def errors_of_pth_files(stderr: str) -> dict[str, str]:
    """Path of a .pth file -> the line that raised and what."""
    errors: dict[str, str] = {}
    path, number, last = "", "", ""
    for line in stderr.splitlines():
        match = PTH.match(line)
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


def error_of_module(name: str, stderr: str) -> str:
    """What the import of sitecustomize or usercustomize raised; "" if nothing was said of it."""
    match = re.search(rf"^Error in {name}; set PYTHONVERBOSE for traceback:\n(.+)$", stderr, re.MULTILINE)
    return match[1].strip()[:300] if match else ""
