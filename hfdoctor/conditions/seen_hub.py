"""What the stage ``hub`` of a run shows (``smoke --online``), and which condition a failure of it speaks of.

The stage itself tells in one word what a failure comes down to (``why``, see smoke/child/hub_reason.py). Where it was
stopped at its deadline it told nothing: then the stack and what was printed say what it was waiting for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..facts.sections.smoke import StageRun
from ..facts.snapshot import Snapshot
from .model import Clue, Plain

DEFAULT_ENDPOINT = "https://huggingface.co"
#: the template for what was seen; a condition that shows it takes these into its words
WORDS: Mapping[str, str] = {
    "hub_said": "fetching {model} from {endpoint} ended with {error}: {said}",
    "hub_stopped": "fetching {model} from {endpoint} was stopped after {seconds} seconds",
    "hub_printed": "the library printed last: {line}",
    "hub_through": "the proxy {proxy} was used",
    "hub_worked": "{model} was fetched from {endpoint}",
}
#: why a download failed -> the condition that takes it up
CONDITION_OF: Mapping[str, str] = {
    **dict.fromkeys(("no-name", "refused", "unreachable", "timeout", "reset", "tls"), "network-unreachable"),
    **dict.fromkeys(("proxy-login", "proxy-refused", "proxy-setting"), "network-unreachable"),
    **dict.fromkeys(("certificate", "certificate-name", "certificate-date", "bundle"), "ssl-certificate"),
    **dict.fromkeys(("rate-limited", "server-error", "forbidden", "status", "not-a-hub", "offline"), "hub-unreachable"),
    **dict.fromkeys(("auth", "gated"), "hub-auth"),
    "not-found": "hub-repo-not-found",
    **dict.fromkeys(("wrong-bytes", "cut"), "download-corrupt"),
    "stall": "hub-stall",
}
#: parts of the stage that come after everything was fetched and found whole
AFTER = ("cache", "rows", "load")
#: what a library prints while it tries again -> what it waits for
_PRINTED = (
    (r"Rate limited|HTTP Error 429|Too Many Requests", "rate-limited"),
    (r"HTTP Error 5\d\d|50[0234] Server Error", "server-error"),
    (r"Name or service not known|name resolution|getaddrinfo failed", "no-name"),
    (r"Connection refused|WinError 10061", "refused"),
    (r"unreachable|No route to host", "unreachable"),
)
_CONNECTING = r"\bin (?:create_connection|connect_tcp|start_tls|_new_conn|do_handshake)\b"
_DOWNLOADING = r"\bhub_files\.py"


def hub_stage(s: Snapshot) -> StageRun | None:
    """The stage; None where it was not asked for or not reached. Raises FactMissing where that is not known."""
    if s.smoke.stages.status == "not-run":
        return None
    found = [stage for stage in s.smoke.stages.or_absent() or () if stage.name == "hub"]
    return found[0] if found and found[0].outcome != "skip" else None


def why(stage: StageRun) -> str:
    """The word for what a failed stage came down to; "" where it is none of the network's."""
    said = stage.facts.get("why")
    if said:
        return str(said)
    if stage.error != "timeout" or not re.search(_DOWNLOADING, "\n".join(stage.trace)):
        return ""
    for line in reversed(stage.printed):
        found = next((word for pattern, word in _PRINTED if re.search(pattern, line)), "")
        if found:
            return found
    return "timeout" if re.search(_CONNECTING, "\n".join(stage.trace)) else "stall"


def speaks_of(stage: StageRun) -> str:
    """The id of the condition that a failed stage ``hub`` speaks of; "" for other stages, and where none fits."""
    if stage.name != "hub" or stage.outcome != "fail":
        return ""
    return CONDITION_OF.get(why(stage), "")


def failed_for(s: Snapshot, condition: str) -> StageRun | None:
    """The stage, if it failed for what ``condition`` is about. Raises FactMissing where that is not known."""
    stage = hub_stage(s)
    return stage if stage is not None and speaks_of(stage) == condition else None


def fetched(s: Snapshot) -> StageRun | None:
    """The stage, if the hub was seen serving what was asked for. Raises FactMissing where that is not known."""
    stage = hub_stage(s)
    if stage is None or not (stage.outcome == "pass" or stage.facts.get("step") in AFTER):
        return None
    return None if speaks_of(stage) else stage


def judged(s: Snapshot) -> bool:
    """Whether the stage has shown how the hub can be reached: what a mere contact showed counts no more."""
    stage = hub_stage(s)
    return stage is not None and (fetched(s) is not None or bool(speaks_of(stage)))


def fields_of(s: Snapshot, stage: StageRun) -> dict[str, Plain]:
    """What the words name: model, endpoint, host, proxy, status, error, and what was said last."""
    run = s.smoke.run.maybe()
    endpoint = str(stage.facts.get("endpoint") or s.hub.endpoint.maybe() or DEFAULT_ENDPOINT)
    model = str(stage.facts.get("model") or (run.hub_model if run else "") or "a tiny public model")
    status = stage.facts.get("status")
    return {
        "model": model,
        "endpoint": endpoint,
        "host": str(stage.facts.get("host") or endpoint.partition("://")[2]),
        "proxy": str(stage.facts.get("proxy") or ""),
        "status": status if status is not None else "",
        "error": stage.error,
        "said": _said(stage),
        "seconds": round(stage.seconds),
        "file": str(stage.facts.get("file") or ""),
        "expected": str(stage.facts.get("expected") or ""),
        "got": str(stage.facts.get("got") or ""),
    }


def _said(stage: StageRun) -> str:
    """The telling part of a message: what the server said, or the cause that stands last."""
    status, server = stage.facts.get("status"), stage.facts.get("server_says")
    if status is not None:
        return f"status {status}" + (f", {server}" if server else "")
    lines = [" ".join(line.split()) for line in stage.message.splitlines() if line.strip()]
    return (lines[-1] if lines else stage.error)[:300]


def clues(s: Snapshot, stage: StageRun) -> list[Clue]:
    """The evidence, in the words of WORDS."""
    fields = fields_of(s, stage)
    found = [Clue(s.smoke.stages, stage.key, "hub_stopped" if stage.error == "timeout" else "hub_said", fields)]
    if stage.error == "timeout" and stage.printed:
        found.append(Clue(s.smoke.stages, stage.key, "hub_printed", {"line": stage.printed[-1][:300]}))
    if fields["proxy"]:
        found.append(Clue(s.smoke.stages, fields["proxy"], "hub_through", fields))
    return found


def worked(s: Snapshot, stage: StageRun) -> Clue:
    """That the hub was seen working."""
    return Clue(s.smoke.stages, stage.key, "hub_worked", fields_of(s, stage))
