"""The journal: what was written is read again or refused, never something else; nothing is lost to a full disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hfdoctor.remedies.action import Refused
from hfdoctor.remedies.journal import Journal, Record, Run, Unwritten
from hfdoctor.remedies.kinds.git import GitAction
from hfdoctor.remedies.records import seal

#: (what, action) of a fix that is done, undone and followed by one that was cut short
STORY: list[tuple[str, int]] = [
    *[("start", 0), ("done", 0), ("start", 1), ("done", 1), ("end", 0)],
    *[("undo", 1), ("undone", 1), ("undo", 0), ("undone", 0), ("end", 0)],
]


def actions(count: int = 2) -> list[GitAction]:
    return [GitAction(git="/usr/bin/git", name=f"a.b{n}", old=None, new="한글", home="/home/ana") for n in range(count)]


def written(state: Path) -> Journal:
    """A journal with a run that is done and undone, and one that was cut short in its second action."""
    journal = Journal(state)
    with journal.locked():
        journal.write(Record("begin", run=1, condition="windows-long-path", choice="git", actions=list(actions())))
        for place, (what, action) in enumerate(STORY):
            how = "" if what != "end" else "done" if place < 5 else "undone"
            journal.write(Record(what, run=1, action=action, how=how))  # type: ignore[arg-type]
        journal.write(Record("begin", run=2, condition="hub-settings", actions=list(actions())))
        for what, action in STORY[:3]:
            journal.write(Record(what, run=2, action=action))  # type: ignore[arg-type]
    return journal


def told(journal: Journal) -> bytes:
    return msgspec.json.encode(list(journal.runs.values()))


def prefixes(data: bytes) -> list[bytes]:
    """What a journal tells after each of its lines, from none to all."""
    found = []
    lines = data.splitlines(keepends=True)
    for count in range(len(lines) + 1):
        runs: dict[int, Run] = {}
        for line in lines[1:count]:
            record = msgspec.json.decode(line[9:], type=Record)
            if record.what == "begin":
                runs[record.run] = Run(record.run, record)
            else:
                runs[record.run].take(record)
        found.append(msgspec.json.encode(list(runs.values())))
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    journal = written(tmp_path_factory.mktemp("sound"))
    return journal.path.read_bytes()


def journal_of(folder: Path, data: bytes) -> Journal:
    folder.mkdir(exist_ok=True)
    journal = Journal(folder)
    journal.path.write_bytes(data)
    journal.path.chmod(0o600)
    return journal


def test_what_is_written_is_read(tmp_path: Path) -> None:
    journal = written(tmp_path)
    again = Journal(tmp_path).read()
    assert told(again) == told(journal)
    first, second = again.runs.values()
    assert (first.how, first.open, first.standing, first.can_be_undone) == ("undone", False, [], False)
    assert (second.how, second.open, second.standing, second.can_be_undone) == ("", True, [1, 0], True)
    assert second.done == {0}
    assert [run.number for run in again.open_runs()] == [2]
    assert again.next_number() == 3
    assert second.begin.actions[1].describe()[0].new == "한글"
    assert second.begin.at.endswith("Z")
    assert abs(time.time() - time.mktime(time.strptime(second.begin.at, "%Y-%m-%dT%H:%M:%SZ")) + time.timezone) < 7300


@pytest.mark.skipif(os.name != "posix", reason="Windows keeps a profile private by its own lists")
def test_it_is_private(tmp_path: Path) -> None:
    state = tmp_path / "a" / "b" / "state"
    old = os.umask(0)
    try:
        journal = written(state)
    finally:
        os.umask(old)
    assert [path.stat().st_mode & 0o777 for path in (state, state.parent, journal.path, state / "lock")] == [
        *[0o700, 0o700, 0o600, 0o600]
    ]
    journal.path.chmod(0o644)
    with journal.locked():
        journal.write(Record("begin", run=3))
    assert journal.path.stat().st_mode & 0o777 == 0o600


def test_a_run_is_done_with_its_last_action(tmp_path: Path) -> None:
    """A full disk may leave no room for its end."""
    journal = Journal(tmp_path)
    with journal.locked():
        journal.write(Record("begin", run=1, actions=list(actions())))
        for what, action in STORY[:4]:
            assert journal.runs[1].open
            journal.write(Record(what, run=1, action=action))  # type: ignore[arg-type]
    assert Journal(tmp_path).read().runs[1].how == "done"


def test_reading_after_a_power_cut_at_every_byte(tmp_path: Path, sound: bytes) -> None:
    tells = prefixes(sound)
    for length in range(len(sound)):
        journal = journal_of(tmp_path / "state", sound[:length])
        lines = sound[:length].count(b"\n")
        assert told(journal.read()) == tells[lines], length
        if length % 7 == 0:  # and it goes on from there, without a trace of what was torn
            with journal.locked():
                journal.write(Record("begin", run=9, condition="disk-full", actions=list(actions(1))))
            again = Journal(tmp_path / "state").read()
            assert msgspec.json.decode(told(again))[:-1] == msgspec.json.decode(tells[lines])
            assert again.runs[9].begin.condition == "disk-full"
            assert journal.path.read_bytes().startswith(sound[: sound[:length].rfind(b"\n") + 1])


@pytest.mark.parametrize("zeros", [1, 5, 4096])
def test_a_block_that_did_not_reach_the_disk_is_torn(tmp_path: Path, sound: bytes, zeros: int) -> None:
    """File systems may know the new length and not the new content, in whichever order blocks were written."""
    tells = prefixes(sound)
    lines = sound.splitlines(keepends=True)
    before, last = b"".join(lines[:-1]), lines[-1]
    for tail in (b"\0" * zeros, last[:20] + b"\0" * zeros, last[:9] + b"\0" * (len(last) - 20) + last[-11:]):
        assert told(journal_of(tmp_path / "state", before + tail).read()) == tells[-2]
    assert told(journal_of(tmp_path / "state", b"\0" * zeros).read()) == b"[]"


def test_a_line_whose_end_was_lost_and_that_is_followed_by_another_is_damage(tmp_path: Path, sound: bytes) -> None:
    """It was on the disk before the next one was begun: a zero in place of its end is no power cut."""
    *before, line, last = sound.splitlines(keepends=True)
    with pytest.raises(Refused, match="damaged"):
        journal_of(tmp_path / "state", b"".join(before) + line[:-1] + b"\0" + last).read()


@given(st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_wrong_byte_is_refused_or_torn(tmp_path: Path, sound: bytes, data: st.DataObject) -> None:
    tells = prefixes(sound)
    at = data.draw(st.integers(0, len(sound) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != sound[at]))
    journal = journal_of(tmp_path / "state", sound[:at] + bytes([byte]) + sound[at + 1 :])
    try:
        found = told(journal.read())
    except Refused as refused:
        assert "\n" not in str(refused)
        return
    assert found == tells[-2]
    assert byte == 0 or at == len(sound) - 1, "only what a lost block looks like is taken for torn"


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes) -> None:
    journal = journal_of(tmp_path / "state", data)
    try:
        assert not journal.read().runs
    except Refused as refused:
        assert "\n" not in str(refused)


@pytest.mark.parametrize("how", ["lost", "doubled", "swapped", "edited", "first lost"])
def test_lines_cannot_be_lost_doubled_or_edited(tmp_path: Path, sound: bytes, how: str) -> None:
    lines = sound.splitlines(keepends=True)
    for at in range(1, len(lines) - 2):
        changed = list(lines)
        if how == "lost":
            del changed[at]
        elif how == "doubled":
            changed.insert(at, changed[at])
        elif how == "swapped":
            changed[at], changed[at + 1] = changed[at + 1], changed[at]
        elif how == "edited":
            changed[at] = changed[at].replace(b'"run":1', b'"run":2').replace(b'"run":2,"act', b'"run":1,"act')
            if changed == lines:
                continue
        else:
            changed = changed[at:]
        with pytest.raises(Refused, match="is damaged at line"):
            journal_of(tmp_path / "state", b"".join(changed)).read()


def of_format(name: str) -> bytes:
    return seal(json.dumps({"what": "format", "format": name}).encode(), 0)[0]


def test_a_newer_one_is_refused_and_left_alone(tmp_path: Path, sound: bytes) -> None:
    for data in (
        of_format("hfdoctor.journal/2"),
        b'{"what":"format","format":"hfdoctor.journal/7"}\n{"quite":"different"}\n',
    ):
        journal = journal_of(tmp_path / "state", data)
        with (
            pytest.raises(Refused, match=r"written by another hfdoctor \(format \d, this one knows 1\)"),
            journal.locked(),
        ):
            pytest.fail("it was read")
        assert journal.path.read_bytes() == data


@pytest.mark.parametrize(
    "body",
    [
        b'{"what":"begin","run":3,"actions":[{"kind":"teleport","where":"Mars"}]}',
        b'{"what":"healed","run":1}',
        b'{"what":"start","run":7}',
        b'{"what":"done","run":2,"action":5}',
        b'{"what":"begin","run":2}',
        b'{"what":"format","format":"hfdoctor.journal/1"}',
        b"[]",
        b"{",
    ],
)
def test_what_is_not_known_here_is_refused(tmp_path: Path, sound: bytes, body: bytes) -> None:
    checksum = int(sound.splitlines()[-1][:8], 16)
    journal = journal_of(tmp_path / "state", sound + seal(body, checksum)[0])
    with pytest.raises(Refused, match="is not known here"):
        journal.read()


@pytest.mark.parametrize("text", [b"dear diary", b"dear diary\n", b"\xff\xfe\n", b"\n", b"00000000", b"PK\x03\x04"])
def test_what_is_no_journal_is_never_written_over(tmp_path: Path, text: bytes) -> None:
    journal = journal_of(tmp_path / "state", text)
    if text == b"00000000":  # so may a line begin that was torn
        assert not journal.read().runs
        return
    with pytest.raises(Refused, match="is damaged at line 1"), journal.locked():
        pytest.fail("it was read")
    assert journal.path.read_bytes() == text


def test_nothing_is_written_without_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        Journal(tmp_path).read().write(Record("begin", run=1))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("change", ["longer", "shorter", "gone", "link", "writable by all"])
def test_a_journal_that_changes_under_its_hands_is_left_alone(tmp_path: Path, change: str) -> None:
    journal = written(tmp_path / "state")
    before = journal.path.read_bytes()
    with journal.locked():
        if change == "longer":
            journal.path.write_bytes(before + b"x")
        elif change == "shorter":
            journal.path.write_bytes(before[:-1])
        elif change == "gone":
            journal.path.unlink()
        elif change == "link":
            journal.path.rename(tmp_path / "real")
            journal.path.symlink_to(tmp_path / "real")
        else:
            journal.path.chmod(0o666)
        seen = journal.path.read_bytes() if change != "gone" else b""
        with pytest.raises(Refused):
            journal.write(Record("begin", run=3))
        assert not journal.path.exists() if change == "gone" else journal.path.read_bytes() == seen


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
@pytest.mark.parametrize("what", ["link", "dangling link", "folder", "pipe", "writable by others"])
def test_only_a_file_of_ones_own_is_a_journal(tmp_path: Path, sound: bytes, what: str) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    path = Journal(state).path
    if what.endswith("link"):
        if what == "link":
            (tmp_path / "real").write_bytes(sound)
        path.symlink_to(tmp_path / "real")
    elif what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path.write_bytes(sound)
        path.chmod(0o622)
    with pytest.raises(Refused, match=r"^[^\n]*journal.jsonl[^\n]*$"), Journal(state).locked():
        pytest.fail("it was read")
    assert not (tmp_path / "real").exists() or (tmp_path / "real").read_bytes() == sound


def test_a_name_that_is_no_text_is_refused_and_nothing_written(tmp_path: Path) -> None:
    journal = written(tmp_path)
    before = journal.path.read_bytes()
    with journal.locked(), pytest.raises(Unwritten, match="not Unicode"):
        journal.write(Record("begin", run=3, choice="caf\udce9"))
    assert journal.path.read_bytes() == before


@pytest.mark.allow_subprocess
def test_a_second_hfdoctor_waits_outside(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from hfdoctor.remedies.action import Refused
from hfdoctor.remedies.journal import Journal
try:
    with Journal(Path(sys.argv[1])).locked():
        print("held", flush=True)
        sys.stdin.readline()
except Refused as refused:
    print(refused)
"""
    root = Path(__file__).parent.parent.parent

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
        )

    with start() as first:
        assert first.stdout and first.stdout.readline() == "held\n"
        with start() as second:
            said, _ = second.communicate(timeout=60)
        assert said == "another hfdoctor is changing something for you right now: wait until it is done\n"
        with pytest.raises(Refused, match="another hfdoctor"), Journal(tmp_path).locked():
            pytest.fail("two at once")
        assert not Journal(tmp_path).read().runs  # reading is free
        first.kill()  # and a dead one holds nothing
    with Journal(tmp_path).locked():
        pass


def test_one_process_does_not_hold_it_twice(tmp_path: Path) -> None:
    with Journal(tmp_path).locked(), pytest.raises(Refused, match="another hfdoctor"), Journal(tmp_path).locked():
        pytest.fail("two at once")


def test_ten_thousand_fixes_are_read_quickly(tmp_path: Path) -> None:
    checksum = 0
    lines = []

    def add(record: Record) -> None:
        nonlocal checksum
        line, checksum = seal(msgspec.json.encode(record), checksum)
        lines.append(line)

    add(Record("format", at="2026-11-22T12:00:00Z", format="hfdoctor.journal/1"))
    for run in range(1, 10_001):
        add(Record("begin", at="2026-11-22T12:00:00Z", run=run, condition="hub-settings", actions=list(actions(1))))
        for what in ("start", "done", "end"):
            how = "done" if what == "end" else ""
            add(Record(what, at="2026-11-22T12:00:00Z", run=run, how=how))  # type: ignore[arg-type]
    journal = journal_of(tmp_path / "state", b"".join(lines))
    took = []
    for _ in range(3):
        began = time.process_time()
        journal.read()
        took.append(time.process_time() - began)
    assert len(journal.runs) == 10_000
    assert min(took) < 1.0  # 0.3 on a machine that does nothing else
