"""How the libraries of torch on Linux hang together: what an import would load, and what would stop it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence

import msgspec

from .elf import Malformed
from .elf_symbols import lacks, needed_symbols
from .files import Files
from .loader_linux import Flaw, Library, LinuxProcess
from .torch_start import Ahead, read_ahead, start_torch

#: the GPU driver brings these along; where there is none, torch says so itself and still works on the processor
DRIVER = ("libcuda.so", "libnvidia-", "libnvcuvid.so", "libcudadebugger.so")

#: names of NVIDIA's libraries that come in wheels, up to ".so"
CUDA_FAMILIES = {
    "libcublas": "cublas",
    "libcublasLt": "cublasLt",
    "libcudart": "cudart",
    "libcudnn": "cudnn",
    "libcufft": "cufft",
    "libcufile": "cufile",
    "libcupti": "cupti",
    "libcurand": "curand",
    "libcusolver": "cusolver",
    "libcusparse": "cusparse",
    "libcusparseLt": "cusparseLt",
    "libnccl": "nccl",
    "libnvJitLink": "nvJitLink",
    "libnvToolsExt": "nvtx",
    "libnvrtc": "nvrtc",
    "libnvshmem_host": "nvshmem",
}

#: libraries of torch itself: one of another torch, found first, is never meant
_TORCHS_OWN = ("libtorch", "libc10", "libshm.so")

#: what torch and cuDNN load later by name, while a program runs
_LATER = ("libtorch_cuda_linalg.so", "libcaffe2_nvrtc.so")

#: bytes; torch/__init__.py has a hundred thousand
_LARGEST_SOURCE = 4 * 1024 * 1024


class Problem(msgspec.Struct):
    """One thing that the loader would not find, or would find wrongly: the fields of the fact's LinkProblem."""

    kind: str
    library: str
    needs: str
    wanted: str = ""
    found: str = ""
    found_by: str = ""
    expected: str = ""
    chain: list[str] = []
    searched: list[str] = []


class Found(msgspec.Struct):
    """A library that would be loaded: its name (SONAME), its path, and which step of the loader's order found it."""

    name: str
    path: str
    found_by: str = ""


class Walk(msgspec.Struct):
    """The result: ``examined`` counts the libraries that were looked at, the program among them."""

    examined: int
    problems: list[Problem]
    libraries: list[Found]


class TorchPlaces(msgspec.Struct):
    """Where a torch on Linux is: the program that imports it, its folder, sys.path, and the CUDA it was built for."""

    program: str
    torch: str
    sys_path: list[str]
    cuda: str = ""
    #: ABI tag of the interpreter, to choose among several modules _C: cpython-312
    tag: str = ""


def walk_linux(
    files: Files,
    places: TorchPlaces,
    environ: Mapping[str, str],
    version_of: Callable[[str], str],
    deadline: float = float("inf"),
    trusted: Callable[[str], bool] = lambda path: False,
) -> Walk:
    """Follow ``import torch`` through the loader.

    ``version_of`` tells the version of the library at a path, "" if nothing does. ``trusted`` tells whether the library
    at a path is the one of the version that this torch asks for: the symbols of all others are compared one by one.
    Raises Malformed, OSError if the program cannot be read; TimeoutError after ``deadline``.
    """
    process = LinuxProcess(files, places.program, environ, deadline, environ.get("PWD", "/"))
    process.check_symbols = lambda libraries: _symbol_flaws(process, libraries, trusted)
    ahead = Ahead()
    if places.cuda:
        ahead = read_ahead(read_text(files, f"{places.torch}/__init__.py"), places.cuda)
    entry = _entry(files, places)
    flaws = list(process.flaws)
    if entry:
        flaws += start_torch(process, places.torch, entry, ahead, places.sys_path, places.cuda)
    problems = [_problem(files, places, flaw) for flaw in flaws if not flaw.needs.startswith(DRIVER)]
    if flaws and entry:
        process.load(entry, keep=True)  # to tell where the others would come from
    if places.cuda:
        _load_later(process, places)
    problems += _shadowed(process, places, version_of, problems)
    libraries = [
        Found(library.elf.soname or _name(library.path), posixpath.normpath(library.path), library.found_by)
        for library in process.loaded
    ]
    return Walk(process.examined, problems, libraries)


def family_of(name: str) -> str:
    """The family of one of NVIDIA's libraries by its file name, "" for any other."""
    stem = name.partition(".so")[0]
    if stem.startswith("libcudnn"):
        return "cudnn"
    return CUDA_FAMILIES.get(stem, "")


def _entry(files: Files, places: TorchPlaces) -> str:
    names = [name for name in files.names(places.torch) if name.startswith("_C.") and name.endswith(".so")]
    names.sort(key=lambda name: (not (places.tag and f".{places.tag}-" in name), name))
    return f"{places.torch}/{names[0]}" if names else ""


def read_text(files: Files, path: str) -> str:
    """The text of a source file, "" where it cannot be read."""
    try:
        file = files.open(path)
    except (OSError, ValueError):
        return ""
    try:
        return file.read(0, min(file.size, _LARGEST_SOURCE)).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        file.close()


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _problem(files: Files, places: TorchPlaces, flaw: Flaw) -> Problem:
    library = flaw.library
    path = library.path if library is not None else f"{places.torch}/__init__.py"
    wheel = _wheel_copy(files, places, _name(flaw.needs))
    found = posixpath.normpath(flaw.found) if flaw.found else ""
    return Problem(
        kind=flaw.kind,
        library=posixpath.normpath(path),
        needs=_name(flaw.needs),
        wanted=flaw.wanted,
        found=found,
        found_by=flaw.found_by,
        expected=wheel if wheel != found else "",
        chain=library.chain() if library is not None else [],
        searched=[posixpath.normpath(folder) for folder in flaw.searched],
    )


def _wheel_copy(files: Files, places: TorchPlaces, name: str) -> str:
    """The copy of the library ``name`` that torch or NVIDIA's wheels brought along, "" without."""
    if family_of(name) or name.startswith(_TORCHS_OWN):
        own = f"{places.torch}/lib/{name}"
        if files.is_file(own):
            return own
        for site in places.sys_path:
            for part in files.names(f"{site}/nvidia"):
                path = f"{site}/nvidia/{part}/lib/{name}"
                if files.is_file(path):
                    return path
            path = f"{site}/cusparselt/lib/{name}"
            if files.is_file(path):
                return path
    return ""


def _load_later(process: LinuxProcess, places: TorchPlaces) -> None:
    """Load what a CUDA program of torch loads by name sooner or later; what is missing there stops no import."""
    for name in _LATER:
        path = f"{places.torch}/lib/{name}"
        if process.files.is_file(path):
            process.load(path)
    for library in list(process.loaded):
        if _name(library.path).startswith("libcudnn.so"):
            folder, _, own = library.path.rpartition("/")
            ending = own[len("libcudnn") :]
            for name in process.files.names(folder):
                if name.startswith("libcudnn_") and name.endswith(ending):
                    process.resolve(name, library)


def _shadowed(
    process: LinuxProcess, places: TorchPlaces, version_of: Callable[[str], str], problems: list[Problem]
) -> list[Problem]:
    """The libraries that come from elsewhere although torch or a wheel brought another version of them along."""
    told = {(problem.needs, problem.found) for problem in problems}
    found = []
    for library in process.loaded:
        name = _name(library.path)
        for asked in sorted(library.names):
            name = asked if "/" not in asked and family_of(asked) else name
        expected = _wheel_copy(process.files, places, name)
        path = posixpath.normpath(library.path)
        if not expected or path == posixpath.normpath(expected) or (name, path) in told:
            continue
        if process.files.real(path) == process.files.real(expected):
            continue
        if not _differ(process, library, expected, version_of):
            continue
        found.append(
            Problem(
                kind="shadowed",
                library=posixpath.normpath(library.loader.path) if library.loader else f"{places.torch}/__init__.py",
                needs=name,
                found=path,
                found_by=library.found_by,
                expected=posixpath.normpath(expected),
                chain=library.chain()[:-1],
            )
        )
    return found


def _differ(process: LinuxProcess, library: Library, expected: str, version_of: Callable[[str], str]) -> bool:
    """Whether the library is another version than the file ``expected``: by their versions, build ids, or sizes."""
    opened = process.look_at(expected)
    if opened is None or isinstance(opened, Malformed) or opened.kind != library.elf.kind:
        return False  # the copy that was meant is damaged, or not for this process: that is another finding
    mine, meant = version_of(library.path), version_of(expected)
    if mine and meant:
        # libcudnn.so.9.1.0 is that of the wheel 9.1.0.70
        return not f"{mine}.".startswith(f"{meant}.") and not f"{meant}.".startswith(f"{mine}.")
    if library.elf.build_id and opened.build_id:
        return library.elf.build_id != opened.build_id
    return library.elf.size != opened.size


def _symbol_flaws(process: LinuxProcess, libraries: Sequence[Library], trusted: Callable[[str], bool]) -> list[Flaw]:
    """The symbols that torch's and NVIDIA's libraries want of NVIDIA's and that the ones found do not have.

    Their versions do not tell: libnvJitLink.so.12 of CUDA 12.1 and of 12.8 both have the version libnvJitLink.so.12,
    and only the newer one has __nvJitLinkCreate_12_8.
    """
    flaws: list[Flaw] = []
    sound = {library.path: trusted(posixpath.normpath(library.path)) for library in process.loaded if _is_cuda(library)}
    for library in libraries:
        for name in dict.fromkeys([*library.elf.versions_needed, *library.elf.needed]):
            provider = process.find_loaded(name) if family_of(name) else None
            if provider is None or provider is library or provider.elf.truncated:
                continue
            if sound.get(provider.path, False) and sound.get(library.path, True):
                continue
            flaws += [
                Flaw("version", library, name, f"{name} {symbol}", provider.path, provider.found_by)
                for symbol in _lacking(process, library, provider, name)[:1]
            ]
    return flaws


def _is_cuda(library: Library) -> bool:
    return bool(family_of(library.elf.soname or _name(library.path)))


def _lacking(process: LinuxProcess, library: Library, provider: Library, name: str) -> list[str]:
    """The symbols that ``library`` wants of ``provider``, which is there as ``name``, and that it does not have."""
    try:
        needer = process.files.open(library.path)
    except (OSError, ValueError):
        return []
    try:
        if name in library.elf.versions_needed:
            wanted = needed_symbols(needer, name)
        elif provider.elf.versions is None:
            wanted = needed_symbols(needer, "", family_of(name))  # NCCL: no versions, but names of its own
        else:
            return []
        file = process.files.open(provider.path)
        try:
            return lacks(file, wanted)
        finally:
            file.close()
    except (OSError, ValueError, Malformed):
        return []
    finally:
        needer.close()
