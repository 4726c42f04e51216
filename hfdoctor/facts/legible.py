"""Text from the operating system as text that can be written as JSON."""

from __future__ import annotations


def legible(text: str) -> str:
    """``text`` with U+FFFD for what is no Unicode: bytes of another encoding in a file name, lone surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape" if _only_escapes(text) else "replace").decode("utf-8", "replace")
    return text


def _only_escapes(text: str) -> bool:
    """Whether the surrogates are all Python's escapes for single bytes (PEP 383)."""
    return all(not "\ud800" <= letter <= "\udfff" or "\udc80" <= letter <= "\udcff" for letter in text)
