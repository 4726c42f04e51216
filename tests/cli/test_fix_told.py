"""What ``hfdoctor fix`` says of what was named and is not there, which way it takes unasked, and what a run shows."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from hfdoctor.cli import fixing
from hfdoctor.cli.fixing import _asked_for
from hfdoctor.cli.telling import Teller
from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Finding
from hfdoctor.remedies.afresh import Look, observe_afresh
from hfdoctor.remedies.kinds.git import GitAction
from hfdoctor.remedies.mending import trouble_left
from hfdoctor.remedies.outcome import exit_code, fixed
from hfdoctor.remedies.plan import Choice, Fix, Person
from tests import recorded

from .test_fix import Patient

HEALTHY = diagnose(recorded.build("linux"))


def of(condition: str, outcome: str, explained_by: str | None = None) -> Finding:
    base = next(one for one in HEALTHY.findings if one.condition == condition)
    return msgspec.structs.replace(base, outcome=outcome, explained_by=explained_by)


@pytest.mark.parametrize(
    ("outcome", "explained_by", "becomes", "code"),
    [
        ("pass", None, "nothing", 0),
        ("skip", None, "nothing", 0),
        ("unknown", None, "unknown", 3),
        ("crash", None, "unknown", 3),
        ("skip", "broken-install", "by-hand", 1),
    ],
)
def test_what_was_named_and_does_not_fail(outcome: str, explained_by: str | None, becomes: str, code: int) -> None:
    report = msgspec.structs.replace(HEALTHY, findings=[of("cache-corrupt", outcome, explained_by)])
    lines, findings = _asked_for(report, frozenset({"cache-corrupt"}), yes=True)
    assert not findings and [line.outcome for line in lines] == [becomes]
    assert exit_code(lines) == code


@pytest.mark.parametrize(
    ("after", "explained_by", "helped"),
    [("pass", None, True), ("fail", None, False), ("unknown", None, False), ("skip", "disk-full", False)],
)
def test_only_what_is_seen_to_be_right_counts_as_cured(after: str, explained_by: str | None, helped: bool) -> None:
    before = msgspec.structs.replace(HEALTHY, findings=[of("cache-corrupt", "fail")])
    now = msgspec.structs.replace(HEALTHY, findings=[of("cache-corrupt", after, explained_by)])
    assert (trouble_left("cache-corrupt", before, now) == "") is helped


def test_two_by_hand_of_which_one_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both are said to be done; a second look still finds one: only one counts."""
    one = of("cache-corrupt", "fail")
    before = msgspec.structs.replace(HEALTHY, findings=[one, one])
    after = msgspec.structs.replace(HEALTHY, findings=[one])
    lines = []
    for _ in range(2):
        choice = Choice("move it", False)
        lines.append(fixed(Fix(one, [choice]), "by-hand", "", choice))
    monkeypatch.setattr(fixing, "ask_done", lambda: True)
    monkeypatch.setattr(fixing.Session, "_look_afresh", lambda self, environ, target: (None, after))
    fixing.Session(Look(), Teller("json", False))._guided(Person({}, tmp_path, tmp_path), lines, before)
    assert [line.outcome for line in lines] == ["fixed", "by-hand"]
    assert "a second look still says" in lines[1].reason


def test_the_way_that_is_taken_unasked() -> None:
    finding = of("cache-corrupt", "fail")
    refused, done = Choice("no", True, refused="not here"), Choice("done", True, nothing=True)
    way = Choice("do it", True, actions=[GitAction(git="git", name="core.longpaths", old=None, new="true", home="/h")])
    assert Fix(finding, [refused, way]).first() is way
    assert Fix(finding, [done, way]).first() is None, "what is done already must not be done in another way, too"
    assert Fix(finding, [way, done]).first() is way
    assert Fix(finding, []).first() is None


@pytest.mark.allow_subprocess
def test_a_run_of_the_libraries_is_part_of_both_looks(tmp_path: Path) -> None:
    patient = Patient(tmp_path)
    asked = ["fix", "not-installed", "--dry-run", "--python", str(patient.prefix)]
    (without,) = patient.document(*asked)["fixes"]
    assert without["outcome"] == "nothing"
    (ran,) = patient.document(*asked, "--smoke", "import")["fixes"]
    assert ran["outcome"] in ("refused", "planned") and "torch" in ran["summary"]

    look = Look(str(patient.prefix), timeout_s=60.0, smoke="import")
    again = observe_afresh(look, patient.environ, tmp_path)
    assert "torch" in [stage.subject for stage in again.smoke.failed()]
    assert not observe_afresh(Look(sys.executable), patient.environ, tmp_path).smoke.stages.known


def test_a_look_is_spelled_as_check_takes_it() -> None:
    assert Look("/v", timeout_s=60.0, online=True).words() == [
        "snapshot",
        "--timeout",
        "60",
        "--python",
        "/v",
        "--online",
    ]
    words = Look(deep=True, timeout_s=1800.0, smoke="model", local_model="/m").words()
    assert words[:3] == ["check", "--smoke", "model"] and "--with-facts" in words and words[-1] == "--deep"
