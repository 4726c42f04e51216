"""The facts about linkage, of a real torch and of environments made for the purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hfdoctor.facts.fact import absent, known
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes.linkage import Wheels, read_cuda_libraries, read_linkage, read_linked_with
from hfdoctor.facts.sections.native import Linkage
from hfdoctor.facts.sections.packages import Distribution, TorchBuild
from hfdoctor.facts.sections.target import Chosen, Paths
from hfdoctor.facts.snapshot import Snapshot
from tests.binaries.made import elf

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these trees are of Linux")


def context(site: Path, cuda: str = "", python: str = sys.executable, **environ: str) -> Context:
    snapshot = Snapshot()
    snapshot.target.chosen = known(Chosen(python, "the test says so"))
    snapshot.target.paths = known(Paths(str(site), str(site), "", "", [str(site)]))
    snapshot.packages.torch_build = known(TorchBuild("2.6.0", cuda=cuda), "version.py")
    snapshot.packages.distributions = known([])
    return Context(Request(environ=environ, cwd=site), snapshot, time.monotonic() + 30)


def linkage(ctx: Context) -> Linkage:
    return read_linkage(ctx).need()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A torch whose libraries are for the machine of the running interpreter."""
    folder = tmp_path / "site-packages"
    with open(os.path.realpath(sys.executable), "rb") as file:
        head = file.read(20)
    machine = int.from_bytes(head[18:20], "little")
    elf(folder / "torch/_C.abi3.so", ["libtorch_cuda.so"], runpath="$ORIGIN/lib", machine=machine)
    elf(
        folder / "torch/lib/libtorch_cuda.so",
        ["libcudart.so.12"],
        "libtorch_cuda.so",
        runpath="$ORIGIN/../../nvidia/cuda_runtime/lib",
        machine=machine,
    )
    elf(folder / "nvidia/cuda_runtime/lib/libcudart.so.12", soname="libcudart.so.12", machine=machine)
    elf(tmp_path / "cuda/lib64/libcudart.so.12.1.105", soname="libcudart.so.12", machine=machine, fill=5)
    (tmp_path / "cuda/lib64/libcudart.so.12").symlink_to("libcudart.so.12.1.105")
    (folder / "torch/__init__.py").write_text("")
    return folder


def wheel(site: Path, version: str, pin: str) -> list[Distribution]:
    info = site / f"nvidia_cuda_runtime_cu12-{version}.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("nvidia/cuda_runtime/lib/libcudart.so.12,sha256=x,5\n")
    return [
        Distribution("nvidia-cuda-runtime-cu12", version, str(info)),
        Distribution(
            "torch", "2.6.0", "", requires=[f'nvidia-cuda-runtime-cu12 (=={pin}) ; platform_system == "Linux"']
        ),
    ]


def test_a_healthy_one(site: Path) -> None:
    ctx = context(site, "12.4")
    ctx.snapshot.packages.distributions = known(wheel(site, "12.4.127", "12.4.127"))
    found = linkage(ctx)
    assert found.problems == []
    assert found.examined > 3
    (library,) = read_cuda_libraries(ctx).need()
    assert (library.family, library.version, library.origin) == ("cudart", "12.4.127", "wheel")
    assert library.path == str(site / "nvidia/cuda_runtime/lib/libcudart.so.12")


def test_a_toolkit_in_the_variable_comes_first(site: Path) -> None:
    folder = str(site.parent / "cuda/lib64")
    ctx = context(site, "12.4", LD_LIBRARY_PATH=folder)
    ctx.snapshot.packages.distributions = known(wheel(site, "12.4.127", "12.4.127"))
    (problem,) = linkage(ctx).problems
    assert (problem.kind, problem.needs, problem.found_by) == ("shadowed", "libcudart.so.12", "LD_LIBRARY_PATH")
    assert problem.package == "torch"
    assert problem.expected == str(site / "nvidia/cuda_runtime/lib/libcudart.so.12")
    (library,) = read_cuda_libraries(ctx).need()
    assert (library.version, library.origin) == ("12.1.105", "LD_LIBRARY_PATH")


def test_a_toolkit_of_the_same_version_is_fine(site: Path) -> None:
    ctx = context(site, "12.4", LD_LIBRARY_PATH=str(site.parent / "cuda/lib64"))
    ctx.snapshot.packages.distributions = known(wheel(site, "12.1.105", "12.4.127"))
    assert linkage(ctx).problems == []


def test_what_is_missing_is_named_and_where_was_looked(site: Path) -> None:
    shutil.rmtree(site / "nvidia")
    found = linkage(context(site, "12.4"))
    (problem,) = found.problems
    assert (problem.kind, problem.needs, problem.package) == ("missing", "libcudart.so.12", "torch")
    assert problem.chain == ["_C.abi3.so", "libtorch_cuda.so"]
    assert found.searched[0] == str(site / "nvidia/cuda_runtime/lib")


def test_without_torch_there_is_nothing_to_say(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    for read in (read_linkage, read_cuda_libraries):
        assert read(ctx).status == "absent"
    assert read_linked_with(ctx).reason == "not Windows"
    ctx.snapshot.target.paths = absent("gone")
    assert read_linkage(ctx).status == "not-run"


def test_a_cpu_build_has_no_cuda_libraries(site: Path) -> None:
    assert read_cuda_libraries(context(site)).status == "absent"


def test_an_interpreter_that_is_a_script_is_not_followed(site: Path) -> None:
    script = site / "python"
    script.write_text("#!/bin/sh\nexec python3\n")
    assert read_linkage(context(site, python=str(script))).status == "not-run"


@pytest.mark.parametrize(
    ("version", "pin", "sound"),
    [
        ("12.4.127", "12.4.127", True),
        ("12.1.105", "12.4.127", False),
        ("13.2.4", "13.2.*", True),
        ("13.2", "13.2.*", True),
        ("13.20", "13.2.*", False),
    ],
)
def test_wheels_are_held_against_what_torch_pins(site: Path, version: str, pin: str, sound: bool) -> None:
    wheels = Wheels(wheel(site, version, pin))
    assert wheels.as_pinned(str(site / "nvidia/cuda_runtime/lib/libcudart.so.12")) is sound
    assert not wheels.as_pinned("/usr/lib/libcudart.so.12")


@pytest.mark.torch
def test_a_real_torch_has_no_problem(torch_env: Path) -> None:
    site = next(torch_env.glob("lib/python3*/site-packages"))
    found = linkage(context(site, python=str(torch_env / "bin/python")))
    assert found.problems == []
    assert found.examined > 10


@pytest.mark.torch
@pytest.mark.allow_subprocess
@pytest.mark.parametrize("damage", ["none", "removed", "short", "foreign", "machine", "shadowed"])
def test_says_what_the_real_loader_says_of_a_damaged_torch(torch_env: Path, tmp_path: Path, damage: str) -> None:
    """The same libraries are loaded by a real process."""
    real = next(torch_env.glob("lib/python3*/site-packages")) / "torch"
    torch = tmp_path / "site/torch"
    (torch / "lib").mkdir(parents=True)
    for path in (*real.glob("_C.*.so"), *real.glob("lib/*.so*"), real / "__init__.py"):
        os.link(path, torch / path.relative_to(real)) if _same_disk(path, torch) else shutil.copy(
            path, torch / path.relative_to(real)
        )
    victim = torch / "lib/libshm.so"
    whole = victim.read_bytes()
    victim.unlink()  # a new file: the original is not touched
    says = {"removed": "cannot open shared object", "short": "file too short", "foreign": "invalid ELF header"}
    says |= {"machine": "cannot open shared object", "none": "", "shadowed": "file too short"}
    environ = {}
    if damage == "shadowed":
        victim.write_bytes(whole)
        (tmp_path / "over").mkdir()
        (tmp_path / "over/libshm.so").write_bytes(whole[:60])
        environ = {"LD_LIBRARY_PATH": str(tmp_path / "over")}
    elif damage != "removed":
        changed = bytearray(whole)
        if damage == "machine":
            changed[18:20] = b"\xb7\0" if changed[18:20] != b"\xb7\0" else b"\x3e\0"
        made = {"short": whole[:60], "foreign": bytes(64) + whole[64:], "machine": bytes(changed), "none": whole}
        victim.write_bytes(made[damage])
    module = next(torch.glob("_C.*.so"))
    python = str(torch_env / "bin/python")
    code = "import ctypes,sys; ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)"
    done = subprocess.run([python, "-S", "-c", code, str(module)], capture_output=True, text=True, env=environ)
    problems = linkage(context(tmp_path / "site", python=python, **environ)).problems
    assert says[damage] in done.stderr
    assert (done.returncode != 0) == bool(problems), done.stderr
    if problems:
        kinds = {"removed": "missing", "machine": "wrong-architecture"}
        assert [(problem.kind, problem.needs) for problem in problems] == [
            (kinds.get(damage, "truncated"), "libshm.so")
        ]
        assert problems[0].library == str(torch / "lib/libtorch_python.so")


def _same_disk(path: Path, folder: Path) -> bool:
    return path.stat().st_dev == folder.stat().st_dev
