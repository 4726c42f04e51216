"""The gfx targets in HIP libraries: plain and compressed offload bundles."""

from __future__ import annotations

import doctest
import json
import random
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfdoctor.binaries import hip
from hfdoctor.binaries.gpu_code import read_library
from hfdoctor.binaries.hip import MAX_BUNDLES, SECTION, HipBundles, read_hip_bundles
from hfdoctor.binaries.sections import NotReadable, Reader
from hfdoctor.binaries.zstd_head import Incomplete, unpack_head

from .built import bundle, elf, pe, reader
from .sparse import FIXTURES, SparseFile, load

EXPECTED: dict[str, dict[str, Any]] = json.loads((FIXTURES / "expected.json").read_text("utf-8"))
HIP = [name for name, row in EXPECTED.items() if row["kind"] == "hip"]
HOST = "host-x86_64-unknown-linux-gnu-"


def ids(*targets: str) -> list[str]:
    return [HOST, *(f"hipv4-amdgcn-amd-amdhsa--{target}" for target in targets)]


def packed(data: bytes, version: int = 2, method: int = 0) -> bytes:
    """A compressed bundle, padded to 4096 bytes."""
    body = zlib.compress(data)
    if version == 1:
        head = struct.pack("<4sHHIQ", b"CCOB", 1, method, len(data), 0)
    elif version == 2:
        head = struct.pack("<4sHHIIQ", b"CCOB", 2, method, len(body) + 24, len(data), 0)
    else:
        head = struct.pack("<4sHHQQQ", b"CCOB", version, method, len(body) + 32, len(data), 0)
    whole = head + body
    return whole + bytes(-len(whole) % 4096)


def read(data: bytes) -> HipBundles | None:
    return read_hip_bundles(reader(elf([(SECTION, data)])))


def test_examples_in_the_docstrings() -> None:
    tried = doctest.testmod(hip)
    assert tried.attempted > 1 and tried.failed == 0


@pytest.mark.parametrize("name", HIP)
def test_published_libraries(name: str) -> None:
    found = read_library(Reader(SparseFile(load(name))))  # type: ignore[arg-type]
    assert found is not None
    assert (found.kind, found.code, found.few) == ("hip", EXPECTED[name]["code"], [])
    assert found.containers == EXPECTED[name]["containers"]


def test_targets_keep_their_features() -> None:
    found = read(bundle(ids("gfx942:sramecc+:xnack-", "gfx11-generic")))
    assert found == HipBundles(["gfx11-generic", "gfx942:sramecc+:xnack-"], [], 1)


def test_a_pe_file() -> None:
    assert read_hip_bundles(reader(pe([(SECTION, bundle(ids("gfx1100")))]))) == HipBundles(["gfx1100"], [], 1)


def test_only_the_host_is_no_gpu_code() -> None:
    assert read(bundle([HOST])) is None
    assert read(bundle(ids("gfx90a"), size=0)) is None
    assert read_hip_bundles(reader(elf([(".text", b"x")]))) is None


def test_what_only_a_few_bundles_have_is_no_support() -> None:
    many = bundle(ids("gfx90a", "gfx942")) * 9 + bundle([HOST]) * 30
    assert read(many + bundle(ids("gfx90a", "gfx942", "gfx950"))) == HipBundles(["gfx90a", "gfx942"], ["gfx950"], 40)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_each_version_of_a_compressed_bundle(version: int) -> None:
    one = packed(bundle(ids("gfx90a", "gfx1100")), version)
    assert read(one + one + packed(bundle(ids("gfx90a", "gfx1100", "gfx1201")), version)) == HipBundles(
        ["gfx1100", "gfx90a"], ["gfx1201"], 3
    )


def test_of_very_many_compressed_bundles_a_part_is_unpacked() -> None:
    found = read(packed(bundle(ids("gfx1030"))) * 500)
    assert found == HipBundles(["gfx1030"], [], 500)


def test_a_table_that_is_longer_than_a_page() -> None:
    many = [f"gfx{number}" for number in range(1000, 1200)]
    found = read(bundle(ids(*many)))
    assert found is not None and found.code == many


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (bytes(8192), "stands 00 00 00 00 where GPU code of HIP should begin"),
        (b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", 2**60), "claims 1152921504606846976 entries"),
        (b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<QQQQ", 1, 0, 2**40, 5) + b"hip-x", "longer than the section"),
        (b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<QQQQ", 1, 0, 0, 2**40), "longer than the section"),
        (b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", 9), "breaks off"),
        (b"CCOB" + struct.pack("<HHII", 2, 1, 2**31, 9), "longer than the section"),
        (b"CCOB" + struct.pack("<HHII", 2, 1, 3, 9) + bytes(99), "longer than the section"),
        (b"CCOB" + struct.pack("<HH", 9, 1) + bytes(99), "not known here: version 9"),
        (packed(bundle(ids("gfx90a")), method=7), "not known here: method 7"),
        (packed(bundle(ids("gfx90a")), method=1), "no zstd frame"),
        (packed(b"something else" * 99), "something else than a bundle"),
        (packed(b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<QQQQ", 2, 0, 0, 9)), "breaks off"),
    ],
)
def test_what_is_damaged_is_said_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(NotReadable, match=says) as raised:
        read(data)
    assert "\n" not in str(raised.value)


def test_too_many_bundles_end_at_the_bound() -> None:
    class Endless(SparseFile):
        """A section of a gigabyte full of empty bundles, made up as it is read."""

        def read(self, size: int = -1) -> bytes:
            if self.at >= 4096:
                one = bundle([])[:64]
                at = self.at % 4096
                self.at += size
                return one.ljust(size + at, b"\0")[at : at + size]
            return super().read(size)

    data = bytearray(elf([(SECTION, b"")]))
    (table_at,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<QQ", data, table_at + 64 + 24, 4096, 1 << 30)
    recorded = type(load(HIP[0]))("", (1 << 30) + 4096, [(0, bytes(data))])
    endless = Reader(Endless(recorded))  # type: ignore[arg-type]
    with pytest.raises(NotReadable, match=f"more than {MAX_BUNDLES} bundles|bytes"):
        read_hip_bundles(endless)
    assert endless.bytes_read <= endless.at_most + 4096


def test_zstd_as_the_library_packs_it() -> None:
    zstandard = pytest.importorskip("zstandard")
    dice = random.Random(5)
    words = [b"gfx942", b"hipv4-amdgcn-amd-amdhsa--", bytes(17), bytes(range(200)), b"e"]
    for round_ in range(120):
        data = b"".join(dice.choice(words) for _ in range(dice.choice([0, 1, 9, 300, 6000])))
        if round_ % 5 == 0:
            data = dice.randbytes(len(data))
        frame = zstandard.ZstdCompressor(level=dice.choice([1, 3, 9, 19])).compress(data).ljust(18, b"\0")
        for wanted in (0, 1, min(len(data), 4096), len(data)):
            assert unpack_head(frame, wanted) == data[:wanted]


@given(st.binary(max_size=400))
def test_no_frame_is_too_odd(data: bytes) -> None:
    try:
        unpack_head(b"\x28\xb5\x2f\xfd" + data, 4096)
    except NotReadable as error:
        assert "\n" not in str(error)


def test_a_frame_that_breaks_off_says_how_much_is_missing() -> None:
    recorded = load(HIP[0])
    frame = next(data for _, data in recorded.pieces if data[:4] == b"CCOB")[24:]
    whole = unpack_head(frame, 2000)
    with pytest.raises(Incomplete) as raised:
        unpack_head(frame[:200], 2000)
    assert unpack_head(frame[: raised.value.needed], 2000) == whole


def test_bytes_of_a_real_frame_flipped() -> None:
    recorded = load(HIP[0])
    frame = next(data for _, data in recorded.pieces if data[:4] == b"CCOB")[24:]
    dice = random.Random(8)
    for _ in range(150):
        changed = bytearray(frame)
        for _ in range(dice.choice([1, 3])):
            changed[dice.randrange(700)] = dice.randrange(256)
        try:
            assert len(unpack_head(bytes(changed), 4096)) <= 4096
        except NotReadable as error:
            assert "\n" not in str(error)
