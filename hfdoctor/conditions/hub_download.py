"""What a download from the hub ended with: no such repository, other bytes than were announced, or no end at all.

Seen by ``smoke --online``, which fetches a tiny model as the person's own programs do.
"""

from __future__ import annotations

from ..facts.snapshot import Snapshot
from .model import Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Verdict
from .seen_hub import DEFAULT_ENDPOINT, WORDS, clues, failed_for, fetched, fields_of, hub_stage, why, worked

NOT_ASKED = "only smoke --online downloads something"
OTHER_REASON = "the download ended for another reason"


def _otherwise(s: Snapshot) -> Verdict:
    """Where this condition's trouble was not seen."""
    done = fetched(s)
    if done is not None:
        return Pass(int(done.facts.get("files") or 1), [worked(s, done)])
    return Skip("not_asked" if hub_stage(s) is None else "other_reason")


def _repo_not_found(s: Snapshot, goal: Goal) -> Verdict:
    stage = failed_for(s, "hub-repo-not-found")
    if stage is None:
        return _otherwise(s)
    fields = fields_of(s, stage)
    if not stage.facts.get("own_model"):
        steps = [Step(says="check_endpoint", fields=fields), Step(says="name_another")]
        return Fail("not_mirrored", "error", "observed", clues(s, stage), fields, Treatment("print-only", steps))
    steps = [Step(says="check_name", fields=fields)]
    steps.append(Step(says="other_token" if stage.facts.get("token") else "log_in"))
    if str(fields["endpoint"]).rstrip("/") != DEFAULT_ENDPOINT:
        steps.append(Step(says="check_endpoint", fields=fields))
    return Fail("no_such", "error", "observed", clues(s, stage), fields, Treatment("print-only", steps))


HUB_REPO_NOT_FOUND = Condition(
    id="hub-repo-not-found",
    family="hub",
    title="The hub has no model of this name, or does not show it",
    reads=("smoke", "hub"),
    detect=_repo_not_found,
    words={
        **WORDS,
        "not_asked": NOT_ASKED,
        "other_reason": OTHER_REASON,
        "no_such": "{endpoint} shows no model {model}: the name is wrong, or it is private",
        "not_mirrored": "{endpoint} does not have the public model {model}",
        "check_name": "compare the name with the page of the model, letter by letter: {model}",
        "log_in": "if the model is private, log in as somebody who may see it (hf auth login), or set HF_TOKEN",
        "other_token": "if the model is private, see whether the token in use belongs to somebody who may see it",
        "check_endpoint": "HF_ENDPOINT sends the library to {endpoint}: see whether that is the right address",
        "name_another": "or name a model that this address has: hfdoctor smoke --online --hub-model ORG/MODEL",
    },
)


def _download_corrupt(s: Snapshot, goal: Goal) -> Verdict:
    stage = failed_for(s, "download-corrupt")
    if stage is None:
        return _otherwise(s)
    fields = fields_of(s, stage)
    between = Step(says="proxy_between" if fields["proxy"] else "between", fields=fields)
    if why(stage) == "cut":
        steps = [Step(says="again"), between]
        return Fail("cut", "error", "observed", clues(s, stage), fields, Treatment("print-only", steps))
    kind = {64: "sha256", 40: "git's sha1"}.get(len(str(fields["expected"])), "hash")
    shown: dict[str, Plain] = {**fields, "kind": kind}
    found = clues(s, stage)
    found[0].says, found[0].fields = "hashes", shown
    steps = [between, Step(says="by_hand", fields=fields), Step(says="own_cache")]
    return Fail("changed", "error", "observed", found, shown, Treatment("print-only", steps))


DOWNLOAD_CORRUPT = Condition(
    id="download-corrupt",
    family="hub",
    title="What arrives is not what was sent",
    reads=("smoke", "hub"),
    detect=_download_corrupt,
    words={
        **WORDS,
        "not_asked": NOT_ASKED,
        "other_reason": OTHER_REASON,
        "changed": "{file} of {model} arrived with other bytes than {endpoint} announced",
        "hashes": "{file}: {kind} {expected} was announced, {got} arrived",
        "cut": "downloads from {endpoint} end before all has arrived",
        "again": "try again: newer releases of huggingface_hub go on where a download was cut",
        "between": "see what lies between here and {host}: a virus scanner, a firewall or a worn network device "
        "that changes or cuts what passes",
        "proxy_between": "try it past the proxy {proxy}: something on that way changes or cuts what passes",
        "by_hand": "fetch {file} with a browser, on another network too, and compare its hash with the one above",
        "own_cache": "do not trust models that were fetched on this way: `hf cache verify` compares them with the hub",
    },
)


CONDITIONS: tuple[Condition, ...] = (HUB_REPO_NOT_FOUND, DOWNLOAD_CORRUPT)
