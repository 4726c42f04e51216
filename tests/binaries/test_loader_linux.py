"""The loader of Linux, played through: against trees made for one rule each, and against the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.binaries.files import LocalFiles
from hfdoctor.binaries.ld_cache import Cache
from hfdoctor.binaries.loader_linux import LinuxProcess

from .made import elf

LDCONFIG = shutil.which("ldconfig") or next((path for path in ("/sbin/ldconfig",) if Path(path).exists()), "")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with a Python that needs libc."""
    elf(tmp_path / "usr/bin/python3", ["libc.so.6"], interpreter="/lib64/ld-linux-x86-64.so.2")
    elf(tmp_path / "lib/x86_64-linux-gnu/libc.so.6", soname="libc.so.6")
    return tmp_path


def process(root: Path, **environ: str) -> LinuxProcess:
    return LinuxProcess(LocalFiles(str(root)), "/usr/bin/python3", environ)


def where(process: LinuxProcess, name: str) -> tuple[str, str]:
    library = process.find_loaded(name)
    assert library is not None, [entry.path for entry in process.loaded]
    return library.path, library.found_by


def test_finds_what_the_program_needs(root: Path) -> None:
    assert where(process(root), "libc.so.6") == ("/lib/x86_64-linux-gnu/libc.so.6", "default")


def test_names_what_is_missing_with_who_needs_it(root: Path) -> None:
    elf(root / "t/a.so", ["libb.so"], runpath="$ORIGIN")
    elf(root / "t/libb.so", ["libgone.so.3"])
    (flaw,) = process(root, LD_LIBRARY_PATH="/opt/cuda/lib64").load("/t/a.so")
    assert (flaw.kind, flaw.needs) == ("missing", "libgone.so.3")
    assert flaw.library is not None
    assert flaw.library.chain() == ["a.so", "libb.so"]
    assert flaw.searched[0] == "/opt/cuda/lib64"
    assert "/usr/lib/x86_64-linux-gnu" in flaw.searched


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rpath": "/one"}, ("/one/libx.so", "rpath")),
        ({"runpath": "/one"}, ("/two/libx.so", "LD_LIBRARY_PATH")),
        ({"rpath": "/one", "runpath": "/three"}, ("/two/libx.so", "LD_LIBRARY_PATH")),
        ({}, ("/two/libx.so", "LD_LIBRARY_PATH")),
        ({"rpath": "${ORIGIN}/../one"}, ("/t/../one/libx.so", "rpath")),
        ({"rpath": "/nowhere:$ORIGIN"}, ("/t/libx.so", "rpath")),
        ({"rpath": "/$LIB"}, ("/lib/x86_64-linux-gnu/libx.so", "rpath")),
    ],
)
def test_rpath_comes_before_the_variable_and_runpath_after(
    root: Path, options: dict[str, str], expected: tuple[str, str]
) -> None:
    for folder in ("one", "two", "three", "t", "lib/x86_64-linux-gnu"):
        elf(root / folder / "libx.so")
    elf(root / "t/a.so", ["libx.so"], **options)  # type: ignore[arg-type]
    here = process(root, LD_LIBRARY_PATH="/two")
    assert here.load("/t/a.so") == []
    assert where(here, "libx.so") == expected


def test_rpath_is_inherited_and_runpath_is_not(root: Path) -> None:
    elf(root / "deep/libx.so")
    elf(root / "t/libmid.so", ["libx.so"])
    elf(root / "t/a.so", ["libmid.so"], rpath="/t:/deep")
    elf(root / "t/b.so", ["libmid.so"], runpath="/t:/deep")
    assert process(root).load("/t/a.so") == []
    assert [flaw.needs for flaw in process(root).load("/t/b.so")] == ["libx.so"]


def test_a_library_with_a_runpath_does_not_ask_its_loaders(root: Path) -> None:
    elf(root / "deep/libx.so")
    elf(root / "t/libmid.so", ["libx.so"], runpath="/nowhere")
    elf(root / "t/a.so", ["libmid.so"], rpath="/t:/deep")
    assert [flaw.needs for flaw in process(root).load("/t/a.so")] == ["libx.so"]


def test_the_programs_own_rpath_serves_all(root: Path) -> None:
    """conda's Python is linked like this."""
    elf(root / "usr/bin/python3", ["libc.so.6"], rpath="$ORIGIN/../own", interpreter="/lib64/ld-linux-x86-64.so.2")
    elf(root / "usr/own/libx.so")
    elf(root / "t/a.so", ["libx.so"])
    here = process(root)
    assert here.load("/t/a.so") == []
    assert where(here, "libx.so") == ("/usr/bin/../own/libx.so", "rpath")


def test_what_is_loaded_wins(root: Path) -> None:
    elf(root / "one/libx.so.1", soname="libx.so.1")
    elf(root / "two/libx.so.1", soname="libx.so.1")
    elf(root / "t/first.so", ["libx.so.1"], rpath="/one")
    elf(root / "t/second.so", ["libx.so.1"], rpath="/two")
    here = process(root)
    assert here.load("/t/first.so") == here.load("/t/second.so") == []
    assert where(here, "libx.so.1") == ("/one/libx.so.1", "rpath")


def test_one_file_under_two_names_is_one_library(root: Path) -> None:
    elf(root / "one/libx-1234.so.1", soname="libx.so.1")
    (root / "one/libx.so.1").symlink_to("libx-1234.so.1")
    elf(root / "t/a.so", ["libx-1234.so.1", "libx.so.1"], rpath="/one")
    here = process(root)
    assert here.load("/t/a.so") == []
    assert sum("libx" in library.path for library in here.loaded) == 1


def test_preloaded_libraries_come_first_and_may_lack(root: Path) -> None:
    elf(root / "opt/libx.so.1", soname="libx.so.1")
    elf(root / "t/a.so", ["libx.so.1"])
    here = process(root, LD_PRELOAD="/opt/libx.so.1 /opt/gone.so")
    assert here.flaws == []
    assert here.load("/t/a.so") == []
    assert where(here, "libx.so.1")[0] == "/opt/libx.so.1"


def test_passes_over_libraries_for_other_machines(root: Path) -> None:
    elf(root / "one/libx.so", machine=183)
    elf(root / "two/libx.so")
    elf(root / "t/a.so", ["libx.so"], rpath="/one:/two")
    here = process(root)
    assert here.load("/t/a.so") == []
    assert where(here, "libx.so")[0] == "/two/libx.so"
    (root / "two/libx.so").unlink()
    (flaw,) = process(root).load("/t/a.so")
    assert (flaw.kind, flaw.found, flaw.wanted) == ("wrong-architecture", "/one/libx.so", "aarch64, 64 bits")


@pytest.mark.parametrize(
    ("bits", "machine", "kind", "wanted"),
    [(32, 3, "wrong-class", "i386, 32 bits"), (64, 183, "wrong-architecture", "aarch64, 64 bits")],
)
@pytest.mark.parametrize("length", [None, 64, 100])
def test_of_a_library_for_another_process_only_the_header_counts(
    root: Path, bits: int, machine: int, kind: str, wanted: str, length: int | None
) -> None:
    path = elf(root / "one/libx.so", bits=bits, machine=machine)
    path.write_bytes(path.read_bytes()[:length])
    elf(root / "t/a.so", ["libx.so"], rpath="/one:/two")
    (flaw,) = process(root).load("/t/a.so")
    assert (flaw.kind, flaw.found, flaw.wanted) == (kind, "/one/libx.so", wanted)
    path.write_bytes(path.read_bytes()[:63])
    assert [flaw.kind for flaw in process(root).load("/t/a.so")] == ["truncated"]
    path.write_bytes(elf(root / "whole.so", bits=bits, machine=machine).read_bytes()[:length])
    elf(root / "two/libx.so")
    assert process(root).load("/t/a.so") == []


@pytest.mark.parametrize("damage", [b"", b"version https://git-lfs.github.com/spec/v1", b"\x7fELF\x02"])
def test_a_damaged_library_ends_the_search(root: Path, damage: bytes) -> None:
    elf(root / "two/libx.so")
    (root / "one").mkdir()
    (root / "one/libx.so").write_bytes(damage)
    elf(root / "t/a.so", ["libx.so"], rpath="/one:/two")
    (flaw,) = process(root).load("/t/a.so")
    assert (flaw.kind, flaw.found) == ("truncated", "/one/libx.so")


def test_a_library_that_is_cut_off(root: Path) -> None:
    path = elf(root / "one/libx.so", fill=9000)
    path.write_bytes(path.read_bytes()[:5000])
    elf(root / "t/a.so", ["libx.so"], rpath="/one")
    assert [flaw.kind for flaw in process(root).load("/t/a.so")] == ["truncated"]


def test_a_folder_or_a_pipe_is_no_library(root: Path) -> None:
    (root / "one/libx.so").mkdir(parents=True)
    os.mkfifo(root / "one/liby.so")
    elf(root / "t/a.so", ["libx.so", "liby.so"], rpath="/one")
    assert [flaw.kind for flaw in process(root).load("/t/a.so")] == ["missing", "missing"]


def test_circles_end(root: Path) -> None:
    elf(root / "t/a.so", ["libb.so"], rpath="/t")
    elf(root / "t/libb.so", ["a.so", "libb.so"])
    assert process(root).load("/t/a.so") == []


def test_the_deadline_holds(root: Path) -> None:
    with pytest.raises(TimeoutError):
        LinuxProcess(LocalFiles(str(root)), "/usr/bin/python3", {}, time.monotonic() - 1)


def test_musl_has_an_order_of_its_own(root: Path) -> None:
    elf(root / "usr/bin/python3", ["libc.musl-x86_64.so.1"], interpreter="/lib/ld-musl-x86_64.so.1")
    (root / "etc").mkdir()
    (root / "etc/ld-musl-x86_64.path").write_text("/own/lib\n/more\n")
    elf(root / "more/libz.so.1")
    elf(root / "t/libmid.so", ["libx.so", "libz.so.1", "libpthread.so.0"])
    elf(root / "deep/libx.so")
    elf(root / "t/a.so", ["libmid.so"], runpath="/t:/deep")  # inherited here
    here = process(root)
    assert here.load("/t/a.so") == []
    assert where(here, "libz.so.1") == ("/more/libz.so.1", "default")


@pytest.mark.allow_subprocess
@pytest.mark.skipif(not LDCONFIG, reason="no ldconfig")
@pytest.mark.parametrize("form", ["old", "new", "compat"])
def test_reads_the_caches_that_ldconfig_writes(tmp_path: Path, form: str) -> None:
    cache = tmp_path / "cache"
    made = subprocess.run([LDCONFIG, "-X", "-c", form, "-C", str(cache)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this ldconfig does not write the format: {made.stderr}")
    listed = subprocess.run([LDCONFIG, "-p", "-C", str(cache)], capture_output=True, text=True, check=True).stdout
    says: dict[str, set[str]] = {}
    for line in listed.splitlines()[1:]:
        name, arrow, path = line.strip().partition(" => ")
        if arrow and "hwcap" not in name:
            says.setdefault(name.partition(" ")[0], set()).add(path)
    found = Cache(cache.read_bytes())
    assert len(says) > 20
    for name, paths in says.items():
        assert set(found.files(name)) == paths, name
    assert found.files("libno-such-thing.so.9") == found.files("") == []


@pytest.mark.parametrize("length", [0, 5, 12, 20, 47, 48, 60, 100])
def test_a_broken_cache_has_nothing(length: int) -> None:
    data = b"glibc-ld.so.cache1.1" + b"\xff" * 80
    assert Cache(data[:length]).files("libc.so.6") == []
    assert Cache((b"ld.so-1.7.0\0" + b"\xff" * 80)[:length]).files("libc.so.6") == []


@pytest.mark.allow_subprocess
@pytest.mark.skipif(not (shutil.which("cc") and sys.platform == "linux"), reason="no C compiler")
def test_agrees_with_the_real_loader(tmp_path: Path) -> None:
    """Each library is loaded by a real process too: it must find, or miss, the same."""

    def build(name: str, *options: str, code: str = "") -> Path:
        out = tmp_path / name
        out.parent.mkdir(exist_ok=True)
        (tmp_path / "code.c").write_text(code or "int only;")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(out), str(tmp_path / "code.c"), *options], check=True)
        return out

    keep = "-Wl,--no-as-needed"
    build("one/libx.so.1", "-Wl,-soname,libx.so.1")
    build("two/libx.so.1", "-Wl,-soname,libx.so.1")
    link = str(tmp_path / "one/libx.so.1")
    cases = {
        "rpath": build("t/rpath.so", keep, link, f"-Wl,--disable-new-dtags,-rpath,{tmp_path}/one"),
        "runpath": build("t/runpath.so", keep, link, "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../one"),
        "neither": build("t/neither.so", keep, link),
        "lost": build("t/lost.so", keep, link, f"-Wl,--enable-new-dtags,-rpath,{tmp_path}/three"),
    }
    cases["over"] = build("t/over.so", keep, str(cases["neither"]), f"-Wl,--disable-new-dtags,-rpath,{tmp_path}/one")
    environments = [{}, {"LD_LIBRARY_PATH": f"{tmp_path}/two"}, {"LD_PRELOAD": f"{tmp_path}/two/libx.so.1"}]
    program = os.path.realpath(sys.executable)
    code = "import ctypes,sys\ntry: ctypes.CDLL(sys.argv[1])\nexcept OSError as e: print('E', e)\n"
    code += "print([l.split()[-1] for l in open('/proc/self/maps') if 'libx.so' in l][:1])"
    seen = set()
    for environ in environments:
        for path in cases.values():
            done = subprocess.run([program, "-S", "-c", code, str(path)], capture_output=True, text=True, env=environ)
            here = LinuxProcess(LocalFiles(), program, environ)
            flaws = here.load(str(path))
            library = here.find_loaded("libx.so.1")
            mine = [os.path.realpath(library.path)] if library else []
            assert done.stdout.splitlines()[-1] == str(mine), (path, environ)
            assert ("cannot open shared object file" in done.stdout) == bool(flaws), (path, environ)
            seen.add((bool(flaws), str(mine)))
    assert len(seen) == 3


@pytest.mark.allow_subprocess
@pytest.mark.skipif(not (shutil.which("cc") and sys.platform == "linux"), reason="no C compiler")
@pytest.mark.parametrize(
    "form", ["32 bits", "32 bits, cut", "32 bits, 52 bytes", "other machine", "big-endian", "flipped"]
)
def test_says_of_a_library_for_another_process_what_the_real_loader_says(tmp_path: Path, form: str) -> None:
    """The real loader passes most of them over, whatever else is wrong with them, and takes the next one."""
    program = os.path.realpath(sys.executable)
    if LinuxProcess(LocalFiles(), program, {}).main.elf.kind[:2] != (64, "<"):
        pytest.skip("the interpreter is not one of 64 bits, little-endian")
    (tmp_path / "code.c").write_text("int only;")

    def build(name: str, *options: str) -> Path:
        out = tmp_path / name
        out.parent.mkdir(exist_ok=True)
        command = ["cc", "-shared", "-fPIC", "-nostdlib", "-o", str(out), str(tmp_path / "code.c"), *options]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("the compiler here makes no library of 32 bits")
        return out

    good = build("two/libx.so.1", "-Wl,-soname,libx.so.1")
    needs = build("t/a.so", "-Wl,--no-as-needed", str(good))
    bad = build("one/libx.so.1", "-Wl,-soname,libx.so.1", *(["-m32"] if form.startswith("32 bits") else []))
    whole = bytearray(bad.read_bytes())
    if form == "other machine":
        whole[18:20] = b"\x16\0"  # of another maker, and of this width
    elif form == "big-endian":
        whole[5] = 2
    elif form == "flipped":
        whole[4] = 1
    bad.write_bytes(whole[: {"32 bits, cut": 200, "32 bits, 52 bytes": 52}.get(form)])
    code = "import ctypes,sys; ctypes.CDLL(sys.argv[1])"
    for folders in (["one"], ["one", "two"]):
        environ = {"LD_LIBRARY_PATH": ":".join(f"{tmp_path}/{folder}" for folder in folders)}
        done = subprocess.run([program, "-S", "-c", code, str(needs)], capture_output=True, text=True, env=environ)
        flaws = LinuxProcess(LocalFiles(), program, environ).load(str(needs))
        assert bool(flaws) == bool(done.returncode), done.stderr
        wrong_class = "wrong ELF class: ELFCLASS32" in done.stderr
        assert [flaw.kind == "wrong-class" for flaw in flaws] == [wrong_class] * len(flaws)
        assert [flaw.kind == "truncated" for flaw in flaws] == ["file too short" in done.stderr] * len(flaws)
