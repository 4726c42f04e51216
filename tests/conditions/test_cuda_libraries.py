"""cuda-libs-mixed, cuda-libs-missing, cudnn-failure and triton-missing: what is said, and what is advised."""

from __future__ import annotations

import pytest

from hfdoctor.conditions.cuda_names import WHEELS, family_of, major_of, stem_of
from hfdoctor.conditions.engine import diagnose
from hfdoctor.facts.fact import absent, failed, known, not_run
from hfdoctor.facts.sections.gpu import TorchDevice, TorchWord
from hfdoctor.facts.sections.native import CudaLibrary, Linkage, LinkProblem
from hfdoctor.facts.sections.packages import Damage, Distribution, ImportTrial, PackageFiles, TorchBuild
from hfdoctor.facts.snapshot import Snapshot
from tests import recorded
from tests.conditions.installed import SITE, changed, dist, finding, healthy_with, tried

MIXED, MISSING, CUDNN, TRITON = "cuda-libs-mixed", "cuda-libs-missing", "cudnn-failure", "triton-missing"


def linked(s: Snapshot, *problems: LinkProblem) -> Snapshot:
    s.native.linkage = known(Linkage(41, list(problems)), "ELF headers")
    return s


def told(torch: str, cuda: str, *packages: tuple[str, str]) -> Snapshot:
    """A machine of which a text tells torch, its CUDA and a list of packages."""
    s = Snapshot()
    entries = [Distribution(name, version, "") for name, version in (("torch", torch.partition("+")[0]), *packages)]
    s.packages.distributions = known(entries, "the text")
    s.packages.torch_build = known(TorchBuild(torch, cuda=cuda), "the text")
    return s


@pytest.mark.parametrize(
    ("library", "family"),
    [
        ("libcublasLt.so.12", "cublaslt"),
        ("/usr/local/cuda/lib64/libnvJitLink.so.12", "nvjitlink"),
        ("C:\\cuda\\cudnn_ops64_9.dll", "cudnn"),
        ("cudart64_12.dll", "cudart"),
        ("libnvshmem_host.so.3", "nvshmem"),
        ("nvToolsExt64_1.dll", "nvtoolsext"),
        ("libcuda.so.1", ""),
        ("nvcuda.dll", ""),
        ("libtorch_cuda.so", ""),
        ("libmlx5.so.1", ""),
    ],
)
def test_families(library: str, family: str) -> None:
    assert family_of(library) == family
    assert not family or WHEELS[family].startswith("nvidia-")


def test_wheels() -> None:
    assert stem_of("nvidia-cudnn-cu13") == stem_of("nvidia-cudnn-cu12") == "nvidia-cudnn"
    assert stem_of("nvidia-cublas") == "nvidia-cublas"
    assert stem_of("nvidia-ml-py") == stem_of("torch") == stem_of("nvidia-cuda-nvcc-cu12") == ""
    assert major_of("nvidia-nccl-cu12", "2.21.5") == "12"
    assert major_of("nvidia-cuda-runtime", "13.2.86") == "13"
    assert major_of("nvidia-cublas", "13.4.1.3") == ""  # cuBLAS counts by itself


# -- cuda-libs-mixed --------------------------------------------------------------------------------------------------


def test_the_variable_and_its_folder_are_named() -> None:
    found = finding(recorded.load("cuda-libs-mixed-older-cublas"), MIXED)
    assert found.summary.startswith(
        "LD_LIBRARY_PATH puts an older libcublas.so.13 (13.0.0.19) before the one that torch"
    )
    assert found.remedy
    assert found.remedy.steps[0].text.startswith("take /usr/local/cuda-13.0/lib64 out of LD_LIBRARY_PATH")


def test_a_lacking_symbol_is_named_without_its_library() -> None:
    problem = LinkProblem(
        "version",
        "nvidia-cusparse-cu12",
        f"{SITE}/nvidia/cusparse/lib/libcusparse.so.12",
        "libnvJitLink.so.12",
        "libnvJitLink.so.12 __nvJitLinkAddData_12_4",
        f"{SITE}/nvidia/nvjitlink/lib/libnvJitLink.so.12",
        "runpath",
    )
    found = finding(linked(recorded.build("cuda"), problem), MIXED)
    assert (found.severity, found.basis) == ("error", "derived")
    assert "needs __nvJitLinkAddData_12_4 of libnvJitLink.so.12" in found.evidence[0].text
    assert found.remedy and found.remedy.steps[0].argv[-1] == "nvidia-nvjitlink<14,>=13.2.86"


def test_an_import_that_worked_acquits() -> None:
    s = recorded.load("cuda-libs-mixed-nvjitlink")
    tried(s, ImportTrial("torch", ok=True), ImportTrial("transformers", ok=True))
    assert finding(s, MIXED).outcome != "fail"


def test_a_version_that_cannot_be_compared_is_no_finding() -> None:
    s = recorded.load("cuda-libs-mixed-older-cublas")
    s.native.cuda_libraries = known([], "ELF headers")
    problem = s.native.linkage.need().problems[0]
    problem.found = "/opt/lib/libcublas.so.13"
    assert finding(s, MIXED).outcome == "pass"
    problem.found = "/usr/local/cuda-13.0/lib64/libcublas.so.13"  # the folder's name tells
    assert finding(s, MIXED).outcome == "fail"


def test_another_packages_own_libraries_do_not_count() -> None:
    """bitsandbytes brings one library for each CUDA, and finds only one of them its libraries."""
    problem = LinkProblem("missing", "bitsandbytes", f"{SITE}/bitsandbytes/libbnb_cuda118.so", "libcublas.so.11")
    s = linked(recorded.build("cuda"), problem)
    assert finding(s, MIXED).outcome == finding(s, MISSING).outcome == "pass"


def test_a_newer_wheel_that_loads_is_a_note() -> None:
    s = changed(recorded.build("cuda"), "nvidia-nccl-cu13", version="2.32.3")
    found = finding(s, MIXED)
    assert (found.severity, found.basis) == ("note", "derived")
    s.native.linkage = not_run("not looked")
    assert finding(s, MIXED).severity == "warning"


def test_one_cause_one_finding() -> None:
    """The pin that torch's metadata has is dependency-conflict's no more."""
    (found,) = diagnose(recorded.load("cuda-libs-mixed-old-wheel")).failed()
    assert found.condition == MIXED
    assert found.remedy and "nvidia-cublas==13.4.1.3.*" in found.remedy.steps[0].argv


SHARED = ("nvidia-cudnn-cu12", "nvidia-nccl-cu12", "nvidia-nvshmem-cu12")


@pytest.mark.parametrize("name", SHARED)
def test_wheels_that_share_a_file(name: str) -> None:
    """cuDNN, NCCL and NVSHMEM of CUDA 12 and 13 lie at one path: whose file it is tells the list of the right one."""
    version = {"nvidia-cudnn-cu12": "9.10.2.21"}.get(name, "2.27.5")
    s = healthy_with(dist(name, version), base="cuda")
    ours = name.replace("cu12", "cu13")
    entry = s.packages.installed()[ours]
    path = {"nvidia-cudnn-cu13": "nvidia/cudnn/lib/libcudnn.so.9", "nvidia-nccl-cu13": "nvidia/nccl/lib/libnccl.so.2"}
    where = path.get(ours, "nvidia/nvshmem/lib/libnvshmem_host.so.3")
    whole = PackageFiles(ours, entry.version, 30, 30, required=True)
    s.packages.files = known([whole], "RECORD")
    assert finding(s, MIXED).outcome == "pass"
    damage = Damage(f"{SITE}/{where}", "altered", 10, 12, "code")
    s.packages.files = known([PackageFiles(ours, entry.version, 30, 30, altered=1, damages=[damage])], "RECORD")
    found = finding(s, MIXED)
    assert (found.severity, found.basis) == ("warning", "derived")
    assert found.remedy and found.remedy.steps[-1].argv[4].startswith(f"{ours}==")
    s.packages.files = failed("no RECORD could be read")
    assert (finding(s, MIXED).severity, finding(s, MIXED).basis) == ("warning", "table")


def test_cudnn_8_and_9_do_not_share_a_file() -> None:
    s = told("2.2.2+cu121", "12.1", ("nvidia-cudnn-cu12", "8.9.2.26"), ("nvidia-cudnn-cu11", "9.1.0.70"))
    assert finding(s, MIXED).outcome == "pass"
    s = told("2.2.2+cu121", "12.1", ("nvidia-cudnn-cu12", "8.9.2.26"), ("nvidia-cudnn-cu11", "8.5.0.96"))
    assert finding(s, MIXED).outcome == "fail"


@pytest.mark.parametrize(
    ("torch", "cuda", "packages", "outcome"),
    [
        ("2.4.0", "12.4", [("nvidia-cuda-runtime-cu12", "12.1.105")], "fail"),
        ("2.4.0", "12.4", [("nvidia-cuda-runtime-cu12", "12.4.127")], "pass"),
        ("2.5.1+cu124", "12.4", [("nvidia-nvjitlink-cu12", "12.1.105")], "fail"),
        ("2.4.0+cu121", "12.1", [("nvidia-nvjitlink-cu12", "12.6.85")], "pass"),
        # leftovers of another CUDA in folders of their own
        ("2.11.0+cu130", "13.0", [("nvidia-cuda-runtime", "13.0.96"), ("nvidia-cuda-runtime-cu12", "12.8.90")], "pass"),
        ("2.11.0+cu130", "13.0", [("nvidia-cudnn-cu13", "9.13.0.50"), ("nvidia-cudnn-cu12", "9.10.2.21")], "fail"),
        ("2.11.0+cu130", "13.0", [("nvidia-cudnn-cu12", "9.10.2.21")], "pass"),
        ("2.5.1+cu124", "12.4", [("nvidia-ml-py", "12.560.30")], "unknown"),
        ("2.5.1+cpu", "", [("nvidia-cuda-runtime-cu12", "12.1.105")], "skip"),
    ],
)
def test_told_by_a_text(torch: str, cuda: str, packages: list[tuple[str, str]], outcome: str) -> None:
    assert finding(told(torch, cuda, *packages), MIXED).outcome == outcome


# -- cuda-libs-missing ------------------------------------------------------------------------------------------------


def test_the_wheel_to_install_is_that_of_torchs_own_line() -> None:
    found = finding(recorded.load("cuda-libs-missing-cupti"), MISSING)
    assert found.summary == "torch 2.15.0 cannot be loaded: libcupti.so.13 is nowhere to be found"
    assert "libtorch_python.so -> libtorch_cpu.so" in found.evidence[0].text
    assert found.remedy
    assert found.remedy.steps[0].argv[1:] == ["-m", "pip", "install", "nvidia-cuda-cupti==13.2.86.*"]


def test_a_wheel_that_is_there_without_its_library_is_written_again() -> None:
    problem = LinkProblem("missing", "torch", f"{SITE}/torch/lib/libtorch_cuda.so", "libcudnn.so.9")
    found = finding(linked(recorded.build("cuda"), problem), MISSING)
    assert found.remedy
    assert found.remedy.steps[0].argv[4:] == ["nvidia-cudnn-cu13==9.26.0.51", "--force-reinstall", "--no-deps"]


def test_the_drivers_library_is_not_meant() -> None:
    problem = LinkProblem("missing", "torch", f"{SITE}/torch/lib/libtorch_cuda.so", "libcuda.so.1")
    assert finding(linked(recorded.build("cuda"), problem), MISSING).outcome == "pass"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("truncated", "is cut short"),
        ("wrong-architecture", "kind of processor"),
        ("wrong-class", "is for i386, 32 bits (the loader calls that a wrong ELF class)"),
    ],
)
def test_a_library_that_is_no_use(kind: str, words: str) -> None:
    where = f"{SITE}/nvidia/cu13/lib/libcufft.so.12"
    wanted = "i386, 32 bits" if kind == "wrong-class" else ""
    needed_by = f"{SITE}/torch/lib/libtorch_cuda.so"
    problem = LinkProblem(kind, "torch", needed_by, "libcufft.so.12", wanted=wanted, found=where)
    found = finding(linked(recorded.build("cuda"), problem), MISSING)
    assert "is there, and cannot be used" in found.summary and words in found.evidence[0].text
    assert found.remedy and "--force-reinstall" in found.remedy.steps[0].argv


def test_seen_importing() -> None:
    s = tried(recorded.load("cuda-libs-missing-cupti"), ImportTrial("torch", ok=True))
    assert finding(s, MISSING).outcome == "pass"


def test_condas_torch_asks_for_no_wheels() -> None:
    s = changed(healthy_with(without=("nvidia-nccl-cu13",), base="cuda"), "torch", installer="conda")
    assert finding(s, MISSING).outcome == "pass"


# -- cudnn-failure ----------------------------------------------------------------------------------------------------


def test_parts_of_two_releases() -> None:
    found = finding(recorded.load("cudnn-failure-two-releases"), CUDNN)
    assert found.summary == "cuDNN is put together from several releases: 9.10.2.21 and 9.26.0.51"
    assert found.remedy and "LD_LIBRARY_PATH" in found.remedy.steps[0].text


def test_a_missing_part_is_cudnns_alone() -> None:
    where = f"{SITE}/nvidia/cudnn/lib/libcudnn.so.9"
    s = linked(recorded.build("cuda"), LinkProblem("missing", "nvidia-cudnn-cu13", where, "libcudnn_ops.so.9"))
    assert finding(s, CUDNN).summary == "cuDNN is not whole: libcudnn_ops.so.9 is nowhere to be found"
    assert finding(s, MISSING).outcome == "pass"


@pytest.mark.parametrize(
    "line",
    [
        "cuDNN version incompatibility: PyTorch was compiled against (9, 1, 0) but found runtime version (8, 9, 2)",
        "Could not load library libcudnn_ops_infer.so.8. Error: cannot open shared object file",
        "Unable to load any of {libcudnn_engines_precompiled.so.9.1.0, libcudnn_engines_precompiled.so.9}",
    ],
)
def test_torchs_own_words(line: str) -> None:
    s = told("2.5.1+cu124", "12.4")
    s.gpu.torch = known(TorchWord(cuda=True, messages=[line]), "the text")
    found = finding(s, CUDNN)
    assert (found.severity, found.basis) == ("error", "observed")
    assert line[:60] in found.evidence[0].text


def test_too_little_memory_is_not_cudnns_fault() -> None:
    s = told("2.5.1+cu124", "12.4")
    s.gpu.torch = known(TorchWord(cuda=True, messages=["torch.OutOfMemoryError: CUDA out of memory."]), "the text")
    assert finding(s, CUDNN).outcome == "skip"


def test_parts_that_a_variable_leads_to_are_one_finding() -> None:
    s = recorded.load("cudnn-failure-two-releases")
    wheel = f"{SITE}/nvidia/cudnn/lib/libcudnn_ops.so.9"
    found = "/opt/cudnn/lib/libcudnn_ops.so.9"
    needer = f"{SITE}/nvidia/cudnn/lib/libcudnn.so.9"
    linked(
        s,
        LinkProblem(
            *("shadowed", "nvidia-cudnn-cu13", needer, "libcudnn_ops.so.9", "", found, "LD_LIBRARY_PATH", wheel),
        ),
    )
    assert [one.condition for one in diagnose(s).failed()] == [CUDNN]


# -- triton-missing ---------------------------------------------------------------------------------------------------


def test_triton_is_named_with_torchs_own_line() -> None:
    found = finding(recorded.load("triton-missing-uninstalled"), TRITON)
    assert found.remedy and found.remedy.steps[0].argv[-1] == "triton~=3.9.0"
    assert finding(recorded.load("triton-missing-uninstalled"), "dependency-conflict").outcome == "pass"


def test_windows_is_not_asked_for_triton() -> None:
    assert finding(recorded.build("windows"), TRITON).outcome == "skip"
    s = recorded.build("windows")
    s.gpu.torch = known(TorchWord(cuda=True, messages=["RuntimeError: Cannot find a working triton installation."]))
    found = finding(s, TRITON)
    assert (found.severity, found.basis) == ("warning", "observed")
    assert found.remedy and found.remedy.steps[0].argv[-1] == "triton-windows"


def test_another_version_is_the_pairs_alone() -> None:
    s = changed(recorded.build("cuda"), "triton", version="3.5.0")
    assert finding(s, TRITON).outcome == "pass"
    assert finding(s, "torch-companion-mismatch").outcome == "fail"


def test_cudnn_seen_working_outweighs_the_copies() -> None:
    s = recorded.load("cudnn-failure-two-releases")
    devices = [TorchDevice("NVIDIA GeForce RTX 4090", ok=True)]
    s.gpu.torch = known(TorchWord(cuda=True, devices=devices, cudnn_ok=True), "torch")
    assert finding(s, CUDNN).outcome == "pass"


def test_without_cuda_nothing_is_asked() -> None:
    s = recorded.build("linux")
    assert {finding(s, one).outcome for one in (MIXED, MISSING, CUDNN)} == {"skip"}
    s = recorded.build("cuda")
    s.native.cuda_libraries = absent("none")
    s.native.cuda_libraries = known([CudaLibrary("cudnn", "/x/libcudnn.so.9")], "ELF headers")
    assert finding(s, CUDNN).outcome == "pass"
