"""A journal of a Windows, read elsewhere; what Windows alone can do is tested there (tests/windows)."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from hfdoctor.conditions.changes import RegistryChange
from hfdoctor.remedies.action import Refused
from hfdoctor.remedies.elevated_child import PREFIXES, may_be_changed
from hfdoctor.remedies.journal import Record
from hfdoctor.remedies.kinds.registered import prepare
from hfdoctor.remedies.kinds.registry import RegistryAction, Stored, words
from hfdoctor.remedies.kinds.variable_windows import MACHINE, PERSON, WindowsVariableAction

from .made import workplace

GONE = RegistryAction(MACHINE, "HF_HUB_OFFLINE", Stored(1, b"1\0"), None, administrator=True)
SET = RegistryAction(
    PERSON, "HF_HOME", Stored(2, "%X%\\모델\0".encode("utf-16-le")), Stored(1, "D:\\hf\0".encode("utf-16-le"))
)


def read_again(action: WindowsVariableAction | RegistryAction) -> WindowsVariableAction | RegistryAction:
    found = msgspec.json.decode(msgspec.json.encode(Record("begin", run=1, actions=[action])), type=Record).actions[0]
    assert isinstance(found, (WindowsVariableAction, RegistryAction))
    return found


def test_the_journal_of_a_windows_is_read_anywhere() -> None:
    for action in (GONE, SET, WindowsVariableAction("HF_HOME", "D:\\hf", [SET, GONE])):
        assert read_again(action) == action
    variable = read_again(WindowsVariableAction("HF_HOME", "D:\\hf", [SET, GONE]))
    assert [(one.what, one.old, one.new) for one in variable.describe()] == [
        ("environment variable HF_HOME", "%X%\\모델", "D:\\hf"),
        ("environment variable of the computer HF_HUB_OFFLINE", "1", "not set"),
    ]
    assert variable.needs().administrator
    assert variable.environ_after({"hf_home": "x", "A": "1"}) == {"A": "1", "HF_HOME": "D:\\hf"}
    taken = WindowsVariableAction("HF_HOME", None, [SET])
    assert taken.environ_after({"Hf_Home": "x", "A": "1"}) == {"A": "1"}


@pytest.mark.skipif(os.name == "nt", reason="the registry is there")
def test_elsewhere_there_is_no_registry(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="registry of Windows, which is not here"):
        prepare(RegistryChange(r"HKCU\Software\x", "n", "REG_DWORD", 1), workplace(tmp_path))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "not set"),
        (Stored(4, b"\1\0\0\0"), "1 (REG_DWORD)"),
        (Stored(4, b"\1"), "1 byte 01 (REG_DWORD)"),
        (Stored(11, b"\xff" * 8), "18446744073709551615 (REG_QWORD)"),
        (Stored(1, "a\0b\0".encode("utf-16-le")), '"a" (REG_SZ)'),
        (Stored(1, "a\n\x1b[2J\0".encode("utf-16-le")), r'"a\n\x1b[2J" (REG_SZ)'),
        (Stored(1, b"\x00\xd8\0\0"), '"?" (REG_SZ)'),
        (Stored(1, ("x" * 500 + "\0").encode("utf-16-le")), f'"{"x" * 120}..." (REG_SZ)'),
        (Stored(7, b""), "0 bytes (REG_MULTI_SZ)"),
        (Stored(99, b"\1" * 100), f"100 bytes {' '.join(['01'] * 30)} ... (type 99)"),
    ],
)
def test_a_value_in_words(value: Stored | None, shown: str) -> None:
    assert words(value) == shown


def test_the_list_of_what_an_administrator_does() -> None:
    assert may_be_changed(MACHINE.lower(), "hf_hub_offline")
    assert not may_be_changed(PERSON, "HF_HUB_OFFLINE")
    for name in ("Path", "PATHEXT", "ComSpec", "windir", "TEMP", "PSModulePath", "OS", ""):
        assert not may_be_changed(MACHINE, name)
    assert all(prefix.isupper() for prefix in PREFIXES)
