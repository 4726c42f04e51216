"""Registry.pol: what Group Policy leaves, and what is none."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdoctor.facts.probes import windows_long_paths
from hfdoctor.facts.probes.windows_policy_file import NotAPolicyFile, entries

KEY = "SYSTEM\\CurrentControlSet\\Control\\FileSystem"


def entry(key: str, name: str, kind: int, data: bytes) -> bytes:
    """One entry as Microsoft's page "Registry Policy File Format" writes it."""
    sign = {letter: letter.encode("utf-16-le") for letter in "[;]"}
    parts = [f"{key}\0".encode("utf-16-le"), f"{name}\0".encode("utf-16-le")]
    parts += [struct.pack("<I", kind), struct.pack("<I", len(data)), data]
    return sign["["] + sign[";"].join(parts) + sign["]"]


def policy(*parts: bytes) -> bytes:
    return b"PReg" + struct.pack("<I", 1) + b"".join(parts)


def test_every_entry_is_read() -> None:
    data = policy(
        entry("Software\\A", "한글", 1, "값;]\0".encode("utf-16-le")), entry(KEY, "LongPathsEnabled", 4, b"\1\0\0\0")
    )
    found = list(entries(data))
    assert found[0] == ("Software\\A", "한글", 1, "값;]\0".encode("utf-16-le"))
    assert found[1] == (KEY, "LongPathsEnabled", 4, b"\1\0\0\0")


@pytest.mark.parametrize("number", [0, 1])
def test_the_setting_is_found_whatever_the_case(number: int) -> None:
    data = policy(
        entry("Software\\Policies\\X", "LongPathsEnabled", 4, b"\7\0\0\0"),
        entry(KEY.upper(), "longpathsenabled", 4, struct.pack("<I", number)),
    )
    found = windows_long_paths.in_policy_file(data)
    assert found is not None
    assert (found.type, found.value) == ("REG_DWORD", number)


def test_a_policy_file_without_the_setting() -> None:
    assert windows_long_paths.in_policy_file(policy(entry(KEY, "NtfsDisableCompression", 4, b"\1\0\0\0"))) is None
    assert windows_long_paths.in_policy_file(policy()) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"MZ\x90\0",
        policy(entry(KEY, "LongPathsEnabled", 4, b"\1\0\0\0"))[:-1],
        policy(entry(KEY, "LongPathsEnabled", 4, b"\1\0\0\0")[:-4]),
        policy(b"x" * 40),
        policy("[".encode("utf-16-le") + "no end".encode("utf-16-le")),
    ],
)
def test_what_leaves_the_format_is_said(data: bytes) -> None:
    with pytest.raises(NotAPolicyFile):
        list(entries(data))


@given(st.binary(max_size=200))
def test_any_bytes_end_in_entries_or_in_the_error(data: bytes) -> None:
    for content in (data, policy(data)):
        with contextlib.suppress(NotAPolicyFile):
            list(entries(content))


texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=20)


@given(st.lists(st.tuples(texts, texts, st.integers(0, 11), st.binary(max_size=30)), max_size=5))
def test_what_is_written_is_read_back(wanted: list[tuple[str, str, int, bytes]]) -> None:
    assert list(entries(policy(*(entry(*one) for one in wanted)))) == wanted
