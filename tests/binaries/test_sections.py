"""Finding a named part of a library."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdoctor.binaries.sections import NotReadable, Reader, named_sections

from .built import elf, pe, reader

WANTED = frozenset({".nv_fatbin", "__nv_relfatbin"})


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_elf_of_each_width_and_byte_order(width: int, order: str) -> None:
    data = elf([(".text", b"t" * 40), (".nv_fatbin", b"fat" * 9), (".nv_fatbinary", b"no")], width, order)
    (found,) = named_sections(reader(data), WANTED)
    assert (found.name, found.size) == (".nv_fatbin", 27)
    assert data[found.offset : found.offset + found.size] == b"fat" * 9


def test_pe_keeps_eight_characters_of_a_name() -> None:
    data = pe([(".text", b"t" * 700), (".nv_fatbin", b"fat" * 9), ("__nv_relfatbin", b"rel")])
    found = named_sections(reader(data), WANTED)
    assert [(section.name, section.size) for section in found] == [(".nv_fatbin", 27), ("__nv_relfatbin", 3)]
    assert data[found[0].offset :].startswith(b"fatfat")


def test_the_size_in_a_pe_file_is_the_real_one_not_that_of_whole_blocks() -> None:
    (found,) = named_sections(reader(pe([(".nv_fatbin", b"f" * 100)], virtual=9000)), WANTED)
    assert found.size == 512
    (found,) = named_sections(reader(pe([(".nv_fatbin", b"f" * 100)], virtual=0)), WANTED)
    assert found.size == 512


def test_a_section_without_bytes_in_the_file_is_none() -> None:
    assert named_sections(reader(elf([(".nv_fatbin", b"x")], kind=8)), WANTED) == []


def test_more_sections_than_the_header_can_count() -> None:
    data = bytearray(elf([(".nv_fatbin", b"fat")]))
    (table_at,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<HH", data, 60, 0, 0xFFFF)
    struct.pack_into("<QI", data, table_at + 32, 3, 2)  # the first entry's size and link
    (found,) = named_sections(reader(bytes(data)), WANTED)
    assert found.size == 3


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (bytes(5000), "zero bytes"),
        (b"#!/bin/sh\n" * 20, "neither an ELF nor a PE file: it begins with 23 21 2f 62"),
        (b"\x7fELF", "breaks off after 4 bytes"),
        (b"\x7fELF\x03\x01" + bytes(60), "kind that is not known"),
        (b"\x7fELF\x02\x01" + bytes(60), "no table of sections"),
        (b"MZ" + bytes(70), "not a library of Windows"),
        (b"MZ", "breaks off"),
        (b"MZ" + b"\xff" * 70, "its headers point at byte"),
    ],
)
def test_what_is_no_library_is_said(data: bytes, says: str) -> None:
    with pytest.raises(NotReadable, match=says):
        named_sections(reader(data), WANTED)


def test_a_file_that_is_cut_off_is_said_to_be() -> None:
    whole = pe([(".nv_fatbin", b"f" * 5000)])
    with pytest.raises(NotReadable, match=r"it is cut off: \.nv_fatbin reaches to byte"):
        named_sections(reader(whole[:2000]), WANTED)
    with pytest.raises(NotReadable, match="it ends at byte 200, and its headers point at"):
        named_sections(reader(elf([(".nv_fatbin", b"f" * 5000)])[:200]), WANTED)


def test_a_table_is_never_larger_than_it_can_be() -> None:
    data = bytearray(elf([(".nv_fatbin", b"fat")]) + bytes(1000))
    struct.pack_into("<HH", data, 58, 0xFFFF, 0xFFFF)
    read = reader(bytes(data))
    with pytest.raises(NotReadable, match="table of sections would have 4294836225 bytes"):
        named_sections(read, WANTED)
    assert read.bytes_read <= 64


def test_the_bound_on_what_is_read_is_held(tmp_path: Path) -> None:
    path = tmp_path / "library.so"
    path.write_bytes(elf([(f".s{index}", b"x") for index in range(300)]))
    with path.open("rb", buffering=0) as file:
        read = Reader(file, at_most=1000)
        with pytest.raises(NotReadable, match="more than 1000 bytes"):
            named_sections(read, WANTED)


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x7fELF\x02\x01", b"\x7fELF\x01\x02", b"MZ"]))
def test_no_bytes_are_too_odd(data: bytes, begin: bytes) -> None:
    read = reader(begin + data)
    try:
        named_sections(read, WANTED)
    except NotReadable as error:
        assert "\n" not in str(error) and str(error)
    assert read.bytes_read <= 4 * 300
