"""Runs uv, which resolves, downloads and unpacks; says in one line why it could not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from ...facts.child import Ended, finish_child, kill_group, start_child
from ...facts.redaction import without_credentials
from ..action import Refused

#: characters of uv's own reason that are shown
_LONGEST_REASON = 400
#: what a line of the reason can begin with and say nothing
_MARKS = ("error:", "cause:", "caused by:", "×", "├─▶", "╰─▶", "│", "x ", "|->", "`->")


class Failed(Exception):
    """uv ended with an error; the text is its reason in one line."""

    def __init__(self, reason: str, unsolvable: bool = False) -> None:
        super().__init__(reason)
        #: no set of versions fits what was asked (and another question may have an answer)
        self.unsolvable = unsolvable

    @property
    def refusal(self) -> str:
        """Why a plan could not be made, in words."""
        return f"{'uv finds no packages that fit' if self.unsolvable else 'uv cannot tell what to install'}: {self}"


def find_uv(environ: Mapping[str, str]) -> str:
    """The path of uv: the one that came with hfdoctor, else one on PATH. Raises Refused if there is none."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, OSError):
        pass
    found = shutil.which("uv", path=environ.get("PATH"))
    if found is None:
        raise Refused("uv, which hfdoctor changes packages with, is not there: install it with `pip install uv`")
    return found


def run_uv(words: Sequence[str], environ: Mapping[str, str], cwd: str, timeout_s: float, stdin: bytes = b"") -> Ended:
    """Run uv; an interrupt ends it, too. Raises Failed with its reason, Refused if it cannot be started."""
    uv = find_uv(environ)
    try:
        child = start_child([uv, *words], environ=environ, cwd=cwd)
    except OSError as error:
        raise Refused(f"uv cannot be started: {error.strerror or error}") from None
    try:
        ended = finish_child(child, timeout_s, stdin)
    except BaseException:
        kill_group(child)
        raise
    if ended.timed_out:
        raise Failed(f"uv was not done after {timeout_s:.0f} seconds")
    if ended.code != 0:
        said = ended.stderr.decode("utf-8", "replace")
        raise Failed(reason_in(said) or f"uv ended with {ended.signal or ended.code}", "No solution found" in said)
    return ended


def reason_in(said: str) -> str:
    """uv's reason in one line, without credentials: the causes, the innermost last."""
    parts: list[str] = []
    for line in said.splitlines():
        text = line.strip()
        if text.startswith(("warning:", "hint:", "Using Python", "Resolved ", "help:", "DEBUG", "TRACE")):
            if parts:
                break
            continue
        stripped = _without_mark(text)
        if not stripped:
            continue
        if parts and stripped == text and line[:1].isspace():
            parts[-1] += " " + text  # the cause goes on
        elif parts or stripped != text:
            parts.append(stripped)
    parts = [part for part in parts if not part.startswith("No solution found when resolving")] or parts
    reason = without_credentials(": ".join(part.rstrip(":") for part in parts)).replace("\t", " ")
    if len(reason) <= _LONGEST_REASON:
        return reason
    half = _LONGEST_REASON // 2  # what was tried stands first, why it failed last
    return f"{reason[:half].rstrip()} ... {reason[-half:].lstrip()}"


def _without_mark(text: str) -> str:
    changed = True
    while changed:
        changed = False
        for mark in _MARKS:
            if text.lower().startswith(mark):
                text, changed = text[len(mark) :].strip(), True
    return text


def quiet_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` without what would send uv elsewhere than it is told, or have it talk in colours."""
    dropped = {
        *("VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_BREAK_SYSTEM_PACKAGES", "UV_TARGET"),
        *("UV_PREFIX", "UV_PROJECT_ENVIRONMENT", "UV_COMPILE_BYTECODE", "UV_REQUIRE_HASHES", "UV_RESOLUTION"),
        *("UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_WORKING_DIR", "UV_PROJECT", "UV_TORCH_BACKEND", "RUST_LOG"),
        *("UV_PYTHON_PLATFORM", "UV_PYTHON_VERSION", "FORCE_COLOR", "CLICOLOR_FORCE", "PYTHONHOME", "PYTHONPATH"),
    }
    kept = {name: value for name, value in environ.items() if name.upper() not in dropped}
    if os.name == "nt":  # a program on Windows does not start without them
        for name in ("SYSTEMROOT", "TEMP", "TMP"):
            kept.setdefault(name, os.environ.get(name, ""))
    return {**kept, "NO_COLOR": "1", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
