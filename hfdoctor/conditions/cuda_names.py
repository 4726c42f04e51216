"""The libraries of CUDA by their file names, and the wheels that bring them: one place for both spellings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from ..facts.sections.native import LinkProblem
from ..facts.snapshot import Snapshot
from .closure import Ask, closure_of

#: family of a library (its name in lower case without lib, version and ending) -> its wheel's name before -cu12
WHEELS: Mapping[str, str] = {
    "cublas": "nvidia-cublas",
    "cublaslt": "nvidia-cublas",
    "cudart": "nvidia-cuda-runtime",
    "cudnn": "nvidia-cudnn",
    "cufft": "nvidia-cufft",
    "cufftw": "nvidia-cufft",
    "cufile": "nvidia-cufile",
    "cupti": "nvidia-cuda-cupti",
    "curand": "nvidia-curand",
    "cusolver": "nvidia-cusolver",
    "cusolvermg": "nvidia-cusolver",
    "cusparse": "nvidia-cusparse",
    "cusparselt": "nvidia-cusparselt",
    "nccl": "nvidia-nccl",
    "nvjitlink": "nvidia-nvjitlink",
    "nvrtc": "nvidia-cuda-nvrtc",
    "nvshmem": "nvidia-nvshmem",
    "nvtoolsext": "nvidia-nvtx",
    "nvtx": "nvidia-nvtx",
}
#: of a library that brings in something else's needs (bitsandbytes has one for each CUDA) nothing follows for torch
_OF_TORCH = ("torch", "torchvision", "torchaudio")
_SUFFIX = r"-cu(\d+)\Z"


class Pin(msgspec.Struct, frozen=True):
    """A wheel of CUDA that torch asks for, itself or through cuda-toolkit, and what is installed of it."""

    ask: Ask
    stem: str

    @property
    def met(self) -> bool:
        """Whether the wheel is installed in an admitted version; what cannot be compared counts as met."""
        from .requirement_lines import fits

        return self.ask.installed is not None and fits(self.ask.installed, self.ask.specifier) is not False


def family_of(library: str) -> str:
    """cublaslt for libcublasLt.so.12 and cublasLt64_12.dll; "" for what is no library of the CUDA toolkit.

    libcuda.so.1 and nvcuda.dll are the driver's.
    """
    match = re.match(r"(?:lib)?([a-z]+)", library.replace("\\", "/").rpartition("/")[2].lower())
    return match[1] if match and match[1] in WHEELS else ""


def stem_of(distribution: str) -> str:
    """nvidia-cublas for nvidia-cublas-cu12 and for nvidia-cublas; "" for what is no wheel of CUDA."""
    stem = re.sub(_SUFFIX, "", distribution)
    return stem if stem in WHEELS.values() else ""


def major_of(distribution: str, version: str) -> str:
    """The CUDA major that the wheel was made for: 12 for nvidia-cublas-cu12; of those without it, by the version."""
    match = re.search(_SUFFIX, distribution)
    if match:
        return match[1]
    # since CUDA 13 the names have no suffix, and cudart's and nvrtc's versions are those of CUDA
    return version.partition(".")[0] if stem_of(distribution).startswith("nvidia-cuda-") else ""


def pins_of_torch(s: Snapshot, goal_packages: Iterable[str]) -> list[Pin]:
    """What torch asks for of CUDA's wheels, by metadata. Raises FactMissing as closure_of does."""
    askers = ("torch", "cuda-toolkit")
    asks = closure_of(s, goal_packages).asks
    return [Pin(ask, stem) for ask in asks if ask.by in askers and (stem := stem_of(ask.name))]


def concerns_cuda(name: str, asks: Iterable[Ask]) -> bool:
    """Whether unmet asks for ``name`` are those of the CUDA libraries' conditions, not dependency-conflict's."""
    if not stem_of(name):
        return False
    return all(ask.by in ("torch", "cuda-toolkit") or stem_of(ask.by) for ask in asks)


def cuda_problems(s: Snapshot, *kinds: str) -> list[LinkProblem]:
    """What the loader would not find, or find wrongly, of CUDA's libraries for torch; [] where it was not looked."""
    linkage = s.native.linkage.maybe()
    return [
        problem
        for problem in (linkage.problems if linkage else ())
        if problem.kind in kinds
        and family_of(problem.needs)
        and (problem.package in _OF_TORCH or stem_of(problem.package))
    ]


def is_cuda_build(s: Snapshot) -> bool | None:
    """Whether the installed torch was built for CUDA; None where that is not known."""
    build = s.packages.torch_build.maybe()
    return None if build is None else bool(build.cuda)
