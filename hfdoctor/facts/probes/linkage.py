"""How torch's native libraries hang together, for the section ``native``: what is missing, and what comes from where.

Read from the headers of the libraries alone (see binaries/linkage.py): nothing is loaded and no program started.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..fact import Fact, absent, known, not_run
from ..legible import legible
from ..probe import Context
from ..sections.native import CudaLibrary, Linkage, LinkProblem
from ..sections.packages import Distribution
from .installed_files import record_path
from .library_files import find_package
from .packages import search_folders
from .record import read_record

if TYPE_CHECKING:
    from ...binaries.linkage import Walk

PLATFORM: str = sys.platform

#: seconds: it takes hundredths, on a network file system more
LONGEST_S = 5.0

#: distributions whose libraries torch asks for by name
_NVIDIA = "nvidia-"

#: sysconfig.get_platform() -> Machine in the headers of libraries
_MACHINES = {"win-amd64": 0x8664, "win-arm64": 0xAA64, "win32": 0x14C}

#: older metadata has: nvidia-nccl-cu12 (==2.21.5)
_PLAIN = str.maketrans("", "", " ()")


def read_linkage(ctx: Context) -> Fact[Linkage]:
    """What torch's libraries need and whether the loader finds it. Raises OSError, TimeoutError, Malformed."""
    torch = _torch(ctx)
    if not torch:
        return _without_torch(ctx)
    if PLATFORM not in ("linux", "win32"):
        return not_run("only the loaders of Linux and Windows are followed", torch)
    from ...binaries.elf import Malformed

    try:
        walk, wheels = _walk(ctx, torch)
    except Malformed as error:
        return not_run(f"the interpreter's own file could not be read as a program: {error}", torch)
    problems = [
        LinkProblem(
            kind=problem.kind,
            package=wheels.package(problem.library, torch),
            library=legible(problem.library or torch),
            needs=legible(problem.needs),
            wanted=legible(problem.wanted),
            found=legible(problem.found),
            found_by=problem.found_by,
            expected=legible(problem.expected),
            chain=[legible(name) for name in problem.chain],
        )
        for problem in walk.problems
    ]
    searched = [legible(folder) for folder in walk.problems[0].searched] if walk.problems else []
    source = "PE headers" if PLATFORM == "win32" else "ELF headers"
    return known(Linkage(walk.examined, problems, searched), source)


def read_cuda_libraries(ctx: Context) -> Fact[list[CudaLibrary]]:
    """The CUDA libraries that torch's own would get, by family. Raises OSError, TimeoutError, Malformed.

    Of cuDNN's parts only those are listed that come from another folder than libcudnn itself.
    """
    torch = _torch(ctx)
    if not torch:
        return _without_torch(ctx)
    build = ctx.snapshot.packages.torch_build
    if not build.known:
        return not_run("it is not known for which CUDA this torch was built", build.source)
    if not build.need().cuda:
        kind = "a ROCm build" if build.need().hip else "an XPU build" if build.need().xpu else "a CPU build"
        return absent(f"this torch is {kind}", build.source)
    if PLATFORM not in ("linux", "win32"):
        return not_run("only the loaders of Linux and Windows are followed", torch)
    walk, wheels = _walk(ctx, torch)
    if PLATFORM == "win32":
        from ...binaries.linkage_windows import family_of_dll as family
    else:
        from ...binaries.linkage import family_of as family
    rows: list[CudaLibrary] = []
    cudnn = ""
    for library in sorted(walk.libraries, key=lambda library: ("libcudnn_" in library.name, library.name)):
        name = family(os.path.basename(library.path)) or family(library.name)
        if not name:
            continue
        folder = os.path.dirname(library.path)
        if name == "cudnn":
            cudnn = cudnn or folder
            if "cudnn_" in library.name and folder == cudnn:
                continue
        version = wheels.version(library.path)
        origin = _origin(ctx, library.path, library.found_by, torch)
        rows.append(CudaLibrary(name, legible(library.path), version, origin))
    return known(sorted(rows, key=lambda row: (row.family.lower(), row.path)), "the loader's order, played through")


def read_linked_with(ctx: Context) -> Fact[str]:
    """The newest linker among torch's DLLs, such as "14.44". Source: the DLL that has it. Raises OSError."""
    if PLATFORM != "win32":
        return absent("not Windows")
    torch = _torch(ctx)
    if not torch:
        return _without_torch(ctx)
    from ...binaries.files import LocalFiles
    from ...binaries.linkage_windows import newest_linker

    newest = newest_linker(LocalFiles(), torch)
    if newest is None:
        return absent("no library of torch needs the Visual C++ runtime", f"{torch}{os.sep}lib")
    return known(newest[0], legible(newest[1]))


def _torch(ctx: Context) -> str:
    """The folder of the torch that an import would find, "" without."""
    folders, _ = search_folders(ctx.snapshot.target)
    return find_package(folders, "torch")


def _without_torch(ctx: Context) -> Fact[Any]:
    folders, source = search_folders(ctx.snapshot.target)
    if not folders:
        return not_run(f"the folders of the target's packages are not known: {source}")
    return absent("torch is not installed", ", ".join(folders))


def _walk(ctx: Context, torch: str) -> tuple[Walk, Wheels]:
    """The walk through the loader, made once for all facts, and what the wheels say."""
    made: tuple[Walk, Wheels] | Exception | None = ctx.prepared.get("linkage")
    if made is None:
        wheels = Wheels(ctx.snapshot.packages.distributions.maybe() or ())
        deadline = min(ctx.deadline, time.monotonic() + LONGEST_S)
        try:
            made = (_walk_windows if PLATFORM == "win32" else _walk_linux)(ctx, torch, wheels, deadline), wheels
        except Exception as error:
            made = error
        ctx.prepared["linkage"] = made
    if isinstance(made, Exception):
        raise made
    return made


def _walk_linux(ctx: Context, torch: str, wheels: Wheels, deadline: float) -> Walk:
    from ...binaries.files import LocalFiles
    from ...binaries.linkage import TorchPlaces, walk_linux

    folders, _ = search_folders(ctx.snapshot.target)
    interpreter = ctx.snapshot.target.interpreter.maybe()
    chosen = ctx.snapshot.target.chosen.maybe()
    program = interpreter.executable if interpreter else chosen.python if chosen else ""
    tag = ""
    if interpreter and len(interpreter.version_info) > 1:
        tag = "cpython-{}{}".format(*interpreter.version_info[:2]) + ("t" if interpreter.free_threaded else "")
    build = ctx.snapshot.packages.torch_build.maybe()
    places = TorchPlaces(program, torch, folders, build.cuda if build else "", tag)
    environ = {**ctx.request.environ, "PWD": str(ctx.request.cwd)}
    return walk_linux(LocalFiles(), places, environ, wheels.version, deadline, wheels.as_pinned)


def _walk_windows(ctx: Context, torch: str, wheels: Wheels, deadline: float) -> Walk:
    from ...binaries.files import LocalFiles
    from ...binaries.linkage_windows import WindowsPlaces, split_path, walk_windows

    interpreter = ctx.snapshot.target.interpreter.maybe()
    paths = ctx.snapshot.target.paths.maybe()
    build = ctx.snapshot.packages.torch_build.maybe()
    variable = _variable(ctx)
    root = variable("SystemRoot") or "C:\\Windows"
    user_base = ""
    if paths is not None and paths.user_site:  # %APPDATA%\Python\Python312\site-packages
        user_base = os.path.dirname(os.path.dirname(paths.user_site))
    places = WindowsPlaces(
        torch=torch,
        application=interpreter.base_prefix if interpreter else "",
        prefixes=[interpreter.prefix, interpreter.base_prefix] if interpreter else [],
        user_base=user_base,
        system=f"{root}\\System32",
        path=list(split_path(variable("PATH"))),
        cuda=build.cuda if build else "",
        machine=_MACHINES.get(interpreter.platform, 0) if interpreter else 0,
        # without the interpreter's folder what it has loaded itself cannot be seen there
        present=[] if interpreter else ["vcruntime140.dll", "vcruntime140_1.dll"],
    )
    return walk_windows(LocalFiles(), places, variable, deadline)


def _variable(ctx: Context) -> Callable[[str], str]:
    """Variables of the environment, whose names Windows compares without case."""
    environ = {name.upper(): value for name, value in ctx.request.environ.items()}
    return lambda name: environ.get(name.upper(), "")


def _origin(ctx: Context, path: str, found_by: str, torch: str) -> str:
    plain = path.replace("\\", "/")
    if plain.startswith(f"{torch}/lib/".replace("\\", "/")):
        return "torch"
    folders, _ = search_folders(ctx.snapshot.target)
    if any(plain.startswith(f"{folder.rstrip('/')}/".replace("\\", "/")) for folder in folders):
        return "wheel"
    if found_by == "LD_LIBRARY_PATH":
        return found_by
    interpreter = ctx.snapshot.target.interpreter.maybe()
    if interpreter and plain.startswith(interpreter.prefix.replace("\\", "/").rstrip("/") + "/"):
        return "conda"
    return "system"


class Wheels:
    """NVIDIA's wheels: which library is of which, in which version. Read when first asked."""

    def __init__(self, distributions: Iterable[Distribution]) -> None:
        self._distributions = list(distributions)
        self._read: dict[str, Distribution] | None = None
        self._pins: dict[str, str] | None = None

    def _owners(self) -> dict[str, Distribution]:
        if self._read is None:
            self._read = {}
            for entry in self._distributions:
                if entry.name.startswith(_NVIDIA) and entry.path:
                    folder = os.path.dirname(entry.path)
                    for name in read_record(record_path(entry))[0].paths:
                        if ".so" in name or name.endswith(".dll"):
                            self._read[os.path.normpath(f"{folder}/{name}")] = entry
        return self._read

    def version(self, path: str) -> str:
        """The version of the library: of its wheel, or what its real file name ends in (libcudart.so.12.4.127)."""
        owner = self._owners().get(os.path.normpath(path))
        if owner is not None:
            return owner.version
        if PLATFORM == "win32":
            from .windows_vc import file_version

            return file_version(path)
        ending = os.path.basename(os.path.realpath(path)).partition(".so.")[2]
        return ending if ending.count(".") >= 1 and ending.replace(".", "").isdigit() else ""

    def package(self, path: str, torch: str) -> str:
        """The distribution that the file at ``path`` belongs to, "" unknown."""
        if not path or os.path.normpath(path).startswith(os.path.normpath(torch) + os.sep):
            return "torch"
        owner = self._owners().get(os.path.normpath(path))
        return owner.name if owner is not None else ""

    def as_pinned(self, path: str) -> bool:
        """Whether the library at ``path`` is of a wheel in the version that torch's own metadata asks for."""
        owner = self._owners().get(os.path.normpath(path))
        if self._pins is None:
            self._pins = {}
            for entry in self._distributions:
                if entry.name in ("torch", "cuda-toolkit") and not entry.shadowed:
                    for line in entry.requires:
                        wish = line.partition(";")[0].translate(_PLAIN)
                        name, equals, version = wish.partition("==")
                        if equals and name.startswith(_NVIDIA):
                            self._pins.setdefault(name.partition("[")[0], version)
        pin = self._pins.get(owner.name, "") if owner is not None else ""
        if owner is None or not pin:
            return False
        return owner.version == pin or (pin.endswith(".*") and f"{owner.version}.".startswith(pin[:-1]))
