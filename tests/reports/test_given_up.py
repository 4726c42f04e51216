"""What was not observed to the end is told, with its reason: exit code 3 must not be a riddle."""

from __future__ import annotations

import msgspec

from hfdoctor.conditions.engine import diagnose
from hfdoctor.facts.snapshot import ProbeRun
from hfdoctor.reports.text import given_up_lines
from tests import recorded


def test_what_was_given_up_is_told_by_its_reason() -> None:
    snapshot = recorded.build("linux")
    report = diagnose(snapshot)
    assert report.given_up is msgspec.UNSET and given_up_lines(report, 80) == []
    crash = "the probe crashed: KeyError: 'x'"
    snapshot.probes = {
        "machine": ProbeRun(0.1),
        "hub": ProbeRun(20.2, "deadline"),
        "gpu": ProbeRun(0.0, "crash", crash),
        "native": ProbeRun(0.0, "crash", crash),
    }
    report = diagnose(snapshot)
    assert report.exit_code == 3
    assert report.given_up == {"hub": "no answer within 20 s", "gpu": crash, "native": crash}
    told = " ".join(given_up_lines(report, 80))
    assert told == f"Not looked at to the end: hub (no answer within 20 s); gpu, native ({crash})."
    assert max(len(line) for line in given_up_lines(report, 40)) <= 40
