"""Which settings the programs that download obey: pip, and the hub's client, which changed with release 1."""

from __future__ import annotations

import re

import msgspec

from ..facts.sections.settings import CertificateSetting, Variable
from ..facts.snapshot import Snapshot


class Proxy(msgspec.Struct, frozen=True):
    """A proxy setting, and the programs that stop because of what is wrong with it (``trouble``, "" if nothing is)."""

    name: str
    value: str
    scheme: str
    trouble: str = ""


#: what can be wrong with a proxy setting -> True if the hub's client bears it nevertheless
TROUBLES = {
    "quoted": False,
    "blank_before": False,
    "blank_after": True,
    "unknown_scheme": False,
    "no_host": False,
    "bad_port": False,
    "unescaped": False,
    "unescaped_pip": True,
    "login_without_scheme": True,
}

_SCHEMES = ("http", "https", "socks5", "socks5h")
#: pip's own library knows two more
_PIP_SCHEMES = (*_SCHEMES, "socks4", "socks4a")


def hub_uses_httpx(s: Snapshot) -> bool:
    """Whether the hub's client is httpx (release 1 and newer, and what would be installed now) instead of requests."""
    library = s.packages.installed().get("huggingface-hub")
    major = re.match(r"\d+", library.version) if library else None
    return major is None or int(major[0]) >= 1


def old_httpx(s: Snapshot) -> bool:
    """Whether httpx is older than 0.28: that passes over bundles that are not there."""
    entry = s.packages.installed().get("httpx")
    if entry is None or "httpx2" in s.packages.installed():
        return False
    found = re.match(r"(\d+)\.(\d+)", entry.version)
    return found is not None and (int(found[1]), int(found[2])) < (0, 28)


def proxies(s: Snapshot) -> list[Proxy]:
    """The proxy settings that are in effect. Lower case goes before upper case; an empty value means none."""
    by_name = {entry.name: entry for entry in s.settings.variables.need()}
    found = []
    for scheme in ("https", "http", "all"):
        name = f"{scheme}_proxy"
        entry = by_name.get(name) or by_name.get(name.upper())
        if entry is not None and entry.value:
            found.append(Proxy(entry.name, entry.value, scheme, trouble_of(entry)))
    return found


def trouble_of(entry: Variable) -> str:
    """What is certainly wrong with the value of a proxy variable: a key of TROUBLES, or ""."""
    value = entry.value
    if value[0] in "'\"" or value[-1] in "'\"":
        return "quoted"
    if value[0].isspace():
        return "blank_before"
    if value[-1].isspace():
        return "blank_after"
    scheme, slashes, rest = value.partition("://")
    if not slashes:
        if re.match(r"(?:https?|socks\w*):[/\\]", value, re.IGNORECASE):
            return "no_host"
        if "@" in value:
            return "login_without_scheme"
        scheme, rest = "http", value
    if entry.unescaped:
        return "unescaped" if entry.unescaped == "all" else "unescaped_pip"
    if scheme.lower() not in _PIP_SCHEMES:
        return "unknown_scheme"
    host = re.split(r"[/?#]", rest.rpartition("@")[2], maxsplit=1)[0]
    name, _, port = host.rpartition(":") if re.search(r":[^\]]*\Z", host) else (host, "", "")
    if not name:
        return "no_host"
    if port and not (port.isascii() and port.isdigit() and int(port) < 65536):
        return "bad_port"
    return ""


def socks(proxy: Proxy) -> bool:
    """Whether the setting names a SOCKS proxy."""
    return proxy.value.lower().startswith("socks")


def stops_hub(s: Snapshot, proxy: Proxy) -> bool:
    """Whether the hub's client cannot work with this setting. httpx takes up all of them, also those it never uses."""
    if not proxy.trouble and not socks(proxy):
        return False
    if not hub_uses_httpx(s):
        return _stops_requests(s, proxy)
    if proxy.trouble:
        # some of them stop pip only
        return not TROUBLES[proxy.trouble]
    if proxy.value.partition("://")[0].lower() in ("socks4", "socks4a"):
        return True
    return socks(proxy) and "socksio" not in s.packages.installed()


def stops_pip(s: Snapshot, proxy: Proxy) -> bool:
    """Whether pip cannot fetch anything from an https address with this setting. uv does not mind any of these."""
    return not s.target.pip.absent and _stops_requests(s, proxy)


def _stops_requests(s: Snapshot, proxy: Proxy) -> bool:
    if not proxy.trouble and not socks(proxy):
        return False
    if proxy.scheme == "http" or (proxy.scheme == "all" and any(other.scheme == "https" for other in proxies(s))):
        return False
    return bool(proxy.trouble) or (socks(proxy) and "pysocks" not in s.packages.installed())


def pip_bundle(s: Snapshot) -> CertificateSetting | None:
    """The certificate bundle that pip uses; None if none is set, or where there is only uv, which passes over them."""
    if s.target.pip.absent:
        return None
    by_name = {entry.name: entry for entry in s.settings.certificates.need() if entry.state != "empty-value"}
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT"):
        if name in by_name:
            return by_name[name]
    return next((entry for name, entry in by_name.items() if name.startswith("pip ")), None)


def hub_bundles(s: Snapshot) -> list[CertificateSetting]:
    """The certificate bundle (or folders) that the hub's client uses; none if none is set."""
    if not hub_uses_httpx(s):
        for entry in s.settings.certificates.need():
            if entry.name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") and entry.state != "empty-value":
                return [entry]
        return []
    entries = [entry for entry in s.settings.certificates.need() if entry.state != "empty-value"]
    return [e for e in entries if e.name == "SSL_CERT_FILE"] or [e for e in entries if e.name == "SSL_CERT_DIR"]
