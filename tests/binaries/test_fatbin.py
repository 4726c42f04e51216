"""The architectures in CUDA fat binaries: published libraries by their recorded headers, and hostile ones."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfdoctor.binaries.fatbin import (
    LOOKED_INTO,
    MAX_ENTRIES,
    PARTS_SECTION,
    SECTION,
    judge_targets,
    places_of,
    read_container,
    read_fat_binary,
)
from hfdoctor.binaries.gpu_code import read_library
from hfdoctor.binaries.sections import MAX_READS, NotReadable, Reader, Section

from .built import container, elf, entry, pe, reader
from .sparse import FIXTURES, SparseFile, load

#: what each recorded library was built for, and who says so
EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES / "expected.json").read_text("utf-8"))
CUDA = [name for name, row in EXPECTED.items() if row["kind"] == "cuda"]


def library(*containers: bytes, parts: bytes = b"") -> Reader:
    sections = [(SECTION, b"".join(containers))]
    if parts:
        sections.insert(0, (PARTS_SECTION, parts))
    return reader(elf(sections))


@pytest.mark.parametrize("name", CUDA)
def test_published_libraries(name: str) -> None:
    row = EXPECTED[name]
    read = Reader(SparseFile(load(name)))  # type: ignore[arg-type]
    found = read_library(read, whole=True)
    assert found is not None
    assert found.kind == "cuda"
    assert found.code == row["code"]
    assert found.ptx == row.get("ptx", [])
    assert found.few == row.get("few", [])
    assert found.ptx_isa == row.get("ptx_isa", "")
    assert found.containers == row["containers"]
    assert read.bytes_read < 0.01 * read.size


@pytest.mark.parametrize("name", CUDA)
def test_a_part_of_the_containers_says_the_same(name: str) -> None:
    row = EXPECTED[name]
    read = Reader(SparseFile(load(name)))  # type: ignore[arg-type]
    found = read_library(read)
    assert found is not None
    assert (found.code, found.ptx, found.containers) == (row["code"], row.get("ptx", []), row["containers"])
    assert set(found.few) <= set(row.get("few", []))
    # a header on a page of its own each: what a disk fetches
    pages = row["containers"] + min(row["containers"], LOOKED_INTO) * 12
    assert read.reads < 2 * pages + 60


def test_every_fixture_has_its_truth() -> None:
    names = {path.name.removesuffix(".headers") for path in FIXTURES.glob("*.headers")}
    assert names == {*EXPECTED, "fatbinary-13.5-every-kind"}
    assert all(row["truth"] for row in EXPECTED.values())


def test_the_kinds_that_nvidias_own_tool_writes() -> None:
    read = Reader(SparseFile(load("fatbinary-13.5-every-kind")))  # type: ignore[arg-type]
    (place,) = places_of(read, Section("", 0, read.size))
    found = read_container(read, place)
    kinds = ["75", "90", "90a", "100", "100a", "100f", "103a", "103f", "120f", "120a", "121a", "110f", "88", "87"]
    assert {str(target) for target in found.targets} == {f"{p}_{kind}" for p in ("sm", "compute") for kind in kinds}
    assert found.ptx_version == (9, 0)


def test_a_pe_file() -> None:
    found = read_fat_binary(reader(pe([(".text", b"x" * 99), (SECTION, container(entry(75), entry(86)))])))
    assert found is not None and found.code == ["sm_75", "sm_86"]


def test_no_fat_binary_is_none_and_an_empty_one_too() -> None:
    assert read_fat_binary(reader(elf([(".text", b"x")]))) is None
    assert read_fat_binary(library(bytes(64))) is None


def test_entries_of_other_kinds_are_passed_over() -> None:
    found = read_fat_binary(library(container(entry(80), entry(80, kind=8), entry(0, kind=16))))
    assert found is not None and found.code == ["sm_80"]


def test_containers_need_not_stand_side_by_side() -> None:
    one = container(entry(80, payload=b"\xff" * 61))
    found = read_fat_binary(library(one, bytes(8), one, bytes(4096 * 9), one, bytes(80), one))
    assert found is not None and found.containers == 4


@pytest.mark.parametrize(
    ("containers", "code", "few"),
    [
        ([[75, 80]], ["sm_75", "sm_80"], []),
        # two: what one of them lacks is not in more than half of them
        ([[75, 80], [75, 80, 90]], ["sm_75", "sm_80"], ["sm_90"]),
        ([[80], [80], [80, 90]], ["sm_80"], ["sm_90"]),
        ([[80, 90], [80, 90], [80]], ["sm_80", "sm_90"], []),
        # each kernel for its own chip: none is commoner than the other
        ([[80], [90]], ["sm_80", "sm_90"], []),
        ([[80, 86]] * 4 + [[80, 86, 89]], ["sm_80", "sm_86"], ["sm_89"]),
        ([[80, 86]] * 5, ["sm_80", "sm_86"], []),
        # a library whose attention kernels leave old GPUs out
        ([[75, 80]] * 70 + [[80]] * 30, ["sm_75", "sm_80"], []),
        # and with as many again for one chip alone
        ([[75, 80, 90]] * 70 + [[80, 90]] * 30 + [[90]] * 95, ["sm_75", "sm_80", "sm_90"], []),
        ([[80, 90]] * 50 + [[100]] * 49, ["sm_80", "sm_90"], ["sm_100"]),
        # a build for one chip, of which a few kernels are for another one too
        ([[90]] * 90 + [[90, 100]] * 4, ["sm_90"], ["sm_100"]),
        ([[80, 90]] * 88 + [[80, 90, 100]] * 12, ["sm_80", "sm_90"], ["sm_100"]),
    ],
)
def test_what_only_a_few_containers_have_is_no_support(
    containers: list[list[int]], code: list[str], few: list[str]
) -> None:
    found = read_fat_binary(library(*(container(*map(entry, numbers)) for numbers in containers)))
    assert found is not None
    assert (found.code, found.few) == (code, few)


def test_empty_containers_are_no_support_however_many() -> None:
    full = [container(entry(80, payload=bytes(9000)), entry(86, payload=bytes(9000)))] * 10
    empty = [container(entry(90, flags=0x100011, payload=bytes(64)))] * 10
    found = read_fat_binary(library(*full, *empty))
    assert found is not None
    assert (found.code, found.few) == (["sm_80", "sm_86"], ["sm_90a"])


def test_ptx_is_told_apart_and_says_its_version() -> None:
    found = read_fat_binary(library(container(entry(80), entry(90, kind=1, version=(8, 7)))))
    assert found is not None
    assert (found.code, found.ptx, found.ptx_isa) == (["sm_80"], ["compute_90"], "8.7")


def test_the_ptx_of_a_library_linked_for_the_device_is_in_its_parts() -> None:
    parts = container(entry(80), entry(90, kind=1, version=(8, 4))) * 3
    found = read_fat_binary(library(container(entry(80)), parts=parts))
    assert found is not None
    assert (found.code, found.ptx, found.ptx_isa, found.containers) == (["sm_80"], ["compute_90"], "8.4", 1)
    # a few linked kernels in a library of ordinary ones: their PTX is not that of the others
    found = read_fat_binary(library(container(entry(80)) * 9, parts=parts))
    assert found is not None and found.ptx == []


def test_nothing_at_all_is_judged() -> None:
    assert judge_targets([]).code == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x01" * 64, "stands 01010101 where a fat binary should begin"),
        (container(entry(80)) + b"\x7fELF" + bytes(60), "stands 464c457f where"),
        (container(entry(80))[:-8], "longer than the section"),
        (struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 2**63), "longer than the section"),
        (struct.pack("<IHHQ", 0xBA55ED50, 1, 0, 0), "longer than the section"),
        (container(entry(80)[:40]), "longer than the fat binary"),
        (container(entry(80, header=32)), "longer than the fat binary"),
        (container(entry(5)), "for architecture 5"),
        (container(entry(2**31)), "for architecture 2147483648"),
        (container(*[entry(80, payload=b"")] * (MAX_ENTRIES + 1)), f"more than {MAX_ENTRIES} pieces"),
        (container(entry(80)) + bytes(2 << 20) + container(entry(80)), "only zero bytes"),
        (container(entry(80)) + b"\x50\xed\x55\xba", "longer than the section"),
    ],
)
def test_what_is_damaged_is_said_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(NotReadable, match=says) as raised:
        read_fat_binary(library(data))
    assert "\n" not in str(raised.value)


def test_a_million_empty_containers_end_at_the_bound() -> None:
    read = library(struct.pack("<IHHQ", 0xBA55ED50, 1, 16, 0) * 450_000)
    with pytest.raises(NotReadable, match="more than 200000 fat binaries"):
        read_fat_binary(read)
    assert read.reads <= MAX_READS + 1


@pytest.mark.parametrize("name", ["bitsandbytes-0.50.2-cuda118-so", "bitsandbytes-0.50.2-cuda132-dll"])
def test_bytes_of_real_headers_flipped(name: str) -> None:
    """Every third header byte in turn, with the bits that hurt: the outcome is a list or one line, soon."""
    recorded = load(name)
    honest = Reader(SparseFile(recorded))  # type: ignore[arg-type]
    read_library(honest)
    places = [offset + at for offset, data in recorded.pieces for at in range(len(data))]
    dice = random.Random(3)
    for place in places[::3]:
        check_flipped(recorded, {place: dice.choice([0, 1, 0x7F, 0x80, 0xFF])}, 40 * honest.reads)


@pytest.mark.parametrize("name", EXPECTED)
def test_some_bytes_of_real_headers_flipped_and_the_file_cut_off(name: str) -> None:
    recorded = load(name)
    honest = Reader(SparseFile(recorded))  # type: ignore[arg-type]
    read_library(honest)
    places = [offset + at for offset, data in recorded.pieces for at in range(min(len(data), 4096))]
    dice = random.Random(name)
    for _ in range(60 if len(places) < 50_000 else 8):
        changed = {dice.choice(places): dice.randrange(256) for _ in range(dice.choice([1, 1, 2, 8]))}
        size = dice.choice([None, None, dice.randrange(recorded.size)])
        check_flipped(recorded, changed, 40 * honest.reads + 5000, size)


def check_flipped(recorded: Any, changed: dict[int, int], reads: int, size: int | None = None) -> None:
    read = Reader(SparseFile(recorded, changed, size))  # type: ignore[arg-type]
    try:
        found = read_library(read)
    except NotReadable as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert found is None or all(isinstance(target, str) for target in found.code)
    assert read.reads <= reads
    assert read.bytes_read <= 16 << 20


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 80), st.integers(0, 2**16 - 1), st.integers(0, 2**64 - 1)),
        max_size=6,
    ),
    st.binary(max_size=200),
)
def test_made_up_headers(rows: list[tuple[int, int, int, int]], rest: bytes) -> None:
    data = b""
    for number, length, kind, size in rows:
        piece = bytearray(container(entry(number, kind % 4, payload=b"\xff" * length)))
        struct.pack_into("<Q", piece, 8 if kind % 3 else 24, size if kind % 5 == 0 else length + 64)
        data += piece
    read = library(data + rest)
    try:
        read_fat_binary(read)
    except NotReadable as error:
        assert "\n" not in str(error)
    assert read.reads < 500
