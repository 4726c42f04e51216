"""Reads for which GPUs the installed libraries were built: torch's own, and those of packages built on it."""

from __future__ import annotations

import os
import sys
import time

from ..fact import Fact, absent, failed, known, not_run
from ..legible import legible
from ..probe import Context
from ..sections.native import GpuCode
from ..sections.packages import Distribution, TorchBuild
from .installed_files import folder_of, record_path
from .record import read_record

#: where torch keeps its GPU code, below its folder
TORCH_LIBRARIES = ("lib/libtorch_cuda.so", "lib/torch_cuda.dll", "lib/libtorch_hip.so", "lib/torch_hip.dll")

#: packages with GPU code of their own that do not name torch among their requirements, or whose wheels have no tag of
#: a platform; all others that need torch and were built for a platform are asked too
WITH_GPU_CODE = frozenset(
    {
        "auto-gptq",
        "autoawq-kernels",
        "bitsandbytes",
        "causal-conv1d",
        "ctranslate2",
        "deepspeed",
        "exllamav2",
        "flash-attn",
        "flash-attn-3",
        "flashinfer-python",
        "llama-cpp-python",
        "mamba-ssm",
        "onnxruntime-gpu",
        "onnxruntime-rocm",
        "sgl-kernel",
        "vllm",
        "xformers",
    }
)
#: companions that are compiled together with torch: of one build with it, or the conditions of companions say so
COMPANIONS = frozenset({"torch", "torchvision", "torchaudio", "torchtext", "torchdata"})

#: packages that are asked besides torch, libraries of one that are opened, and seconds for all of them
MOST_PACKAGES, MOST_LIBRARIES, SECONDS = 12, 3, 3.0
#: smaller ones hold no kernel worth it (bytes)
SMALLEST = 64 << 10


def read_gpu_code(ctx: Context) -> Fact[list[GpuCode]]:
    """The GPU code in torch's library and in the largest library of each package that has some.

    Reads headers alone: some hundred kilobytes of torch's gigabyte. Source: section .nv_fatbin (.nv_fatb, .hip_fatbin)
    of each file.
    """
    if sys.platform == "darwin":
        return absent("code for GPUs is not kept in the libraries of macOS")
    packages = ctx.snapshot.packages
    if not packages.distributions.known:
        return not_run("the installed packages are not known")
    installed = packages.installed()
    build = packages.torch_build.maybe()
    source = folder_of(installed["torch"]) if "torch" in installed else packages.distributions.source
    found: list[GpuCode] = []
    torch_library = _torch_library(installed.get("torch"), build)
    if torch_library:
        from ...binaries.sections import NotReadable

        try:
            own = _read("torch", torch_library)
        except (NotReadable, OSError) as error:
            return failed(_says(torch_library, error), torch_library)
        if own is not None:
            found.append(own)
    others, unread = _of_packages(_asked(installed, build), build, min(ctx.deadline, time.monotonic() + SECONDS))
    found += others
    if not found:
        return failed(unread, source) if unread else absent("no installed library has GPU code", source)
    result = known(found, source)
    result.reason = unread
    return result


def _torch_library(torch: Distribution | None, build: TorchBuild | None) -> str:
    """Path of the library with torch's GPU code, "" where it has none."""
    if torch is None or (build is not None and not build.cuda and not build.hip):
        return ""
    folder = f"{folder_of(torch)}torch{os.sep}"
    for name in TORCH_LIBRARIES:
        path = folder + name.replace("/", os.sep)
        if os.path.isfile(path):
            return path
    return ""


def _asked(installed: dict[str, Distribution], build: TorchBuild | None) -> list[Distribution]:
    """The packages that may have GPU code of their own, those of the short list first."""
    short = [entry for name, entry in installed.items() if name in WITH_GPU_CODE and not entry.problem]
    if build is not None and not build.cuda and not build.hip:
        # what works through this torch computes on the processor, whatever its libraries hold
        return [entry for entry in short if not any(map(_is_torch, entry.requires))][:MOST_PACKAGES]
    rest = [
        entry
        for name, entry in installed.items()
        if name not in WITH_GPU_CODE
        and name not in COMPANIONS
        and not entry.problem
        and any(not tag.endswith("-any") for tag in entry.tags)
        and any(_is_torch(line) for line in entry.requires)
    ]
    return (short + rest)[:MOST_PACKAGES]


def _is_torch(requirement: str) -> bool:
    """Whether a line of Requires-Dist asks for torch itself, always."""
    name = requirement[:5].lower()
    return (
        name == "torch"
        and (requirement[5:6] in ("", " ", ";", "(", "<", ">", "=", "!", "~"))
        and ("extra ==" not in requirement)
    )


def _of_packages(packages: list[Distribution], build: TorchBuild | None, until: float) -> tuple[list[GpuCode], str]:
    """The GPU code of each package that has some, and what could not be read, in one line."""
    found: list[GpuCode] = []
    unread: list[str] = []
    for entry in packages:
        for path in _libraries(entry, build):
            if time.monotonic() > until:
                unread.append("reading took too long")
                return found, "; ".join(unread)
            from ...binaries.sections import NotReadable

            try:
                code = _read(entry.name, path)
            except FileNotFoundError:
                continue  # that a file is gone is told elsewhere
            except (NotReadable, OSError) as error:
                unread.append(_says(path, error))
                continue
            if code is not None:
                found.append(code)
                break
    return found, "; ".join(unread[:4])


def _libraries(entry: Distribution, build: TorchBuild | None) -> list[str]:
    """Paths of a package's largest libraries; one that names torch's CUDA or ROCm (_cuda128.so) before all others."""
    record, problem = read_record(record_path(entry), sampled=True)
    if problem:
        return []
    rows = []
    for path, size in zip(record.paths, record.sizes, strict=True):
        if path.endswith((".so", ".dll", ".pyd")) and not path.startswith(".."):
            length = int(size) if size else SMALLEST  # conda's lists have no sizes
            if length >= SMALLEST:
                rows.append((_made_for(path.rpartition("/")[2].lower(), build), length, path))
    rows.sort(reverse=True)
    folder = folder_of(entry)
    return [folder + path.replace("/", os.sep) for _, _, path in rows[:MOST_LIBRARIES]]


def _made_for(file_name: str, build: TorchBuild | None) -> int:
    """How well a file's name goes with torch's build: packages bring a library for each CUDA, and torch loads one."""
    if build is None:
        return 0
    kinds = ("rocm", "hip") if build.hip else ("cuda",)
    version = ".".join((build.hip or build.cuda).split(".")[:2]).replace(".", "")
    named = next((kind for kind in kinds if kind in file_name), "")
    return 2 if named and version and f"{named}{version}" in file_name else 1 if named else 0


def _read(package: str, path: str) -> GpuCode | None:
    from ...binaries.gpu_code import read_file

    code = read_file(path)
    if code is None:
        return None
    kind, targets, ptx, few, containers, ptx_isa = code
    return GpuCode(package, legible(path), kind, targets, ptx, few, containers, ptx_isa)


def _says(path: str, error: Exception) -> str:
    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return f"{legible(path)}: {reason}"
