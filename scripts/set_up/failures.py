"""One line for a person out of what went wrong, and printing that no terminal can break."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from pathlib import Path


class SetUpError(Exception):
    """The set-up cannot go on. The text is the one line that is shown."""

    def __init__(self, line: str, exit_code: int = 3) -> None:
        super().__init__(line)
        self.exit_code = exit_code


def say(line: str) -> None:
    """Print a line to stderr; what the terminal's encoding lacks is shown as an escape (``\\ud55c``)."""
    if sys.stderr is None:  # started without a console
        return
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    with contextlib.suppress(OSError):  # nobody reads any more
        sys.stderr.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stderr.flush()


#: what the output of uv, pip or venv shows, and the words for it; the first that matches is said
_CAUSES = (
    (r"No space left on device|Errno 28|os error 28|WinError 112|disk quota|Errno 122", "the disk is full"),
    (
        r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate|UnknownIssuer|SSLError|certificate verify failed",
        "the certificate of the package index is not trusted here (a company proxy? name its certificate in PIP_CERT)",
    ),
    (r"ProxyError|Cannot connect to proxy|407 Proxy", "the proxy refused the connection to the package index"),
    (
        r"NewConnectionError|Connection refused|ConnectTimeout|Read ?Timeout|timed out|name resolution"
        r"|getaddrinfo failed|Name or service not known|Network is unreachable|dns error|tcp connect error"
        r"|Failed to establish|error sending request|Could not connect|network connectivity is disabled",
        "the package index cannot be reached (no network?)",
    ),
    (r"\b401\b|\b403\b", "the package index refused access (401 or 403)"),
    (
        r"from versions: none",
        "the package index lacks what is needed, or cannot be reached",
    ),
    (
        r"No module named '?ensurepip|ensurepip is (not available|disabled)",
        "this Python comes without pip, and there is no uv (on Debian and Ubuntu: apt install python3-venv)",
    ),
    (r"Permission denied|Errno 13|os error 13|WinError 5\b|Access is denied", "permission denied"),
    (r"Read-only file system|Errno 30|os error 30", "the file system is read-only"),
)


def cause_of(output: str) -> str:
    """Say in a few words why a command failed, from all it printed."""
    for pattern, words in _CAUSES:
        if re.search(pattern, output, re.IGNORECASE):
            return words
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # pip ends with a general remark, uv with the root of the chain of causes
    said = [line for line in lines if _REASON.match(line) and not _REMARK.search(line)]
    chosen = (said or lines or ["it said nothing"])[-1]
    return (_REASON.sub("", chosen, count=1) or chosen)[:200]


_REASON = re.compile(r"^(error|fatal|cause|caused by)\b[:\s]*|^(?=\w+(Error|Exception): )", re.IGNORECASE)
_REMARK = re.compile(r"subprocess-exited-with-error|metadata-generation-failed|Failed to build")


def long_path_hint(folder: Path, longest_inside: int, output: str) -> str:
    """Say that Windows' 260-character limit may be the cause, where it can be.

    ``longest_inside``: characters of the longest path in the environment, counted from ``folder``.
    """
    if os.name != "nt" or len(str(folder)) + 1 + longest_inside <= 259:
        return ""
    if not re.search(r"Errno 2\b|WinError (2|3|206)\b|os error (2|3|206)\b|No such file|too long", output):
        return ""
    return (
        f" (its path is {len(str(folder))} characters long, and with long paths off Windows allows 259 for a whole"
        " path: set HFDOCTOR_VENV to a short folder, for example C:\\hfd)"
    )
