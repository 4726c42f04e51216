"""Models lie in the cache and the hub does not answer: each load then asks again and again before it takes them.

``network-unreachable`` stands beside it and names the cause. It is not folded under that: on a train there is nothing
to mend in the network, and what can be done here is something else.
"""

from __future__ import annotations

from ..facts.snapshot import Snapshot
from . import seen_hub
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Treatment, Verdict
from .variable_steps import set_variable

OFFLINE = "HF_HUB_OFFLINE"
#: why a contact failed, where nobody was reached at all: the library falls back on the cache then, after its retries
NOBODY = ("no-name", "refused", "unreachable", "timeout", "reset")


def _offline_ready(s: Snapshot, goal: Goal) -> Verdict:
    if s.hub.offline.need().on:
        return Pass(1, [Clue(s.hub.offline, True)])
    done = seen_hub.fetched(s)
    if done is not None:
        return Pass(1, [seen_hub.worked(s, done)])
    unanswered = _unanswered(s)
    if unanswered is None:
        if s.network.hub.status == "not-run":
            return Skip("not_asked")
        contact = s.network.hub.or_absent()
        return Pass(1, [Clue(s.network.hub, contact.url)]) if contact and contact.ok else Skip("other_reason")
    health = s.hub.health.or_absent()
    if health is None or not health.files:
        return Skip("nothing_cached")
    if health.troubles_total:
        return Skip("damaged", {"count": health.troubles_total})
    if OFFLINE not in (s.hub.variables_read.or_absent() or (OFFLINE,)):
        return Skip("no_switch")
    fields: dict[str, Plain] = {"path": s.hub.cache.need().path, "repos": health.repos, "files": health.files}
    cached = Clue(s.hub.health, health.files, "cached", fields)
    treatment = Treatment("confirm", [set_variable(OFFLINE, "1", "switch_on")])
    return Fail("ready", "note", "derived", [*unanswered, cached], fields, treatment, 2)


def _unanswered(s: Snapshot) -> list[Clue] | None:
    """What shows that nobody answered; None where that was not seen. Raises FactMissing where it is not known."""
    stage = seen_hub.failed_for(s, "network-unreachable")
    if stage is not None:
        return seen_hub.clues(s, stage) if seen_hub.why(stage) in NOBODY else None
    if seen_hub.judged(s) or s.network.hub.status == "not-run":
        return None
    contact = s.network.hub.or_absent()
    if contact is None or contact.ok or contact.why not in NOBODY:
        return None
    return [Clue(s.network.hub, contact.url, "silent", {"url": contact.url, "error": contact.error})]


HUB_OFFLINE_READY = Condition(
    id="hub-offline-ready",
    family="hub",
    title="The hub does not answer, and cached models are loaded only after many tries to reach it",
    reads=("hub", "network", "smoke"),
    detect=_offline_ready,
    words={
        **seen_hub.WORDS,
        "not_asked": "only --online contacts the hub",
        "other_reason": "the hub was reached, or failed for another reason",
        "nothing_cached": "no model is in the cache: there is nothing to load without the hub",
        "damaged": "the cache has {count} damaged files, which cache-corrupt reports",
        "no_switch": "the installed huggingface_hub has no offline mode",
        "ready": "the hub does not answer: loading a cached model waits for many tries before it takes the files in "
        "{path}",
        "silent": "connecting to {url} ended with: {error}",
        "cached": "in {path} there are files of cached repositories: {files} of {repos}, none of them damaged",
        "switch_on": "while this machine has no way to the hub: set {name}={wanted}; cached models then load at once",
    },
)

CONDITIONS: tuple[Condition, ...] = (HUB_OFFLINE_READY,)
