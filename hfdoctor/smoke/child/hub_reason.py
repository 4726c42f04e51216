"""What a failed download comes down to, read from the exceptions themselves, and how secrets stay out of it.

``why`` is one word of the vocabulary of sections/network.py (no-name, refused, unreachable, timeout, reset,
certificate, certificate-name, certificate-date, bundle, tls, proxy-login, proxy-refused, proxy-setting), or: offline,
auth, gated, forbidden, not-found, rate-limited, server-error, status, not-a-hub, stall, cut, wrong-bytes, disk-full.
"""

from __future__ import annotations

import errno
import os
import re
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MASK = "***"
#: scheme://user:password@
_USER_INFO = re.compile(r"(?<=://)[^\s/?#@]+(?::[^\s@]*)?@")
#: what follows the question mark of an address: signed links carry their key there
_QUERY = re.compile(r"(?<=://)([^\s?#'\"]*)\?[^\s#'\"]*")
_SIGNED = re.compile(r"\?[^\s'\"]*(?:Signature|Key-Pair-Id|X-Amz|[Tt]oken)=[^\s'\"]*")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[^\s'\",]+")
_TOKEN = re.compile(r"\b(?:hf_|api_org_)[A-Za-z0-9]{16,}")
#: letters of a secret that is taken out wherever it stands; shorter ones would take words out of sentences
SHORTEST = 6

#: parts of what is said -> why; looked for where no exception's type tells it, the telling ones first
SAID = (
    ("CERTIFICATE_VERIFY_FAILED", "certificate"),
    ("Could not find a suitable TLS CA certificate bundle", "bundle"),
    ("407 Proxy Authentication Required", "proxy-login"),
    ("Tunnel connection failed: 407", "proxy-login"),
    ("Tunnel connection failed", "proxy-refused"),
    ("Cannot connect to proxy", "proxy-refused"),
    ("Unable to connect to proxy", "proxy-refused"),
    ("Name or service not known", "no-name"),
    ("Temporary failure in name resolution", "no-name"),
    ("No address associated with hostname", "no-name"),
    ("nodename nor servname", "no-name"),
    ("getaddrinfo failed", "no-name"),
    ("Consistency check failed", "cut"),
    ("IncompleteRead", "cut"),
    ("without sending complete message body", "cut"),
    ("Connection refused", "refused"),
    ("[WinError 10061]", "refused"),
    ("Network is unreachable", "unreachable"),
    ("No route to host", "unreachable"),
    ("[WinError 10051]", "unreachable"),
    ("Connection reset by peer", "reset"),
    ("[WinError 10054]", "reset"),
    ("Server disconnected", "reset"),
    ("Remote end closed connection without response", "reset"),
    ("Read timed out", "stall"),
)
#: number of an OSError -> why
NUMBERS = {
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.ENOSPC: "disk-full",
}
#: X509_V_ERR numbers of OpenSSL: expired, not yet valid; for another host name, for another address
VERIFY = {10: "certificate-date", 9: "certificate-date", 62: "certificate-name", 64: "certificate-name"}


class Cleaner:
    """Takes secrets out of words: the access token itself, passwords of proxies, signed links."""

    def __init__(self) -> None:
        secrets = {os.environ.get(name, "") for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")}
        try:
            secrets.add(token())
        except Exception:
            pass  # where no token can be read there is none to hide; what is wrong shows when it is used
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            for value in (os.environ.get(name, ""), os.environ.get(name.upper(), "")):
                user = value.rpartition("@")[0].rpartition("//")[2]
                secrets |= {user, user.partition(":")[2]}
        self.secrets = sorted((word.strip() for word in secrets if len(word.strip()) >= SHORTEST), key=len)[::-1]

    def text(self, words: str) -> str:
        """``words`` with ``***`` in place of every secret."""
        for secret in self.secrets:
            words = words.replace(secret, MASK)
        words = _USER_INFO.sub(MASK + "@", words)
        words = _QUERY.sub(r"\1?" + MASK, words)
        words = _SIGNED.sub("?" + MASK, words)
        return _TOKEN.sub(MASK, _BEARER.sub(r"\1 " + MASK, words))


def token() -> str:
    """The access token that huggingface_hub would send, "" for none."""
    import huggingface_hub

    get = getattr(huggingface_hub, "get_token", None) or huggingface_hub.HfFolder.get_token
    return str(get() or "")


def describe(error: BaseException) -> dict[str, Any]:
    """Facts of a failure: ``why``, the HTTP ``status``, the ``host`` it happened with, the types in its ``chain``."""
    chain = list(causes(error))
    names = list(dict.fromkeys(type(link).__name__ for link in chain))
    facts: dict[str, Any] = {"why": why(chain), "chain": " < ".join(names)}
    response = response_of(chain)
    if response is not None:
        facts["status"] = int(response.status_code)
        said = server_says(response)
        if said:
            facts["server_says"] = Cleaner().text(said)[:300]
    host = next((found for found in map(host_of, chain) if found), "")
    if host:
        facts["host"] = host
    return facts


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what caused it, outermost first; also what requests and urllib3 carry inside."""
    waiting: list[Any] = [error]
    seen: list[BaseException] = []
    while waiting and len(seen) < 24:
        link = waiting.pop(0)
        if not isinstance(link, BaseException) or any(link is other for other in seen):
            continue
        seen.append(link)
        yield link
        waiting += [link.__cause__, None if link.__suppress_context__ else link.__context__]
        waiting += [getattr(link, "reason", None), *(part for part in link.args if isinstance(part, BaseException))]


def response_of(chain: list[BaseException]) -> Any:
    """The answer that an exception carries, of requests or httpx; None where there was none."""
    found = (getattr(link, "response", None) for link in chain)
    return next((response for response in found if getattr(response, "status_code", None) is not None), None)


def server_says(response: Any) -> str:
    """What the hub itself says in an answer's head."""
    return str(response.headers.get("X-Error-Message") or response.headers.get("X-Error-Code") or "")


def why(chain: list[BaseException]) -> str:
    """The word for a failure, "" where it is none of the network's."""
    names = {kind.__name__ for link in chain for kind in type(link).__mro__}
    said = "\n".join(str(link) for link in chain)
    if "OfflineModeIsEnabled" in names:
        return "offline"
    if "GatedRepoError" in names:
        return "gated"
    response = response_of(chain)
    if response is not None:
        return _of_status(int(response.status_code), response, names)
    return _of_type(chain, names, said) or next((word for part, word in SAID if part in said), "") or _of_time(names)


def _of_status(status: int, response: Any, names: set[str]) -> str:
    if status == 401 and "credentials" in server_says(response):
        return "auth"  # releases before 0.20 call it a missing repository
    if "RepositoryNotFoundError" in names or status == 404:
        return "not-found"
    if status == 401:
        return "auth"
    if status == 403:
        # the hub says why; a firewall in between sends a page
        return "auth" if server_says(response) else "forbidden"
    if status == 407:
        return "proxy-login"
    if status == 429:
        return "rate-limited"
    return "server-error" if status >= 500 else "status"


def _of_type(chain: list[BaseException], names: set[str], said: str) -> str:
    if "FileMetadataError" in names:
        return "not-a-hub"
    for link in chain:
        if isinstance(link, ssl.SSLCertVerificationError):
            return VERIFY.get(link.verify_code, "certificate")
    if _in_bundle(chain):
        return "bundle"
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return "certificate"
    if "InvalidProxyURL" in names or "InvalidSchema" in names or "Unknown scheme for proxy" in said:
        return "proxy-setting"
    if "ProxyError" in names:
        return "proxy-login" if "407" in said else "proxy-refused"
    if "gaierror" in names or "NameResolutionError" in names:
        return "no-name"
    for link in chain:
        if isinstance(link, OSError) and link.errno in NUMBERS:
            return NUMBERS[link.errno]
    if "ChunkedEncodingError" in names:
        return "cut"
    if names & {"SSLError"} and "Max retries" not in said:
        return "tls"
    return ""


def _in_bundle(chain: list[BaseException]) -> bool:
    """Whether the trusted certificates themselves could not be read: an error of ssl.py, or one that names them."""
    for link in chain:
        frame = link.__traceback__
        while frame is not None:
            code = frame.tb_frame.f_code
            if os.path.basename(code.co_filename) == "ssl.py" and code.co_name in (
                "create_default_context",
                "load_default_certs",
            ):
                return True
            if code.co_name == "create_ssl_context" and not isinstance(link, ImportError):
                return True
            frame = frame.tb_next
    return False


def _of_time(names: set[str]) -> str:
    if names & {"ConnectTimeout", "ConnectTimeoutError", "PoolTimeout"}:
        return "timeout"
    return "stall" if names & {"ReadTimeout", "ReadTimeoutError", "TimeoutException", "TimeoutError"} else ""


def host_of(link: BaseException) -> str:
    """The host (and port) of the request that an exception carries, without anything else of its address."""
    for holder in (link, getattr(link, "response", None)):
        try:
            request = getattr(holder, "request", None)  # httpx raises where there is none
            address = str(getattr(request, "url", "") or "")
        except Exception:
            continue
        if "://" in address:
            return urlsplit(address).netloc.rpartition("@")[2]
    return ""


def proxy_for(address: str) -> str:
    """host:port of the proxy that the environment names for an address, without user and password; "" for none."""
    try:
        parts = urlsplit(address)
        proxies = getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
        if not proxy or proxy_bypass(parts.hostname or ""):
            return ""
        return proxy.rpartition("@")[2].rpartition("//")[2].rstrip("/")
    except (OSError, ValueError):
        return ""
