"""The reader of ELF headers: held against pyelftools on real libraries, and against bytes that mean no good."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
from hypothesis import given, settings
from hypothesis import strategies as st

from hfdoctor.binaries.elf import Elf, Malformed, read_elf
from hfdoctor.binaries.elf_symbols import lacks, needed_symbols
from hfdoctor.binaries.files import LocalFile

from .made import elf

#: bytes that the reader may take from one damaged file
MOST = 4 * 1024 * 1024


class Bytes:
    """A file in memory that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.identity = (0, id(self))
        self.taken = 0

    def read(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        found = self.data[offset : offset + length] if length > 0 else b""
        self.taken += len(found)
        return found

    def close(self) -> None:
        pass


def read(path: Path) -> Elf:
    file = LocalFile(str(path))
    try:
        return read_elf(file)
    finally:
        file.close()


def libraries() -> list[Path]:
    """Real libraries of this machine: Python's own modules and what is in the system's folder."""
    found = sorted(Path(sysconfig.get_config_var("DESTSHARED") or "/nowhere").glob("*.so"))[::6]
    for folder in ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib64"):
        found += [path for path in sorted(Path(folder).glob("lib*.so.*")) if not path.is_symlink()][::9]
    found += [path for name in ("libc.so.6", "libstdc++.so.6") for path in Path("/lib").glob(f"*-linux-gnu/{name}")]
    return found


def as_pyelftools_says(path: Path) -> dict[str, Any]:
    says: dict[str, Any] = {"needed": [], "soname": "", "rpath": None, "runpath": None, "needs": {}, "versions": None}
    with path.open("rb") as handle:
        file = ELFFile(handle)
        says["machine"], says["bits"] = file["e_machine"], file.elfclass
        for segment in file.iter_segments():
            if isinstance(segment, DynamicSegment):
                for tag in segment.iter_tags():
                    if tag.entry.d_tag == "DT_NEEDED":
                        says["needed"].append(tag.needed)
                    elif tag.entry.d_tag in ("DT_SONAME", "DT_RPATH", "DT_RUNPATH"):
                        name = tag.entry.d_tag[3:].lower()
                        says[name] = getattr(tag, name)
        for section in file.iter_sections():
            if isinstance(section, GNUVerNeedSection):
                for version, auxiliaries in section.iter_versions():
                    rows = [entry for entry in auxiliaries if not entry.entry.vna_flags & 2]
                    says["needs"][version.name] = [entry.name for entry in rows]
            if isinstance(section, GNUVerDefSection):
                says["versions"] = {next(iter(names)).name for _, names in section.iter_versions()}
    return says


def held_against_pyelftools(paths: Iterable[Path]) -> int:
    count = 0
    for path in paths:
        says, found = as_pyelftools_says(path), read(path)
        assert found.needed == says["needed"], path
        assert (found.soname, found.rpath, found.runpath) == (says["soname"], says["rpath"], says["runpath"]), path
        assert {name: sorted(rows) for name, rows in found.versions_needed.items()} == {
            name: sorted(rows) for name, rows in says["needs"].items()
        }, path
        assert found.versions == says["versions"], path
        assert not found.truncated, path
        count += 1
    return count


def test_says_what_pyelftools_says_of_the_libraries_here() -> None:
    found = libraries()
    if not found:
        pytest.skip("this machine has no ELF libraries where they are looked for")
    assert held_against_pyelftools(found) == len(found) > 5


@pytest.mark.torch
def test_says_what_pyelftools_says_of_torch(torch_env: Path) -> None:
    site = next(torch_env.glob("lib/python3*/site-packages"))
    assert held_against_pyelftools([*site.glob("torch/lib/*.so*"), *site.glob("torch/_C.*.so")]) > 5


@pytest.mark.parametrize(("bits", "order"), [(64, "<"), (64, ">"), (32, "<"), (32, ">")])
def test_reads_both_widths_and_byte_orders(tmp_path: Path, bits: int, order: str) -> None:
    path = elf(
        tmp_path / "liba.so",
        ["libb.so.1", "libc.so.6"],
        "liba.so.2",
        "/old",
        "$ORIGIN",
        bits=bits,
        order=order,
        machine=22,
    )
    found = read(path)
    assert (found.bits, found.order, found.machine) == (bits, order, 22)
    assert (found.needed, found.soname) == (["libb.so.1", "libc.so.6"], "liba.so.2")
    assert (found.rpath, found.runpath) == ("/old", "$ORIGIN")


def test_tells_what_is_cut_off(tmp_path: Path) -> None:
    whole = elf(tmp_path / "liba.so", ["libb.so"], fill=5000)
    assert not read(whole).truncated
    data = whole.read_bytes()
    short = tmp_path / "short.so"
    short.write_bytes(data[:-1])
    assert read(short).truncated
    for length in range(1, 200):
        short.write_bytes(data[:length])
        try:
            assert read(short).truncated
        except Malformed as error:
            assert error.kind in ("truncated", "foreign")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "foreign"),
        (bytes(100), "foreign"),
        (b"\x7fELF", "truncated"),
        (b"\x7fELF" + b"\x09" * 60, "malformed"),
    ],
)
def test_names_what_is_no_library(data: bytes, kind: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_elf(Bytes(data))
    assert caught.value.kind == kind


def _survive(data: bytes) -> None:
    file = Bytes(data)
    with contextlib.suppress(Malformed):
        read_elf(file)
    with contextlib.suppress(Malformed):
        needed_symbols(file, "libc.so.6")
        lacks(file, ["malloc", "", "x" * 300])
    assert file.taken < MOST


@pytest.fixture(scope="module")
def small() -> bytes:
    """A real library with all that is read: versions needed and provided, hash tables, notes."""
    for path in libraries():
        data = path.read_bytes()
        if len(data) < 400_000 and read(path).versions and read(path).versions_needed:
            return data
    return next(path.read_bytes() for path in libraries())


def test_no_flipped_byte_makes_it_fail_or_read_on(small: bytes) -> None:
    chance = random.Random(7)
    places = list(range(1024)) + [chance.randrange(len(small)) for _ in range(1500)]
    for at in places:
        damaged = bytearray(small)
        damaged[at] ^= 1 << chance.randrange(8)
        if at % 3 == 0:
            damaged[at] = 0xFF
        _survive(bytes(damaged))


def test_no_cut_makes_it_fail(small: bytes) -> None:
    for length in [*range(0, 600, 7), *range(600, len(small), max(1, len(small) // 60))]:
        _survive(small[:length])


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=600), st.integers(0, 3))
def test_no_bytes_make_it_fail(data: bytes, start: int) -> None:
    _survive([b"", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01", b"\x7fELF\x02\x02"][start] + data)


def test_tables_that_lead_in_circles_end(tmp_path: Path) -> None:
    """A table of versions whose steps are tiny and whose count is as large as can be."""
    data = bytearray(elf(tmp_path / "a.so", ["libb.so"], "a", fill=300_000).read_bytes())
    at = data.index(bytes([14, 0, 0, 0, 0, 0, 0, 0]))  # in place of the SONAME: DT_VERNEED into the zeros behind
    data[at : at + 16] = (0x6FFFFFFE).to_bytes(8, "little") + (len(data) - 299_000).to_bytes(8, "little")
    file = Bytes(bytes(data))
    read_elf(file)
    assert file.taken < MOST


@pytest.mark.allow_subprocess
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
@pytest.mark.parametrize("style", ["gnu", "sysv"])
def test_symbols_of_compiled_libraries(tmp_path: Path, style: str) -> None:
    def build(name: str, code: str, *options: str) -> Path:
        source, out = tmp_path / f"{name}.c", tmp_path / name
        source.write_text(code)
        line = ["cc", "-shared", "-fPIC", f"-Wl,--hash-style={style}", "-o", str(out), str(source), *options]
        subprocess.run(line, check=True, cwd=tmp_path)
        return out

    (tmp_path / "b.map").write_text("LIBB_1 { global: *; };")
    new = build(
        "libb.so.1",
        "int old(void){return 1;} int fresh(void){return 2;}",
        "-Wl,--version-script=b.map,-soname,libb.so.1",
    )
    user = build(
        "liba.so",
        "int old(void); int fresh(void); int weak(void) __attribute__((weak)); int a(void)"
        "{return old()+fresh()+(weak?weak():0);}",
        "libb.so.1",
    )
    older = build("older.so", "int old(void){return 1;}", "-Wl,--version-script=b.map,-soname,libb.so.1")
    files = [LocalFile(str(path)) for path in (user, new, older)]
    wanted = needed_symbols(files[0], "libb.so.1")
    assert sorted(wanted) == ["fresh", "old"]
    assert "weak" not in needed_symbols(files[0], "")
    assert lacks(files[1], wanted) == []
    assert lacks(files[2], wanted) == ["fresh"]
    for file in files:
        file.close()
