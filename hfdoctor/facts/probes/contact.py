"""One connection to one address: how far it goes, and what stops it. No login is sent, no redirect followed.

Proxies and trusted certificates are taken from the same settings as pip and the hub's client take them.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import re
import socket
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from ..legible import legible
from ..redaction import proxy_without_credentials
from ..sections.network import Contact
from .certificate_name import issuer_of

#: seconds to be connected with one address
CONNECT_S = 3.0
#: statuses by which a server or what stands before it refuses the caller
REFUSED = (403, 407, 429, 451)


class Trust(NamedTuple):
    """What certificates are held against: a file, a folder, or (both empty) what the system trusts.

    ``strict``: whether certificates that only break the letter of the standard are refused, as Python does since 3.13;
    None takes this Python's own way.
    """

    name: str = "system"
    file: str = ""
    folder: str = ""
    strict: bool | None = None


class _Stop(Exception):
    """The connection ended at ``stage`` for the reason ``why`` (see sections.network.WHY)."""

    def __init__(self, stage: str, why: str, error: BaseException | str, issuer: str = "") -> None:
        said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        super().__init__(said)
        self.stage, self.why, self.said, self.issuer = stage, why, said, issuer


def trust_for(environ: Mapping[str, str], client: str, pip_certificate: str = "") -> Trust:
    """The certificates that a client trusts: ``hub`` (httpx), or ``requests`` (pip, and the hub's before release 1)."""
    if client == "hub":
        if environ.get("SSL_CERT_FILE"):
            return Trust("SSL_CERT_FILE", file=environ["SSL_CERT_FILE"])
        if environ.get("SSL_CERT_DIR"):
            return Trust("SSL_CERT_DIR", folder=environ["SSL_CERT_DIR"])
        return Trust()
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if environ.get(name):
            return _file_or_folder(name, environ[name])
    return _file_or_folder("pip's cert", os.path.expanduser(pip_certificate)) if pip_certificate else Trust()


def _file_or_folder(name: str, path: str) -> Trust:
    return Trust(name, folder=path) if os.path.isdir(path) else Trust(name, file=path)


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """The proxy setting that applies to ``url``, "" for a direct connection.

    Lower case goes before upper case, and an empty value means none. Where no variable is set, Windows and macOS have
    settings of their own, which Python reads.
    """
    from urllib import request

    bypassed: Callable[[str, Mapping[str, str]], bool] = getattr(request, "proxy_bypass_environment")  # noqa: B009
    system: str = sys.platform
    proxies: dict[str, str] = {}
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            if name in environ:
                proxies[scheme] = environ[name]
                break
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
    if not any(proxies.get(scheme) for scheme in ("http", "https", "all")):
        if system not in ("win32", "darwin") or request.proxy_bypass(host):
            return ""
        return request.getproxies().get(parts.scheme, "")
    if bypassed(host, proxies):
        return ""
    return proxies.get(parts.scheme) or proxies.get("all", "")


def try_address(url: str, proxy: str, trust: Trust, timeout_s: float) -> Contact:
    """Connect to ``url`` (through ``proxy`` if that is not empty) and ask for it; at most ``timeout_s`` seconds."""
    began = time.monotonic()
    deadline = began + timeout_s
    contact = Contact(url=url, ok=False, stage="done", trust=trust.name)
    try:
        contact.status = _ask(url, proxy, trust, deadline, contact)
        contact.ok = contact.status < 500 and contact.status not in REFUSED
        if not contact.ok:
            contact.stage, contact.why, contact.error = "http", "status", f"status {contact.status}"
    except _Stop as stop:
        contact.stage, contact.why = stop.stage, stop.why
        contact.error, contact.issuer = legible(stop.said)[:300], legible(stop.issuer)
    contact.seconds = round(time.monotonic() - began, 3)
    return contact


def _ask(url: str, proxy: str, trust: Trust, deadline: float, contact: Contact) -> int:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Stop("dns", "no-name", f"{url} is not an address of a server")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with contextlib.ExitStack() as closing:

        def reach() -> socket.socket:
            if proxy:
                return _through_proxy(parts, port, proxy, trust, deadline, contact)
            return _connected(str(parts.hostname), port, deadline, "connect")

        link = _encrypted(reach, parts.hostname, trust, deadline) if parts.scheme == "https" else reach()
        closing.callback(link.close)
        if proxy and parts.scheme == "http":
            path = url
        host = parts.netloc.rpartition("@")[2]
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hfdoctor\r\nAccept: */*\r\nConnection: close\r\n"
        return _status(link, request + _login(proxy if parts.scheme == "http" else "") + "\r\n", deadline, "http")


def _through_proxy(
    parts: SplitResult, port: int, proxy: str, trust: Trust, deadline: float, contact: Contact
) -> socket.socket:
    masked = proxy_without_credentials(proxy)[0]
    there = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        proxy_port = there.port or (443 if there.scheme == "https" else 80)
    except ValueError as error:
        raise _Stop("proxy", "proxy-setting", error) from None
    if there.scheme.startswith("socks"):
        raise _Stop("proxy", "socks", masked)
    if there.scheme not in ("http", "https") or not there.hostname:
        raise _Stop("proxy", "proxy-setting", f"{masked} is not an address of a proxy")
    contact.proxy = legible(f"{there.hostname}:{proxy_port}")
    proxy_host = there.hostname

    def reach() -> socket.socket:
        return _connected(proxy_host, proxy_port, deadline, "proxy")

    link = _encrypted(reach, proxy_host, trust, deadline) if there.scheme == "https" else reach()
    if parts.scheme == "http":
        return link  # a plain request goes to the proxy itself
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    request = f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n{_login(proxy)}\r\n"
    try:
        status = _status(link, request, deadline, "proxy")
        if status == 407:
            raise _Stop("proxy", "proxy-login", "the proxy answers 407 Proxy Authentication Required")
        if not 200 <= status < 300:
            raise _Stop("proxy", "proxy-refused", f"the proxy answers with status {status}")
    except _Stop:
        link.close()
        raise
    return link


def _login(proxy: str) -> str:
    """The header with the proxy's user name and password, which the person gave for just that."""
    there = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if not proxy or there.username is None:
        return ""
    import base64

    text = f"{unquote(there.username)}:{unquote(there.password or '')}"
    return f"Proxy-Authorization: Basic {base64.b64encode(text.encode()).decode()}\r\n"


def _connected(host: str, port: int, deadline: float, stage: str) -> socket.socket:
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _Stop("dns" if stage == "connect" else stage, "no-name", error) from None
    last: OSError = OSError("no address")
    for family, kind, protocol, _, address in addresses[:4]:
        link = socket.socket(family, kind, protocol)
        link.settimeout(_left(deadline, CONNECT_S, stage))
        try:
            link.connect(address)
            return link
        except OSError as error:
            link.close()
            last = error
    raise _Stop(stage, _why(last), last) from None


def _encrypted(reach: Callable[[], socket.socket], host: str, trust: Trust, deadline: float) -> ssl.SSLSocket:
    try:
        context = _context(trust)
    except (OSError, ValueError) as error:
        raise _Stop("tls", "bundle", error) from None
    link = reach()
    try:
        link.settimeout(_left(deadline, 5.0, "tls"))
        return context.wrap_socket(link, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        link.close()
        # 10 and 9: expired, not yet valid; 62 and 64: for another host name, another address
        why = {10: "certificate-date", 9: "certificate-date", 62: "certificate-name", 64: "certificate-name"}
        found = why.get(error.verify_code, "certificate")
        raise _Stop("tls", found, error, _issuer(reach, host, deadline)) from None
    except (OSError, ValueError) as error:
        link.close()
        cut = isinstance(error, ssl.SSLEOFError) or not isinstance(error, ssl.SSLError)
        raise _Stop("tls", _why(error) if cut else "tls", error) from None


def _context(trust: Trust) -> ssl.SSLContext:
    if trust.file or trust.folder:
        context = ssl.create_default_context(cafile=trust.file or None, capath=trust.folder or None)
    else:
        try:
            system: Any = importlib.import_module("truststore")  # what the machine's own administration trusts
        except ImportError:
            context = ssl.create_default_context()
        else:
            return system.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # type: ignore[no-any-return]
    if trust.strict is not None:
        flags = context.verify_flags & ~ssl.VERIFY_X509_STRICT
        context.verify_flags = flags | (ssl.VERIFY_X509_STRICT if trust.strict else 0)
    return context


def _issuer(reach: Callable[[], socket.socket], host: str, deadline: float) -> str:
    """Who signed the certificate that was shown; "" if that cannot be seen.

    A second handshake without checks, after which nothing is sent: the first one does not tell.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with reach() as link:
            link.settimeout(_left(deadline, CONNECT_S, "tls"))
            with context.wrap_socket(link, server_hostname=host) as secured:
                return issuer_of(secured.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError, _Stop):
        return ""


def _status(link: socket.socket, request: str, deadline: float, stage: str) -> int:
    """Send ``request`` and read the status of the answer, and of that no more than its head."""
    data = b""
    try:
        link.settimeout(_left(deadline, 5.0, stage))
        link.sendall(request.encode("utf-8", "surrogateescape"))
        while b"\r\n\r\n" not in data and len(data) < 65536:
            link.settimeout(_left(deadline, 5.0, stage))
            chunk = link.recv(4096)
            if not chunk:
                break
            data += chunk
    except (OSError, ValueError) as error:
        raise _Stop(stage, _why(error), error) from None
    found = re.match(rb"HTTP/\d\S* (\d{3})", data)
    if found is None:
        if not data:
            raise _Stop(stage, "reset", "the connection was closed without an answer")
        raise _Stop(stage, "not-http", f"the answer begins with {data[:40]!r}")
    return int(found[1])


def _left(deadline: float, at_most: float, stage: str) -> float:
    left = min(at_most, deadline - time.monotonic())
    if left <= 0:
        raise _Stop(stage, "timeout", "no time is left")
    return left


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, (ConnectionResetError, BrokenPipeError, ConnectionAbortedError, ssl.SSLEOFError)):
        return "reset"
    number = getattr(error, "errno", None)
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.ENETDOWN):
        return "unreachable"
    return "timeout" if number == errno.ETIMEDOUT else "other"
