"""Takes secrets out of text before it becomes a fact."""

from __future__ import annotations

import re

MASK = "***"

#: words of a variable's name that say its value is a secret
SECRET_WORDS = frozenset(
    {"TOKEN", "TOKENS", "KEY", "KEYS", "APIKEY", "PASSWORD", "PASSWD", "PASS", "SECRET", "SECRETS", "CREDENTIAL"}
    | {"CREDENTIALS", "AUTH"}
)
#: a last word that says the value is a place, a switch or a tool instead
HARMLESS_ENDS = frozenset({"PATH", "FILE", "DIR", "FOLDER", "PROVIDER", "BACKEND"})

#: scheme://user:password@  (the user part may hold no slash, unless what follows the first colon is no port)
_USER_INFO = r"(?<=://)(?!\[)[^\s/?#@]*(?::(?!\d+(?:[/?#\s]|$))[^\s@]*)?@(?:[^\s/?#@]*@)*"
_BARE_USER_INFO = r"^[^\s/:@\\]{2,}:[^\s\\]*@(?=\S)"
_QUERY = r"(?<=://)([^\s?#]*)\?[^\s#]*"
#: tokens that have a form of their own, wherever they stand
_TOKENS = (
    r"\b(?:hf_|api_org_)[A-Za-z0-9]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    r"|\bpypi-[A-Za-z0-9_-]{32,}|\bsk-[A-Za-z0-9_-]{20,}|\bAKIA[A-Z0-9]{16}\b"
)
#: letters of the shortest of them (hf_ and 16 more): most values are shorter, and need no pattern worked out
_SHORTEST_TOKEN = 19


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret (HF_TOKEN, UV_INDEX_CORP_PASSWORD), judged by its words."""
    words = name.upper().split("_")
    if words[0] == "UV" and words[-1] == "USERNAME":
        return True  # often the token itself
    if words[-1] in HARMLESS_ENDS or "DISABLE" in words:
        return False
    return not SECRET_WORDS.isdisjoint(words)


def without_credentials(text: str) -> str:
    """``text`` with ``***`` for user names and passwords in URLs, their query strings, and well-known tokens."""
    if "://" in text:
        text = re.sub(_USER_INFO, f"{MASK}@", text)
        text = re.sub(_QUERY, rf"\1?{MASK}", text)
    elif "@" in text:
        text = re.sub(_BARE_USER_INFO, f"{MASK}@", text)
    return re.sub(_TOKENS, MASK, text) if len(text) >= _SHORTEST_TOKEN else text


def proxy_without_credentials(value: str) -> tuple[str, str]:
    """A proxy setting with ``***`` for user name and password, and who fails because of how these are written.

    Letters with a meaning in a URL must be written as ``%XX`` in them. With ``/``, ``?`` or ``#`` every program takes a
    part of the password for the host or the port (``"all"``); brackets and backslashes stop pip alone (``"pip"``).
    """
    head, slashes, rest = value.partition("://")
    if not slashes:
        head, rest = "", value
    user, at, host = rest.rpartition("@")
    if not at:
        return value, ""
    fails = "all" if any(letter in "/?#" for letter in user) else "pip" if any(x in "[]\\" for x in user) else ""
    return f"{head}{slashes}{MASK}@{host}", fails
