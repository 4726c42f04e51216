"""Which condition a failed stage ``hub`` speaks of, also where it could say nothing any more."""

from __future__ import annotations

import pytest

from hfdoctor.conditions.catalogue import CATALOGUE
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.hub_offline_ready import NOBODY
from hfdoctor.conditions.model import Finding
from hfdoctor.conditions.seen_hub import CONDITION_OF, speaks_of
from hfdoctor.facts.fact import known
from hfdoctor.facts.sections.network import WHY, Contact
from hfdoctor.facts.sections.smoke import Machinery, StageRun
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded

STACK = [
    "Timeout (0:03:00)!",
    "Thread 0x00007f14c8c36b80 (most recent call first):",
    '  File "/usr/lib/python3.12/ssl.py", line 1104 in read',
    '  File "/home/ana/.local/hfdoctor/smoke/child/hub_files.py", line 45 in get',
]
CONNECTING = [*STACK[:2], '  File "/usr/lib/python3.12/socket.py", line 838 in create_connection', STACK[3]]


def fail(why: str = "", error: str = "Error", **fields: object) -> StageRun:
    facts: dict[str, str | int | float | bool | None] = {"why": why} if why else {}
    facts |= fields.pop("facts", {})  # type: ignore[arg-type]
    return StageRun("hub", outcome="fail", error=error, message="words", facts=facts, **fields)  # type: ignore[arg-type]


def with_stage(stage: StageRun, base: str = "linux") -> Snapshot:
    s = recorded.build(base)
    s.smoke.run = known(Machinery("import", online=True), "hfdoctor smoke")
    s.smoke.stages = known([stage], "hfdoctor smoke")
    return s


def failures(s: Snapshot) -> dict[str, Finding]:
    report = diagnose(s)
    assert not [f.evidence[0].text for f in report.findings if f.outcome == "crash"]
    return {f.condition: f for f in report.failed()}


@pytest.mark.parametrize("why", CONDITION_OF)
def test_every_word_has_a_condition_that_takes_it_up(why: str) -> None:
    stage = fail(why)
    assert speaks_of(stage) == CONDITION_OF[why] in {condition.id for condition in CATALOGUE}
    found = failures(with_stage(stage))
    # and nothing besides, but where nobody answers that the cached models would do: smoke-failed is silent
    assert set(found) == {CONDITION_OF[why], *(["hub-offline-ready"] if why in NOBODY else [])}
    finding = found[CONDITION_OF[why]]
    assert (finding.severity, finding.basis) == ("error", "observed")
    assert finding.evidence[0].text and finding.remedy and finding.remedy.steps


def test_what_is_none_of_the_networks_is_told_as_a_failed_stage() -> None:
    stage = fail(error="ValueError", facts={"step": "load", "why": ""})
    assert speaks_of(stage) == ""
    assert set(failures(with_stage(stage))) == {"smoke-failed"}


@pytest.mark.parametrize(
    ("trace", "printed", "wanted"),
    [
        (STACK, [], "hub-stall"),
        (CONNECTING, [], "network-unreachable"),
        (STACK, ["HTTP Error 429 thrown", "Rate limited. Waiting 601.0s before retry"], "hub-unreachable"),
        (STACK, ["HTTP Error 503 thrown while requesting HEAD https://h/x", "Retrying in 8s"], "hub-unreachable"),
        (STACK, ["'[Errno 111] Connection refused' thrown while requesting HEAD https://h/x"], "network-unreachable"),
        ([*STACK[:3], '  File "/x/transformers/modeling_utils.py", line 1 in load'], [], ""),
        ([], [], ""),
    ],
)  # fmt: skip
def test_a_stage_that_was_stopped(trace: list[str], printed: list[str], wanted: str) -> None:
    assert speaks_of(fail(error="timeout", trace=trace, printed=printed)) == wanted


def test_other_stages_and_passes_speak_of_nothing() -> None:
    assert speaks_of(StageRun("model", outcome="fail", error="E", facts={"why": "refused"})) == ""
    assert speaks_of(StageRun("hub", facts={"why": "refused"})) == ""


def test_what_the_libraries_did_counts_more_than_our_own_contact() -> None:
    refused = Contact("https://huggingface.co/", False, "tls", "no", why="certificate", issuer="Corp", trust="system")
    done = StageRun("hub", facts={"files": 6, "model": "a/b", "endpoint": "https://huggingface.co", "token": True})
    s = with_stage(done)
    s.network.hub = known(refused, "now")
    assert failures(s) == {}
    s.smoke.stages = known([], "hfdoctor smoke")
    assert set(failures(s)) == {"ssl-certificate"}
    s.smoke.stages = known([fail("server-error", facts={"status": 503})], "hfdoctor smoke")
    assert set(failures(s)) == {"hub-unreachable"}  # it got through to the hub: the certificate was accepted


def test_a_token_that_was_used_is_right_whatever_its_shape() -> None:
    s = recorded.load("hub-auth-placeholder")
    assert "hub-auth" in failures(s)
    done = StageRun("hub", facts={"files": 6, "token": True})
    s.smoke.run, s.smoke.stages = known(Machinery("import", online=True)), known([done])
    assert "hub-auth" not in failures(s)


def test_the_words_are_those_of_the_contact_or_explained() -> None:
    own = {"rate-limited", "server-error", "forbidden", "status", "not-a-hub", "offline", "auth", "gated", "not-found"}
    own |= {"wrong-bytes", "cut", "stall"}
    assert set(CONDITION_OF) <= set(WHY) | own
