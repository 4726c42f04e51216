"""What native libraries tell by a string inside them or by their name: NumPy's generation, copies of OpenMP."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping, Sequence

from ..legible import legible
from ..sections.packages import Distribution, NumpyClient, OpenMPRuntime
from .installed_files import folder_of, record_path
from .native_file import read_at, read_only_data
from .record import read_record

#: headers of NumPy 2 ask for the new name of the module and then for the old one, those of NumPy 1 for the old one
NEW_NAME = b"numpy._core._multiarray_umath\0"
OLD_NAME = b"numpy.core._multiarray_umath\0"

#: where torch keeps the code that talks to NumPy
_TORCH = ("torch/lib/libtorch_python.so", "torch/lib/torch_python.dll", "torch/lib/libtorch_python.dylib")

#: packages that transformers imports by itself where they are installed, and whose modules are compiled with NumPy
_COMPILED = ("pandas", "pyarrow", "scikit-learn", "scipy")

#: of each of these at most so many modules are opened, smallest first, until one talks to NumPy
_MOST_OPENED = 40


def read_numpy_clients(visible: Mapping[str, Distribution], folders: Iterable[str]) -> list[NumpyClient]:
    """The compiled modules that talk to NumPy and the major version of NumPy whose headers they were compiled with.

    One module stands for its package. ``visible`` is by name; ``folders`` are those of sys.path.
    """
    found = []
    for folder in folders:
        for path in _TORCH:
            built = built_with(f"{folder}{os.sep}{path}")
            if built:
                found.append(NumpyClient("torch", legible(f"{folder}{os.sep}{path}"), built))
        if found:
            break
    for name in _COMPILED:
        if name in visible:
            client = _client(visible[name])
            if client is not None:
                found.append(client)
    return found


def _client(entry: Distribution) -> NumpyClient | None:
    record, problem = read_record(record_path(entry))
    if problem:
        return None
    modules = sorted(
        (int(size), path)
        for path, size in zip(record.paths, record.sizes, strict=True)
        if size and path.endswith((".so", ".pyd")) and "/tests/" not in path
    )
    for _, path in modules[:_MOST_OPENED]:
        built = built_with(f"{folder_of(entry)}{path}")
        if built:
            return NumpyClient(entry.name, legible(f"{folder_of(entry)}{path}"), built)
    return None


def built_with(path: str) -> str:
    """``"1"`` or ``"2"``: the NumPy whose headers the library was compiled with; "" if it has none or is not there."""
    try:
        with open(path, "rb", buffering=0) as file:
            part = read_only_data(file)
            data = read_at(file, *part) if part else b""
    except (OSError, ValueError, struct.error):
        return ""
    if NEW_NAME in data:
        return "2"
    return "1" if OLD_NAME in data else ""


def read_openmp(folders: Sequence[str], prefix: str) -> list[OpenMPRuntime]:
    """The copies of OpenMP runtimes in the libraries' own folders below ``folders`` and in the environment's.

    Only file names are looked at. ``prefix`` is the environment's, "" if it is not known.
    """
    places: list[tuple[str, str]] = []
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries)
        except OSError:
            continue
        for name in names:
            if name == "torch":
                places.append((f"{folder}{os.sep}torch{os.sep}lib", "torch"))
            elif name.endswith(".libs"):
                places.append((f"{folder}{os.sep}{name}", name[: -len(".libs")]))
            if name in ("torch", "functorch", "sklearn", "faiss", "ctranslate2", "xgboost", "lightgbm", "paddle"):
                places += [(f"{folder}{os.sep}{name}{os.sep}{part}", name) for part in (".dylibs", ".libs", "lib")]
    if prefix:
        places += [(f"{prefix}{os.sep}Library{os.sep}bin", "Library/bin"), (f"{prefix}{os.sep}lib", "lib")]
    found = []
    for place, package in dict.fromkeys(places):
        try:
            names = sorted(os.listdir(place))
        except OSError:
            continue
        for name in names:
            family = openmp_family(name) if "omp" in name or "mkl" in name else ""
            if family:
                found.append(OpenMPRuntime(family, legible(f"{place}{os.sep}{name}"), package))
    return found


def openmp_family(name: str) -> str:
    """The family of the OpenMP runtime with this file name (see OpenMPRuntime); "" for another file."""
    name = name.lower()
    stem, _, ending = name.partition(".")
    if not ending.endswith(("dll", "dylib")) and not ending.startswith("so"):
        return ""
    # tools that pack wheels put a hash behind the name: libgomp-a34b3233.so.1
    families = {"libiomp5": "intel", "libiomp5md": "intel", "libomp": "llvm", "libomp140": "llvm", "libgomp": "gnu"}
    families |= {"vcomp140": "msvc", "mkl_intel_thread": "mkl"}
    return families.get(stem.partition("-")[0], "")
