"""What answers on the network; looked at only with ``--online``."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class Contact(msgspec.Struct, omit_defaults=True):
    """One address that was contacted. ``stage`` is how far it went: dns, connect, proxy, tls, http, done.

    ``ok`` is true if a server answered, whatever it said below status 500 (it may well want a login), but for 403, 407,
    429 and 451, which refuse the caller. Otherwise ``why`` is one of WHY and ``error`` what the system said.
    """

    url: str
    ok: bool
    stage: str
    error: str = ""
    status: int | None = None
    seconds: float = 0.0
    #: host:port of the proxy that was used, without credentials
    proxy: str = ""
    why: str = ""
    #: who signed the certificate that was not accepted
    issuer: str = ""
    #: what the certificates were held against: a variable and its bundle, or "system"
    trust: str = ""


#: why a contact failed -> what that means
WHY = {
    "no-name": "its name could not be resolved to an address",
    "refused": "the connection was refused",
    "unreachable": "there is no way to the network it is in",
    "timeout": "it did not answer in time",
    "reset": "the connection was cut",
    "certificate": "its certificate is not signed by anyone who is trusted here",
    "certificate-name": "its certificate is for another name",
    "certificate-date": "its certificate is not valid today",
    "bundle": "the file with trusted certificates cannot be used",
    "tls": "no encrypted connection came about",
    "proxy-login": "the proxy wants a user name and password",
    "proxy-refused": "the proxy refused to connect to it",
    "proxy-setting": "the proxy setting is not an address",
    "status": "the server refused or failed",
    "not-http": "what answered does not speak HTTP",
    "other": "the connection failed",
}


class Network(msgspec.Struct, omit_defaults=True):
    """The section ``network``. Absent where the setting names a folder instead of a server."""

    hub: Fact[Contact] = unobserved()
    index: Fact[Contact] = unobserved()
