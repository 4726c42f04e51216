"""The reader of PE headers: held against pefile, and against bytes that mean no good."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pefile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfdoctor.binaries.elf import Malformed
from hfdoctor.binaries.files import LocalFile
from hfdoctor.binaries.pe import Pe, read_pe

from .made import dll
from .test_elf import MOST, Bytes


def read(path: Path) -> Pe:
    file = LocalFile(str(path))
    try:
        return read_pe(file)
    finally:
        file.close()


def held_against_pefile(path: Path) -> None:
    says = pefile.PE(str(path), fast_load=True)
    says.parse_data_directories(
        [
            pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_IMPORT"],
            pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT"],
        ]
    )
    found = read(path)
    imports = [entry.dll.decode() for entry in getattr(says, "DIRECTORY_ENTRY_IMPORT", [])]
    delayed = [entry.dll.decode() for entry in getattr(says, "DIRECTORY_ENTRY_DELAY_IMPORT", [])]
    assert (found.imports, found.delayed) == (imports, delayed), path
    header = says.OPTIONAL_HEADER
    assert found.linker == (header.MajorLinkerVersion, header.MinorLinkerVersion)
    assert found.machine == says.FILE_HEADER.Machine
    assert not found.truncated


def windows_libraries(winpy: Path) -> list[Path]:
    found = sorted(winpy.parent.rglob("*.dll")) + sorted(winpy.parent.rglob("*.pyd"))
    return [path for path in found if path.read_bytes()[:2] == b"MZ"]


@pytest.mark.wine
def test_says_what_pefile_says_of_the_libraries_of_a_windows_python(winpy: Path) -> None:
    found = windows_libraries(winpy)[:60]
    for path in found:
        held_against_pefile(path)
    assert len(found) > 10


@pytest.mark.parametrize(("machine", "old"), [(0x8664, False), (0x14C, False), (0x14C, True), (0xAA64, False)])
def test_reads_what_is_needed_at_once_and_later(tmp_path: Path, machine: int, old: bool) -> None:
    path = dll(
        tmp_path / "a.dll", ["KERNEL32.dll", "c10.dll"], ["nvcuda.dll"], machine=machine, linker=(14, 44), old_delay=old
    )
    found = read(path)
    assert (found.imports, found.delayed) == (["KERNEL32.dll", "c10.dll"], ["nvcuda.dll"])
    assert (found.machine, found.bits, found.linker) == (machine, 32 if machine == 0x14C else 64, (14, 44))


def test_tells_what_is_cut_off(tmp_path: Path) -> None:
    path = dll(tmp_path / "a.dll", ["b.dll"])
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert read(path).truncated
    path.write_bytes(data[: len(data) - 600])  # all of its only section
    assert read(path).truncated
    for length in range(1, 420, 3):
        path.write_bytes(data[:length])
        try:
            assert read(path).truncated
        except Malformed as error:
            assert error.kind in ("truncated", "foreign", "malformed")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"", "empty"), (b"\x7fELF" + bytes(100), "foreign"), (b"MZ" + bytes(200), "malformed"), (b"MZ", "truncated")],
)
def test_names_what_is_no_library(data: bytes, kind: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_pe(Bytes(data))
    assert caught.value.kind == kind


def _survive(data: bytes) -> None:
    file = Bytes(data)
    with contextlib.suppress(Malformed):
        read_pe(file)
    assert file.taken < MOST


def test_no_flipped_byte_makes_it_fail_or_read_on(tmp_path: Path) -> None:
    data = dll(tmp_path / "a.dll", ["KERNEL32.dll", "c10.dll"], ["nvcuda.dll"]).read_bytes()
    chance = random.Random(3)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] = 0xFF if at % 3 == 0 else damaged[at] ^ 1 << chance.randrange(8)
        _survive(bytes(damaged))
        _survive(data[:at])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    _survive(data)
    _survive(b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + data)
