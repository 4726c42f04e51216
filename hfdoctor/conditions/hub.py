"""Reaching the hub: the access token's shape, offline mode with nothing to load, an address that does not answer."""

from __future__ import annotations

from ..facts.snapshot import Snapshot
from . import hub_settings, hub_stall, seen_hub
from .changes import PutAway
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Unknown, Verdict
from .variable_steps import unset_variable

DEFAULT_ENDPOINT = "https://huggingface.co"

#: oddities of sections.hub.TokenShape that no server accepts, in the order in which they are told
WRONG_ANYWHERE = ("not-a-file", "unreadable", "not-text", "quoted", "bearer-prefix", "inner-whitespace", "non-ascii")
#: and those that the hub itself does not accept; another address may give out tokens of any form
WRONG_FOR_THE_HUB = ("placeholder", "other-service", "too-short")


def _hub_auth(s: Snapshot, goal: Goal) -> Verdict:
    refused = _refused(s)
    if refused is not None:
        return refused
    done = seen_hub.fetched(s)
    if done is not None and done.facts.get("token"):
        return Pass(1, [seen_hub.worked(s, done)])
    shape = s.hub.token.or_absent()
    if shape is None:
        return Skip("no_token")
    if s.hub.offline.need().on:
        return Skip("offline")
    at_the_hub = s.hub.endpoint.need().rstrip("/") == DEFAULT_ENDPOINT
    wrong = [oddity for oddity in WRONG_ANYWHERE if oddity in shape.oddities]
    if at_the_hub:
        wrong += [oddity for oddity in WRONG_FOR_THE_HUB if oddity in shape.oddities]
    fields: dict[str, Plain] = {"source": shape.source, "length": shape.length}
    if not wrong:
        if at_the_hub and "wrong-prefix" in shape.oddities:
            return Unknown("no_prefix", fields, [Clue(s.hub.token, shape.oddities)])
        return Pass(1, [Clue(s.hub.token, shape.length)])
    file = wrong[0] in ("not-a-file", "unreadable", "not-text")
    clues = [Clue(s.hub.token, oddity, oddity, fields) for oddity in wrong]
    in_a_file = shape.source not in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")  # a variable wins over a new log-in
    away = [Step(says="away", fields=fields, change=PutAway(shape.source))] if in_a_file else []
    steps = [Step(says="mend_file" if file else "put_right", fields=fields)]
    chosen, library = s.target.chosen.maybe(), s.hub.library.maybe()
    if in_a_file and not file and chosen and library and library.cli == "huggingface_hub.cli.hf":
        argv = [chosen.python, "-m", library.cli, "auth", "login", "--force"]
        steps = [Step(argv if library.cache_rm else argv[:-1], "log_in", network=True)]
    says = "file" if file else "token"
    treatment = Treatment("confirm", [*steps, *away])
    return Fail(says, "warning", "derived", clues, fields, treatment)


def _refused(s: Snapshot) -> Fail | None:
    """What the hub said to the token, or to there being none, when something was fetched."""
    stage = seen_hub.failed_for(s, "hub-auth")
    if stage is None:
        return None
    fields = seen_hub.fields_of(s, stage)
    sent = bool(stage.facts.get("token"))
    if seen_hub.why(stage) == "gated":
        says, steps = (
            "gated",
            [Step(says="ask_access", fields=fields), Step(says="fitting_token" if sent else "get_in")],
        )
    elif sent:
        says, steps = "token_refused", [Step(says="new_token"), Step(says="without_token")]
    else:
        says, steps = "token_wanted", [Step(says="get_in")]
    clues = seen_hub.clues(s, stage)
    shape = s.hub.token.maybe()
    if sent and shape is not None:
        clues.append(Clue(s.hub.token, shape.length, "token_from", {"source": shape.source}))
    return Fail(says, "error", "observed", clues, fields, Treatment("print-only", steps))


def _not_served(s: Snapshot) -> Fail | None:
    """What was answered instead of a file, or that offline mode kept everything from being asked."""
    stage = seen_hub.failed_for(s, "hub-unreachable")
    if stage is None:
        return None
    why = seen_hub.why(stage)
    fields = seen_hub.fields_of(s, stage)
    fields["url"] = fields["endpoint"]
    clues = seen_hub.clues(s, stage)
    if why == "offline":
        switch = s.hub.offline.maybe()
        fields["variable"] = (switch.variable if switch else "") or "HF_HUB_OFFLINE"
        treatment = Treatment("confirm", [unset_variable(str(fields["variable"]), "switch_off", **fields)])
        return Fail("kept_offline", "error", "observed", clues, fields, treatment)
    own_address = str(fields["endpoint"]).rstrip("/") != DEFAULT_ENDPOINT
    steps = [Step(says="check_endpoint", fields=fields)] if own_address else [Step(says="try_again")]
    if why in ("forbidden", "not-a-hub"):
        steps.append(Step(says="firewall", fields=fields))
    says = {"rate-limited": "too_many", "not-a-hub": "no_hub"}.get(why, "refused")
    return Fail(says, "error", "observed", clues, fields, _by_hand(steps))


def _by_hand(steps: list[Step]) -> Treatment:
    return Treatment("print-only", steps)


def _hub_unreachable(s: Snapshot, goal: Goal) -> Verdict:
    not_served = _not_served(s)
    if not_served is not None:
        return not_served
    done = seen_hub.fetched(s)
    if done is not None:
        return Pass(1, [seen_hub.worked(s, done)])
    offline = s.hub.offline.need()
    if offline.on:
        health = s.hub.health.or_absent()
        if health is not None and health.files:
            return Pass(1, [Clue(s.hub.offline, True), Clue(s.hub.health, health.files)])
        if hub_settings.misplaced(s):
            return Skip("misplaced")
        location = s.hub.cache.need()
        fields: dict[str, Plain] = {"variable": offline.variable, "value": offline.value, "path": location.path}
        clues = [
            Clue(s.hub.offline, offline.value, "switch", fields),
            Clue(s.hub.health, 0, "nothing_cached", fields),
        ]
        steps = [unset_variable(offline.variable, "switch_off", **fields), Step(says="other_cache", fields=fields)]
        return Fail("offline_empty", "warning", "derived", clues, fields, Treatment("confirm", steps))
    if s.network.hub.status == "not-run":
        return Skip("not_asked")
    contact = s.network.hub.or_absent()
    if contact is None:
        return Skip("no_address")
    if contact.ok:
        return Pass(1, [Clue(s.network.hub, contact.url)])
    if contact.why != "status" or seen_hub.judged(s):
        return Skip("no_way")  # nobody was reached: ssl-certificate or network-unreachable says why
    fields = {"url": contact.url, "status": contact.status, "error": contact.error}
    if s.hub.endpoint.need().rstrip("/") != DEFAULT_ENDPOINT:
        steps = [Step(says="check_endpoint", fields=fields)]
    else:
        steps = [Step(says="try_again")]
    says = "too_many" if contact.status == 429 else "refused"
    clue = Clue(s.network.hub, contact.status, "answered", fields)
    return Fail(says, "warning", "observed", [clue], fields, Treatment("print-only", steps))


HUB_AUTH = Condition(
    id="hub-auth",
    family="hub",
    title="The hub refuses access, or the access token cannot be right",
    reads=("hub", "target", "smoke"),
    detect=_hub_auth,
    words={
        **seen_hub.WORDS,
        "no_token": "no access token is set; public models need none",
        "offline": "offline mode is on: no token is sent",
        "no_prefix": "the token in {source} does not begin with hf_: whether it is one of the hub's cannot be told",
        "token": "the access token in {source} cannot be right: the hub will refuse it, for public models too",
        "file": "the token file {source} cannot be read: every download stops with an error",
        "quoted": "there are quotes around the token in {source}; they would be sent as part of it",
        "bearer-prefix": 'the token in {source} begins with the word "Bearer", which the library adds itself',
        "inner-whitespace": "there are blanks inside the token in {source}",
        "non-ascii": "there are letters in {source} that no token has",
        "placeholder": "{source} holds a placeholder of {length} characters instead of a token",
        "other-service": "the token in {source} is in the form of another service's key",
        "too-short": "the token in {source} has only {length} characters",
        "not-a-file": "{source} is a folder",
        "unreadable": "{source}: permission denied",
        "not-text": "{source} is not a text file",
        "put_right": "put a token from https://huggingface.co/settings/tokens into {source}, without quotes, "
        "or remove it",
        "mend_file": "give {source} back to yourself if it belongs to another user",
        "away": "or put {source} away: public models need no token; for others log in again then",
        "log_in": "log in again",
        "gated": "{model} is only for those whom its owner has let in",
        "token_refused": "{host} refuses the access token, for public models too",
        "token_wanted": "{host} lets nobody in without an access token",
        "token_from": "the token is the one in {source}",
        "ask_access": "open {endpoint}/{model} in a browser, logged in, and ask for access",
        "fitting_token": "the token in use must belong to that account, and may be one that reads gated repositories",
        "get_in": "log in with hf auth login, or set HF_TOKEN",
        "new_token": "make a new token at https://huggingface.co/settings/tokens (they expire and can be withdrawn)",
        "without_token": "or remove it: public models need none",
    },
)

HUB_UNREACHABLE = Condition(
    id="hub-unreachable",
    family="hub",
    title="The Hugging Face hub cannot be reached",
    reads=("hub", "network", "machine", "settings", "smoke"),
    detect=_hub_unreachable,
    explained_by=("ssl-certificate", "network-unreachable"),
    words={
        **seen_hub.WORDS,
        "kept_offline": "offline mode is on ({variable}): nothing can be downloaded",
        "no_hub": "{url} answers, but not as a Hugging Face hub does",
        "firewall": "see whether a login page, a proxy or a firewall answers in place of {host}",
        "offline_empty": "offline mode is on and nothing is cached: no model can be loaded by its name",
        "switch": "{variable} is set to {value}",
        "nothing_cached": "no file of a model is in {path}",
        "switch_off": "unset {variable} to download from the hub",
        "other_cache": "or set HF_HOME to the folder that holds the cached models",
        "misplaced": "the cache is in the wrong place, which hub-settings reports",
        "not_asked": "only --online contacts the hub",
        "no_address": "HF_ENDPOINT is no address that could be contacted, which hub-settings reports",
        "no_way": "the hub was not reached at all, which network-unreachable or ssl-certificate explains",
        "refused": "{url} answers, but refuses or fails: no model can be downloaded now",
        "too_many": "{url} refuses for a while because too many requests came from this address",
        "answered": "{url}: status {status} {error}",
        "try_again": "try again later; https://status.huggingface.co tells of outages; a token raises the limits",
        "check_endpoint": "check HF_ENDPOINT, which sends the library to {url}",
    },
)

CONDITIONS: tuple[Condition, ...] = (hub_settings.HUB_SETTINGS, HUB_AUTH, HUB_UNREACHABLE, hub_stall.HUB_STALL)
