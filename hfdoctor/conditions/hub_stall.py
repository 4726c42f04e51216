"""Downloads that hang without an error: one that was seen, or a release known for it and remains in the cache.

Neither of the latter proves anything alone. Most downloads with such a release end well, and remains are left by
whatever was stopped; only both together are worth a word, and no more than a note.
"""

from __future__ import annotations

from ..facts.cache_paths import is_true
from ..facts.sections.smoke import StageRun
from ..facts.snapshot import Snapshot
from .install_steps import install_like
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Unknown, Verdict
from .requirement_lines import fits
from .seen_hub import WORDS, clues, failed_for, fetched, fields_of, hub_stage, worked
from .variable_steps import set_variable

#: seconds without a byte; the library's own is 10
MORE_TIME = "60"


def _stall(s: Snapshot, goal: Goal) -> Verdict:
    stage = failed_for(s, "hub-stall")
    if stage is not None:
        return _seen(s, stage)
    done = fetched(s)
    if done is not None:
        return Pass(int(done.facts.get("files") or 1), [worked(s, done)])
    return Skip("other_reason") if hub_stage(s) is not None else _suspected(s)


def _seen(s: Snapshot, stage: StageRun) -> Fail:
    fields = fields_of(s, stage)
    xet = bool(s.packages.installed().get("hf-xet")) if s.packages.distributions.known else False
    steps = [set_variable("HF_HUB_DISABLE_XET", "1", "without_xet")] if xet else []
    way = "proxy_between" if fields["proxy"] else "between"
    steps.append(Step(says=f"or_{way}" if xet else way, fields=fields))
    steps.append(set_variable("HF_HUB_DOWNLOAD_TIMEOUT", MORE_TIME, "more_time"))
    return Fail("hangs", "error", "observed", clues(s, stage), fields, Treatment("confirm", steps))


def _suspected(s: Snapshot) -> Verdict:
    from ..knowledge.download_stalls import load_download_stalls

    row = load_download_stalls()[0]
    entry = s.packages.installed().get(row.package)
    if entry is None:
        return Skip("not_installed", {"package": row.package})
    fields: dict[str, Plain] = {"package": row.package, "version": entry.version, "fixed": row.fixed}
    fields |= {"switch": row.switch, "source": row.source, "as_of": row.as_of.isoformat()}
    if row.switch not in (s.hub.variables_read.or_absent() or ()):
        return Skip("not_used", fields)
    if is_true(s.settings.variable(row.switch)):
        return Skip("switched_off", fields)
    if s.hub.offline.need().on:
        return Skip("offline")
    old = fits(entry.version, f"<{row.fixed}")
    if old is None:
        return Unknown("odd_version", fields)
    if not old:
        return Pass(1, [Clue(s.packages.distributions, f"{row.package} {entry.version}")])
    health = s.hub.health.or_absent()
    if health is None or not health.incomplete:
        return Skip("no_trace", fields)
    fields |= {"count": health.incomplete, "megabytes": health.incomplete_bytes // 10**6}
    shown = [
        Clue(s.packages.distributions, f"{row.package} {entry.version}", "known", fields),
        Clue(s.hub.health, health.incomplete, "remains", fields),
    ]
    newer = Step(install_like(s, row.package, row.cure), "newer", network=True)
    treatment = Treatment("confirm", [newer, set_variable(row.switch, "1", "or_switch_off", **fields)])
    return Fail("stalls", "note", "table", shown, fields, treatment, len(shown))


HUB_STALL = Condition(
    id="hub-stall",
    family="hub",
    title="Downloads from the hub hang",
    reads=("packages", "hub", "settings", "target", "smoke"),
    detect=_stall,
    explained_by=("ssl-certificate", "network-unreachable", "disk-full", "cache-permission"),
    words={
        **WORDS,
        "other_reason": "the download ended for another reason",
        "hangs": "{host} accepts the connection and then sends nothing",
        "without_xet": "set {name}={wanted}: some proxies and firewalls hold the xet protocol up",
        "between": "try it on another network: if it works there, something on this one holds large answers back",
        "or_between": "or try it on another network: if it works there, something on this one holds large answers back",
        "or_proxy_between": "or try it past the proxy {proxy}, or ask who runs it whether it holds large answers back",
        "proxy_between": "try it past the proxy {proxy}, or ask who runs it whether it holds large answers back",
        "more_time": "or, on a slow line, give the library more time: {name}={wanted} (seconds without a byte)",
        "not_installed": "{package} is not installed: files are fetched in the plain way",
        "not_used": "the installed huggingface_hub does not use {package}",
        "switched_off": "{switch} is set: files are fetched in the plain way",
        "offline": "offline mode is on: nothing is downloaded",
        "odd_version": "the version of {package} is not understood: {version}",
        "no_trace": "{package} {version} may hang on a poor connection ({fixed} no longer does); no download of it was "
        "left unfinished in the cache",
        "stalls": "downloads were left unfinished, and {package} {version} is known to hang without an error",
        "known": "{package} before {fixed} may hang on a poor connection (as of {as_of}, {source})",
        "remains": "unfinished downloads of more than an hour ago in the cache: {count} ({megabytes} MB); what stopped "
        "them is not known",
        "newer": "install a release that is not known to hang",
        "or_switch_off": "or set {switch}=1: files are then fetched in the plain way, more slowly",
    },
)
