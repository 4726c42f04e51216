"""Looks at one installed file closely: is it there, whole, and what it should be?"""

from __future__ import annotations

import os
import stat
import sys
import time

from ..sections.packages import Damage
from .native_file import native_problem

PYTHON = ".py"
NATIVE = (".so", ".pyd", ".dll", ".dylib")

#: read when something is compiled against a package, never when it is imported
HEADERS = (".h", ".hpp", ".hxx", ".cuh", ".inl", ".cmake", ".pxd", ".cpp", ".cu", ".c", ".f", ".f90", ".lib", ".a")

_EXTRA = (".pyi", ".typed", ".md", ".rst", ".html", ".ipynb")
_TEST_FOLDERS = ("/tests/", "/test/")

#: algorithms that RECORD may name
_ALGORITHMS = ("sha256", "sha384", "sha512")


def part_of(path: str) -> str:
    """What a file (a path of RECORD) is for: one of FILE_PARTS."""
    if any(folder in f"/{path}" for folder in _TEST_FOLDERS) or path.endswith(_EXTRA):
        return "extra"
    if path.endswith((PYTHON, *NATIVE)) or ".so." in path:
        return "code"
    return "headers" if path.endswith(HEADERS) else "data"


class FileJudge:
    """Judges single files until ``deadline`` (time.monotonic()); ``python`` is the target's version, (3, 12)."""

    def __init__(self, deadline: float, python: tuple[int, int] | None = None) -> None:
        self.deadline = deadline
        self.python = python

    def check_time(self) -> None:
        """Raise TimeoutError when the deadline has passed."""
        if time.monotonic() > self.deadline:
            raise TimeoutError("the files took too long to look at")

    def damage(self, path: str, kind: str, expected: int | None, actual: int | None) -> Damage:
        """The damage ``kind`` of the file that RECORD calls ``path``."""
        return Damage(path, kind, expected, actual, part_of(path))

    def judge(self, full: str, path: str, expected: int | None) -> Damage | None:
        """What is wrong with the file at ``full`` that should have ``expected`` bytes; None if nothing is."""
        try:
            state = os.stat(extended(full))
        except (FileNotFoundError, NotADirectoryError):
            return self.damage(path, "dangling-link" if os.path.islink(full) else "missing", expected, None)
        except PermissionError:
            return self.damage(path, "unreadable", expected, None)
        except (OSError, ValueError):
            return None  # nothing is known about it, so nothing is said
        if not stat.S_ISREG(state.st_mode):
            return self.damage(path, "not-a-file", expected, None)
        if not os.access(full, os.R_OK):
            return self.damage(path, "unreadable", expected, state.st_size)
        if expected is not None and state.st_size != expected:
            kind = self._other_size(full, path, expected, state.st_size)
            return self.damage(path, kind, expected, state.st_size)
        kind = ""
        if state.st_size:
            kind = self.native(full) if is_native(path) else "zeroed" if self.starts_zeroed(full) else ""
        # a linker script that was packed as such is as it should be
        return self.damage(path, kind, expected, state.st_size) if kind not in ("", "foreign") else None

    def judge_content(self, full: str, path: str, expected: int | None) -> Damage:
        """What is wrong with a file of the recorded size that has another hash."""
        if is_native(path):
            kind = self.native(full) or "altered"
        elif path.endswith(PYTHON) and not self._compiles(full):
            kind = "garbled"
        else:
            kind = "altered"
        return self.damage(path, kind, expected, expected)

    def _other_size(self, full: str, path: str, expected: int, actual: int) -> str:
        if actual == 0:
            return "empty"
        if is_native(path):
            return self.native(full) or "altered"
        if self.starts_zeroed(full):
            return "zeroed"
        if path.endswith(PYTHON) and not self._compiles(full):
            return "truncated" if actual < expected else "garbled"
        return "altered"

    def native(self, full: str) -> str:
        """What is wrong with a native library, "" if nothing is."""
        return native_problem(extended(full))

    def starts_zeroed(self, full: str) -> bool:
        """Whether the first bytes of a file are all zero. False if it cannot be read."""
        try:
            with open(extended(full), "rb", buffering=0) as file:
                head = file.read(256)
        except (OSError, ValueError):
            return False
        return bool(head) and not head.strip(b"\0")

    def _compiles(self, full: str) -> bool:
        """Whether a Python module is whole enough to be parsed. True where this Python cannot tell."""
        if self.python is None or sys.version_info[:2] < self.python:
            return True  # the target may know a newer syntax
        try:
            with open(full, "rb") as file:
                source = file.read()
            compile(source, full, "exec", 0x400, dont_inherit=True)  # 0x400: only parse
        except (SyntaxError, ValueError):
            return False
        except (OSError, RecursionError, MemoryError):
            return True
        return True

    def same_hash(self, full: str, recorded: str) -> bool | None:
        """Whether the file has the hash of RECORD; None if that cannot be told."""
        import base64
        import hashlib

        algorithm, _, digest = recorded.partition("=")
        if algorithm not in _ALGORITHMS:
            return None
        state = hashlib.new(algorithm)
        try:
            with open(extended(full), "rb", buffering=0) as file:
                while block := file.read(1 << 20):
                    state.update(block)
                    self.check_time()
        except (OSError, ValueError):
            return None
        return base64.urlsafe_b64encode(state.digest()).rstrip(b"=").decode() == digest.rstrip("=")


def is_native(path: str) -> bool:
    """Whether a path is that of a native library, ``libgomp.so.1`` included."""
    return path.endswith(NATIVE) or ".so." in path


def extended(path: str) -> str:
    r"""The ``\\?\`` form of a path too long for Windows: that it is too long is another trouble than damage."""
    if os.name != "nt" or len(path) < 248 or path.startswith("\\\\"):
        return path
    return "\\\\?\\" + path.replace("/", "\\")
