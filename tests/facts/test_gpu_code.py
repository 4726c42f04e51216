"""For which GPUs the installed packages were built, as observed in an environment."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from hfdoctor.facts import fact
from hfdoctor.facts.probe import Context, Request
from hfdoctor.facts.probes import gpu_code
from hfdoctor.facts.probes.gpu_code import read_gpu_code
from hfdoctor.facts.sections.native import GpuCode
from hfdoctor.facts.sections.packages import Distribution, TorchBuild
from hfdoctor.facts.snapshot import Snapshot
from tests.binaries.built import bundle, container, elf, entry, pe

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="there are no such libraries on macOS")

CUDA_CODE = elf([(".nv_fatbin", container(entry(80, payload=bytes(70_000)), entry(90, kind=1, version=(8, 4))))])
PLAIN_CODE = elf([(".text", bytes(70_000))])
LINUX = ["cp312-cp312-manylinux_2_28_x86_64"]


class Site:
    """A site-packages folder that is filled package by package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: list[Distribution] = []
        self.build = fact.known(TorchBuild("2.15.0+cu132", cuda="13.2"))

    def add(
        self,
        name: str,
        files: dict[str, bytes],
        requires: tuple[str, ...] = ("torch>=2.4",),
        tags: list[str] = LINUX,
        sizes: bool = True,
    ) -> None:
        info = self.folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        rows = []
        for path, data in files.items():
            place = self.folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
            rows.append(f"{path},sha256=x,{len(data) if sizes else ''}")
        (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/RECORD,,"]) + "\n", "utf-8")
        self.found.append(Distribution(name, "1.0", str(info), requires=list(requires), tags=tags))

    def read(self) -> fact.Fact[list[GpuCode]]:
        context = Context(Request(), Snapshot(), time.monotonic() + 20)
        context.snapshot.packages.distributions = fact.known(self.found, "sys.path")
        context.snapshot.packages.torch_build = self.build
        return read_gpu_code(context)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def packages(found: fact.Fact[list[GpuCode]]) -> list[str]:
    return [code.package for code in found.need()]


def test_torch_and_the_packages_on_it(site: Site) -> None:
    site.add("torch", {"torch/lib/libtorch_cuda.so": CUDA_CODE}, requires=())
    site.add("some-kernels", {"some_kernels/_C.so": CUDA_CODE + bytes(9), "some_kernels/x.py": b"#"})
    site.add("torchvision", {"torchvision/_C.so": CUDA_CODE})
    site.add("numpy", {"numpy/core.so": CUDA_CODE}, requires=())
    site.add("pure", {"pure/data.so": CUDA_CODE}, tags=["py3-none-any"])
    site.add("only-with-an-extra", {"only/_C.so": CUDA_CODE}, requires=('torch; extra == "gpu"', "torchmetrics"))
    found = site.read()
    assert packages(found) == ["torch", "some-kernels"]
    torch = found.need()[0]
    assert (torch.kind, torch.code, torch.ptx, torch.few, torch.containers, torch.ptx_isa) == (
        "cuda",
        ["sm_80"],
        ["compute_90"],
        [],
        1,
        "8.4",
    )
    assert torch.path == str(site.folder / "torch" / "lib" / "libtorch_cuda.so")
    assert not found.reason


def test_rocm(site: Site) -> None:
    site.build = fact.known(TorchBuild("2.15.0+rocm7.1", hip="7.1.25424"))
    code = elf([(".hip_fatbin", bundle(["host-x86_64-unknown-linux-gnu-", "hipv4-amdgcn-amd-amdhsa--gfx942"]))])
    site.add("torch", {"torch/lib/libtorch_hip.so": code}, requires=())
    pieces = {f"bitsandbytes/libbitsandbytes_{name}.so": code + bytes(70_000) for name in ("rocm64", "rocm71")}
    site.add("bitsandbytes", {**pieces, "bitsandbytes/libbitsandbytes_cuda132.so": CUDA_CODE + bytes(900_000)})
    found = site.read()
    assert [(one.package, one.kind, one.code) for one in found.need()] == [
        ("torch", "hip", ["gfx942"]),
        ("bitsandbytes", "hip", ["gfx942"]),
    ]
    assert found.need()[1].path.endswith("rocm71.so")


def test_windows_libraries(site: Site) -> None:
    code = pe([(".nv_fatbin", container(entry(75, payload=bytes(70_000))))])
    site.add("torch", {"torch/lib/torch_cuda.dll": code}, requires=())
    site.add("xformers", {"xformers/_C.pyd": code}, tags=["py39-none-win_amd64"])
    assert packages(site.read()) == ["torch", "xformers"]


@pytest.mark.parametrize(("cuda", "chosen"), [("13.2", "cuda132"), ("12.4", "cuda124"), ("12.9", "cuda128")])
def test_of_a_library_for_each_cuda_that_of_torch_is_read(site: Site, cuda: str, chosen: str) -> None:
    site.build = fact.known(TorchBuild("2.15.0", cuda=cuda))
    made_for = {"cuda124": 5, "cuda128": 9000, "cuda132": 50, "rocm72": 99_999}
    site.add("bitsandbytes", {f"b/lib_{name}.so": CUDA_CODE + bytes(more) for name, more in made_for.items()})
    (found,) = site.read().need()
    assert found.path.endswith(f"lib_{chosen}.so")


def test_the_largest_library_need_not_be_the_one_with_gpu_code(site: Site) -> None:
    site.add("vllm", {"vllm/rust.so": PLAIN_CODE + bytes(500_000), "vllm/_C.abi3.so": CUDA_CODE})
    (found,) = site.read().need()
    assert found.path.endswith("_C.abi3.so")


def test_a_list_of_files_without_sizes(site: Site) -> None:
    site.add("xformers", {"xformers/_C.so": CUDA_CODE}, sizes=False)
    assert packages(site.read()) == ["xformers"]


def test_a_cpu_build_is_not_read_and_what_works_without_torch_is(site: Site) -> None:
    site.build = fact.known(TorchBuild("2.15.0+cpu"))
    # left over from another build, and not loaded by this one
    site.add("torch", {"torch/lib/libtorch_cuda.so": b"broken"}, requires=())
    site.add("bitsandbytes", {"b/libbitsandbytes_cuda132.so": CUDA_CODE})
    assert site.read().absent
    site.add("onnxruntime-gpu", {"onnxruntime/capi/libonnxruntime_providers_cuda.so": CUDA_CODE}, requires=())
    assert packages(site.read()) == ["onnxruntime-gpu"]


def test_nothing_with_gpu_code_is_absent_with_a_reason(site: Site) -> None:
    site.add("torch", {"torch/lib/libtorch_cuda.so": PLAIN_CODE}, requires=())
    found = site.read()
    assert found.absent and found.reason == "no installed library has GPU code"


def test_without_torch(site: Site) -> None:
    site.build = fact.absent("no torch")
    site.add("ctranslate2", {"ctranslate2.libs/libctranslate2.so": CUDA_CODE}, requires=())
    assert packages(site.read()) == ["ctranslate2"]


def test_torchs_own_library_that_cannot_be_read_fails_the_fact(site: Site) -> None:
    site.add("torch", {"torch/lib/libtorch_cuda.so": CUDA_CODE[:9000]}, requires=())
    site.add("xformers", {"xformers/_C.so": CUDA_CODE})
    found = site.read()
    assert found.status == "failed"
    assert "libtorch_cuda.so: it ends at byte 9000" in found.reason


def test_another_packages_library_that_cannot_be_read_is_named(site: Site) -> None:
    site.add("torch", {"torch/lib/libtorch_cuda.so": CUDA_CODE}, requires=())
    site.add("xformers", {"xformers/_C.so": bytes(70_000)})
    found = site.read()
    assert packages(found) == ["torch"]
    assert found.reason.endswith("_C.so: it holds zero bytes where its header should be")


def test_nothing_but_libraries_that_cannot_be_read_is_not_absence(site: Site) -> None:
    site.add("xformers", {"xformers/_C.so": bytes(70_000)})
    assert site.read().status == "failed"


def test_a_library_that_is_gone_is_passed_over(site: Site) -> None:
    site.add("torch", {"torch/lib/libtorch_cuda.so": CUDA_CODE}, requires=())
    site.add("xformers", {"xformers/_C.so": CUDA_CODE})
    (site.folder / "xformers" / "_C.so").unlink()
    found = site.read()
    assert packages(found) == ["torch"] and not found.reason


def test_packages_that_are_not_known(site: Site) -> None:
    context = Context(Request(), Snapshot(), time.monotonic() + 20)
    assert read_gpu_code(context).status == "not-run"


def test_the_number_of_packages_and_the_time_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(gpu_code.MOST_PACKAGES + 5):
        site.add(f"kernels-{index}", {f"kernels_{index}/_C.so": CUDA_CODE})
    assert len(site.read().need()) == gpu_code.MOST_PACKAGES
    monkeypatch.setattr(gpu_code, "SECONDS", -1.0)
    found = site.read()
    assert found.status == "failed" and found.reason == "reading took too long"


def test_a_cpu_torch_costs_next_to_nothing(site: Site) -> None:
    """At most 2 ms of processor time, with 400 packages installed; and nothing that reads libraries is loaded."""
    site.build = fact.known(TorchBuild("2.15.0+cpu"))
    site.add("torch", {"torch/lib/libtorch_cpu.so": PLAIN_CODE}, requires=())
    site.found += [Distribution(f"package-{index}", "1", "x", requires=["numpy"]) for index in range(400)]
    taken = []
    for _ in range(5):
        started = time.thread_time()
        assert site.read().absent
        taken.append(time.thread_time() - started)
    assert min(taken) < 0.002
