"""The loader of Windows, played through on trees: names without case, one order of folders, one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfdoctor.binaries.loader_windows import WindowsProcess, torch_folders

from .made import dll
from .windows_tree import WindowsTree

LIB = "C:\\env\\Lib\\site-packages\\torch\\lib"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A drive C: with a System32 and a Python."""
    for name in ("kernel32.dll", "MSVCP140.dll", "ucrtbase.dll"):
        dll(tmp_path / "Windows/System32" / name)
    for name in ("python.exe", "python312.dll", "vcruntime140.dll"):
        dll(tmp_path / "Python312" / name)
    return tmp_path


def lib(root: Path) -> Path:
    return root / "env/Lib/site-packages/torch/lib"


def process(root: Path, *folders: str, path: tuple[str, ...] = (), machine: int = 0) -> WindowsProcess:
    tree = WindowsTree({"C:\\": str(root)})
    return WindowsProcess(tree, "C:\\Python312", (LIB, *folders), "C:\\Windows\\System32", path, machine)


def test_finds_in_the_folders_without_regard_to_case(root: Path) -> None:
    dll(lib(root) / "C10.dll", ["KERNEL32.DLL", "msvcp140.dll", "VCRUNTIME140.dll", "API-MS-WIN-CRT-heap-l1-1-0.dll"])
    dll(lib(root) / "torch_cpu.dll", ["c10.dll", "Python312.dll"])
    here = process(root)
    assert here.load(f"{LIB}\\torch_cpu.dll") == []
    assert {name: library.found_by for name, library in here.loaded.items()} == {
        "torch_cpu.dll": "path",
        "c10.dll": "dll-directory",
        "kernel32.dll": "system32",
        "msvcp140.dll": "system32",
        "vcruntime140.dll": "application",
        "python312.dll": "application",
    }


def test_names_the_dll_that_windows_does_not_name(root: Path) -> None:
    dll(lib(root) / "fbgemm.dll", ["KERNEL32.dll", "libomp140.x86_64.dll"])
    dll(lib(root) / "torch_cpu.dll", ["fbgemm.dll"])
    (flaw,) = process(root, path=("C:\\tools",)).load(f"{LIB}\\torch_cpu.dll")
    assert (flaw.kind, flaw.needs) == ("missing", "libomp140.x86_64.dll")
    assert flaw.library is not None
    assert flaw.library.chain() == ["torch_cpu.dll", "fbgemm.dll"]
    assert flaw.searched == [LIB, "C:\\Python312", "C:\\Windows\\System32", "C:\\tools"]


def test_looks_into_path_last(root: Path) -> None:
    dll(lib(root) / "a.dll", ["libomp140.x86_64.dll"])
    dll(root / "tools/libomp140.x86_64.dll")
    here = process(root, path=("C:\\tools",))
    assert here.load(f"{LIB}\\a.dll") == []
    assert here.loaded["libomp140.x86_64.dll"].found_by == "PATH"


def test_what_is_needed_only_later_is_not_missing(root: Path) -> None:
    dll(lib(root) / "a.dll", ["KERNEL32.dll"], ["nvcuda.dll", "gone.dll"])
    assert process(root).load(f"{LIB}\\a.dll") == []


def test_what_is_loaded_under_a_name_wins(root: Path) -> None:
    dll(lib(root) / "a.dll", ["gone.dll"])
    dll(root / "other/gone.dll")
    here = process(root)
    assert here.load("C:\\other\\gone.dll") == []
    assert here.load(f"{LIB}\\a.dll") == []


@pytest.mark.parametrize(("machine", "says"), [(0xAA64, "arm64, 64 bits"), (0x14C, "x86, 32 bits")])
def test_a_dll_for_another_machine(root: Path, machine: int, says: str) -> None:
    dll(lib(root) / "a.dll", ["c10.dll"])
    dll(lib(root) / "c10.dll", machine=machine)
    (flaw,) = process(root).load(f"{LIB}\\a.dll")
    assert (flaw.kind, flaw.needs, flaw.wanted) == ("wrong-architecture", "c10.dll", says)


def test_a_dll_that_is_cut_off(root: Path) -> None:
    dll(lib(root) / "a.dll", ["c10.dll"])
    path = dll(lib(root) / "c10.dll", ["KERNEL32.dll"])
    path.write_bytes(path.read_bytes()[:700])
    (flaw,) = process(root).load(f"{LIB}\\a.dll")
    assert (flaw.kind, flaw.found) == ("truncated", f"{LIB}\\c10.dll")


def test_without_a_system32_windows_own_names_are_known(tmp_path: Path) -> None:
    dll(lib(tmp_path) / "a.dll", ["KERNEL32.dll", "WS2_32.dll", "ext-ms-win-x.dll", "MSVCP140.dll"])
    flaws = process(tmp_path).load(f"{LIB}\\a.dll")
    assert [flaw.needs for flaw in flaws] == ["MSVCP140.dll"]


def test_a_release_adds_the_folders_that_its_text_names(root: Path) -> None:
    for folder in ("env/Library/bin", "env/bin", "user/Library/bin", "cuda/bin", lib(root).relative_to(root)):
        (root / folder).mkdir(parents=True)
    variables = {"CUDA_PATH_V12_4": "C:\\cuda"}
    torch = LIB.rpartition("\\")[0]
    prefixes = ["C:\\env", "C:\\Python312"]

    def folders(text: str, cuda: str) -> list[str]:
        tree = WindowsTree({"C:\\": str(root)})
        return torch_folders(tree, torch, text, cuda, prefixes, "C:\\user", lambda name: variables.get(name, ""))

    old = [LIB, "C:\\env\\Library\\bin"]
    assert folders("", "") == old
    assert folders("", "12.4") == [*old, "C:\\cuda\\bin"]
    new = [*old, "C:\\user\\Library\\bin", "C:\\env\\bin"]
    assert folders("usebase_path py_root_bin_path", "") == new
    dll(lib(root) / "cudart64_12.dll")
    assert folders("", "12.4") == old
