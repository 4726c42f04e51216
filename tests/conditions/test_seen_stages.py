"""What a failure's words say: each sign leads to a condition that fails for it, and nothing else does."""

from __future__ import annotations

import pytest

from hfdoctor.conditions.catalogue import CATALOGUE
from hfdoctor.conditions.engine import diagnose, examine
from hfdoctor.conditions.model import Goal
from hfdoctor.conditions.seen_signs import SIGNS
from hfdoctor.conditions.seen_stages import cause_of, failures, speaks_of
from hfdoctor.conditions.stage_remedies import REMEDIES
from hfdoctor.facts.fact import failed, known
from hfdoctor.facts.sections.packages import ImportTrial
from hfdoctor.facts.sections.smoke import Deviation, Machinery, StageRun
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.smoke.probe import tell_the_others
from tests import recorded

SITE = "/home/ana/project/.venv/lib/python3.12/site-packages"
BY_ID = {condition.id: condition for condition in CATALOGUE}


def fails(
    name: str, error: str, message: str = "", printed: list[str] | None = None, package: str = "", **facts: str
) -> StageRun:
    return StageRun(name, package, "fail", 1.0, "", error, message, [], printed or [], [], dict(facts))


def an_import(error: str, message: str = "", *printed: str, package: str = "torch") -> StageRun:
    return fails("import", error, message, list(printed), package)


#: the condition -> failures that speak of it, in the words of the libraries
WORDS: dict[str, list[StageRun]] = {
    "illegal-instruction": [
        an_import("signal SIGILL"),
        an_import("exit 0xC000001D", "illegal instruction"),
        an_import("RuntimeError", "NumPy was built with baseline optimizations: (X86_V2) but your machine does not"),
    ],
    "broken-install": [
        an_import("signal SIGBUS"),
        an_import("exit 0xC0000006"),
        an_import("OSError", f"{SITE}/torch/lib/libtorch_cpu.so: file too short"),
        an_import("ImportError", f"{SITE}/tokenizers/tokenizers.abi3.so: invalid ELF header", package="tokenizers"),
        an_import("ImportError", "libc10.so: cannot open shared object file: No such file or directory"),
        an_import("SyntaxError", "source code string cannot contain null bytes", package="transformers"),
        an_import("SyntaxError", "'(' was never closed (generic.py, line 40)", package="transformers"),
        an_import("ImportError", "cannot import name 'Tensor' from 'torch' (unknown location)"),
        an_import("ModuleNotFoundError", "No module named 'torch._C'"),
        an_import("ValueError", "bad marshal data (unknown type code)"),
        an_import("OSError", "dlopen(/x/libtorch_cpu.dylib, 0x000A): tried: '/x/l.dylib' (not a mach-o file)"),
    ],
    "dll-load-failed": [
        an_import("OSError", '[WinError 126] The specified module could not be found. Error loading "C:\\x\\c10.dll"'),
        an_import("ImportError", "DLL load failed while importing _C: The specified module could not be found."),
    ],
    "vc-redist-missing": [
        an_import(
            "OSError",
            '[WinError 126] The specified module could not be found. Error loading "C:\\x\\fbgemm.dll"',
            "Microsoft Visual C++ Redistributable is not installed, this may lead to the DLL load failure.",
        ),
    ],
    "windows-pagefile": [
        an_import("OSError", "[WinError 1455] The paging file is too small for this operation to complete."),
        fails("model", "OSError", "The paging file is too small for this operation to complete. (os error 1455)"),
    ],
    "numpy-abi": [
        fails("model", "RuntimeError", "Numpy is not available"),
        an_import("ImportError", "numpy.core.multiarray failed to import", package="transformers"),
        an_import("ValueError", "numpy.dtype size changed, may indicate binary incompatibility. Expected 96"),
        an_import("signal SIGSEGV", "", "AttributeError: _ARRAY_API not found"),
    ],
    "openmp-duplicate": [
        an_import("signal SIGABRT", "", "OMP: Error #15: Initializing libiomp5.so, but found libomp.so already."),
        fails("train", "exit 3", "", ["OMP: Error #15: Initializing libiomp5md.dll, but found libiomp5md.dll."]),
    ],
    "torch-companion-mismatch": [
        an_import("RuntimeError", "operator torchvision::nms does not exist", package="transformers"),
        an_import("OSError", f"{SITE}/torchaudio/lib/libtorchaudio.so: undefined symbol: _ZN3c10"),
    ],
    "extension-abi-mismatch": [
        fails("model", "ImportError", f"{SITE}/flash_attn_2_cuda.abi3.so: undefined symbol: _ZN"),
    ],
    "glibc-too-old": [
        an_import("ImportError", "/lib64/libc.so.6: version `GLIBC_2.28' not found (required by libtorch_cpu.so)"),
        an_import("ImportError", "libstdc++.so.6: cannot open shared object file: No such file or directory"),
    ],
    "cuda-libs-mixed": [
        an_import("ImportError", "libcusparse.so.12: undefined symbol: __nvJitLinkComplete_12_4, version libnvJitLink"),
        an_import("ImportError", "libtorch_cuda.so: undefined symbol: ncclCommRegister"),
    ],
    "cuda-libs-missing": [
        an_import("ImportError", "libcudart.so.12: cannot open shared object file: No such file or directory"),
        an_import("ValueError", "libcublas.so.*[0-9] not found in the system path ['/home/ana/project']"),
    ],
    "cudnn-failure": [
        fails("device", "RuntimeError", "cuDNN error: CUDNN_STATUS_NOT_INITIALIZED", package="cuda:0"),
        fails("device", "signal SIGABRT", "", ["Could not load library libcudnn_ops.so.9. Error: libcudnn_ops.so.9"]),
    ],
    "gpu-out-of-memory": [
        fails("device", "OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 MiB.", package="cuda:0"),
        fails("device", "RuntimeError", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    ],
    "driver-mismatch": [
        fails("device", "RuntimeError", "Unexpected error from cudaGetDeviceCount(). Error 803: system has "
              "unsupported display driver / cuda driver combination"),
    ],
    "driver-too-old": [
        fails("device", "RuntimeError", "The NVIDIA driver on your system is too old (found version 11040)."),
        fails("device", "AcceleratorError", "CUDA error: the provided PTX was compiled with an unsupported toolchain."),
    ],
    "driver-missing": [
        fails("device", "RuntimeError", "Found no NVIDIA driver on your system. Please check"),
        an_import("ImportError", "libcuda.so.1: cannot open shared object file: No such file or directory"),
    ],
    "torch-cpu-build": [fails("device", "AssertionError", "Torch not compiled with CUDA enabled")],
    "gpu-hidden": [fails("device", "RuntimeError", "No CUDA GPUs are available")],
    "rocm-mismatch": [fails("device", "RuntimeError", "HIP error: invalid device function", package="cuda:0")],
    "gpu-arch-unsupported": [
        fails("device", "AcceleratorError", "CUDA error: no kernel image is available for execution on the device"),
    ],
    "cuda-unknown-error": [
        fails("device", "RuntimeError", "CUDA unknown error - this may be due to an incorrectly set up environment"),
        fails("device", "AcceleratorError", "CUDA error: unspecified launch failure", package="cuda:1"),
        fails("device", "signal SIGABRT", "", ["terminate called after throwing an instance of 'c10::AcceleratorError'",
                                               "  what():  CUDA error: an illegal memory access was encountered"]),
    ],
    "mps-unsupported-op": [
        fails("device", "NotImplementedError", "The operator 'aten::x' is not currently implemented for the MPS dev"),
        fails("device", "TypeError", "Cannot convert a MPS Tensor to float64 dtype as the MPS framework"),
    ],
    "triton-missing": [fails("compile", "TritonMissing", "Cannot find a working triton installation.")],
    "dependency-conflict": [
        an_import("PackageNotFoundError", "No package metadata was found for The 'zzz>=1' distribution was not found "
                  "and is required by this application.", package="transformers"),
        an_import("ImportError", "numpy>=3 is required for a normal functioning of this module, but found numpy==2.",
                  package="transformers"),
        an_import("not installed", "tokenizers is not installed", package="tokenizers"),
    ],
    "version-skew": [
        an_import("ImportError", "tokenizers>=0.30 is required for a normal functioning of this module, but found "
                  "tokenizers==0.23.1.", package="transformers"),
        an_import("ImportError", "cannot import name 'split_torch_state_dict' from 'huggingface_hub' (x/__init__.py)",
                  package="transformers"),
        fails("train", "UnpicklingError", "Weights only load failed. In PyTorch 2.6, we changed the default value of"),
    ],
    "torch-too-old-for-transformers": [
        fails("model", "ImportError", "AutoModel requires the PyTorch library but it was not found in your"),
        fails("local", "ValueError", "Due to a serious vulnerability issue in `torch.load`, even with "
              "`weights_only=True`, we now require users to upgrade torch to at least v2.6 in order to use"),
    ],
    "keras3": [an_import("ValueError", "Your currently installed version of Keras is Keras 3, but this is not yet",
                         package="transformers")],
    "missing-optional-dependency": [
        fails("train", "not installed", "Trainer needs accelerate", package=""),
        fails("train", "ImportError", "Using the `Trainer` with `PyTorch` requires `accelerate>=1.1.0`: Please run"),
        fails("local", "ImportError", "T5Tokenizer requires the SentencePiece library but it was not found in your"),
        fails("local", "ImportError", "This modeling file requires the following packages that were not found in your "
              "environment: einops. Run `pip install einops`"),
        an_import("ModuleNotFoundError", "No module named 'einops'", package="transformers"),
    ],
    "model-type-unknown": [
        fails("local", "ValueError", "The checkpoint you are trying to load has model type `qwen9` but Transformers "
              "does not recognize this architecture."),
        fails("local", "ValueError", "Tokenizer class Qwen9Tokenizer does not exist or is not currently imported."),
    ],
    "shared-memory": [
        fails("train", "RuntimeError", "DataLoader worker (pid 12) is killed by signal: Bus error. It is possible"),
    ],
    "disk-full": [fails("train", "OSError", "[Errno 28] No space left on device: '/tmp/x'")],
    "too-many-open-files": [fails("train", "OSError", "[Errno 24] Too many open files: '/tmp/x'")],
    "permission-denied": [
        fails("save", "PermissionError", "[Errno 13] Permission denied: '/tmp/x'"),
        an_import("ImportError", "libtorch_cpu.so: failed to map segment from shared object: Operation not permitted"),
    ],
    "out-of-memory": [
        fails("model", "MemoryError"),
        fails("model", "_ArrayMemoryError", "Unable to allocate 8.00 GiB for an array"),
        fails("generate", "RuntimeError", "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't "
              "allocate memory: you tried to allocate 9437184 bytes. Error code 12 (Cannot allocate memory)"),
        an_import("ImportError", "libtorch_cpu.so: failed to map segment from shared object"),
        an_import("signal SIGABRT", "", "terminate called after throwing an instance of 'std::bad_alloc'"),
        fails("train", "signal SIGABRT", "", ["memory allocation of 4194304 bytes failed"]),
        an_import("KeyboardInterrupt", "", "OpenBLAS blas_thread_init: pthread_create failed for thread 1 of 2: "
                  "Resource temporarily unavailable", package="numpy"),
        fails("train", "exit 1", "", ["libgomp: Thread creation failed: Resource temporarily unavailable"]),
        fails("train", "RuntimeError", "can't start new thread"),
        an_import("exit 1", "", "OpenBLAS error: Memory allocation still failed after 10 retries, giving up.",
                  package="numpy"),
        fails("model", "exit 0xC0000017", "no memory"),
    ],
    "cache-corrupt": [
        fails("local", "SafetensorError", "Error while deserializing header: HeaderTooLarge"),
        fails("local", "RuntimeError", "PytorchStreamReader failed reading zip archive: failed finding central"),
    ],
    "git-lfs-pointer": [fails("local", "UnpicklingError", "invalid load key, 'v'.")],
    "module-shadowed": [
        an_import("ModuleNotFoundError", "No module named 'torch.nn'; 'torch' is not a package", package="numpy"),
        an_import("AttributeError", "module 'random' has no attribute 'Random' (consider renaming '/home/ana/x.py' "
                  "since it has the same name as the standard library module named 'random')"),
    ],
    "not-installed": [an_import("not installed", "torch is not installed")],
    "wrong-results": [
        StageRun("model", outcome="fail", error="wrong result", deviations=[Deviation("the logits", difference=0.5)])
    ],
}  # fmt: skip
CASES = [(condition, number) for condition, stages in WORDS.items() for number in range(len(stages))]

#: failures that look like something, and are not: the condition that they must not be taken for
NOTHING = {
    "a warning of CUDA beside another error": fails(
        "generate", "ValueError", "shapes do not match", ["UserWarning: CUDA initialization: Found no NVIDIA driver"]
    ),
    "a warning of NumPy beside another error": fails(
        "train", "KeyError", "loss", ["A module that was compiled using NumPy 1.x cannot be run in NumPy 2.5"]
    ),
    "a warning before a crash": fails(
        "train", "signal SIGSEGV", "", ["UserWarning: No module named 'einops': slower code is used"]
    ),
    "thread-local storage": an_import(
        "ImportError", "libgomp-98df74fd.so.1.0.0: cannot allocate memory in static TLS block"
    ),
    "somebody killed it": fails("generate", "signal SIGKILL"),
    "a bus error while computing": fails("train", "signal SIGBUS"),
    "a hang after a warning": fails("train", "timeout", "no end after 60 s", ["OMP: Error #15: something"]),
    "a file of ours that is damaged": fails(
        "model", "SafetensorError", "Error while deserializing header: HeaderTooLarge"
    ),
    "a module of Python that was not built": an_import("ModuleNotFoundError", "No module named '_ctypes'"),
    "syntax of a newer Python": an_import("SyntaxError", "invalid syntax (modeling_utils.py, line 1)"),
}


def machine(stage: StageRun, base: str = "linux") -> Snapshot:
    s = recorded.build(base)
    s.smoke.run = known(Machinery("full"), "hfdoctor smoke")
    s.smoke.stages = known([StageRun("import", "numpy"), stage], "hfdoctor smoke")
    tell_the_others(s)
    return s


@pytest.mark.parametrize(("condition", "number"), CASES)
def test_words_lead_to_their_condition(condition: str, number: int) -> None:
    """On every base machine, and where nothing is known of the packages, the condition fails by observation."""
    stage = WORDS[condition][number]
    assert speaks_of(stage) in (condition, "version-skew" if condition == "dependency-conflict" else condition)
    for base in ("linux", "windows", "cuda"):
        s = machine(stage, base)
        assert cause_of(s, stage) == condition, base
        (finding, *_) = [one for one in examine(BY_ID[condition], s, Goal()) if one.outcome == "fail"]
        severity = "warning" if stage.name == "compile" else "error"
        assert (finding.severity, finding.basis) == (severity, "observed"), base
        assert finding.summary and finding.evidence[0].text
        report = diagnose(s)
        assert not [one for one in report.findings if one.outcome == "crash"]
        assert report.exit_code == 1 or severity == "warning"
        named = {one.condition for one in report.failed()}
        assert named & {condition, *BY_ID[condition].explained_by}, base
        assert "smoke-failed" not in named, base


@pytest.mark.parametrize(("condition", "number"), CASES)
def test_a_failure_is_never_lost(condition: str, number: int) -> None:
    """Where other facts are missing, somebody still speaks of it."""
    stage = WORDS[condition][number]
    s = machine(stage)
    for section in ("packages.distributions", "target.interpreter", "machine.os", "gpu.driver", "target.shadows"):
        parent, _, name = section.partition(".")
        before = getattr(getattr(s, parent), name)
        setattr(getattr(s, parent), name, failed("set to failed by the test"))
        report = diagnose(s)
        assert [one for one in report.failed() if one.severity == "error" or stage.name == "compile"], section
        assert not [one for one in report.findings if one.outcome == "crash"], section
        setattr(getattr(s, parent), name, before)


@pytest.mark.parametrize("what", NOTHING)
def test_words_that_accuse_nobody(what: str) -> None:
    stage = NOTHING[what]
    assert speaks_of(stage) == ""
    s = machine(stage)
    assert cause_of(s, stage) == ""
    named = {one.condition for one in diagnose(s).failed()}
    assert named == {"smoke-failed"}


def test_every_sign_has_a_case_and_a_condition() -> None:
    import re

    from hfdoctor.conditions.seen_signs import sign_of

    stages = [stage for cases in (*WORDS.values(), [*NOTHING.values()]) for stage in cases]
    used = {sign_of(stage.error, stage.message, stage.printed, stage.name) for stage in stages}
    assert {sign.condition for sign in SIGNS} - {""} <= set(BY_ID)
    assert {sign.condition for sign in used if sign} >= {sign.condition for sign in SIGNS}
    assert set(REMEDIES) <= set(BY_ID)
    assert all(re.compile(sign.pattern) for sign in SIGNS)


def test_an_import_of_a_run_counts_once() -> None:
    s = machine(an_import("signal SIGILL"))
    assert [seen.key for seen in failures(s)] == ["import torch"]
    s.packages.imports = known([ImportTrial("torch", ok=False, error="signal SIGILL")], "python -c import ...")
    assert [seen.key for seen in failures(s)] == ["import torch"]
    s.smoke.stages = failed("no scratch folder")
    assert [(seen.key, seen.doing) for seen in failures(s)] == [("torch", "importing torch")]


def test_a_kill_for_want_of_memory_is_told_from_another() -> None:
    s = machine(fails("generate", "signal SIGKILL"))
    s.smoke.oom_kills = known(1, "memory.events")
    assert list({one.condition for one in diagnose(s).failed()}) == ["out-of-memory"]


def test_an_unneeded_stage_only_warns() -> None:
    report = diagnose(machine(WORDS["triton-missing"][0]))
    assert [(one.condition, one.severity) for one in report.failed()] == [("triton-missing", "warning")]
    assert report.exit_code == 0


@pytest.mark.parametrize(
    ("condition", "stages", "outcome"),
    [
        ("gpu-out-of-memory", [StageRun("model"), StageRun("device", "cpu")], "skip"),
        ("gpu-out-of-memory", [StageRun("model"), StageRun("device", outcome="skip", because="no GPU")], "skip"),
        ("gpu-out-of-memory", [StageRun("device"), StageRun("device", "cuda:1")], "pass"),
        ("cuda-unknown-error", [StageRun("model"), StageRun("train")], "skip"),
        ("cuda-unknown-error", [StageRun("device", "xpu:0")], "pass"),
        ("model-type-unknown", [StageRun("import", "torch"), StageRun("tokenizer")], "skip"),
        ("model-type-unknown", [StageRun("local")], "pass"),
        ("out-of-memory", [StageRun("import", "torch")], "pass"),
    ],
)
def test_nothing_passes_that_was_not_tried(condition: str, stages: list[StageRun], outcome: str) -> None:
    s = recorded.build("linux")
    s.smoke.run, s.smoke.stages = known(Machinery("full")), known(stages)
    (entry,) = [one for one in CATALOGUE if one.id == condition]
    assert [one.outcome for one in examine(entry, s, Goal())] == [outcome]


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        (
            "windows-pagefile",
            ["SystemPropertiesPerformance", "Virtual memory", "Automatically", "restart", "until then"],
        ),
        ("vc-redist-missing", ["https://aka.ms/vc14/vc_redist.x64.exe", "Install", "hfdoctor check again"]),
    ],
)
def test_what_a_person_does_on_windows_is_told_click_by_click(condition: str, named: list[str]) -> None:
    s = machine(WORDS[condition][0])
    (finding,) = (one for one in diagnose(s).failed() if one.condition == condition)
    assert finding.remedy is not None and not any(step.argv for step in finding.remedy.steps)
    for step, words in zip(finding.remedy.steps, named, strict=True):
        assert words in step.text
