"""Registry changes on a real registry; see inside.py."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from hfdoctor.conditions.changes import RegistryChange
from hfdoctor.remedies import raw_registry
from hfdoctor.remedies.action import NothingToDo, Refused, Workplace, quiet
from hfdoctor.remedies.journal import Record
from hfdoctor.remedies.kinds.registered import prepare
from hfdoctor.remedies.kinds.registry import RegistryAction, Stored, prepared
from tests.remedies.made import workplace

from . import exports

FILE_SYSTEM = r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem"
DEVELOPER = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\AppModelUnlock"
LONG_PATHS = RegistryChange(FILE_SYSTEM, "LongPathsEnabled", "REG_DWORD", 1)
DEVELOPER_MODE = RegistryChange(DEVELOPER, "AllowDevelopmentWithoutDevLicense", "REG_DWORD", 1)
OURS = r"HKCU\Software\hfdoctor tests"

#: type and bytes of every shape of value, as programs have left them in real registries
SHAPES: dict[str, tuple[int, bytes]] = {
    "number": (4, b"\x01\x00\x00\x00"),
    "number of three bytes": (4, b"\x01\x02\x03"),
    "number of no bytes": (4, b""),
    "big number": (11, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
    "big-endian": (5, b"\x00\x00\x00\x01"),
    "text": (1, "긴 경로\0".encode("utf-16-le")),
    "empty text": (1, b"\0\0"),
    "text of no bytes": (1, b""),
    "text without end": (1, "abc".encode("utf-16-le")),
    "text of odd bytes": (1, b"a\0b"),
    "text with two ends": (1, "a\0b\0\0".encode("utf-16-le")),
    "text that is no Unicode": (1, b"\x00\xd8a\x00\x00\x00"),
    "expanding": (2, "%USERPROFILE%\\x\0".encode("utf-16-le")),
    "expanding without end": (2, "%TEMP%".encode("utf-16-le")),
    "texts": (7, "a\0b\0\0".encode("utf-16-le")),
    "texts without end": (7, "a\0b".encode("utf-16-le")),
    "no texts": (7, b""),
    "bytes": (3, bytes(range(256)) * 80),
    "nothing": (0, b""),
    "nothing, with bytes": (0, b"\x01\x02"),
    "a type of its own": (0x1234, b"\xff\x00\xff"),
}


def place() -> Workplace:
    return workplace(Path(os.environ["TEMP"]), environ=dict(os.environ))


def through_journal(action: Any) -> Any:
    """The action as another process reads it from the journal."""
    line = msgspec.json.encode(Record("begin", run=1, actions=[action]))
    return msgspec.json.decode(line, type=Record).actions[0]


@contextlib.contextmanager
def refused(*words: str) -> Iterator[None]:
    try:
        yield
    except Refused as refusal:
        for word in words:
            assert word in str(refusal), refusal
        assert "\n" not in str(refusal)
    else:
        raise AssertionError("it was not refused")


@contextlib.contextmanager
def nothing_to_do() -> Iterator[None]:
    try:
        yield
    except NothingToDo:
        return
    raise AssertionError("there was something to do")


def applied_and_undone(change: Any, expected: dict[tuple[str, str | None], tuple[object, object]]) -> None:
    """The requirement: exactly the named values, nothing the second time, and all as it was after undo."""
    before = exports.whole()
    action = through_journal(prepare(change, place()))
    assert action.look().state == "before"
    action.apply(quiet)
    assert action.look().state == "after"
    found = exports.changes(before, exports.whole())
    assert found == expected, found
    with nothing_to_do():
        prepare(change, place())
    action.apply(quiet)  # once more, as after a kill
    again = through_journal(action)
    again.undo(quiet)
    assert again.look().state == "before"
    assert exports.changes(before, exports.whole()) == {}
    again.undo(quiet)
    assert again.look().state == "before"


def case_an_export_tells_changes_and_nothing_else() -> None:
    first = exports.whole()
    assert exports.changes(first, exports.whole()) == {}
    assert len(first) > 10_000
    exports.put(OURS, "x", 1, b"")
    assert exports.changes(first, exports.whole()) == {
        (OURS.upper(), None): ("gone", None),
        (OURS.upper(), "x"): ("gone", (1, b"")),
    }
    exports.remove(OURS)


def case_long_paths_from_absent() -> None:
    exports.put(FILE_SYSTEM, "beside", 4, b"\1\0\0\0")
    exports.remove(FILE_SYSTEM, "LongPathsEnabled")
    described = prepare(LONG_PATHS, place()).describe()
    assert [(one.what, one.old, one.new) for one in described] == [
        (rf"{FILE_SYSTEM} LongPathsEnabled", "not set", "1 (REG_DWORD)")
    ]
    applied_and_undone(LONG_PATHS, {(FILE_SYSTEM.upper(), "LongPathsEnabled"): ("gone", (4, b"\1\0\0\0"))})


def case_developer_mode_with_its_key() -> None:
    exports.remove(DEVELOPER)
    on = (4, b"\1\0\0\0")
    applied_and_undone(
        DEVELOPER_MODE,
        {
            (DEVELOPER.upper(), None): ("gone", None),
            (DEVELOPER.upper(), "AllowDevelopmentWithoutDevLicense"): ("gone", on),
        },
    )


def case_every_shape_of_value_is_put_back() -> None:
    for name, (kind, data) in SHAPES.items():
        exports.put(OURS, name, kind, data)
    before = exports.whole()
    actions = []
    for name in SHAPES:
        change = RegistryChange(OURS, name, "REG_QWORD", 7)
        actions.append(through_journal(prepare(change, place())))
        gone = through_journal(prepare(RegistryChange(OURS, name), place()))
        gone.apply(quiet)
        assert gone.look().state == "after", name
        gone.undo(quiet)
        assert gone.look().state == "before", name
    assert exports.whole(OURS) == {at: value for at, value in before.items() if at[0] == OURS}
    for action in actions:
        action.apply(quiet)
        assert action.describe()[0].new == "7 (REG_QWORD)"
    after = exports.changes(before, exports.whole())
    assert after == {(OURS.upper(), name): (shape, (11, b"\7" + b"\0" * 7)) for name, shape in SHAPES.items()}
    for action in actions:
        action.undo(quiet)
    assert exports.changes(before, exports.whole()) == {}
    exports.remove(OURS)


def case_every_shape_can_be_set() -> None:
    """What undo of a removal needs; and what is shown of each is one line that any terminal can print."""
    exports.put(OURS, "beside", 4, b"")
    for name, (kind, data) in SHAPES.items():
        action = through_journal(prepared(OURS, name, Stored(kind, data)))
        action.apply(quiet)
        assert exports.whole(OURS)[OURS, name] == (kind, data), name
        shown = action.describe()[0].new
        assert "\n" not in shown
        assert len(shown) < 200
        shown.encode("utf-8")
    shown = {name: prepared(OURS, name, None).describe()[0].old for name in SHAPES}
    assert shown["number"] == "1 (REG_DWORD)"
    assert shown["number of three bytes"] == "3 bytes 01 02 03 (REG_DWORD)"
    assert shown["text"] == '"긴 경로" (REG_SZ)'
    assert shown["a type of its own"] == "3 bytes ff 00 ff (type 4660)"
    exports.remove(OURS)


def case_keys_go_only_if_they_are_ours_and_empty() -> None:
    exports.put(OURS, "", 1, b"\0\0")
    deep = rf"{OURS}\a\b"
    exports.put(rf"{OURS}\there", "x", 4, b"")
    exports.remove(rf"{OURS}\there", "x")
    before = exports.whole(OURS)
    action = prepare(RegistryChange(deep, "n", "REG_SZ", "v"), place())
    assert isinstance(action, RegistryAction)
    assert action.made == [rf"{OURS}\a", deep]
    action.apply(quiet)
    action.undo(quiet)
    assert exports.whole(OURS) == before
    # somebody puts something beside it in the meantime: that and its keys stay
    action.apply(quiet)
    exports.put(rf"{OURS}\a", "theirs", 4, b"")
    action.undo(quiet)
    assert exports.changes(before, exports.whole(OURS)) == {
        (rf"{OURS}\a".upper(), None): ("gone", None),
        (rf"{OURS}\a".upper(), "theirs"): ("gone", (4, b"")),
    }
    assert action.look().state == "before"
    # an empty key that was there before us stays as well
    there = prepare(RegistryChange(rf"{OURS}\there", "n", "REG_SZ", "v"), place())
    there.apply(quiet)
    there.undo(quiet)
    assert (rf"{OURS}\there", None) in exports.whole(OURS)
    exports.remove(OURS)


def case_killed_between_key_and_value() -> None:
    action = prepare(RegistryChange(rf"{OURS}\a", "n", "REG_SZ", "v"), place())
    exports.put(rf"{OURS}\a", "n", 1, b"")
    exports.remove(rf"{OURS}\a", "n")
    assert action.look().state == "between"
    through_journal(action).undo(quiet)
    assert exports.whole(OURS) == {}
    assert action.look().state == "before"
    exports.put(rf"{OURS}\a", "n", 1, b"")
    exports.remove(rf"{OURS}\a", "n")
    through_journal(action).apply(quiet)
    assert action.look().state == "after"
    action.undo(quiet)
    assert exports.whole(OURS) == {}


def case_changed_by_somebody_else_since() -> None:
    exports.put(OURS, "n", 4, b"\5\0\0\0")
    action = prepare(RegistryChange(OURS, "n", "REG_DWORD", 1), place())
    action.apply(quiet)
    exports.put(OURS, "n", 1, "1\0".encode("utf-16-le"))
    seen = action.look()
    assert seen.state == "other"
    assert [(one.what, one.old, one.new) for one in seen.shows] == [(rf"{OURS} n", "1 (REG_DWORD)", '"1" (REG_SZ)')]
    with refused("somebody else"):
        action.undo(quiet)
    assert exports.whole(OURS)[OURS, "n"] == (1, "1\0".encode("utf-16-le"))
    action.undo(quiet, force=True)
    assert exports.whole(OURS)[OURS, "n"] == (4, b"\5\0\0\0")
    exports.remove(OURS)


def case_the_name_keeps_its_letters() -> None:
    exports.put(OURS, "LongPATHS", 4, b"\0\0\0\0")
    before = exports.whole(OURS)
    for value in (1, None):
        action = prepare(RegistryChange(OURS, "longpaths", "REG_DWORD", value), place())
        assert isinstance(action, RegistryAction)
        assert action.name == "LongPATHS"
        action.apply(quiet)
        action.undo(quiet)
        assert exports.whole(OURS) == before
    exports.remove(OURS)


def case_a_policy_sets_it_back() -> None:
    exports.put(OURS, "n", 4, b"\0\0\0\0")
    action = prepare(RegistryChange(OURS, "n", "REG_DWORD", 1), place())
    real = raw_registry.put

    def overruled(key: str, name: str, value: tuple[int, bytes] | None) -> None:
        real(key, name, value)
        exports.put(OURS, "n", 4, b"\0\0\0\0")

    raw_registry.put = overruled
    try:
        with refused("is 0 (REG_DWORD) again", "policy"):
            action.apply(quiet)
    finally:
        raw_registry.put = real
    exports.remove(OURS)


def case_what_may_not_be_read_or_written() -> None:
    action = prepare(LONG_PATHS, place())
    real = raw_registry.read, raw_registry.may_write

    def denied(key: str, name: str) -> None:
        raise PermissionError(13, "Access is denied", None, 5)

    raw_registry.read = denied  # type: ignore[assignment]
    try:
        with refused("cannot be read", "denied"):
            prepare(LONG_PATHS, place())
        with refused("cannot be read", "denied"):
            action.look()
    finally:
        raw_registry.read = real[0]
    raw_registry.may_write = lambda key: False
    try:
        assert prepare(LONG_PATHS, place()).needs().administrator
        for key in (OURS, r"HKLM\SOFTWARE\Somebody"):  # the first by its own list of rights, the second is not on ours
            with refused("may not be changed by this user"):
                prepare(RegistryChange(key, "n", "REG_DWORD", 1), place())
    finally:
        raw_registry.may_write = real[1]
    assert not prepare(LONG_PATHS, place()).needs().administrator


def case_wishes_that_are_none() -> None:
    for key in ("HKLM", "HKLM\\", r"HKCR\x", r"HKLM\a\..\b", r"HKCU\\x", r"HKEY_LOCAL_MACHINE\x"):
        with refused("is not a key that hfdoctor changes"):
            prepare(RegistryChange(key, "n", "REG_DWORD", 1), place())
    wrong: list[tuple[str, int | str]] = [
        ("REG_DWORD", -1),
        ("REG_DWORD", 1 << 32),
        ("REG_DWORD", "1"),
        ("REG_QWORD", 1 << 64),
        ("REG_SZ", 1),
        ("REG_SZ", "a\0b"),
        ("REG_FANCY", "x"),
    ]
    for kind, value in wrong:
        with refused("is no value of the type"):
            prepare(RegistryChange(OURS, "n", kind, value), place())
    assert exports.whole(OURS) == {}


def case_a_packaged_python_leaves_the_persons_hive_alone() -> None:
    from hfdoctor.remedies.kinds import registry

    assert registry.packaged() is False
    real = registry.packaged
    registry.packaged = lambda: True
    try:
        with refused("Microsoft Store"):
            prepare(RegistryChange(OURS, "n", "REG_DWORD", 1), place())
        prepare(LONG_PATHS, place())  # the machine's hive is the real one
    finally:
        registry.packaged = real
