"""Snapshots: in and out, foreign files, masking."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Report
from hfdoctor.facts.anonymise import anonymise
from hfdoctor.facts.fact import Fact, FactMissing, absent, failed, from_error, known
from hfdoctor.facts.snapshot import Snapshot, SnapshotError, dump, load
from hfdoctor.facts.walk import walk_facts
from hfdoctor.reports.json import render
from tests import recorded


@pytest.fixture(scope="module")
def machines() -> dict[str, tuple[Snapshot, Report]]:
    """All recorded machines and what is said of them."""
    snapshots = {name: recorded.load(name) for name in recorded.names()}
    return {name: (snapshot, diagnose(snapshot)) for name, snapshot in snapshots.items()}


def test_round_trip_and_replay_are_equal(machines: dict[str, tuple[Snapshot, Report]]) -> None:
    for name, (snapshot, report) in machines.items():
        again = load(dump(snapshot))
        assert again == snapshot, name
        # as bytes: equal snapshots may still differ in what is 1 and what 1.0, and in the order of keys
        assert render(diagnose(again)) == render(report), name


def test_a_report_with_facts_is_a_snapshot_too() -> None:
    snapshot = recorded.build("linux")
    report = diagnose(snapshot)
    report.snapshot = snapshot
    assert load(render(report).encode()) == snapshot


def test_names_that_are_not_unicode_survive() -> None:
    snapshot = Snapshot()
    snapshot.machine.home = known("/home/\udcff\udcfe/김철수")
    assert load(dump(snapshot)).machine.home.value == "/home/\udcff\udcfe/김철수"
    assert dump(snapshot).isascii()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1, 2", "not JSON"),
        (b"[1, 2]", "not a snapshot"),
        (b"{}", "not a snapshot"),
        (b'{"schema": 5}', "not a snapshot"),
        (b'{"schema": "hfdoctor.snapshot/9"}', "reads hfdoctor.snapshot/1"),
        (b'{"schema": "hfdoctor.report/1"}', "--with-facts"),
        (b'{"schema": "hfdoctor.snapshot/1", "machine": {"os": 7}}', "cannot be read"),
        (b"[" * 200_000, "not JSON"),
    ],
)
def test_foreign_files(data: bytes, says: str) -> None:
    with pytest.raises(SnapshotError, match=says):
        load(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_crash_it(data: bytes) -> None:
    with pytest.raises(SnapshotError):
        load(data)


def test_truncated_snapshots() -> None:
    whole = dump(recorded.build("linux"))
    for cut in range(0, len(whole) - 2, max(1, len(whole) // 200)):
        with pytest.raises(SnapshotError):
            load(whole[:cut])


def test_paths_of_facts_are_unique() -> None:
    paths = [path for path, _ in walk_facts(recorded.build("linux"))]
    assert len(paths) == len(set(paths))


def test_masking_keeps_lengths_and_findings(machines: dict[str, tuple[Snapshot, Report]]) -> None:
    for name, (snapshot, report) in machines.items():
        before = [(f.condition, f.outcome, f.severity) for f in report.findings]
        masked = diagnose(anonymise(snapshot))
        assert [(f.condition, f.outcome, f.severity) for f in masked.findings] == before, name


def test_masking_hides_the_name_and_only_the_name() -> None:
    snapshot = Snapshot()
    snapshot.machine.home = known("/home/ana")
    snapshot.machine.cwd = known("/home/ana/banana/ana-project/ana")
    masked = anonymise(snapshot, ["host7"])
    assert masked.machine.home.value == "/home/xxx"
    assert masked.machine.cwd.value == "/home/xxx/banana/ana-project/xxx"


def test_masking_hides_it_in_the_whole_document() -> None:
    masked = dump(anonymise(recorded.build("linux"))).decode()
    assert "/home/ana/" not in masked and '/home/ana"' not in masked


def test_fact_accessors() -> None:
    assert known(3).need() == 3
    assert absent("gone").or_absent() is None
    assert known(3).or_absent() == 3
    assert failed("no").maybe() is None
    for fact in (absent("x"), failed("x"), Fact()):
        with pytest.raises(FactMissing):
            fact.need()
    with pytest.raises(FactMissing):
        failed("x").or_absent()
    assert from_error(PermissionError("x")).status == "denied"
    assert from_error(TimeoutError("x")).status == "timeout"
    assert from_error(ValueError("x")).status == "failed"
