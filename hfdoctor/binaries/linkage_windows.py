"""How the libraries of torch on Windows hang together: the DLL that WinError 126 does not name."""

from __future__ import annotations

import ntpath
from collections.abc import Callable, Sequence

import msgspec

from .elf import Malformed
from .files import Files
from .linkage import Found, Problem, Walk, read_text
from .loader_windows import DRIVER, DllFlaw, WindowsProcess, torch_folders
from .pe import Pe

#: what needs the Visual C++ runtime links to one of these
_RUNTIME = ("vcruntime140", "msvcp140", "concrt140")


class WindowsPlaces(msgspec.Struct):
    """Where a torch on Windows is: its folder, that of the interpreter's own program, and the environment's."""

    torch: str
    #: folder of the base interpreter's python.exe, whose process it is in a virtual environment too; "" not known
    application: str = ""
    #: sys.exec_prefix and sys.base_exec_prefix
    prefixes: list[str] = []
    #: sysconfig's userbase
    user_base: str = ""
    system: str = "C:\\Windows\\System32"
    path: list[str] = []
    cuda: str = ""
    #: machine of the interpreter; 0 takes that of most of torch's libraries
    machine: int = 0
    #: what the interpreter has loaded already, where its own folder cannot be looked into
    present: list[str] = []


def walk_windows(
    files: Files, places: WindowsPlaces, variable: Callable[[str], str], deadline: float = float("inf")
) -> Walk:
    """Follow ``import torch`` through the loader: each DLL in torch\\lib, then the module ``_C``.

    ``variable`` gives a variable of the environment ("" for one that is not set). Raises TimeoutError.
    """
    text = read_text(files, f"{places.torch}\\__init__.py")
    folders = torch_folders(files, places.torch, text, places.cuda, places.prefixes, places.user_base, variable)
    process = WindowsProcess(
        files,
        places.application,
        folders,
        places.system,
        [ntpath.dirname(places.system), *places.path],
        places.machine,
        places.present,
        deadline,
    )
    if not process.machine:
        process.machine = _usual_machine(process, entries(files, places.torch))
    problems: list[Problem] = []
    told: set[tuple[str, str]] = set()
    for path in entries(files, places.torch):
        for flaw in process.load(path):
            key = (flaw.kind, flaw.needs.lower())
            if key not in told and flaw.needs.lower() not in DRIVER:
                told.add(key)
                problems.append(_problem(flaw))
    libraries = [Found(ntpath.basename(dll.path), dll.path, dll.found_by) for dll in process.loaded.values()]
    return Walk(process.examined, problems, libraries)


def entries(files: Files, torch: str) -> list[str]:
    """What ``import torch`` loads by its path."""
    libraries = [name for name in files.names(f"{torch}\\lib") if name.lower().endswith(".dll")]
    modules = [name for name in files.names(torch) if name.lower().startswith("_c.") and name.lower().endswith(".pyd")]
    return [f"{torch}\\lib\\{name}" for name in libraries] + [f"{torch}\\{name}" for name in modules[:1]]


def newest_linker(files: Files, torch: str) -> tuple[str, str] | None:
    """The newest linker among those of torch's DLLs that need the Visual C++ runtime, as "14.40", and that DLL."""
    process = WindowsProcess(files, "", (), "", ())
    best: tuple[tuple[int, int], str] | None = None
    for path in entries(files, torch):
        image = process.look_at(path)
        if image is None or isinstance(image, Malformed):
            continue
        needs_it = any(name.lower().startswith(_RUNTIME) for name in image.imports)
        if needs_it and image.linker[0] == 14 and (best is None or image.linker > best[0]):
            best = (image.linker, path)
    return (f"{best[0][0]}.{best[0][1]:02}", best[1]) if best is not None else None


def _usual_machine(process: WindowsProcess, paths: list[str]) -> int:
    images = [process.look_at(path) for path in paths]
    machines = [image.machine for image in images if isinstance(image, Pe)]
    return max(machines, key=machines.count, default=0)


def _problem(flaw: DllFlaw) -> Problem:
    library = flaw.library
    return Problem(
        kind=flaw.kind,
        library=library.path if library is not None else "",
        needs=flaw.needs,
        wanted=flaw.wanted,
        found=flaw.found,
        found_by=flaw.found_by,
        chain=library.chain() if library is not None else [],
        searched=flaw.searched,
    )


#: how the DLLs of NVIDIA's libraries begin, and their families
_FAMILIES = {
    "cublaslt64": "cublasLt",
    "cublas64": "cublas",
    "cudart64": "cudart",
    "cudnn": "cudnn",
    "cufft64": "cufft",
    "cupti64": "cupti",
    "curand64": "curand",
    "cusolver64": "cusolver",
    "cusparse64": "cusparse",
    "nvjitlink": "nvJitLink",
    "nvrtc64": "nvrtc",
    "nvtoolsext64": "nvtx",
}


def family_of_dll(name: str) -> str:
    """The family of one of NVIDIA's libraries by its file name, "" for any other."""
    low = name.lower()
    return next((family for begin, family in _FAMILIES.items() if low.startswith(begin)), "")


def split_path(value: str) -> Sequence[str]:
    """The folders of the variable PATH."""
    return [part for part in (part.strip().strip('"').rstrip("\\") for part in value.split(";")) if part]
