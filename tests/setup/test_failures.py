"""What the installers print, in the words of one line."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from scripts.set_up import failures

PIP_REFUSED = """\
  error: subprocess-exited-with-error
      WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(... [Errno 111] refused')'
      ERROR: Could not find a version that satisfies the requirement hatchling (from versions: none)
      ERROR: No matching distribution found for hatchling
note: This error originates from a subprocess, and is likely not a problem with pip.
error: subprocess-exited-with-error
"""
UV_REFUSED = """\
error: Failed to build `hfdoctor @ file:///tmp/x`
  cause: Failed to resolve requirements from `build-system.requires`
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
UV_BUILD = """\
error: Failed to build `hfdoctor @ file:///tmp/x`
  cause: Failed to create temporary virtualenv
  cause: Could not find a suitable Python executable
"""
PIP_BUILD = """\
  error: subprocess-exited-with-error
      Traceback (most recent call last):
      OSError: Readme file does not exist: README.md
error: metadata-generation-failed
hint: See above for details.
"""


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (PIP_REFUSED, "the package index cannot be reached (no network?)"),
        (UV_REFUSED, "the package index cannot be reached (no network?)"),
        (UV_BUILD, "Could not find a suitable Python executable"),
        (PIP_BUILD, "OSError: Readme file does not exist: README.md"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "the disk is full"),
        ("python: No module named ensurepip", "this Python comes without pip"),
        ("no such option: --python", "no such option: --python"),
        ("\n \n", "it said nothing"),
        ("", "it said nothing"),
        ("error:", "error:"),
        ("error: " + "x" * 5000, "x" * 200),
        ("urllib3: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "the certificate of the package index"),
    ],
)
def test_cause(output: str, words: str) -> None:
    assert failures.cause_of(output).startswith(words)


def test_what_a_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stderr", terminal)
    failures.say("C:\\Users\\홍 \udceb é")
    assert terminal.buffer.getvalue() == b"C:\\Users\\\\ud64d \\udceb \xe9\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("system", "folder", "output", "hinted"),
    [
        ("nt", "C:\\" + "d" * 140, "[Errno 2] No such file or directory: 'C:\\\\...", True),
        ("nt", "C:\\" + "d" * 140, "[WinError 206] The filename or extension is too long", True),
        ("nt", "C:\\" + "d" * 140, "Connection refused", False),
        ("nt", "C:\\hfd", "[Errno 2] No such file or directory", False),
        ("posix", "/" + "d" * 140, "[Errno 2] No such file or directory", False),
    ],
)
def test_long_path_hint(monkeypatch: pytest.MonkeyPatch, system: str, folder: str, output: str, hinted: bool) -> None:
    path = Path(folder)
    monkeypatch.setattr(failures.os, "name", system)
    assert ("143 characters" in failures.long_path_hint(path, 121, output)) == hinted
