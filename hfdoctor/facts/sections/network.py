"""What answers on the network; looked at only with ``--online``."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class Contact(msgspec.Struct, omit_defaults=True):
    """One address that was contacted. ``stage`` is how far it went: dns, connect, proxy, tls, http, done."""

    url: str
    ok: bool
    stage: str
    error: str = ""
    status: int | None = None
    seconds: float = 0.0
    #: host:port of the proxy that was used, without credentials
    proxy: str = ""


class Network(msgspec.Struct, omit_defaults=True):
    """The section ``network``."""

    hub: Fact[Contact] = unobserved()
    index: Fact[Contact] = unobserved()
