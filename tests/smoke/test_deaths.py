"""Real libraries, really damaged: each death gets the condition that helps, and leaves nothing behind."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smoke.patients import Examination, Ward, linked_copy, shown, site_of, wards

pytestmark = [
    pytest.mark.torch,
    pytest.mark.allow_subprocess,
    pytest.mark.skipif(
        sys.platform != "linux", reason="damages libraries of Linux; Windows has test_deaths_windows.py"
    ),
]


@pytest.fixture(scope="module")
def env(torch_env: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("patient") / "venv"
    yield linked_copy(torch_env, folder)
    shutil.rmtree(folder)


@pytest.fixture
def ward(env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ward]:
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    yield from wards(env, tmp_path, temp)


def dies(done: Examination, stage: str, error: str, condition: str) -> None:
    """The stage failed so, the later ones were skipped for it, one error explains it, and nothing is left."""
    assert (done.failed.key, done.failed.error) == (stage, error)
    assert done.skipped_because() == ({f"{stage} failed"} if stage != "import transformers" else set())
    assert list(done.errors) == [condition]
    (finding,) = [one for one in done.report.findings if one.condition == condition and one.outcome == "fail"]
    assert finding.basis == "observed"
    assert finding.remedy is not None and finding.remedy.steps
    assert done.report.exit_code == 1
    assert done.left == []


# -- nothing is wrong -------------------------------------------------------------------------------------------------


def test_a_folder_that_hides_nothing(ward: Ward) -> None:
    """A folder without __init__ gives way to a library of its name, and so does the copy of the environment."""
    (ward.work / "tokenizers").mkdir()
    (ward.work / "tokenizers" / "notes.txt").write_text("vocabulary sizes")
    done = ward.examine()
    assert [stage.outcome for stage in done.stages.values()] == ["pass"] * 5
    assert done.report.exit_code == 0 and done.left == []


# -- damaged files ----------------------------------------------------------------------------------------------------


def test_torchs_library_is_cut_short(ward: Ward) -> None:
    path = ward.find("torch/lib/libtorch_cpu.so")
    with path.open("rb") as file:
        ward.replace(path, file.read(path.stat().st_size // 2))
    done = ward.examine()
    dies(done, "import torch", "signal SIGBUS", "broken-install")
    assert "torch" in done.errors["broken-install"]
    assert any("_load_global_deps" in line or "torch/__init__.py" in line for line in done.failed.trace)
    evidence = [one.text for one in done.report.failed()[0].evidence]
    assert evidence[0] == "importing torch ended Python: signal SIGBUS"
    assert evidence[1].startswith("torch/lib/libtorch_cpu.so ends too early")


def test_a_library_is_gone(ward: Ward) -> None:
    ward.replace(ward.find("torch/lib/libc10.so"), None)
    done = ward.examine()
    dies(done, "import torch", "ImportError", "broken-install")
    assert "libc10.so" in done.failed.message


def test_an_extension_is_zeroed(ward: Ward) -> None:
    path = ward.find("tokenizers/tokenizers*.so")
    ward.replace(path, bytes(path.stat().st_size))
    done = ward.examine()
    dies(done, "import tokenizers", "ImportError", "broken-install")
    assert done.errors["broken-install"].startswith("tokenizers")


def test_numpys_extension_is_zeroed(ward: Ward) -> None:
    """torch needs no NumPy, yet cannot stand a broken one: two stages fail, for one cause."""
    path = ward.find("numpy/_core/_multiarray_umath*.so")
    ward.replace(path, bytes(path.stat().st_size))
    done = ward.examine()
    assert {stage.key for stage in done.stages.values() if stage.outcome == "fail"} >= {"import numpy"}
    assert list(done.errors) == ["broken-install"]
    first = done.report.failed()[0].evidence[0].text
    assert first.startswith("importing numpy failed") and "invalid ELF header" in first


@pytest.mark.parametrize("content", [b"\0" * 4000, b"", b'"""'], ids=["zeroed", "emptied", "cut"])
def test_a_module_is_damaged(ward: Ward, content: bytes) -> None:
    ward.replace(ward.find("torch/_utils.py"), content)
    done = ward.examine()
    dies(done, "import torch", done.failed.error, "broken-install")
    assert done.errors["broken-install"].startswith("torch")


# -- files of the person's own ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("torch.py", "import torch"),
        ("random.py", "import torch"),
        ("tokenizers/__init__.py", "import tokenizers"),
    ],
)
def test_a_file_hides_a_library(ward: Ward, name: str, stage: str) -> None:
    (ward.work / name).parent.mkdir(exist_ok=True)
    (ward.work / name).write_text("answer = 42\n")
    done = ward.examine()
    dies(done, stage, done.failed.error, "module-shadowed")
    assert str(ward.work / name.removesuffix("/__init__.py")) in done.errors["module-shadowed"]


# -- NumPy's two generations ------------------------------------------------------------------------------------------

#: what NumPy 1's import_array() compiles to, up to the message: numpy/core/include/numpy/__multiarray_api.h
IMPORT_ARRAY = """
import traceback
import numpy.core._multiarray_umath as _umath
try:
    _umath._ARRAY_API
except AttributeError:
    traceback.print_exc()
    raise ImportError("numpy.core.multiarray failed to import")
"""


def test_a_module_built_for_numpy_1(ward: Ward) -> None:
    if ward.find("numpy-*.dist-info").name.startswith("numpy-1"):
        pytest.skip("the environment has NumPy 1")
    ward.act("torch", IMPORT_ARRAY)
    done = ward.examine()
    dies(done, "import torch", "ImportError", "numpy-abi")
    assert "NumPy 2" in done.errors["numpy-abi"]


# -- too little memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("megabytes", [150, 200, 400, 600])
def test_the_address_space_is_limited(ward: Ward, megabytes: int) -> None:
    """Each size ends elsewhere: a library that cannot be mapped, a thread that cannot be started, std::bad_alloc."""
    limit = f"resource.setrlimit(resource.RLIMIT_AS, ({megabytes << 20}, {megabytes << 20}))"
    ward.replace(
        ward.site / "sitecustomize.py",
        f"import resource, sys\nif 'start.py' in ' '.join(sys.orig_argv):\n    {limit}\n".encode(),
    )
    done = ward.examine()
    assert list(done.errors) == ["out-of-memory"], {key: (one.error, one.message) for key, one in done.stages.items()}
    assert done.report.exit_code == 1 and done.left == []


# -- what no condition explains ---------------------------------------------------------------------------------------

ENDS = {
    "ends without a word": ("import os; os._exit(0)", "no-answer"),
    "ends with a code": ("import os; os._exit(7)", "exit 7"),
    "aborts": ("import os; os.abort()", "signal SIGABRT"),
    "reads where nothing is": ("import ctypes; ctypes.string_at(0)", "signal SIGSEGV"),
    "overflows the stack of C": (
        "import ctypes, sys\nsys.setrecursionlimit(10**9)\n@ctypes.CFUNCTYPE(ctypes.c_int)\n"
        "def again():\n    return again()\nagain()",
        "signal SIGSEGV",
    ),
    "leaves by sys.exit": ("import sys; sys.exit('no licence')", "SystemExit"),
    "interrupts itself": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "has an error that cannot be shown": (
        "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\nraise Odd",
        "Odd",
    ),
}


@pytest.mark.parametrize("way", ENDS)
def test_a_library_that(ward: Ward, way: str) -> None:
    code, error = ENDS[way]
    ward.act("torch", "import sys; print('in the midst of it', file=sys.stderr, flush=True)\n" + code)
    done = ward.examine()
    dies(done, "import torch", error, "smoke-failed")
    assert "import torch" in done.errors["smoke-failed"]
    assert done.failed.printed[0] == "in the midst of it"
    if not error.startswith(("exit", "no-answer")):
        assert any("torch/__init__.py" in line for line in done.failed.trace)


@pytest.mark.parametrize(
    "code",
    ["while True:\n    pass", "import ctypes\nctypes.PyDLL(None).sleep(1000)"],
    ids=["in Python", "in C, without giving way"],
)
def test_an_import_without_end(ward: Ward, code: str) -> None:
    ward.act("torch", code)
    done = ward.examine(stage_timeout_s=5.0)
    dies(done, "import torch", "timeout", "smoke-failed")
    assert "does not end" in done.errors["smoke-failed"]
    assert any("torch/__init__.py" in line for line in shown(done.failed))


def test_an_edited_library(ward: Ward) -> None:
    """An edit is a note as long as everything works; it is the cause where the edited file fails."""
    path = ward.find("torch/_utils.py")
    ward.replace(path, b"raise RuntimeError('tried something here')\n" + path.read_bytes())
    done = ward.examine()
    dies(done, "import torch", "RuntimeError", "broken-install")
    assert "was changed after it was installed" in done.errors["broken-install"]


def test_the_environment_is_whole_again(env: Path, torch_env: Path) -> None:
    """The tests above have damaged copies alone."""
    for name in ("torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/__init__.py", "tokenizers/__init__.py"):
        assert (site_of(env) / name).samefile(site_of(torch_env) / name)
