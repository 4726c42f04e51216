"""How long the names of an install get in a folder of this machine, in the unit that Windows counts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PureWindowsPath

import msgspec

from ..facts.snapshot import Snapshot
from ..knowledge.paths import InstalledPath, InstallPaths

#: characters that a file's whole path may have while long paths are off: MAX_PATH (260) without its final zero
FILE_LIMIT = 259
#: the same for a folder that is to be made: Windows keeps room in it for a file name of the 8.3 form
FOLDER_LIMIT = 247
#: the same for a library that is to be loaded, also where long paths are on: LoadLibrary does not know the setting
LIBRARY_LIMIT = 259

#: what Python itself opens; the other files of a package (licences, headers) may be out of its reach unnoticed
CODE = (".py", ".pyd", ".dll")


class Reach(msgspec.Struct, frozen=True):
    """One name in its folder: the whole path, its length in UTF-16 units, and the limit that holds for it."""

    path: str
    length: int
    limit: int
    #: the folder, and the name in it
    folder: str = ""
    name: str = ""
    package: str = ""
    release: str = ""
    #: the wheel in which the name was measured, and the day
    wheel: str = ""
    as_of: str = ""

    @property
    def over(self) -> int:
        """How many units too long; 0 or less fits."""
        return self.length - self.limit


def units(text: str) -> int:
    """The length of ``text`` in UTF-16 units, in which Windows counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def reach(folder: str, name: str, limit: int = FILE_LIMIT) -> Reach:
    """``name`` (with forward slashes) inside ``folder``."""
    folder, name = folder.rstrip("\\/"), name.replace("/", "\\")
    path = f"{folder}\\{name}"
    return Reach(path, units(path), limit, folder, name)


def install_folder(s: Snapshot) -> str:
    """The site-packages folder into which pip installs for this target. Raises FactMissing where that is open.

    Without an environment of its own, and where the interpreter's folder cannot be written (always so for the Store's
    Python), pip goes to the person's own site-packages.
    """
    paths = s.target.paths.need()
    if s.target.isolated.need() or not paths.user_site_enabled or not paths.user_site:
        return paths.purelib
    if s.windows is not None and s.windows.store_python.maybe():
        return paths.user_site
    place = s.storage.place("site-packages")
    return paths.purelib if place is None or place.writable.need().ok else paths.user_site


def longest_for_pip(folder: str, table: InstallPaths) -> Reach:
    """The name that pip must be able to write and that goes furthest beyond its limit (or comes nearest to it).

    pip goes on without a compiled file that cannot be written, so these do not count.
    """
    files = _reaches(folder, table.files, FILE_LIMIT, table)
    folders = _reaches(folder, table.directories, FOLDER_LIMIT, table)
    return max([*files, *folders], key=lambda one: one.over)


def longest_for_python(folder: str, table: InstallPaths) -> Reach:
    """The same among the files that Python itself must open, however they came there."""
    modules = [entry for entry in table.files if entry.path.endswith(CODE)]
    compiled = _reaches(folder, table.bytecode, FILE_LIMIT, table, source_of=True)
    return max([*_reaches(folder, modules, FILE_LIMIT, table), *compiled, longest_library(folder, table)], key=_over)


def longest_library(folder: str, table: InstallPaths) -> Reach:
    """The same among the files that Windows' loader must open."""
    return max(_reaches(folder, table.libraries, LIBRARY_LIMIT, table), key=_over, default=reach(folder, ""))


def drive_of_home(s: Snapshot) -> str:
    """The drive that the person's home is on: there they may make folders right below the root."""
    drive = PureWindowsPath(s.machine.home.maybe() or "").drive
    return drive if len(drive) == 2 else "C:"


def short_environment(s: Snapshot) -> str:
    r"""A folder for a virtual environment with a path as short as can be: ``C:\hf``, on the drive of the home."""
    return drive_of_home(s) + "\\hf"


def environment_site(environment: str) -> str:
    """The site-packages folder of a virtual environment on Windows."""
    return environment + r"\Lib\site-packages"


def _over(one: Reach) -> int:
    return one.over


def _reaches(
    folder: str, entries: Iterable[InstalledPath], limit: int, table: InstallPaths, source_of: bool = False
) -> list[Reach]:
    found = []
    for entry in entries:
        one = reach(folder, source(entry.path) if source_of else entry.path, limit)
        found.append(
            msgspec.structs.replace(
                one, package=table.root, release=table.release, wheel=entry.wheel, as_of=entry.as_of
            )
        )
    return found


def source(compiled: str) -> str:
    """The module that ``a/__pycache__/b.cpython-311.pyc`` was compiled from: ``a/b.py``."""
    folder, _, name = compiled.rpartition("/")
    return f"{folder.removesuffix('__pycache__')}{name.split('.')[0]}.py"
