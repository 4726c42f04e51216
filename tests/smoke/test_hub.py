"""The stage ``hub`` against a server on loopback that speaks the hub's protocol.

Most cases need huggingface_hub alone and run with the Python of the tests (or that of HFDOCTOR_HUB_PYTHON, to try
another release); those that load the model need the torch environment.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.hub_offline_ready import NOBODY
from hfdoctor.conditions.seen_hub import CONDITION_OF, why
from hfdoctor.facts.fact import known
from hfdoctor.facts.sections.smoke import Machinery, StageRun
from tests import recorded

from .hub_cases import (
    DATASET,
    MODEL,
    OTHER_TOKEN,
    PASSWORD,
    ROWS,
    TOKEN,
    WEIGHTS,
    Outcome,
    clean_environment,
    play_all,
    repositories,
    run_stage,
)
from .hub_server import Hub, etag

pytestmark = pytest.mark.allow_subprocess

PYTHON = os.environ.get("HFDOCTOR_HUB_PYTHON") or sys.executable


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Every case of hub_cases, played once."""
    return play_all(PYTHON, tmp_path_factory.mktemp("hub"))


#: case -> (HTTP status, why): all of them fail, in the library's own words
FAILURES = {
    "401": (401, "auth"),
    "401-other-token": (401, "auth"),
    "403-gated": (403, "gated"),
    "403-firewall": (403, "forbidden"),
    "404": (401, "not-found"),
    "404-with-token": (404, "not-found"),
    "429": (429, "rate-limited"),
    "503": (503, "server-error"),
    "407": (407, "proxy-login"),
    "proxy-403": (403, "forbidden"),
    "refused": (None, "refused"),
    "no-name": (None, "no-name"),
    "stall": (None, "stall"),
    "cut-always": (None, "cut"),
    "not-a-hub": (None, "not-a-hub"),
    "offline": (None, "offline"),
    "tls-untrusted": (None, "certificate"),
    "tls-wrong-name": (None, "certificate-name"),
    "tls-expired": (None, "certificate-date"),
    "tls-no-bundle": (None, "bundle"),
    "tls-407": (None, "proxy-login"),
    "tls-proxy-403": (None, "proxy-refused"),
}
PASSES = (
    "plain",
    "no-lists",
    "no-links",
    "no-links-no-lists",
    "404-dataset",
    "proxy",
    "proxy-login",
    "proxy-bypassed",
    "tls",
    "tls-proxy",
)


@pytest.mark.parametrize("name", PASSES)
def test_what_passes_is_whole_and_asks_for_nothing_twice(outcomes: dict[str, Outcome], name: str) -> None:
    stage, log = outcomes[name].stage, outcomes[name].log
    assert (stage.outcome, stage.message) == ("pass", "")
    facts = stage.facts
    model = repositories()["models"][MODEL]
    served = sum(map(len, model.values())) + (0 if name == "404-dataset" else len(ROWS))
    assert facts["bytes"] == served if facts["files_listed"] else 0 < facts["bytes"] <= served
    assert facts["files_checked"] == facts["files"] >= 5
    assert facts["second_time_connections"] == 0
    assert facts["rows"] == (0 if name == "404-dataset" else 3)
    assert facts["seconds"] > 0 and facts["bytes_per_second"] > 0
    bodies = [line for line in log if line.startswith("GET") and "/api/" not in line]
    if facts.get("datasets", "not installed") == "not installed":  # it fetches once more, in its own way
        assert len(bodies) == len(set(bodies)) == facts["files"]


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_says_what_it_comes_down_to(outcomes: dict[str, Outcome], name: str) -> None:
    stage = outcomes[name].stage
    status, why = FAILURES[name]
    assert stage.outcome == "fail"
    assert (stage.facts.get("status"), stage.facts["why"]) == (status, why)
    assert stage.error == str(stage.facts["chain"]).split(" < ")[0] and len(stage.message) > 5
    assert stage.trace
    assert outcomes[name].seconds < 60


@pytest.mark.parametrize("name", [*FAILURES, "proxy-dead", "stall-at-first", "429-long", "cut-always", "flip-small"])
def test_a_failure_becomes_the_one_finding_it_speaks_of(outcomes: dict[str, Outcome], name: str) -> None:
    stage = outcomes[name].stage
    wanted = {"stall-at-first": "hub-stall", "429-long": "hub-unreachable", "flip-small": "download-corrupt"}
    condition = wanted.get(name) or CONDITION_OF[str(stage.facts["why"])]
    s = recorded.build("linux")
    s.smoke.run = known(Machinery("import", online=True))
    s.smoke.stages = known([stage])
    report = diagnose(s)
    found = {f.condition: f.severity for f in report.findings if f.outcome == "fail"}
    cached_would_do = {"hub-offline-ready": "note"} if why(stage) in NOBODY else {}
    assert found == {condition: "error", **cached_would_do}
    assert not [f for f in report.findings if f.outcome == "crash"]
    assert report.exit_code == 1


def test_a_dead_proxy_is_named(outcomes: dict[str, Outcome]) -> None:
    stage = outcomes["proxy-dead"].stage
    assert stage.facts["why"] in ("refused", "proxy-refused")
    assert stage.facts["proxy"] == "127.0.0.1:9"


def test_a_proxy_carries_everything_and_no_proxy_keeps_it_out(outcomes: dict[str, Outcome]) -> None:
    for name in ("proxy", "proxy-login"):
        assert len(outcomes[name].carried) >= len(outcomes[name].log) > 10
        assert outcomes[name].stage.facts["proxy"]
    tunnels = outcomes["tls-proxy"].carried
    assert {line.split(":")[0] for line in tunnels} == {"CONNECT localhost", "CONNECT 127.0.0.1"}
    assert outcomes["proxy-bypassed"].carried == []
    assert outcomes["proxy-bypassed"].stage.facts["proxy"] == ""


def test_a_download_cut_half_way_is_fetched_again_or_named(outcomes: dict[str, Outcome]) -> None:
    """Newer releases go on by themselves (below their chunk of 10 MB from the beginning), older ones give up."""
    outcome = outcomes["cut"]
    if outcome.stage.outcome == "pass":
        bodies = [line.rpartition(" ")[0] for line in outcome.log if line.startswith("GET /lfs/")]
        assert len(bodies) == len(set(bodies)) + 1
    else:
        assert outcome.stage.facts["why"] == "cut" and "5000 bytes" in outcome.stage.message


@pytest.mark.parametrize(
    ("name", "file", "place"),
    [
        ("flip-large", None, 2000),
        ("flip-no-links", None, 2000),
        ("flip-small", "tokenizer_config.json", 30),
        ("flip-rows", "data/train.csv", 30),
    ],
)
def test_one_wrong_byte_is_found_and_named(
    outcomes: dict[str, Outcome], name: str, file: str | None, place: int
) -> None:
    stage = outcomes[name].stage
    assert (stage.outcome, stage.error, stage.facts["why"]) == ("fail", "Wrong", "wrong-bytes")
    file = file or str(stage.facts["file"])
    content = {**repositories()["models"][MODEL], **repositories()["datasets"][DATASET]}[file]
    damaged = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    assert stage.facts["file"] == file
    assert stage.facts["expected"] == etag(content)
    assert stage.facts["got"] in stage.message and stage.facts["got"] == etag(damaged)


@pytest.mark.parametrize("name", ["stall-at-first", "429-long"])
def test_the_deadline_holds_whatever_the_library_waits_for(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert outcome.seconds < 20
    if outcome.stage.error == "timeout":  # older releases give up on 429 at once
        assert "hub_files.py" in "".join(outcome.stage.trace)
    else:
        assert name == "429-long" and outcome.stage.facts["why"] == "rate-limited"


def test_the_token_is_sent_and_never_told(outcomes: dict[str, Outcome]) -> None:
    assert f"Bearer {TOKEN}" in outcomes["401"].authorised
    assert f"Bearer {OTHER_TOKEN}" in outcomes["401-other-token"].authorised
    for name, outcome in outcomes.items():
        told = msgspec.json.encode(outcome.stage).decode()
        for secret in (TOKEN, OTHER_TOKEN, json.dumps(OTHER_TOKEN)[1:-1], PASSWORD, "wrong-wort", "a" * 32):
            assert secret not in told, name
        for part in (TOKEN[:12], OTHER_TOKEN[:12]):
            assert part not in told, name


def test_nothing_is_left_behind(outcomes: dict[str, Outcome]) -> None:
    assert {name: outcome.left for name, outcome in outcomes.items() if outcome.left} == {}


def test_a_token_is_not_sent_to_where_the_large_files_lie(tmp_path: Path) -> None:
    """The library's own promise: held here because the cache that holds the token is not the person's."""
    (tmp_path / ".cache" / "huggingface").mkdir(parents=True)
    (tmp_path / ".cache" / "huggingface" / "token").write_text(OTHER_TOKEN + "\n")
    with Hub(repositories()) as hub:
        stage = run_stage(PYTHON, tmp_path, {**clean_environment(tmp_path), "HF_ENDPOINT": hub.url})
    assert stage.outcome == "pass" and stage.facts["token"] is True
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["token"]
    for line, header in zip(hub.log, hub.authorised, strict=True):
        assert header == ("" if "/lfs/" in line else f"Bearer {OTHER_TOKEN}")


# -- with the libraries that load it ----------------------------------------------------------------------------------


def with_torch(torch_env: Path, home: Path, hub: Hub, model: str = "") -> StageRun:
    environ = {**clean_environment(home), "HF_ENDPOINT": hub.url}
    return run_stage(str(torch_env / "bin" / "python"), home, environ, framework="torch", deadline_s=300.0, model=model)


@pytest.mark.torch
def test_the_model_is_loaded_from_the_cache_and_computes(torch_env: Path, tmp_path: Path) -> None:
    with Hub(repositories()) as hub:
        stage = with_torch(torch_env, tmp_path, hub)
    assert (stage.outcome, stage.message) == ("pass", "")
    assert stage.facts["loaded"] == "LlamaModel" and stage.facts["tokenizer"]
    assert str(stage.facts["output"]).startswith("1x")
    after = hub.log[next(n for n, line in enumerate(hub.log) if "/api/datasets/" in line) + 1 :]
    # releases 4.57 ask the hub whether a tokenizer comes from Mistral, also where only local files are wanted
    assert not [line for line in after if "/api/models/" not in line]
    assert stage.facts["loading_connections"] == 0 or after


@pytest.mark.torch
def test_a_model_of_ones_own_whose_numbers_are_none(torch_env: Path, tmp_path: Path) -> None:
    """``--hub-model``: the weights arrive whole, and what they compute is no number."""
    content = repositories()
    files = dict(content["models"].pop(MODEL))
    header = int.from_bytes(files[WEIGHTS][:8], "little")
    files[WEIGHTS] = files[WEIGHTS][: 8 + header] + b"\xff" * (len(files[WEIGHTS]) - 8 - header)
    content["models"]["ana/model"] = files
    with Hub(content) as hub:
        stage = with_torch(torch_env, tmp_path, hub, "ana/model")
    assert (stage.outcome, stage.error) == ("fail", "wrong result")
    assert stage.facts["own_model"] is True and "ana/model" in stage.deviations[0].what
