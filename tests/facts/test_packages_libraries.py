"""The readers of libraries and of the packages' own modules: made ones, real ones, and anything."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hfdoctor.facts.probes.library_files import read_torch_build, read_transformers_needs
from hfdoctor.facts.probes.native_file import native_problem, read_only_data
from hfdoctor.facts.probes.native_marks import built_with, read_openmp
from hfdoctor.facts.sections.packages import DAMAGE_KINDS

# -- libraries --------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.sampled_from([b"\x7fELF\x02\x01", b"\x7fELF\x01\x02", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b""]),
    st.binary(),
)
@example(b"", b"\x7fELF")
@example(b"MZ", b"\0" * 58 + b"\xff\xff\xff\xff")
@example(b"\xcf\xfa\xed\xfe", b"\xff" * 60)
def test_any_bytes_are_read_as_a_library(tmp_path_factory: pytest.TempPathFactory, magic: bytes, data: bytes) -> None:
    path = tmp_path_factory.mktemp("n") / "x.so"
    path.write_bytes(magic + data)
    assert native_problem(str(path)) in ("", *DAMAGE_KINDS)
    assert built_with(str(path)) in ("", "1", "2")


def test_this_python_s_own_libraries_are_whole(tmp_path: Path) -> None:
    """Every real library at hand is whole; cut anywhere, it is not."""
    import sysconfig

    found = list(Path(sysconfig.get_path("platstdlib")).glob("lib-dynload/*.so"))[:40] or [Path(sys.executable)]
    for path in found:
        assert native_problem(str(path)) == ""
        data = path.read_bytes()
        for part in (0.2, 0.9, 0.999):
            (tmp_path / "x.so").write_bytes(data[: int(len(data) * part)])
            assert native_problem(str(tmp_path / "x.so")) == "truncated"


def test_the_last_blocks_never_written(tmp_path: Path) -> None:
    library = bytearray(elf(b"some text\0"))
    table_at = struct.unpack_from("<Q", library, 40)[0]
    library[table_at:] = bytes(len(library) - table_at)
    (tmp_path / "x.so").write_bytes(library)
    assert native_problem(str(tmp_path / "x.so")) == "zeroed"


def elf(text: bytes) -> bytes:
    """A 64-bit ELF file with one loaded segment and a .rodata section that holds ``text``."""
    names = b"\0.rodata\0.shstrtab\0"
    data_at = 64 + 56
    names_at = data_at + len(text)
    table_at = names_at + len(names)
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, table_at, 0, 64, 56, 1, 64, 3, 2)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, names_at, names_at, 4096)
    sections = bytes(64)
    sections += struct.pack("<IIQQQQIIQQ", 1, 1, 2, 0, data_at, len(text), 0, 0, 1, 0)
    sections += struct.pack("<IIQQQQIIQQ", 9, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    return head + segment + text + names + sections


def pe(text: bytes) -> bytes:
    """A PE file with one section, .rdata."""
    head = b"MZ" + bytes(58) + struct.pack("<I", 64)
    at = 64 + 24 + 40
    head += b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 0, 0x2022)
    head += b".rdata\0\0" + struct.pack("<IIIIIIHHI", len(text), 0, len(text), at, 0, 0, 0, 0, 0)
    return head + text


def macho(text: bytes) -> bytes:
    """A 64-bit Mach-O file with one segment and its __cstring section."""
    at = 32 + 72 + 80
    command = struct.pack("<II16sQQQQIIII", 0x19, 152, b"__TEXT", 0, 0, 0, at + len(text), 5, 5, 1, 0)
    command += struct.pack("<16s16sQQIIIIIIII", b"__cstring", b"__TEXT", 0, len(text), at, 0, 0, 0, 0, 0, 0, 0)
    return struct.pack("<IIIIIIII", 0xFEEDFACF, 0x100000C, 0, 6, 1, len(command), 0, 0) + command + text


@pytest.mark.parametrize("make", [elf, pe, macho])
@pytest.mark.parametrize(
    ("text", "built"),
    [
        (b"x\0numpy._core._multiarray_umath\0numpy.core._multiarray_umath\0", "2"),
        (b"numpy.core._multiarray_umath\0", "1"),
        (b"numpy.core._multiarray_umath_tests\0", ""),
        (b"nothing\0", ""),
    ],
)
def test_numpy_s_generation(make, text: bytes, built: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "library"
    path.write_bytes(make(text))
    assert native_problem(str(path)) == ""
    with path.open("rb") as file:
        part = read_only_data(file)
    assert part is not None
    assert path.read_bytes()[part[0] : sum(part)] == text
    assert built_with(str(path)) == built
    path.write_bytes(make(text)[:-1])
    assert native_problem(str(path)) == "truncated"


def test_copies_of_openmp(tmp_path: Path) -> None:
    site, prefix = tmp_path / "site", tmp_path / "conda"
    for name in (
        "site/torch/lib/libiomp5md.dll",
        "site/torch/lib/libiompstubs5md.dll",
        "site/torch/lib/libgomp-a34b3233.so.1",
        "site/scikit_learn.libs/libgomp-d22c30c5.so.1.0.0",
        "site/sklearn/.dylibs/libomp.dylib",
        "site/notes/libomp.dylib",
        "conda/Library/bin/libiomp5md.dll",
        "conda/Library/bin/mkl_intel_thread.2.dll",
        "conda/Library/bin/mkl_rt.2.dll",
        "conda/lib/libompcompiler.so",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = {(one.family, one.package) for one in read_openmp([str(site)], str(prefix))}
    assert found == {
        ("intel", "torch"),
        ("gnu", "torch"),
        ("gnu", "scikit_learn"),
        ("llvm", "sklearn"),
        ("intel", "Library/bin"),
        ("mkl", "Library/bin"),
    }


# -- the packages' own modules ----------------------------------------------------------------------------------------


def test_torch_build(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("raise SystemExit('never executed')")
    assert read_torch_build([str(tmp_path)]).status == "failed"
    for text, version, cuda, hip, debug in [
        (
            "__version__ = '2.15.0+cu132'\ndebug = False\ncuda: Optional[str] = '13.2'\nhip: Optional[str] = None\n",
            "2.15.0+cu132",
            "13.2",
            "",
            False,
        ),
        (
            "__version__ = '1.8.0'\r\ndebug = True\r\ncuda = None\r\nhip = '6.4.43482'\r\n",
            "1.8.0",
            "",
            "6.4.43482",
            True,
        ),
    ]:
        (tmp_path / "torch/version.py").write_bytes(text.encode())
        build = read_torch_build([str(tmp_path / "no"), str(tmp_path)]).need()
        assert (build.version, build.cuda, build.hip, build.debug) == (version, cuda, hip, debug)
    for text in ("", "\0" * 50, "__version__ = compute()\n"):
        (tmp_path / "torch/version.py").write_text(text)
        assert read_torch_build([str(tmp_path)]).status == "failed"
    assert read_torch_build([str(tmp_path / "no")]).absent


GATE = 'logger.warning_once(f"Disabling PyTorch because PyTorch >= 2.6 is required but found {torch_version}")\n'


@pytest.mark.parametrize(
    ("gate", "wish", "minimum", "source"),
    [
        (GATE, "torch>=2.2", "2.6", "import_utils.py"),
        ("", "torch>=2.0", "2.0", "dependency_versions_table.py"),
        ("", "torch", "", ""),
    ],
)
def test_transformers_needs(gate: str, wish: str, minimum: str, source: str, tmp_path: Path) -> None:
    package = tmp_path / "transformers"
    (package / "utils").mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "5.23.0"\n')
    (package / "utils/import_utils.py").write_text(gate)
    (package / "dependency_versions_table.py").write_text(
        f'deps = {{\n    "torch": "{wish}",\n    "tqdm": "tqdm>=4.27",\n}}\n'
    )
    (package / "dependency_versions_check.py").write_text(
        'pkgs_to_check_at_runtime = [\n    "python",\n    "tqdm",\n]\n'
    )
    needs = read_transformers_needs([str(tmp_path)], "").need()
    assert (needs.version, needs.minimum_torch) == ("5.23.0", minimum)
    assert needs.minimum_torch_source.endswith(source)
    assert needs.table["tqdm"] == "tqdm>=4.27"
    assert needs.checked_at_import == ["python", "tqdm"]


def test_transformers_of_old_wrote_the_names_in_one_string(tmp_path: Path) -> None:
    package = tmp_path / "transformers"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "dependency_versions_table.py").write_text("deps = {}\n")
    (package / "dependency_versions_check.py").write_text('pkgs_to_check_at_runtime = "python tqdm regex".split()\n')
    assert read_transformers_needs([str(tmp_path)], "4.30.2").need().checked_at_import == ["python", "tqdm", "regex"]
