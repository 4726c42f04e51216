"""What to say and to do where a stage says what is wrong and nothing else is known of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from ..facts.snapshot import Snapshot
from . import windows_by_hand as by_hand
from .install_steps import install
from .model import FixClass
from .newer_torch import newer_torch
from .reinstall import reinstall, torch_index
from .seen_stages import Seen, package_in

_RUNTIME = by_hand.REDISTRIBUTABLE.format(kind="x64")
_SELECTOR = "choose the build for this GPU and driver on https://pytorch.org/get-started/locally/"


class Way(msgspec.Struct, frozen=True):
    """One step: what it does, in words, and its command where it has one (none: the step is left out)."""

    text: str
    command: Callable[[Snapshot, Seen], list[str]] | None = None
    administrator: bool = False


class Remedy(msgspec.Struct, frozen=True):
    """The sentence of the finding, and the steps. Fields: doing, message, package, path."""

    summary: str
    ways: tuple[Way, ...] = ()
    fix_class: FixClass = "print-only"


def _upgrade(*names: str) -> Callable[[Snapshot, Seen], list[str]]:
    return lambda s, seen: install(s, list(names), "--upgrade")


def _torch_again(s: Snapshot, seen: Seen) -> list[str]:
    torch = s.packages.installed().get("torch")
    if torch is None:
        return []
    return install(s, [f"torch=={torch.version}"], "--force-reinstall", *torch_index(torch.version))


def _newer_torch(s: Snapshot, seen: Seen) -> list[str]:
    asked = re.search(r"PyTorch >= ?([\d.]*\d)|at least v([\d.]*\d)", seen.text)
    least = next((one for one in asked.groups() if one), "") if asked else ""
    step = newer_torch(s, least)
    return step.argv if step else []


def _companions(s: Snapshot, seen: Seen) -> list[str]:
    installed = s.packages.installed()
    names = [name for name in ("torchvision", "torchaudio") if name in installed]
    torch = installed.get("torch")
    if torch is None or not names:
        return []
    return install(s, [f"torch=={torch.version}", *names], *torch_index(torch.version))


def _again(s: Snapshot, seen: Seen) -> list[str]:
    """The compiled package that the message names by its folder, or that was being imported, anew."""
    entry = s.packages.installed().get(package_in(s, seen))
    return reinstall(s, entry)[0].argv if entry else []


def _triton(s: Snapshot, seen: Seen) -> list[str]:
    os = s.machine.os.maybe()
    return install(s, ["triton-windows" if os and os.system == "windows" else "triton"])


def _seen_keras(s: Snapshot, seen: Seen) -> list[str]:
    return install(s, ["tf-keras"])


def _packages_of_family(s: Snapshot, seen: Seen) -> list[str]:
    named = re.findall(r"' from '(\w+)|([\w-]+)\S* is required for a normal functioning|requires `(\w+)", seen.message)
    names = ["".join(groups).replace("_", "-").lower() for groups in named]
    return install(s, list(dict.fromkeys(["transformers", *names])), "--upgrade")


REMEDIES: Mapping[str, Remedy] = {
    "module-shadowed": Remedy(
        "{doing} fails: a file of yours is imported instead of the library",
        (Way("rename the file or folder that has the library's name, or work in another folder"),),
    ),
    "version-skew": Remedy(
        "{doing} fails: the installed libraries do not go together",
        (Way("install versions that go together", _packages_of_family),),
        "confirm",
    ),
    "dependency-conflict": Remedy(
        "{doing} fails: a package that the libraries require is missing or of another version",
        (Way("install what transformers asks for", _upgrade("transformers")),),
        "confirm",
    ),
    "torch-companion-mismatch": Remedy(
        "{doing} fails: torch and one of its companions were made for different releases",
        (Way("let the installer find the releases that belong to this torch", _companions),),
        "confirm",
    ),
    "torch-too-old-for-transformers": Remedy(
        "{doing} fails: this transformers asks for a newer torch",
        (Way("install a newer torch", _newer_torch), Way("or, if this torch must stay, an older transformers")),
        "confirm",
    ),
    "keras3": Remedy("{doing} fails: transformers refuses Keras 3", (Way("install tf-keras", _seen_keras),), "confirm"),
    "missing-optional-dependency": Remedy(
        "{doing} needs a package that is not installed",
        (Way("install the package that the message names"),),
    ),
    "cuda-libs-mixed": Remedy(
        "{doing} fails: CUDA libraries of another version come first",
        (
            Way("if LD_LIBRARY_PATH (PATH on Windows) names a folder of CUDA, take it out: torch needs none there"),
            Way("if that is not it, install torch again with the libraries that it asks for", _torch_again),
        ),
        "confirm",
    ),
    "cuda-libs-missing": Remedy(
        "{doing} fails: a library of CUDA is not found",
        (Way("install torch again with the libraries that it asks for", _torch_again),),
        "confirm",
    ),
    "cudnn-failure": Remedy(
        "{doing} fails: cuDNN does not work",
        (
            Way("take folders of another cuDNN out of LD_LIBRARY_PATH (PATH on Windows)"),
            Way("and install torch again with the cuDNN that it asks for", _torch_again),
        ),
        "confirm",
    ),
    "triton-missing": Remedy("{doing} needs triton, which is not there", (Way("install triton", _triton),), "confirm"),
    "dll-load-failed": Remedy(
        "{doing} fails: Windows cannot load a library",
        (Way("install the package again", _again), Way("never take a single DLL from a download site")),
        "confirm",
    ),
    "vc-redist-missing": Remedy(
        "{doing} fails: the Visual C++ runtime is missing or too old",
        (
            Way(by_hand.DOWNLOAD_RUNTIME.format(url=_RUNTIME)),
            Way(by_hand.INSTALL_RUNTIME.format(file=_RUNTIME.rpartition("/")[2]), administrator=True),
            Way(by_hand.RESTART_IF_ASKED),
        ),
    ),
    "windows-pagefile": Remedy(
        "{doing} fails: Windows cannot promise the memory that it asks for",
        (
            Way(by_hand.OPEN_OPTIONS, administrator=True),
            Way(by_hand.OPEN_MEMORY),
            Way(by_hand.LET_WINDOWS_MANAGE),
            Way(by_hand.RESTART),
            Way(by_hand.MEANWHILE),
        ),
    ),
    "extension-abi-mismatch": Remedy(
        "{doing} fails: a compiled package was built for another torch, Python or machine",
        (Way("install it again in a build for this torch and Python", _again),),
        "confirm",
    ),
    "glibc-too-old": Remedy(
        "{doing} fails: this system's C or C++ library is too old",
        (Way("use a newer system (or container), or an environment that brings its own C++ library, such as conda's"),),
    ),
    "illegal-instruction": Remedy(
        "{doing} ends Python: it was built for another processor than this one",
        (Way("install a build for this processor, or move to one with AVX2"),),
    ),
    "numpy-abi": Remedy(
        "{doing} fails: a module was compiled for another generation of NumPy",
        (
            Way("go back to NumPy 1", lambda s, seen: install(s, ["numpy<2"])),
            Way("or install a newer release of the module, compiled for NumPy 2"),
        ),
        "confirm",
    ),
    "openmp-duplicate": Remedy(
        "{doing} ends with OMP: Error #15: two OpenMP runtimes meet in one process",
        (Way("take torch and NumPy from one source: both from conda, or both from pip in a fresh environment"),),
    ),
    "torch-cpu-build": Remedy("{doing} fails: this torch was built without CUDA", (Way(_SELECTOR),)),
    "driver-missing": Remedy(
        "{doing} fails: NVIDIA's driver is not found",
        (Way("install NVIDIA's driver (https://www.nvidia.com/drivers) and restart", administrator=True),),
    ),
    "driver-mismatch": Remedy(
        "{doing} fails: the two halves of NVIDIA's driver are of different versions", (Way("restart the machine"),)
    ),
    "driver-too-old": Remedy(
        "{doing} fails: NVIDIA's driver is older than the CUDA of this torch",
        (
            Way("install a newer driver (https://www.nvidia.com/drivers) and restart", administrator=True),
            Way("or keep the driver: " + _SELECTOR),
        ),
    ),
    "gpu-arch-unsupported": Remedy(
        "{doing} fails: this torch has no code for the GPU",
        (Way(_SELECTOR),),
    ),
    "gpu-hidden": Remedy(
        "{doing} fails: no GPU reaches this process",
        (
            Way("look at CUDA_VISIBLE_DEVICES: it names the GPUs that programs may see"),
            Way("in a container: start it with --gpus all"),
        ),
    ),
    "rocm-mismatch": Remedy("{doing} fails: this torch has no code for the AMD GPU", (Way(_SELECTOR),)),
    "cache-corrupt": Remedy(
        "the model folder is not whole: a file or weights are missing, damaged, or something else",
        (
            Way("compare the sizes of its files with those on the model's page; of 1 kB or less are Git LFS pointers"),
            Way("and fetch those again that differ: hf download MODEL FILE --local-dir FOLDER --force-download"),
        ),
    ),
    "git-lfs-pointer": Remedy(
        "a file of the model folder is only a Git LFS pointer, not the weights",
        (
            Way("in a clone of the repository: git lfs install, then git lfs pull"),
            Way("or fetch the model with: hf download MODEL --local-dir FOLDER"),
        ),
    ),
    "disk-full": Remedy(
        "{doing} fails: there is no room left to write",
        (
            Way("make room on the disk of the folder for temporary files"),
            Way("or set TMPDIR (Windows: TEMP and TMP) to a folder on a disk with room"),
        ),
    ),
    "permission-denied": Remedy(
        "{doing} fails: a file may not be read, written or run",
        (
            Way("give your user the right to what the message names"),
            Way("if it could not be mapped: the disk is mounted noexec, and compiled packages cannot lie there"),
        ),
    ),
    "shared-memory": Remedy(
        "{doing} fails: there is too little shared memory",
        (
            Way("start the container with --shm-size=8g (or --ipc=host)"),
            Way("or use DataLoader(num_workers=0)"),
        ),
    ),
    "too-many-open-files": Remedy(
        "{doing} fails: a process may not open that many files",
        (Way("raise the limit in the shell before you start Python: ulimit -n 4096"),),
    ),
}
