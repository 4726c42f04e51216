"""What the installed native libraries say of themselves, read from their headers and never by loading them."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class GpuCode(msgspec.Struct, omit_defaults=True):
    """The GPU code in one library (the largest of its package): targets as the tools spell them."""

    #: the distribution it belongs to: torch, bitsandbytes, flash-attn ...
    package: str
    path: str
    #: cuda, hip
    kind: str
    #: machine code in nearly every container: sm_80, sm_90a, sm_120f; HIP: gfx90a, gfx942:sramecc+:xnack-
    code: list[str] = []
    #: PTX in nearly every container: compute_90
    ptx: list[str] = []
    #: targets that only a few kernels have: they are no support
    few: list[str] = []
    #: containers that were counted
    containers: int = 0
    #: version of the language of that PTX: "8.7"; no driver older than its CUDA compiles it. "" without PTX
    ptx_isa: str = ""


class LinkProblem(msgspec.Struct, omit_defaults=True):
    """One thing that the loader would not find, or would find wrongly.

    ``kind``: missing (no such library anywhere it looks), version (the found one lacks the symbol version ``wanted``),
    shadowed (``found`` comes before ``expected``, which the package brought along), wrong-architecture, wrong-class
    (32 bits for a process of 64, or the other way round), truncated.
    """

    kind: str
    #: distribution and file that need it
    package: str
    library: str
    #: name of the needed library: libnvJitLink.so.12, VCRUNTIME140_1.dll
    needs: str
    #: version: the symbol version that is wanted and lacking, GLIBC_2.32, GLIBCXX_3.4.29, libnvJitLink.so.12
    #: __nvJitLinkAddData_12_4; wrong-architecture, wrong-class: what the found library is for, "aarch64, 64 bits"
    wanted: str = ""
    #: where the loader finds a library of that name, "" nowhere
    found: str = ""
    #: which step of the loader's order found it: rpath, runpath, LD_LIBRARY_PATH, ld.so.cache, default, loaded,
    #: application, dll-directory, system32, PATH
    found_by: str = ""
    #: the one that was meant
    expected: str = ""
    #: the chain from the package's first library to this one
    chain: list[str] = []


class Linkage(msgspec.Struct, omit_defaults=True):
    """How the libraries of torch (and what it loads) hang together. ``examined`` counts libraries."""

    examined: int
    problems: list[LinkProblem] = []
    #: directories that were searched, in the loader's order, for the first problem
    searched: list[str] = []


class CudaLibrary(msgspec.Struct, omit_defaults=True):
    """A CUDA library that torch would load, and where from.

    ``family`` is its name without version: cudnn, cublas, nvJitLink, cusparse, cudart, nccl.
    """

    family: str
    path: str
    #: of the file's own version string or its distribution: 9.1.0.70, 12.4.127; "" where it does not say
    version: str = ""
    #: wheel (site-packages/nvidia), torch (torch/lib), conda, system, LD_LIBRARY_PATH
    origin: str = ""


class Native(msgspec.Struct, omit_defaults=True):
    """The section ``native``."""

    #: absent where no installed library that was asked has GPU code. Failed where torch's own cannot be read; where
    #: that of another package cannot, it is left out of the list and named in the fact's reason
    gpu_code: Fact[list[GpuCode]] = unobserved()
    linkage: Fact[Linkage] = unobserved()
    #: the CUDA libraries that torch's own would get, as the loader decides
    cuda_libraries: Fact[list[CudaLibrary]] = unobserved()
    #: Windows: the newest linker (MSVC toolset) among torch's DLLs, "14.40", and the DLL; the VC++ runtime must not be
    #: older than that
    linked_with: Fact[str] = unobserved()
