"""The signs by which a failure is known: what an error says, or how a process died -> the condition it speaks of.

A sign is looked for only where such words are the failure itself: in the error and its message, or, of a process that
died, in the lines with which programs say why they end. A warning that was printed meanwhile accuses nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Sign(NamedTuple):
    """``pattern`` is a regular expression for "error: message". ``stages``: the stages it holds for, all if empty.

    ``printed`` must besides be found in what was printed: an error that several causes share, told apart by a warning.
    """

    condition: str
    pattern: str
    stages: tuple[str, ...] = ()
    printed: str = ""


_TORCHS_OWN = r"lib(?:c10|torch|shm|caffe2|aoti)\w*\.(?:so|dylib)"
_CUDA = (
    r"lib(?:cublas|cublasLt|cudart|cufft|cufftw|cufile|cupti|curand|cusolver|cusolverMg|cusparse|cusparseLt|nccl"
    r"|nvJitLink|nvrtc|nvshmem_host|nvToolsExt|nvtx)"
)
_LOCAL = ("local",)

#: from the particular to the general: the first that fits is it
SIGNS: tuple[Sign, ...] = (
    # -- how the process ended ----------------------------------------------------------------------------------------
    Sign("illegal-instruction", r"^(?:signal SIGILL|exit 0xC000001D)\b"),
    Sign("illegal-instruction", r"was built with baseline optimizations"),
    Sign("out-of-memory", r"^exit 0xC0000017\b"),
    Sign("windows-pagefile", r"^exit 0xC000012D\b"),
    Sign("dll-load-failed", r"^exit 0x(?:C0000135|C0000139|C0000142|C06D007E|C06D007F)\b"),
    # a page of a mapped file that is not there: the file ends too early, or the disk cannot read it
    Sign("broken-install", r"^(?:signal SIGBUS|exit 0xC0000006)\b", ("import",)),
    Sign("openmp-duplicate", r"OMP: Error #15\b"),
    # -- two generations of one interface -----------------------------------------------------------------------------
    Sign("numpy-abi", r"_ARRAY_API not found|compiled using NumPy 1\b|Numpy is not available"),
    Sign("numpy-abi", r"numpy\.\w+ size changed|module compiled against (?:ABI|API) version"),
    Sign("numpy-abi", r"numpy\.core\.multiarray failed to import"),
    Sign("torch-companion-mismatch", r"operator torchvision::|compiled with different CUDA"),
    Sign("torch-companion-mismatch", r"(?:torchvision|torchaudio)\S*: undefined symbol"),
    # -- graphics -----------------------------------------------------------------------------------------------------
    Sign("cudnn-failure", r"cuDNN version incompatibility|CUDNN_STATUS_(?:SUBLIBRARY|VERSION_MISMATCH)"),
    Sign("cudnn-failure", r"(?i:could not|unable to) load (?:library|any of)[^\n]*cudnn"),
    Sign("cudnn-failure", r"libcudnn\w*\.so[^\n]*(?:cannot open|undefined symbol)"),
    Sign("gpu-out-of-memory", r"OutOfMemoryError|(?:CUDA|HIP|XPU|MPS backend) out of memory|CUDA error: out of memory"),
    Sign("gpu-out-of-memory", r"(?:CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_ALLOC_FAILED|cudaErrorMemoryAllocation"),
    Sign("driver-mismatch", r"Driver/library version mismatch|unsupported display driver / cuda driver combination"),
    Sign("driver-too-old", r"driver on your system is too old|CUDA driver version is insufficient"),
    Sign("driver-too-old", r"PTX was compiled with an unsupported toolchain"),
    Sign("driver-missing", r"Found no NVIDIA driver|libcuda\.so\.1: cannot open shared object file"),
    Sign("torch-cpu-build", r"Torch not compiled with CUDA enabled"),
    Sign("gpu-hidden", r"No CUDA GPUs are available|no CUDA-capable device is detected"),
    Sign("rocm-mismatch", r"hipErrorNoBinaryForGpu|HIP error: (?:invalid device function|no kernel image)"),
    Sign("gpu-arch-unsupported", r"no kernel image is available|is not compatible with the current PyTorch install"),
    Sign("gpu-arch-unsupported", r"CUDA error: invalid device function"),
    Sign("cudnn-failure", r"cuDNN error: CUDNN_STATUS_|(?i:unable to find an engine to execute this computation)"),
    Sign("cuda-unknown-error", r"CUDA unknown error|CUDA error: |HIP error: |CUBLAS_STATUS_\w+"),
    Sign("mps-unsupported-op", r"(?:not (?:currently )?implemented|not supported) (?:for|on) (?:the )?MPS"),
    Sign(
        "mps-unsupported-op", r"MPS \w+ is only supported on|Cannot convert a MPS Tensor|framework doesn't support \w+"
    ),
    Sign("triton-missing", r"(?i:cannot find a working triton)|TritonMissing|No module named 'triton"),
    # -- what Windows' loader says ------------------------------------------------------------------------------------
    Sign("windows-pagefile", r"\[WinError 1455\]|os error 1455|(?i:paging file is too small)"),
    Sign("vc-redist-missing", r"\[WinError (?:126|1114)\]", printed=r"Visual C\+\+ Redistributable is not installed"),
    Sign("vc-redist-missing", r"(?:vcruntime|msvcp|concrt)\d+(?:_\w+)?\.dll"),
    Sign("dll-load-failed", r"\[WinError (?:126|127|182|193|1114)\]|DLL load failed while importing"),
    # -- what other loaders say ---------------------------------------------------------------------------------------
    Sign("glibc-too-old", r"version `(?:GLIBC|GLIBCXX|CXXABI|GCC)_[\w.]+' not found"),
    Sign("glibc-too-old", r"lib(?:stdc\+\+|gcc_s)\.so\.\d+: cannot open shared object file"),
    Sign("glibc-too-old", r"Error loading shared library ld-linux"),
    Sign("cuda-libs-mixed", r"undefined symbol: (?:__nvJitLink|nccl|cublas|cudnn|cusparse|cusolver|cufft|curand)\w+"),
    Sign("cuda-libs-mixed", rf"not defined in file {_CUDA}"),
    Sign("cuda-libs-missing", rf"{_CUDA}\.so[.\d]*: cannot open shared object file"),
    Sign("cuda-libs-missing", rf"{_CUDA}\.so\S* not found in the system path"),
    Sign("broken-install", r"file too short|invalid ELF header|cannot read file data|ELF load command"),
    Sign("broken-install", r"only ET_DYN and ET_EXEC can be loaded|object file has no (?:loadable|dynamic)"),
    Sign("broken-install", r"(?i:not a mach-o file|not valid mach-o|truncated mach-o)|slice is not valid"),
    Sign("broken-install", rf"{_TORCHS_OWN}\S*: cannot open shared object file"),
    # a library that a wheel brings along has a hash in its name
    Sign("broken-install", r"lib[\w+.]+-[0-9a-f]{8}\.so\S*: cannot open shared object file"),
    Sign("broken-install", rf"{_TORCHS_OWN}\S*: undefined symbol"),
    Sign("extension-abi-mismatch", r"undefined symbol: |symbol not found in flat namespace|wrong ELF class"),
    Sign("extension-abi-mismatch", r"incompatible architecture \(have"),
    # -- files of Python that are damaged -----------------------------------------------------------------------------
    Sign("broken-install", r"source code (?:string )?cannot contain null bytes|unmarshallable|bad marshal data"),
    Sign("broken-install", r"bad magic number in|EOF read where|cannot import name '\w+' from '[\w.]+' \(unknown loc"),
    Sign("broken-install", r"SyntaxError: .*(?:was never closed|unexpected EOF|unterminated|\(unicode error\))"),
    Sign(
        "broken-install", r"SyntaxError: .*(?:Non-UTF-8|invalid non-printable)|IndentationError: expected an indented"
    ),
    # -- what transformers says of the others -------------------------------------------------------------------------
    Sign("dependency-conflict", r"distribution was not found and is required by this application"),
    Sign("version-skew", r"is required for a normal functioning of this module, but found"),
    Sign(
        "version-skew", r"cannot import name '\w+' from '(?:huggingface_hub|tokenizers|accelerate|peft|safetensors)\b"
    ),
    # what a Trainer kept is refused by the torch that it resumes with: transformers before 4.48, torch 2.6 and newer
    Sign("version-skew", r"Weights only load failed", ("train",)),
    Sign("torch-too-old-for-transformers", r"PyTorch >= ?[\d.]+ is required|upgrade torch to at least v2\.\d"),
    Sign("torch-too-old-for-transformers", r"requires the PyTorch library but it was not found"),
    Sign("keras3", r"installed version of Keras is Keras 3"),
    Sign("model-type-unknown", r"does not recognize this architecture|Unrecognized (?:model|configuration class) "),
    Sign("model-type-unknown", r"Tokenizer class \w+ does not exist or is not currently imported"),
    Sign("missing-optional-dependency", r"^not installed: |requires the \S+ library but it was not found"),
    Sign("missing-optional-dependency", r"ImportError: .*\brequires (?:`[\w.<>=-]+`|Accelerate)"),
    Sign("missing-optional-dependency", r"requires the following packages that were not found in your environment"),
    # -- what the machine lacks ---------------------------------------------------------------------------------------
    Sign("shared-memory", r"killed by signal: Bus error|insufficient shared memory"),
    Sign("shared-memory", r"(?:unable|failed) to \w+ (?:file|shared memory)[^\n]*(?:/dev/shm|torch_\d+|shared memory)"),
    Sign("disk-full", r"\[Errno (?:28|122)\]|No space left on device|Disk quota exceeded|\[WinError 112\]"),
    Sign("disk-full", r"\bos error (?:28|112)\b|not enough space on the disk"),
    Sign("too-many-open-files", r"\[Errno 24\]|Too many open files"),
    # glibc's complaint about thread-local storage has the same words and nothing to do with memory
    Sign("", r"cannot allocate memory in static TLS block"),
    Sign("permission-denied", r"failed to map segment from shared object: Operation not permitted"),
    Sign("out-of-memory", r"^MemoryError|ArrayMemoryError|std::bad_alloc|DefaultCPUAllocator: (?:can't|not enough)"),
    Sign("out-of-memory", r"(?i:cannot allocate memory)|\[Errno 12\]|failed to map segment from shared object"),
    Sign(
        "out-of-memory", r"(?i:memory allocation (?:of \d+ bytes|still)) failed|too many memory regions|Out of memory\b"
    ),
    Sign("out-of-memory", r"can't start new thread|(?i:thread|fork|bad_alloc)[^\n]*Resource temporarily unavailable"),
    Sign("out-of-memory", r"OMP: Error #(?:34|35)\b|std::system_error[^\n]*\n[^\n]*Resource temporarily unavailable"),
    Sign("permission-denied", r"^PermissionError|\[Errno (?:13|30)\]|\[WinError 5\]|\bos error (?:13|30)\b"),
    # -- the person's own model folder --------------------------------------------------------------------------------
    Sign("git-lfs-pointer", r"invalid load key, 'v'|version https://git-lfs", _LOCAL),
    Sign("cache-corrupt", r"HeaderTooLarge|HeaderTooSmall|InvalidHeader|MetadataIncompleteBuffer", _LOCAL),
    Sign("cache-corrupt", r"^BadWeights: ", _LOCAL),  # the doctor's own look at the files
    Sign("cache-corrupt", r"Error while deserializing header|invalid load key|PytorchStreamReader failed", _LOCAL),
    # -- a module that is not there, or is another --------------------------------------------------------------------
    Sign("module-shadowed", r"'[\w.]+' is not a package|consider renaming '"),
    Sign("broken-install", r"No module named '\w+\.[\w.]+'"),
    Sign("missing-optional-dependency", r"No module named '[A-Za-z]\w*'"),
)

#: how programs begin a line in which they say why they end
_LAST_WORDS = (
    r"^\s*(?:terminate called|terminating|what\(\):|OMP: Error|OpenBLAS|libgomp: |Intel \w+ FATAL|FATAL|Fatal |fatal |"
    r"Could not load|Unable to load|memory allocation of|cannot allocate memory|thread '|\S*: symbol lookup error|"
    r".*: error while loading shared|AttributeError: _ARRAY_API|A module that was compiled using NumPy|"
    r"MemoryError|ImportError|OSError)"
)
#: a death says nothing in these words; what is printed in a hang may have been said long before
SILENT = ("timeout", "no-answer", "not-started", "not-tried")


def is_death(error: str) -> bool:
    """Whether the process ended without saying how the stage went."""
    return error.startswith(("signal ", "exit "))


def last_words(printed: Iterable[str]) -> Iterator[str]:
    """Those of the lines that were printed in which a program says why it ends."""
    return (line.strip() for line in printed if re.match(_LAST_WORDS, line))


def condition_for(error: str, message: str, printed: Iterable[str], stage: str) -> str:
    """The condition that a failure speaks of, "" if it fits none. Arguments as of ``sign_of``."""
    sign = sign_of(error, message, printed, stage)
    return sign.condition if sign else ""


def sign_of(error: str, message: str, printed: Iterable[str], stage: str) -> Sign | None:
    """The sign by which a failure is known; None if it has none.

    ``stage`` is its name (``import``, ``local``, ...), ``printed`` the lines that were printed meanwhile.
    """
    if error in SILENT:
        return None
    lines = list(printed)
    text = f"{error}: {message}"
    # OpenBLAS interrupts the process that it cannot start its threads in
    if is_death(error) or error == "KeyboardInterrupt":
        text = "\n".join((text, *last_words(lines)))
    whole = "\n".join(lines)
    for sign in SIGNS:
        if sign.stages and stage not in sign.stages:
            continue
        if re.search(sign.pattern, text) and (not sign.printed or re.search(sign.printed, whole)):
            return sign
    return None
