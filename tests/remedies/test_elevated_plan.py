"""What the elevated child accepts: its own plan, and nothing that differs from it by a letter."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from hfdoctor.remedies import elevated_child
from hfdoctor.remedies.elevated_child import NOT_AS_RECORDED, NOT_PUT_BACK, NOT_WRITTEN, NotAccepted, Plan, accepted

NOW = 1_800_000_000.0
OWNER = "S-1-5-21-1-2-3-1001"
NONCE = "0123456789abcdef"
FILE_SYSTEM, LONG_PATHS = elevated_child.SWITCHES[0]
DEVELOPER = elevated_child.SWITCHES[1][0]

Document = dict[str, Any]


def raw(kind: int, data: bytes) -> Document:
    return {"type": kind, "data": base64.b64encode(data).decode()}


ON = raw(4, b"\1\0\0\0")


def value(key: str = FILE_SYSTEM, name: str = LONG_PATHS, old: Any = None, new: Any = ON, **more: Any) -> Document:
    return {"kind": "registry", "key": key, "name": name, "old": old, "new": new, "made": [], **more}


def plan(*values: Any, **more: Any) -> Document:
    return {
        "format": elevated_child.FORMAT,
        "nonce": NONCE,
        "made": NOW - 30,
        "owner": OWNER,
        "direction": "apply",
        "force": False,
        "values": list(values) or [value()],
        **more,
    }


def ask(document: Any, *, owner: str = OWNER, nonce: str = NONCE, now: float = NOW) -> Plan:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return accepted(data, hashlib.sha256(data).hexdigest(), nonce, owner, now)


def variable(name: str, **more: Any) -> Document:
    return value(elevated_child.VARIABLES, name, raw(1, b"1\0\0\0"), None, **more)


def test_its_own_plan_is_accepted() -> None:
    apply = ask(plan(value(), value(DEVELOPER, "AllowDevelopmentWithoutDevLicense"), variable("HF_HUB_OFFLINE")))
    assert [(one.now, one.then) for one in apply.values] == [
        (None, (4, b"\1\0\0\0")),
        (None, (4, b"\1\0\0\0")),
        ((1, b"1\0\0\0"), None),
    ]
    # whatever was there comes back with undo
    old = raw(0x1234, b"\xff\0\xff")
    undo = ask(plan(value(old=old), direction="undo"))
    assert [(one.now, one.then) for one in undo.values] == [((4, b"\1\0\0\0"), (0x1234, b"\xff\0\xff"))]
    assert undo.undo
    assert ask(plan(made=NOW + 59)).values  # clocks differ a little
    assert ask(plan(value(DEVELOPER, "AllowDevelopmentWithoutDevLicense", made=[DEVELOPER]))).values[0].made


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([], "version"),
        (plan(format="hfdoctor.elevated/2"), "version"),
        (plan(more=1), "more or less"),
        ({name: part for name, part in plan().items() if name != "force"}, "more or less"),
        (plan(nonce="another"), "another name"),
        (plan(owner="S-1-5-21-1-2-3-1002"), "somebody else"),
        (plan(made=NOW - 601), "too old"),
        (plan(made=NOW + 61), "too old"),
        (plan(made=float("nan")), "too old"),
        (plan(made=True), "too old"),
        (plan(made=10**400), "too old"),
        (plan(made=1e400), "too old"),
        (plan(made="now"), "too old"),
        (plan(direction="sideways"), "direction"),
        (plan(force=1), "direction"),
        (plan(values=[]), "no values"),
        (plan(values={}), "no values"),
        (plan(*[value()] * 33), "no values"),
        (plan(value(), value(FILE_SYSTEM.upper(), LONG_PATHS.lower())), "twice"),
        (plan("LongPathsEnabled"), "more or less"),
        (plan(value(more=1)), "more or less"),
        (plan(value(kind="command")), "something else"),
        (plan(value(key=["HKLM"])), "something else"),
        (plan(value(name=None)), "something else"),
        (plan(value(key=rf"{FILE_SYSTEM}\..\Lsa")), "not on the list"),
        (plan(value(key=rf"{FILE_SYSTEM}\\")), "not on the list"),
        (plan(value(key=FILE_SYSTEM.replace("HKLM", "HKCU"))), "not on the list"),
        (plan(value(key=r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Run")), "not on the list"),
        (plan(value(name="LongPathsEnabled\0")), "not on the list"),
        (plan(value(name="NtfsDisable8dot3NameCreation")), "not on the list"),
        (plan(value(DEVELOPER, LONG_PATHS)), "not on the list"),
        (plan(variable("PATH")), "not on the list"),
        (plan(variable("ComSpec")), "not on the list"),
        (plan(variable("HF_HOME;PATH")), "not on the list"),
        (plan(variable("HF_홈")), "not on the list"),
        (plan(variable("HF_HOME") | {"new": raw(1, b"x\0\0\0")}), "only taken away"),
        (plan(variable("HF_HOME") | {"new": raw(1, b"x\0\0\0")}, direction="undo"), "only taken away"),
        (plan(value(new=raw(4, b"\2\0\0\0"))), "on or off"),
        (plan(value(new=raw(1, b"\1\0\0\0"))), "on or off"),
        (plan(value(new=raw(4, b"\1"))), "on or off"),
        (plan(value(made=[r"HKLM\SOFTWARE\Somebody"])), "not above"),
        (plan(value(made="HKLM")), "not above"),
        (plan(value(made=["HKLM"])), "not above"),
        (plan(value(old={"type": 4})), "no bytes"),
        (plan(value(old="1")), "no bytes"),
        (plan(value(old=raw(-1, b""))), "no bytes"),
        (plan(value(old={"type": True, "data": ""})), "no bytes"),
        (plan(value(old={"type": 4, "data": "?"})), "no bytes"),
        (plan(value(old={"type": 4, "data": 1})), "no bytes"),
        (plan(value(old=raw(3, b"x" * 32769))), "too large"),
    ],
)
def test_anything_else_is_not(document: Any, says: str) -> None:
    with pytest.raises(NotAccepted, match=says):
        ask(document)


def test_a_letter_changed_by_hand() -> None:
    data = json.dumps(plan()).encode()
    sha256 = hashlib.sha256(data).hexdigest()
    assert accepted(data, sha256, NONCE, OWNER, NOW).values
    for changed in (data + b" ", data.replace(b'"force": false', b'"force": true '), data.replace(b"Long", b"long")):
        with pytest.raises(NotAccepted, match="asked for"):
            accepted(changed, sha256, NONCE, OWNER, NOW)
    for other in ("", "0" * 64, sha256.upper()):
        with pytest.raises(NotAccepted, match="asked for"):
            accepted(data, other, NONCE, OWNER, NOW)
    for nonce, owner in (("", OWNER), (NONCE, "")):
        with pytest.raises(NotAccepted):
            accepted(data, sha256, nonce, owner, NOW)


class Registry:
    """Values in a dictionary; ``breaks`` may raise before one is written."""

    def __init__(self, values: dict[str, Any], breaks: Callable[[str, Any], None] = lambda name, value: None) -> None:
        self.values = values
        self.breaks = breaks
        self.cleared: list[str] = []

    def read(self, key: str, name: str) -> Any:
        return self.values.get(name)

    def put(self, key: str, name: str, value: Any) -> None:
        self.breaks(name, value)
        if value is None:
            self.values.pop(name, None)
        else:
            self.values[name] = value

    def remove_if_empty(self, key: str) -> None:
        self.cleared.append(key)


def three() -> Plan:
    return ask(plan(value(), variable("HF_HUB_OFFLINE"), variable("HF_HOME")))


BEFORE = {"HF_HUB_OFFLINE": (1, b"1\0\0\0"), "HF_HOME": (1, b"1\0\0\0")}


def test_all_values_or_none() -> None:
    done = Registry(dict(BEFORE))
    assert elevated_child.carry_out(three(), done) == 0
    assert done.values == {LONG_PATHS: (4, b"\1\0\0\0")}
    assert elevated_child.carry_out(three(), done) == 0  # twice changes nothing

    def broken(name: str, value: Any) -> None:
        if name == "HF_HOME":
            raise PermissionError(13, "denied")

    halfway = Registry(dict(BEFORE), broken)
    assert elevated_child.carry_out(three(), halfway) == NOT_WRITTEN
    assert halfway.values == BEFORE

    def broken_both_ways(name: str, value: Any) -> None:
        if name == "HF_HOME" or (name == LONG_PATHS and value is None):
            raise PermissionError(13, "denied")

    stuck = Registry(dict(BEFORE), broken_both_ways)
    assert elevated_child.carry_out(three(), stuck) == NOT_PUT_BACK
    assert stuck.values == BEFORE | {LONG_PATHS: (4, b"\1\0\0\0")}


def test_what_somebody_changed_since_stays() -> None:
    theirs = BEFORE | {LONG_PATHS: (4, b"\0\0\0\0")}
    registry = Registry(dict(theirs))
    assert elevated_child.carry_out(three(), registry) == NOT_AS_RECORDED
    assert registry.values == theirs
    forced = ask(plan(value(), force=True))
    assert elevated_child.carry_out(forced, registry) == 0
    assert registry.values[LONG_PATHS] == (4, b"\1\0\0\0")


def test_keys_made_for_a_value_go_with_it() -> None:
    name = "AllowDevelopmentWithoutDevLicense"
    above = DEVELOPER.rpartition("\\")[0]
    made = value(DEVELOPER, name, made=[above, DEVELOPER])
    registry = Registry({})
    assert elevated_child.carry_out(ask(plan(made)), registry) == 0
    assert registry.cleared == []
    assert elevated_child.carry_out(ask(plan(made, direction="undo")), registry) == 0
    assert registry.cleared == [DEVELOPER, above]
    assert registry.values == {}


@pytest.mark.allow_subprocess
def test_the_child_runs_alone() -> None:
    """By its path, without site-packages, in another folder; a command line that is none is not accepted."""
    for words in ([], ["one"], ["one", "two"], [r"\\server\share\plan.json", "0"], ["C:\\gone.json", "0" * 64]):
        command = [sys.executable, "-I", "-S", "-B", elevated_child.__file__, *words]
        ended = subprocess.run(command, cwd="/", capture_output=True, timeout=60, check=False)
        assert ended.returncode == 2, ended.stderr.decode()
        assert b"Traceback" not in ended.stderr
