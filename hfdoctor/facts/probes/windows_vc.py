"""The Visual C++ runtime: what is registered as installed, and which copies of its libraries the loader would meet."""

from __future__ import annotations

import ntpath
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ..fact import Fact, known, not_run
from ..legible import legible
from ..sections.target import Target
from ..sections.windows import VcLibrary, VcRuntime
from . import windows_registry

KEY = r"HKLM\SOFTWARE\Microsoft\VisualStudio\14.0\VC\Runtimes"

#: what torch's own libraries are linked with (c10.dll of its Windows wheels), looked for by name in torch/__init__.py
LIBRARIES = ("vcruntime140.dll", "vcruntime140_1.dll", "msvcp140.dll")

ARCHITECTURES = ("x64", "x86", "arm64")


def runtimes() -> Fact[list[VcRuntime]]:
    """The redistributables that are registered, highest version of each architecture over both registry views.

    An empty list is knowledge: nothing is registered. Raises PermissionError and OSError.
    """
    found: dict[str, str] = {}
    for view in (64, 32):
        for architecture in ARCHITECTURES:
            version = _registered(rf"{KEY}\{architecture}", view)
            if version and numbers(version) > numbers(found.get(architecture, "")):
                found[architecture] = version
    return known([VcRuntime(arch, version) for arch, version in sorted(found.items())], f"{KEY} (64- and 32-bit view)")


def _registered(key: str, view: int) -> str:
    """The version below one key, "" if it is not there or says that it is not installed."""
    try:
        values = {value.name.lower(): value.value for value in windows_registry.values(key, view)}
    except FileNotFoundError:
        return ""
    if values.get("installed", 1) != 1:
        return ""
    version = values.get("version")
    if isinstance(version, str) and numbers(version):
        return version.lstrip("vV")
    parts = [values.get(name) for name in ("major", "minor", "bld", "rbld")]
    if all(isinstance(part, int) for part in parts[:3]):
        return ".".join(str(part) for part in parts if isinstance(part, int))
    return ""


def numbers(version: str) -> tuple[int, ...]:
    """``v14.44.35211.00`` as numbers that compare; () for what is no version."""
    parts = version.strip().lstrip("vV").split(".")
    if not all(part.isascii() and part.isdigit() for part in parts):
        return ()
    return tuple(int(part) for part in parts)


def search_folders(target: Target, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """``(folder, what it is)`` in the order in which a library for torch is looked for.

    First the folder of the process's own program (in a virtual environment that is the base interpreter's), then those
    that torch adds, then Windows' own, last PATH, which torch falls back to.
    """
    interpreter = target.interpreter.maybe()
    paths = target.paths.maybe()
    if interpreter is not None:
        yield interpreter.base_prefix, "python"
        if paths is not None:
            yield ntpath.join(paths.platlib, "torch", "lib"), "torch"
            if paths.user_site_enabled and paths.user_site:
                yield ntpath.join(paths.user_site, "torch", "lib"), "torch"
        for prefix in dict.fromkeys((interpreter.prefix, interpreter.base_prefix)):
            yield ntpath.join(prefix, "Library", "bin"), "python"
        yield ntpath.join(interpreter.prefix, "bin"), "python"
    root = environ.get("SYSTEMROOT") or environ.get("SystemRoot") or r"C:\Windows"
    yield ntpath.join(root, "System32"), "system"
    yield root, "system"
    for folder in (environ.get("PATH") or "").split(";"):
        if folder.strip(' "'):
            yield folder.strip(' "'), "path"


def libraries(target: Target, environ: Mapping[str, str]) -> Fact[list[VcLibrary]]:
    """Every copy of the runtime's libraries along the loader's way, in its order: the first of a name is the one.

    A name that is missing from the list was found nowhere.
    """
    if target.interpreter.maybe() is None:
        return not_run("the target interpreter is not known", "the loader's search order")
    found = list(copies(search_folders(target, environ)))
    return known(found, "the interpreter's folder, torch\\lib, System32 and PATH, in the loader's order")


def copies(folders: Iterable[tuple[str, str]]) -> Iterator[VcLibrary]:
    """The copies in ``folders``, each file once."""
    seen = set()
    for folder, what in folders:
        for name in LIBRARIES:
            path = Path(folder, name)
            key = str(path).lower()
            if key not in seen and _is_file(path):
                seen.add(key)
                yield VcLibrary(name=name, path=legible(str(path)), version=file_version(str(path)), via=what)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # PATH may name what is no folder at all
        return False


if sys.platform == "win32":
    import ctypes

    def file_version(path: str) -> str:
        """The version in a file's resources, such as 14.44.35211.0; "" if it has none."""
        library = ctypes.WinDLL("version", use_last_error=True)
        size = library.GetFileVersionInfoSizeW(ctypes.c_wchar_p(path), None)
        if not size:
            return ""
        data = ctypes.create_string_buffer(size)
        if not library.GetFileVersionInfoW(ctypes.c_wchar_p(path), 0, size, data):
            return ""
        fixed, length = ctypes.c_void_p(), ctypes.c_uint()
        if not library.VerQueryValueW(data, ctypes.c_wchar_p("\\"), ctypes.byref(fixed), ctypes.byref(length)):
            return ""
        if not fixed.value or length.value < 16:
            return ""
        # VS_FIXEDFILEINFO: signature, structure version, then the file version's high and low half
        words = (ctypes.c_uint32 * 4).from_address(fixed.value)
        if words[0] != 0xFEEF04BD:
            return ""
        high, low = words[2], words[3]
        return f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"

else:

    def file_version(path: str) -> str:
        """Only Windows can be asked for it."""
        return ""
