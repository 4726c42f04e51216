"""What stops an import of torch, told from the libraries' headers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hfdoctor.binaries.files import LocalFiles
from hfdoctor.binaries.linkage import TorchPlaces, Walk, walk_linux
from hfdoctor.binaries.linkage_windows import WindowsPlaces, newest_linker, walk_windows
from hfdoctor.binaries.torch_start import read_ahead

from .made import dll, elf
from .windows_tree import WindowsTree

SITE = "/env/lib/python3.12/site-packages"

#: how torch 2.6 loads NVIDIA's libraries ahead, in its own form and nothing else of it
AHEAD_26 = """
        lib_path = glob.glob(os.path.join(path, lib_folder, "lib", lib_name))
            if "nvidia/cuda_runtime/lib/libcudart.so" not in _maps:
            _preload_cuda_deps("cuda_nvrtc", "libnvrtc.so.*[0-9]")
            _preload_cuda_deps("nvjitlink", "libnvJitLink.so.*[0-9]")
        cuda_libs: _Dict[str, str] = {
            "cuda_runtime": "libcudart.so.*[0-9]",
            "nvjitlink": "libnvJitLink.so.*[0-9]",
            "cusparse": "libcusparse.so.*[0-9]",
        }
"""

AHEAD_215 = """
            os.path.join(path, "nvidia", f"cu{maj_cuda_version}", "lib", lib_name)
    lib_paths = glob.glob(os.path.join(path, lib_folder, "lib", lib_name))
        ("cublas", "libcublasLt.so.*[0-9]"),
        ("cuda_runtime", "libcudart.so.*[0-9]"),
    _preload_cuda_lib("nvtx", "libnvToolsExt.so.*[0-9]", required=False)
            if "libcudart.so" not in _maps:
                return
            _preload_cuda_deps(required=False)
        _preload_cuda_deps(err)
"""

#: torch 2.1: only after a failure
AHEAD_21 = """
        cuda_libs: Dict[str, str] = {
            'cuda_runtime': 'libcudart.so.*[0-9]',
            'cusparse': 'libcusparse.so.*[0-9]',
        }
        for lib_folder, lib_name in cuda_libs.items():
            _preload_cuda_deps(lib_folder, lib_name)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with a CUDA torch in the manner of 2.6: run paths into NVIDIA's wheels."""
    elf(tmp_path / "usr/bin/python3", ["libc.so.6"], interpreter="/lib64/ld-linux-x86-64.so.2")
    elf(tmp_path / "lib/x86_64-linux-gnu/libc.so.6", soname="libc.so.6")
    site = tmp_path / SITE[1:]
    wheels = ":".join(f"$ORIGIN/../../nvidia/{name}/lib" for name in ("cuda_runtime", "cusparse"))
    elf(site / "torch/lib/libtorch_global_deps.so", ["libcudart.so.12"], rpath=wheels)
    elf(site / "torch/_C.cpython-312-x86_64-linux-gnu.so", ["libtorch_python.so"], rpath="$ORIGIN/lib")
    elf(site / "torch/lib/libtorch_python.so", ["libtorch_cuda.so"], "libtorch_python.so", rpath="$ORIGIN")
    elf(site / "torch/lib/libtorch_cuda.so", ["libcudart.so.12", "libcusparse.so.12"], "libtorch_cuda.so", wheels)
    elf(site / "torch/lib/libcaffe2_nvrtc.so", ["libcuda.so.1"])
    elf(site / "nvidia/cuda_runtime/lib/libcudart.so.12", soname="libcudart.so.12")
    elf(site / "nvidia/cuda_nvrtc/lib/libnvrtc.so.12", soname="libnvrtc.so.12")
    elf(
        site / "nvidia/cusparse/lib/libcusparse.so.12",
        ["libnvJitLink.so.12"],
        "libcusparse.so.12",
        runpath="$ORIGIN/../../nvjitlink/lib",
    )
    elf(site / "nvidia/nvjitlink/lib/libnvJitLink.so.12", soname="libnvJitLink.so.12")
    (site / "torch/__init__.py").write_text(AHEAD_26)
    return tmp_path


def walk(root: Path, versions: dict[str, str] | None = None, **environ: str) -> Walk:
    places = TorchPlaces("/usr/bin/python3", f"{SITE}/torch", [SITE], "12.4", "cpython-312")
    return walk_linux(LocalFiles(str(root)), places, environ, lambda path: (versions or {}).get(path, ""))


def where(found: Walk, name: str) -> str:
    return next(library.path for library in found.libraries if library.name == name)


def test_a_healthy_torch_has_no_problem(root: Path) -> None:
    found = walk(root)
    assert found.problems == []
    assert where(found, "libnvJitLink.so.12") == f"{SITE}/nvidia/nvjitlink/lib/libnvJitLink.so.12"


def test_the_drivers_library_is_never_missing(root: Path) -> None:
    elf(root / SITE[1:] / "torch/lib/libtorch_cuda.so", ["libcuda.so.1", "libnvidia-ml.so.1"], "libtorch_cuda.so")
    assert walk(root).problems == []


def test_a_removed_wheel_is_named_with_the_chain(root: Path) -> None:
    shutil.rmtree(root / SITE[1:] / "nvidia/nvjitlink")
    (problem,) = walk(root).problems
    assert (problem.kind, problem.needs) == ("missing", "libnvJitLink.so.12")
    assert problem.library == f"{SITE}/nvidia/cusparse/lib/libcusparse.so.12"
    assert problem.chain[1:] == ["libtorch_python.so", "libtorch_cuda.so", "libcusparse.so.12"]
    assert f"{SITE}/nvidia/nvjitlink/lib" in problem.searched


def test_a_wheel_that_is_loaded_ahead_and_not_there(root: Path) -> None:
    shutil.rmtree(root / SITE[1:] / "nvidia/cuda_runtime")
    (problem,) = walk(root).problems
    assert (problem.kind, problem.needs) == ("missing", "libcudart.so.12")
    assert problem.library == f"{SITE}/torch/lib/libtorch_global_deps.so"


def test_what_no_import_needs_may_be_missing(root: Path) -> None:
    shutil.rmtree(root / SITE[1:] / "nvidia/cuda_nvrtc")
    assert walk(root).problems == []


def test_the_variable_does_not_beat_what_is_loaded_ahead(root: Path) -> None:
    """Since 2.6 torch loads its own nvJitLink first; before that, LD_LIBRARY_PATH came before the run path."""
    elf(root / "cuda/libnvJitLink.so.12", soname="libnvJitLink.so.12", fill=99)
    assert walk(root, LD_LIBRARY_PATH="/cuda").problems == []
    (root / SITE[1:] / "torch/__init__.py").write_text(AHEAD_21)
    (problem,) = walk(root, LD_LIBRARY_PATH="/cuda").problems
    assert (problem.kind, problem.found, problem.found_by) == (
        "shadowed",
        "/cuda/libnvJitLink.so.12",
        "LD_LIBRARY_PATH",
    )
    assert problem.expected == f"{SITE}/nvidia/nvjitlink/lib/libnvJitLink.so.12"


@pytest.mark.parametrize(
    ("version", "problems"), [("12.4.127", 0), ("12.4", 0), ("12.1.105", 1), ("12.40.1", 1), ("", 1)]
)
def test_the_same_version_from_elsewhere_is_no_problem(root: Path, version: str, problems: int) -> None:
    elf(root / "cuda/libnvJitLink.so.12", soname="libnvJitLink.so.12", fill=99)
    (root / SITE[1:] / "torch/__init__.py").write_text(AHEAD_21)
    meant = f"{SITE}/nvidia/nvjitlink/lib/libnvJitLink.so.12"
    versions = {"/cuda/libnvJitLink.so.12": version, meant: "12.4.127"}
    assert len(walk(root, versions, LD_LIBRARY_PATH="/cuda").problems) == problems


def test_an_equal_copy_elsewhere_is_no_problem(root: Path) -> None:
    (root / "cuda").mkdir()
    shutil.copy(root / SITE[1:] / "nvidia/nvjitlink/lib/libnvJitLink.so.12", root / "cuda")
    (root / SITE[1:] / "torch/__init__.py").write_text(AHEAD_21)
    assert walk(root, LD_LIBRARY_PATH="/cuda").problems == []


def test_parts_of_cudnn_from_two_places(root: Path) -> None:
    """cuDNN loads its parts by name while a program runs: LD_LIBRARY_PATH comes before its own folder."""
    site = root / SITE[1:]
    elf(
        site / "torch/lib/libtorch_python.so", ["libcudnn.so.9"], "libtorch_python.so", "$ORIGIN/../../nvidia/cudnn/lib"
    )
    elf(site / "nvidia/cudnn/lib/libcudnn.so.9", soname="libcudnn.so.9", runpath="$ORIGIN")
    elf(site / "nvidia/cudnn/lib/libcudnn_ops.so.9", soname="libcudnn_ops.so.9")
    assert walk(root).problems == []
    elf(root / "cuda/libcudnn_ops.so.9", soname="libcudnn_ops.so.9", fill=7)
    (problem,) = walk(root, LD_LIBRARY_PATH="/cuda").problems
    assert (problem.kind, problem.needs, problem.found) == (
        "shadowed",
        "libcudnn_ops.so.9",
        "/cuda/libcudnn_ops.so.9",
    )


def test_a_library_for_another_processor(root: Path) -> None:
    elf(root / SITE[1:] / "torch/lib/libtorch_cuda.so", soname="libtorch_cuda.so", machine=183)
    (problem,) = walk(root).problems
    assert (problem.kind, problem.wanted) == ("wrong-architecture", "aarch64, 64 bits")


def test_releases_load_ahead_as_their_text_says() -> None:
    old, middle, new = (read_ahead(text, "12.4") for text in (AHEAD_21, AHEAD_26, AHEAD_215))
    assert [folder for folder, _, _ in old.after_failure] == ["cuda_runtime", "cusparse"]
    assert (old.after_success, old.outside) == ([], False)
    assert [folder for folder, _, _ in middle.after_success] == ["cuda_nvrtc", "nvjitlink"]
    assert (middle.sign, middle.outside) == ("nvidia/cuda_runtime/lib/libcudart.so", True)
    assert [folder for folder, _, must in new.after_success if not must] == ["cublas", "cuda_runtime", "nvtx"]
    assert (new.sign, new.in_common_folder) == ("libcudart.so", True)
    assert [must for _, _, must in new.after_failure] == [True, True, False]


@pytest.mark.allow_subprocess
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_a_library_that_lacks_what_another_wants(tmp_path: Path) -> None:
    """An nvJitLink of an older CUDA has the same file name and the same version, and not all symbols."""
    site = tmp_path / "site"
    for folder in ("torch/lib", "nvidia/nvjitlink/lib", "nvidia/cusparse/lib", "nvidia/nccl/lib"):
        (site / folder).mkdir(parents=True)

    def build(out: str, code: str, *options: str) -> str:
        (tmp_path / "code.c").write_text(code)
        path = str(site / out)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", path, str(tmp_path / "code.c"), *options], check=True)
        return path

    script = tmp_path / "map"
    script.write_text("libnvJitLink.so.12 { global: *; };")
    named = ["-Wl,-soname,libnvJitLink.so.12", f"-Wl,--version-script={script}"]
    link = build("nvidia/nvjitlink/lib/libnvJitLink.so.12", "void f_12_1(){} void f_12_4(){}", *named)
    sparse = build(
        "nvidia/cusparse/lib/libcusparse.so.12",
        "void f_12_1(); void f_12_4(); void s(){f_12_1();f_12_4();}",
        link,
        "-Wl,-soname,libcusparse.so.12,-rpath,$ORIGIN/../../nvjitlink/lib",
    )
    nccl = build("nvidia/nccl/lib/libnccl.so.2", "void ncclOld(){} void ncclNew(){}", "-Wl,-soname,libnccl.so.2")
    entry = build(
        "torch/_C.abi3.so",
        "void s(); void ncclOld(); void ncclNew(); void t(){s();ncclOld();ncclNew();}",
        sparse,
        nccl,
        "-Wl,-rpath,$ORIGIN/../nvidia/cusparse/lib:$ORIGIN/../nvidia/nccl/lib",
    )

    def look() -> tuple[list[tuple[str, str]], bool]:
        places = TorchPlaces(sys.executable, str(site / "torch"), [str(site)], "12.4")
        found = walk_linux(LocalFiles(), places, {}, lambda path: "")
        code = "import ctypes,sys; ctypes.CDLL(sys.argv[1])"
        done = subprocess.run([sys.executable, "-c", code, entry], capture_output=True, env={})
        return [(problem.kind, problem.wanted) for problem in found.problems], done.returncode == 0

    assert look() == ([], True)
    build("nvidia/nccl/lib/libnccl.so.2", "void ncclOld(){}", "-Wl,-soname,libnccl.so.2")
    assert look() == ([("version", "libnccl.so.2 ncclNew")], False)
    build("nvidia/nccl/lib/libnccl.so.2", "void ncclOld(){} void ncclNew(){}", "-Wl,-soname,libnccl.so.2")
    build("nvidia/nvjitlink/lib/libnvJitLink.so.12", "void f_12_1(){}", *named)
    assert look() == ([("version", "libnvJitLink.so.12 f_12_4")], False)


#: the imports of torch 2.4.0 for Windows from PyPI, those of Windows itself left out
TORCH_240 = {
    "asmjit.dll": ["VCRUNTIME140.dll", "VCRUNTIME140_1.dll"],
    "c10.dll": ["MSVCP140.dll", "VCRUNTIME140.dll", "VCRUNTIME140_1.dll", "dbghelp.dll"],
    "fbgemm.dll": ["asmjit.dll", "MSVCP140.dll", "VCOMP140.DLL", "libomp140.x86_64.dll"],
    "torch_cpu.dll": ["c10.dll", "fbgemm.dll", "libomp140.x86_64.dll", "uv.dll", "WS2_32.dll"],
    "torch_python.dll": ["torch_cpu.dll", "c10.dll", "python311.dll"],
    "uv.dll": ["IPHLPAPI.DLL", "PSAPI.DLL", "USERENV.dll", "WS2_32.dll"],
}


def test_names_the_dll_that_torch_240_for_windows_lacks(tmp_path: Path) -> None:
    torch = "C:\\env\\Lib\\site-packages\\torch"
    here = tmp_path / "env/Lib/site-packages/torch"
    for name, imports in TORCH_240.items():
        dll(here / "lib" / name, imports, linker=(14, 16) if name == "uv.dll" else (14, 29))
    dll(here / "_C.cp311-win_amd64.pyd", ["torch_python.dll"])
    for name in ("kernel32", "msvcp140", "vcomp140", "dbghelp", "ws2_32", "iphlpapi", "psapi", "userenv"):
        dll(tmp_path / f"Windows/System32/{name}.dll")
    for name in ("python311", "vcruntime140", "vcruntime140_1"):
        dll(tmp_path / f"Python311/{name}.dll")
    tree = WindowsTree({"C:\\": str(tmp_path)})
    found = walk_windows(tree, WindowsPlaces(torch, "C:\\Python311"), lambda name: "")
    (problem,) = found.problems
    assert (problem.kind, problem.needs) == ("missing", "libomp140.x86_64.dll")
    assert problem.chain == ["fbgemm.dll"]
    assert problem.library == f"{torch}\\lib\\fbgemm.dll"
    assert newest_linker(tree, torch) == ("14.29", f"{torch}\\lib\\asmjit.dll")
    dll(here / "lib/libomp140.x86_64.dll")
    assert walk_windows(WindowsTree({"C:\\": str(tmp_path)}), WindowsPlaces(torch, "C:\\Python311"), str).problems == []


def test_most_libraries_tell_the_machine_where_the_interpreter_does_not(tmp_path: Path) -> None:
    torch = "C:\\torch"
    dll(tmp_path / "torch/lib/a.dll", machine=0xAA64)
    for name in ("b", "c"):
        dll(tmp_path / f"torch/lib/{name}.dll")
    found = walk_windows(WindowsTree({"C:\\": str(tmp_path)}), WindowsPlaces(torch), lambda name: "")
    assert [(problem.kind, problem.needs) for problem in found.problems] == [("wrong-architecture", "a.dll")]
