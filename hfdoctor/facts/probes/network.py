"""Contacts the hub and the package index, only with ``--online``: nobody else, once each, without credentials."""

from __future__ import annotations

import re
import threading
import time

from ..fact import Fact, FactMissing, absent, failed, from_error, known, not_run, timed_out
from ..legible import legible
from ..probe import Context
from ..redaction import MASK, without_credentials
from ..sections.network import Contact

DEFAULT_HUB = "https://huggingface.co"
DEFAULT_INDEX = "https://pypi.org/simple/"

#: seconds for one address, from its name to its answer
PATIENCE_S = 10.0


def probe(ctx: Context) -> None:
    """Fill ``ctx.snapshot.network``. Both addresses are contacted at the same time."""
    section = ctx.snapshot.network
    if not ctx.request.online:
        section.hub, section.index = not_run("needs --online"), not_run("needs --online")
        return
    found: dict[str, Fact[Contact]] = {}
    threads = [threading.Thread(target=_fill, args=(ctx, found, name), daemon=True) for name in ("hub", "index")]
    for thread in threads:
        thread.start()
    until = time.monotonic() + ctx.left_s(PATIENCE_S + 2.0)
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = "the name server or the server did not answer in time"
    section.hub = found.get("hub") or timed_out(late)
    section.index = found.get("index") or timed_out(late)


def _fill(ctx: Context, found: dict[str, Fact[Contact]], name: str) -> None:
    try:
        found[name] = _hub(ctx) if name == "hub" else _index(ctx)
    except Exception as error:  # whatever a strange server or resolver makes Python raise
        found[name] = from_error(error)


def _hub(ctx: Context) -> Fact[Contact]:
    url = ctx.request.environ.get("HF_ENDPOINT") or ctx.snapshot.hub.endpoint.maybe() or DEFAULT_HUB
    newer = _major(ctx.snapshot.hub.library.maybe()) != 0
    return _contact(ctx, url.rstrip("/") + "/", "hub" if newer else "requests")


def _index(ctx: Context) -> Fact[Contact]:
    settings = ctx.snapshot.settings
    try:
        if settings.pip_option("no-index"):
            return absent("pip is set not to use an index (no-index)", "pip's configuration")
        url, source = settings.pip_option("index-url") or (DEFAULT_INDEX, "default")
    except FactMissing as missing:
        return failed(f"pip's configuration is not known: {missing}", "pip's configuration")
    if url.startswith("file:"):
        return absent("the package index is a folder", source)
    return _contact(ctx, url, "requests")


def _contact(ctx: Context, url: str, client: str) -> Fact[Contact]:
    from . import contact

    environ = ctx.request.environ
    bare = url.replace(f"{MASK}@", "")  # without a login: the index answers 401, which is an answer
    bare = re.sub(r"(?<=://)[^/?#@]*@", "", bare)
    trust = contact.trust_for(environ, client, _pip_certificate(ctx))._replace(strict=_strict(ctx))
    result = contact.try_address(bare, contact.proxy_for(bare, environ), trust, ctx.left_s(PATIENCE_S))
    if result.why == "socks":
        return not_run(f"the proxy {result.error} speaks SOCKS, which hfdoctor does not", "proxy settings")
    result.url = legible(without_credentials(bare))
    return known(result, "a connection made for this")


def _strict(ctx: Context) -> bool | None:
    """Whether the target's Python refuses certificates that this one may accept, or the other way round."""
    interpreter = ctx.snapshot.target.interpreter.maybe()
    return None if interpreter is None else tuple(interpreter.version_info[:2]) >= (3, 13)


def _pip_certificate(ctx: Context) -> str:
    try:
        found = ctx.snapshot.settings.pip_option("cert")
    except FactMissing:
        return ""
    return found[0] if found else ""


def _major(version: object) -> int | None:
    found = re.match(r"\d+", str(getattr(version, "version", version) or ""))
    return int(found[0]) if found else None
