"""The way to the package index and the hub: proxies, certificates, and whether anything answers (``--online``)."""

from __future__ import annotations

from ..facts.fact import Fact
from ..facts.sections.network import WHY, Contact
from ..facts.sections.settings import CertificateSetting, Variable
from ..facts.sections.smoke import StageRun
from ..facts.snapshot import Snapshot
from . import seen_hub, variable_steps
from .changes import PackageChange
from .clients import (
    Proxy,
    hub_bundles,
    hub_uses_httpx,
    old_httpx,
    pip_bundle,
    proxies,
    socks,
    stops_hub,
    stops_pip,
    trouble_of,
)
from .hub_setting_cures import bare
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Verdict
from .outstanding import missing
from .variable_steps import set_variable, unset_variable

#: Contact.why of a certificate that was not accepted
CERTIFICATE = ("certificate", "certificate-name", "certificate-date", "bundle")

#: states of a bundle that stop every connection that should be checked with it
USELESS = ("missing", "not-a-certificate", "damaged", "unreadable")


def _offline(s: Snapshot) -> bool:
    """Whether the hub is not to be contacted; asked only where it matters. Raises FactMissing if it is not known."""
    return s.hub.offline.need().on


def _ssl_certificate(s: Snapshot, goal: Goal) -> Verdict:
    stage = seen_hub.failed_for(s, "ssl-certificate")
    if stage is not None:
        return _fetching_not_accepted(s, stage)
    settings = s.settings.certificates.need()
    fails = [_not_accepted(s, goal, name, fact) for name, fact in _contacts(s)]
    if settings and not any(fails):
        fails = [*_useless_bundles(s, goal), _unchecked(s)]
    wrong = [fail for fail in fails if fail]
    if wrong:
        return wrong
    seen = _answered(s)
    if settings or seen:
        return Pass(len(settings) + len(seen), [Clue(s.settings.certificates, [e.name for e in settings]), *seen])
    return Skip("nothing_set")


def _fetching_not_accepted(s: Snapshot, stage: StageRun) -> Fail:
    """The libraries themselves did not accept the hub's certificate."""
    why = seen_hub.why(stage)
    fields = seen_hub.fields_of(s, stage)
    bundles = hub_bundles(s) if s.settings.certificates.known and s.packages.distributions.known else []
    fields |= {"url": fields["endpoint"], "trust": bundles[0].name if bundles else "the settings"}
    clues = seen_hub.clues(s, stage)
    contact = s.network.hub.maybe()
    if contact is not None and contact.issuer:
        clues.append(Clue(s.network.hub, contact.issuer, "signed_by", {"issuer": contact.issuer}))
    clues += [
        Clue(s.settings.certificates, one.path, "trusted", {"name": one.name, "path": one.path}) for one in bundles
    ]
    steps = [Step(says="clock")] if why == "certificate-date" else [Step(says="ask"), Step(says="set_bundle")]
    says = {"certificate-name": "wrong_name", "certificate-date": "wrong_date", "bundle": "bundle"}.get(
        why, "not_trusted"
    )
    return Fail(says, "error", "observed", clues, fields, Treatment("print-only", steps))


def _contacts(s: Snapshot) -> list[tuple[str, Fact[Contact]]]:
    """The addresses that were contacted and are known to answer or not; the hub only if nothing was fetched there."""
    found = (("hub", s.network.hub), ("index", s.network.index))
    return [(name, fact) for name, fact in found if fact.known and not (name == "hub" and seen_hub.judged(s))]


def _answered(s: Snapshot) -> list[Clue]:
    """The addresses that answered. Raises FactMissing if one was tried and nothing is known of how that went."""
    done = seen_hub.fetched(s)
    asked = (s.network.index,) if seen_hub.judged(s) else (s.network.hub, s.network.index)
    tried = [fact for fact in asked if not fact.absent and fact.status != "not-run"]
    return [*(Clue(fact, fact.need().url) for fact in tried), *([seen_hub.worked(s, done)] if done else [])]


def _not_accepted(s: Snapshot, goal: Goal, name: str, fact: Fact[Contact]) -> Fail | None:
    contact = fact.need()
    if contact.ok or contact.why not in CERTIFICATE or (name == "hub" and _offline(s)):
        return None
    fields: dict[str, Plain] = {
        "url": contact.url,
        "error": contact.error,
        "issuer": contact.issuer or "somebody unknown",
        "trust": contact.trust,
    }
    says = {"certificate-name": "wrong_name", "certificate-date": "wrong_date", "bundle": "bundle"}.get(contact.why)
    clues = [Clue(fact, contact.url, "refused", fields)]
    if contact.issuer:
        clues.append(Clue(fact, contact.issuer, "signed_by", fields))
    steps = [Step(says="clock")] if contact.why == "certificate-date" else [Step(says="ask"), Step(says="set_bundle")]
    severity = _severity(s, goal, name)
    return Fail(says or "not_trusted", severity, "observed", clues, fields, Treatment("print-only", steps))


def _severity(s: Snapshot, goal: Goal, name: str) -> Severity:
    """The hub is needed for models, the index only while something is still to be installed."""
    return "error" if name == "hub" or missing(s, goal) else "warning"


def _useless_bundles(s: Snapshot, goal: Goal) -> list[Fail]:
    wrong: dict[str, tuple[CertificateSetting, list[str]]] = {}
    bundle = pip_bundle(s)
    if bundle is not None and _useless(bundle):
        wrong[bundle.name] = (bundle, ["pip"])
    for entry in _useless_for_hub(s):
        if not _offline(s) and seen_hub.fetched(s) is None:
            wrong.setdefault(entry.name, (entry, []))[1].append("huggingface_hub")
    return [_bundle_fail(s, goal, entry, programs) for entry, programs in wrong.values()]


def _useless(entry: CertificateSetting) -> bool:
    return entry.state in USELESS or (entry.state == "folder" and not entry.certificates)


def _useless_for_hub(s: Snapshot) -> list[CertificateSetting]:
    entries = hub_bundles(s)
    if not entries:
        return []
    if entries[0].name == "SSL_CERT_FILE":
        if old_httpx(s) and entries[0].state not in ("not-a-certificate", "damaged"):
            return []  # it passes over what is not a file
        return [entry for entry in entries if _useless(entry) or entry.state == "folder"]
    if entries[0].name == "SSL_CERT_DIR":
        if old_httpx(s):
            return []
        # several folders may be named: one that serves is enough
        return entries[:1] if all(e.state != "folder" or not e.certificates for e in entries) else []
    return [entry for entry in entries if _useless(entry)]


def _bundle_fail(s: Snapshot, goal: Goal, entry: CertificateSetting, programs: list[str]) -> Fail:
    fields: dict[str, Plain] = {
        "name": entry.name,
        "path": entry.path,
        "programs": " and ".join(programs),
        "state": entry.state,
    }
    says = {"missing": "is_missing", "unreadable": "is_unreadable", "folder": "is_folder", "damaged": "is_damaged"}
    if entry.name == "SSL_CERT_FILE" and entry.state == "folder":
        says["folder"] = "is_a_folder"
    severity: Severity = "error" if "huggingface_hub" in programs or missing(s, goal) else "warning"
    clue = Clue(s.settings.certificates, entry.path, says.get(entry.state, "is_no_certificate"), fields)
    steps = [Step(says="put_right", fields=fields), Step(says="unset", fields=fields)]
    if entry.name.startswith("pip "):  # a line in pip's configuration
        return Fail("useless", severity, "derived", [clue], fields, Treatment("print-only", steps))
    steps[1] = unset_variable(entry.name, "unset")
    return Fail("useless", severity, "derived", [clue], fields, Treatment("confirm", steps))


def _unchecked(s: Snapshot) -> Fail | None:
    """CURL_CA_BUNDLE="" switched checking off in requests before 2.28 (its own release notes)."""
    if hub_uses_httpx(s):
        return None
    entry = s.packages.installed().get("requests")
    empty = any(e.name == "CURL_CA_BUNDLE" and e.state == "empty-value" for e in s.settings.certificates.need())
    version = entry.version.split(".") if entry else []
    if not empty or len(version) < 2 or not all(part.isdigit() for part in version[:2]):
        return None
    if (int(version[0]), int(version[1])) >= (2, 28):
        return None
    fields: dict[str, Plain] = {"version": entry.version if entry else ""}
    clue = Clue(s.settings.certificates, "", "empty", fields)
    steps = [Step(says="unset_curl")]
    return Fail("unchecked", "note", "table", [clue], fields, Treatment("print-only", steps))


SSL_CERTIFICATE = Condition(
    id="ssl-certificate",
    family="network",
    title="Secure connections fail because of certificates",
    reads=("settings", "network", "target", "packages", "hub", "smoke"),
    detect=_ssl_certificate,
    words={
        **seen_hub.WORDS,
        "trusted": "certificates are held against {name}={path}",
        "nothing_set": "no setting names certificates; whether the servers' own are accepted is tried with --online",
        "not_trusted": "the certificate of {url} is not accepted: something between here and there signs its own",
        "wrong_name": "the certificate of {url} is for another name",
        "wrong_date": "the certificate of {url} is not valid today",
        "bundle": "the certificates named by {trust} cannot be used for {url}",
        "refused": "connecting to {url} ended with: {error}",
        "signed_by": "its certificate is signed by {issuer}",
        "useless": "{name} names no usable certificates: {programs} cannot download anything",
        "is_missing": "{path} does not exist",
        "is_unreadable": "{path} cannot be read",
        "is_folder": "{path} is a folder without hashed certificates (names like 5ed36f99.0)",
        "is_a_folder": "{path} is a folder; SSL_CERT_FILE must name a file",
        "is_damaged": "{path} holds a certificate that does not decode",
        "is_no_certificate": "{path} holds no certificate in PEM form (BEGIN CERTIFICATE)",
        "unchecked": "CURL_CA_BUNDLE is empty: requests {version} then checks no certificate at all",
        "empty": "CURL_CA_BUNDLE is set and empty",
        "unset_curl": "unset CURL_CA_BUNDLE; for a proxy that signs certificates itself name its own bundle instead",
        "put_right": "let {name} name a file with the certificates to trust, in PEM form",
        "unset": "or unset {name}: then those of the system (or of certifi) are used",
        "ask": "if your company inspects connections, ask it for its certificate (a .pem or .crt file)",
        "set_bundle": "let SSL_CERT_FILE and REQUESTS_CA_BUNDLE name a file that holds it and the usual ones",
        "clock": "look at the clock of this machine first: a wrong date makes every certificate invalid",
    },
)


def _network_unreachable(s: Snapshot, goal: Goal) -> Verdict:
    stage = seen_hub.failed_for(s, "network-unreachable")
    if stage is not None:
        return _fetching_unanswered(s, stage)
    set_up = proxies(s)
    fails = [fail for fail in (_wrong_proxy(s, goal, proxy) for proxy in set_up) if fail]
    if not fails:
        fails = _no_answer(s, goal)
    if fails:
        return fails
    seen = _answered(s)
    if set_up or seen:
        return Pass(len(set_up) + len(seen), [Clue(s.settings.variables, [proxy.name for proxy in set_up]), *seen])
    return Skip("nothing_set")


def _wrong_proxy(s: Snapshot, goal: Goal, proxy: Proxy) -> Fail | None:
    programs = []
    if stops_pip(s, proxy):
        programs.append("pip")
    if stops_hub(s, proxy) and not _offline(s) and seen_hub.fetched(s) is None:
        programs.append("huggingface_hub")
    if not programs:
        return None
    fields: dict[str, Plain] = {
        "name": proxy.name,
        "value": proxy.value,
        "programs": " and ".join(programs),
        "packages": " and ".join({"pip": "PySocks", "huggingface_hub": "socksio"}[program] for program in programs),
    }
    severity: Severity = "error" if "huggingface_hub" in programs or missing(s, goal) else "warning"
    trouble = proxy.trouble
    if not trouble:
        trouble = "no_socks4" if proxy.value.lower().startswith("socks4") else "no_socks"
    clue = Clue(s.settings.variables, proxy.value, trouble, fields)
    return Fail("wrong_proxy", severity, "derived", [clue], fields, _proxy_cure(s, proxy, trouble, programs, fields))


def _proxy_cure(s: Snapshot, proxy: Proxy, trouble: str, programs: list[str], fields: dict[str, Plain]) -> Treatment:
    """What is certain is done (a value in quotes); what only the person knows is theirs."""
    meant = bare(proxy.value)
    if trouble in ("quoted", "blank_before", "blank_after") and not trouble_of(Variable(proxy.name, meant)):
        steps = [set_variable(proxy.name, meant)]
        if steps[0].change is not None:
            return Treatment("confirm", [*steps, unset_variable(proxy.name, "unset_proxy")])
    chosen = s.target.chosen.maybe()
    if socks(proxy) and trouble == "no_socks":
        names = tuple({"pip": "PySocks", "huggingface_hub": "socksio"}[program] for program in programs)
        # without a command in it: pip itself has no way to the index then, uv does
        change = PackageChange(chosen.python, names) if chosen else None
        add = Step(says="socks_packages", fields=fields, network=True, change=change)
        return Treatment("confirm", [Step(says="http_proxy", fields=fields), add])
    return Treatment("print-only", [Step(says="mend_proxy", fields=fields), Step(says="unset_proxy", fields=fields)])


def _fetching_unanswered(s: Snapshot, stage: StageRun) -> Fail:
    """The libraries themselves did not get through to the hub."""
    why = seen_hub.why(stage)
    fields = seen_hub.fields_of(s, stage)
    fields |= {"url": fields["endpoint"], "why": WHY.get(why, WHY["other"])}
    if fields["proxy"] and why in ("no-name", "refused", "unreachable", "timeout"):
        steps = [Step(says="proxy_itself", fields=fields)]
    else:
        steps = [Step(says=word) for word in _CURES.get(why, ("proxy_or_firewall",))]
    return Fail("no_answer", "error", "observed", seen_hub.clues(s, stage), fields, Treatment("print-only", steps))


def _no_answer(s: Snapshot, goal: Goal) -> list[Fail]:
    fails = []
    for name, fact in _contacts(s):
        contact = fact.need()
        if contact.ok or contact.why in CERTIFICATE or (name == "hub" and _offline(s)):
            continue
        if name == "hub" and contact.why == "status":
            continue  # it was reached: what it said is another condition's
        fields: dict[str, Plain] = {
            "url": contact.url,
            "why": WHY.get(contact.why, WHY["other"]),
            "error": contact.error,
            "proxy": contact.proxy,
        }
        clues = [Clue(fact, contact.url, "ended_with", fields)]
        if contact.proxy:
            clues.append(Clue(fact, contact.proxy, "through", fields))
        severity: Severity = "warning" if contact.why == "status" else _severity(s, goal, name)
        steps = [Step(says=word) for word in _CURES.get(contact.why, ("proxy_or_firewall",))]
        fails.append(Fail("no_answer", severity, "observed", clues, fields, Treatment("print-only", steps)))
    return fails


_CURES = {
    "no-name": ("name_server", "proxy_needed"),
    "proxy-login": ("proxy_login",),
    "proxy-refused": ("ask_proxy",),
    "status": ("try_later", "ask_proxy"),
    "timeout": ("proxy_needed", "proxy_or_firewall"),
    "refused": ("proxy_needed", "proxy_or_firewall"),
    "unreachable": ("connected",),
}

NETWORK_UNREACHABLE = Condition(
    id="network-unreachable",
    family="network",
    title="The package index or the hub cannot be reached",
    reads=("settings", "network", "target", "packages", "hub", "smoke"),
    detect=_network_unreachable,
    words={
        **seen_hub.WORDS,
        **variable_steps.WORDS,
        "proxy_itself": "see whether the proxy {proxy} is the right one, and runs",
        "nothing_set": "no proxy is set; whether the servers answer is tried with --online",
        "wrong_proxy": "{name} is not a proxy that {programs} can use: nothing can be downloaded",
        "quoted": "{name} has quotes around its value: {value}",
        "blank_before": "the value of {name} begins with a blank",
        "blank_after": "the value of {name} ends with a blank",
        "unknown_scheme": "{name} is {value}; only http, https, socks5 and socks5h are understood before the ://",
        "no_host": "{name} is {value}, which names no host",
        "bad_port": "{name} is {value}, in which the port is no number up to 65535",
        "login_without_scheme": "{name} has a user name and password but no http:// before them: {value}",
        "unescaped_pip": "the user name or password in {name} holds a bracket or a backslash, written as it is",
        "unescaped": "the user name or password in {name} holds one of / ? #, written as it is",
        "no_socks": "{name} is {value}; a SOCKS proxy needs the package {packages}, which is not installed",
        "no_socks4": "{name} is {value}; {programs} cannot use SOCKS 4",
        "mend_proxy": "set {name} to http://HOST:PORT without quotes and blanks; write odd letters as %XX",
        "unset_proxy": "or unset {name} if no proxy is needed",
        "http_proxy": "let {name} name the proxy's HTTP port instead (many have both): http://HOST:PORT",
        "socks_packages": "or install {packages} with uv, which speaks SOCKS itself; pip needs another way",
        "no_answer": "{url} cannot be reached: {why}",
        "ended_with": "connecting to {url} ended with: {error}",
        "through": "the proxy {proxy} was used",
        "name_server": "see whether this machine has a connection and a name server at all",
        "proxy_needed": "where connections only go through a proxy, set HTTPS_PROXY=http://HOST:PORT",
        "proxy_login": "put name and password into HTTPS_PROXY (http://NAME:PASSWORD@HOST:PORT, odd letters as %XX)",
        "proxy_or_firewall": "see whether a proxy or a firewall stands in the way; a company's help desk knows",
        "ask_proxy": "ask who runs the proxy or firewall to let this address through",
        "try_later": "try again later",
        "connected": "see whether this machine is connected",
    },
)

CONDITIONS: tuple[Condition, ...] = (SSL_CERTIFICATE, NETWORK_UNREACHABLE)
