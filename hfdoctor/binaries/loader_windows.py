"""The loader of Windows, played through on files: which DLL a process would get under a name, and from where."""

from __future__ import annotations

import ntpath
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

import msgspec

from .elf import Malformed
from .files import Files
from .pe import MACHINES, Pe, read_pe

MOST_LIBRARIES = 400

#: names that stand for sets of functions of Windows itself, and are never files
API_SETS = ("api-ms-", "ext-ms-")

#: DLLs of Windows, for a tree that has no System32 to look into
_WINDOWS = """
    advapi32 avrt bcrypt bcryptprimitives cabinet cfgmgr32 comctl32 comdlg32 crypt32 cryptbase d3d11 d3d12 dbgcore
    dbghelp dnsapi dwmapi dxcore dxgi gdi32 gdi32full hid imagehlp imm32 iphlpapi kernel32 kernelbase mf mfplat
    mfreadwrite mpr msvcp_win msvcrt mswsock ncrypt netapi32 normaliz ntdll ole32 oleaut32 opengl32 pdh powrprof
    propsys psapi rpcrt4 sechost secur32 setupapi shell32 shlwapi sspicli synchronization ucrtbase user32 userenv
    uxtheme version win32u windowscodecs winhttp wininet winmm wintrust wldap32 ws2_32 wsock32 wtsapi32
"""
PART_OF_WINDOWS = frozenset(f"{name}.dll" for name in _WINDOWS.split())

#: the graphics driver brings these along
DRIVER = ("nvcuda.dll", "nvml.dll", "nvapi64.dll", "amdhip64.dll", "amdhip64_6.dll", "amdhip64_7.dll", "ze_loader.dll")


class Dll(msgspec.Struct, eq=False):
    """A library in the process."""

    path: str
    pe: Pe
    loader: Dll | None = None
    #: application, dll-directory, system32, PATH, path (asked for by its path)
    found_by: str = ""

    def chain(self) -> list[str]:
        """The file names from the first library that was asked for to this one."""
        names: list[str] = []
        here: Dll | None = self
        while here is not None and len(names) < 50:
            names.append(ntpath.basename(here.path))
            here = here.loader
        return names[::-1]


class DllFlaw(msgspec.Struct):
    """What the loader would stumble over: ``kind`` is missing, wrong-architecture or truncated."""

    kind: str
    library: Dll | None
    needs: str
    wanted: str = ""
    found: str = ""
    found_by: str = ""
    searched: list[str] = []


class WindowsProcess:
    """A process whose program lies in ``application``, for processors ``machine`` (0x8664, 0xAA64).

    ``folders`` are the folders added for DLLs, ``path`` those of PATH, which count only in the second attempt that
    torch makes. What ``present`` names (in lower case) is loaded already. Raises TimeoutError after ``deadline``.
    """

    def __init__(
        self,
        files: Files,
        application: str,
        folders: Sequence[str],
        system: str,
        path: Sequence[str],
        machine: int = 0,
        present: Iterable[str] = (),
        deadline: float = float("inf"),
    ) -> None:
        self.files = files
        self.application = application
        self.folders = list(folders)
        self.system = system
        self.path = list(path)
        self.machine = machine
        self.deadline = deadline
        self.loaded: dict[str, Dll] = {}
        self._present = {name.lower() for name in present}
        self._images: dict[str, Pe | Malformed | None] = {}
        self._listings: dict[str, frozenset[str]] = {}
        #: without a System32 that can be looked into, a list of names stands for it
        self.has_system = bool(system) and "kernel32.dll" in self._names(system)

    @property
    def examined(self) -> int:
        """How many files were looked at."""
        return sum(image is not None for image in self._images.values())

    def load(self, path: str) -> list[DllFlaw]:
        """Load the DLL at ``path`` and all that it needs; what stops that. With any flaw it does not stay loaded."""
        before = dict(self.loaded)
        flaws = self._map(path)
        if flaws:
            self.loaded = before
        return flaws

    def _map(self, path: str) -> list[DllFlaw]:
        flaws: list[DllFlaw] = []
        load_folder = ntpath.dirname(path)
        waiting: list[tuple[str, Dll | None]] = [(path, None)]
        at = 0
        while at < len(waiting):
            wanted, loader = waiting[at]
            at += 1
            if monotonic() > self.deadline:
                raise TimeoutError("the libraries could not be followed in time")
            name = ntpath.basename(wanted).lower()
            if name in self.loaded or name in self._present or name.startswith(API_SETS):
                continue
            found = self._open(wanted, loader, "path") if loader is None else self._find(wanted, loader, load_folder)
            if found is None:
                continue
            if isinstance(found, DllFlaw):
                if not any(flaw.needs.lower() == wanted.lower() for flaw in flaws):
                    flaws.append(found)
                continue
            if len(self.loaded) >= MOST_LIBRARIES:
                raise OSError(f"more than {MOST_LIBRARIES} libraries")
            self.loaded[name] = found
            if found.pe.truncated:
                flaws.append(DllFlaw("truncated", loader, wanted, found=found.path, found_by=found.found_by))
            elif found.found_by != "system32":  # Windows' own libraries hang together by themselves
                waiting += [(need, found) for need in found.pe.imports]
        return flaws

    def _find(self, name: str, loader: Dll, load_folder: str) -> Dll | DllFlaw | None:
        """None for a library that is there without a file to look at."""
        low = name.lower()
        if not self.has_system and low in PART_OF_WINDOWS:
            return None
        steps = [("dll-directory", load_folder), ("application", self.application)]
        steps += [("dll-directory", folder) for folder in self.folders]
        steps += [("system32", self.system)]
        steps += [("PATH", folder) for folder in self.path]
        if low in PART_OF_WINDOWS:  # known libraries: never taken from elsewhere
            steps.insert(0, ("system32", self.system))
        for step, folder in steps:
            if folder and low in self._names(folder):
                return self._open(ntpath.join(folder, name), loader, step)
        searched = list(dict.fromkeys(folder for _, folder in steps if folder))
        return DllFlaw("missing", loader, name, searched=searched)

    def _open(self, path: str, loader: Dll | None, step: str) -> Dll | DllFlaw:
        name = ntpath.basename(path)
        image = self.look_at(path)
        if image is None:
            return DllFlaw("missing", loader, name, searched=[ntpath.dirname(path)])
        if isinstance(image, Malformed):
            return DllFlaw("truncated", loader, name, found=path, found_by=step, wanted=str(image))
        self.machine = self.machine or image.machine
        if image.machine != self.machine and step != "system32":
            machine = f"{MACHINES.get(image.machine, hex(image.machine))}, {image.bits} bits"
            return DllFlaw("wrong-architecture", loader, name, found=path, found_by=step, wanted=machine)
        return Dll(path, image, loader, step)

    def look_at(self, path: str) -> Pe | Malformed | None:
        """What the library at ``path`` says; None if it cannot be opened."""
        if path not in self._images:
            self._images[path] = None
            try:
                file = self.files.open(path)
            except (OSError, ValueError):
                return None
            try:
                self._images[path] = read_pe(file)
            except Malformed as error:
                self._images[path] = error
            except OSError:
                pass
            finally:
                file.close()
        return self._images[path]

    def _names(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            self._listings[folder] = frozenset(name.lower() for name in self.files.names(folder))
        return self._listings[folder]


def torch_folders(
    files: Files,
    torch: str,
    text: str,
    cuda: str,
    prefixes: Sequence[str],
    user_base: str,
    variable: Callable[[str], str],
) -> list[str]:
    """The folders that ``import torch`` adds, as torch/__init__.py (its ``text``) of the release says.

    ``prefixes`` are sys.exec_prefix and sys.base_exec_prefix; ``variable`` gives a variable of the environment, "" for
    one that is not set. Read on torch 2.1 to 2.15.
    """
    wanted = [f"{torch}\\lib", *(f"{prefix}\\Library\\bin" for prefix in dict.fromkeys(prefixes) if prefix)]
    if "usebase_path" in text and user_base:
        wanted.append(f"{user_base}\\Library\\bin")
    if "py_root_bin_path" in text and prefixes:
        wanted.append(f"{prefixes[0]}\\bin")
    folders = [folder for folder in wanted if files.is_folder(folder)]
    programs = variable("ProgramFiles") or "C:\\Program Files"
    extra = []
    if not any(files.is_file(f"{folder}\\nvToolsExt64_1.dll") for folder in folders):
        tools = variable("NVTOOLSEXT_PATH") or f"{programs}\\NVIDIA Corporation\\NvToolsExt"
        extra.append(ntpath.join(tools, "bin", "x64"))
    if cuda and not any(name.lower().startswith("cudart64") for folder in folders for name in files.names(folder)):
        place = variable(f"CUDA_PATH_V{cuda.replace('.', '_')}")
        place = place or f"{programs}\\NVIDIA GPU Computing Toolkit\\CUDA\\v{cuda}"
        extra.append(ntpath.join(place, "bin"))
    return folders + [folder for folder in extra if files.is_folder(folder)]
