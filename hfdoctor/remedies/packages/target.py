"""The environment whose packages change, as its interpreter tells it: where its files go."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping

import msgspec

from ...facts.child import run_child
from ...facts.sections.target import Interpreter
from ..action import Refused

#: seconds; an interpreter on a slow network drive takes several to start
_TIMEOUT_S = 60.0

#: runs in the target (Python 3.7 and later): where packages go, in JSON
_ASK = r"""
import json, os, platform, site, sys, sysconfig
paths = sysconfig.get_paths()
user = ""
try:
    user = site.getusersitepackages()
    scheme = os.name + "_user"
    if sys.platform == "darwin" and getattr(sys, "_framework", ""):
        scheme = "osx_framework_user"
    user_paths = sysconfig.get_paths(scheme)
except Exception:
    user_paths = {}
marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
isolated = sys.prefix != sys.base_prefix or os.path.isdir(os.path.join(sys.prefix, "conda-meta"))
print(json.dumps({
    "version": platform.python_version(), "version_info": list(sys.version_info[:3]),
    "release_level": sys.version_info[3], "implementation": sys.implementation.name,
    "bits": 64 if sys.maxsize > 2**32 else 32, "executable": sys.executable, "prefix": sys.prefix,
    "base_prefix": sys.base_prefix, "platform": sysconfig.get_platform(), "machine": platform.machine(),
    "paths": paths, "user_paths": user_paths, "isolated": isolated,
    "managed": "" if isolated or not os.path.exists(marker) else marker,
}))
"""


class Root(msgspec.Struct, frozen=True, array_like=True):
    """A folder that packages are written into, links in its path followed, and which folder that is."""

    path: str
    device: int
    inode: int


class Told(msgspec.Struct):
    """What the interpreter says of itself."""

    version: str
    version_info: list[int]
    release_level: str
    implementation: str
    bits: int
    executable: str
    prefix: str
    base_prefix: str
    platform: str
    machine: str
    paths: dict[str, str]
    user_paths: dict[str, str]
    isolated: bool
    managed: str

    def interpreter(self) -> Interpreter:
        """The same in the words of the facts."""
        return Interpreter(
            version=self.version,
            version_info=self.version_info,
            release_level=self.release_level,
            implementation=self.implementation,
            bits=self.bits,
            executable=self.executable,
            prefix=self.prefix,
            base_prefix=self.base_prefix,
            platform=self.platform,
            machine=self.machine,
        )


class Site(msgspec.Struct, frozen=True):
    """Where the packages of one environment go.

    ``roots`` are purelib, platlib, scripts, data, each once; ``libraries`` are the numbers of the first two, ``data``
    that of what everything else is below. Scripts go to ``scripts_below`` in the root ``scripts`` ("": into itself).
    """

    roots: tuple[Root, ...]
    libraries: tuple[int, ...]
    data: int
    scripts: int
    scripts_below: str = ""

    def place_of_script(self, name: str) -> tuple[int, str]:
        """Where the script ``name`` goes."""
        return self.scripts, f"{self.scripts_below}/{name}" if self.scripts_below else name


def ask(python: str, environ: Mapping[str, str]) -> Told:
    """What ``python`` says of itself. Raises Refused if it does not start."""
    try:
        ended = run_child([python, "-I", "-B", "-c", _ASK], _TIMEOUT_S, environ=environ)
    except OSError as error:
        raise Refused(f"{python} cannot be started: {error.strerror or error}") from None
    if ended.code != 0:
        why = "it does not answer" if ended.timed_out else _last_line(ended.stderr) or f"it ends with {ended.code}"
        raise Refused(f"{python} does not start ({why}): its packages cannot be changed before it does")
    try:
        return msgspec.json.decode(ended.stdout.strip().splitlines()[-1], type=Told)
    except (msgspec.MsgspecError, IndexError):
        raise Refused(f"{python} does not say where its packages are: is it a Python interpreter?") from None


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[:200] if lines else ""


def site_of(told: Told, *, user: bool = False) -> Site:
    """The folders that packages go into; ``user``: those of the person alone, beside a Python that all share.

    Raises Refused where one of them is missing or lies on another volume than the first.
    """
    paths = told.user_paths if user else told.paths
    roots: list[Root] = []

    def number(path: str) -> int:
        real = os.path.realpath(path)
        try:
            found = os.stat(real)
        except OSError as error:
            raise Refused(f"{path} cannot be read: {error.strerror or error}") from None
        root = Root(real, found.st_dev, found.st_ino)
        if root not in roots:
            roots.append(root)
        return roots.index(root)

    libraries = tuple(dict.fromkeys(number(paths[name]) for name in ("purelib", "platlib")))
    data = number(paths["data"])
    below = ""
    if os.path.isdir(paths["scripts"]):
        scripts = number(paths["scripts"])
    else:
        way = located(os.path.join(os.path.realpath(os.path.dirname(paths["scripts"])), "x"), tuple(roots))
        if way is None:
            raise Refused(f"{paths['scripts']} is not there, where the programs of packages go")
        scripts, below = way[0], way[1][:-1] + os.path.basename(paths["scripts"])
    for root in roots:
        if root.device != roots[0].device:
            raise Refused(f"{root.path} lies on another volume than {roots[0].path}: this is not done by hfdoctor")
        if not os.access(root.path, os.W_OK):
            raise Refused(f"{root.path} may not be written: its packages can be changed only by whom it belongs to")
    return Site(tuple(roots), libraries, data, scripts, below)


def located(path: str, roots: tuple[Root, ...]) -> tuple[int, str] | None:
    """The root that ``path`` (absolute, no links followed) is below, the nearest one, and the path from there.

    Forward slashes; None for what is below none of them, or is one of them.
    """
    path = os.path.normpath(path)
    compared = os.path.normcase(path)
    best: tuple[int, str] | None = None
    for number, root in enumerate(roots):
        start = root.path.rstrip("/\\") + os.sep
        if compared.startswith(os.path.normcase(start)) and (best is None or len(root.path) > len(roots[best[0]].path)):
            best = number, path[len(start) :].replace("\\", "/") if os.name == "nt" else path[len(start) :]
    return best


def room_for(site: Site, name: str) -> tuple[Root, str]:
    """The folder on the environment's volume in which private folders go, and the path of the one named ``name``.

    That is the environment itself, never one of the folders that Python searches. Raises Refused if there is none.
    """
    libraries = {site.roots[number].path for number in site.libraries}
    candidates = [site.roots[site.data].path, *(os.path.dirname(path) for path in sorted(libraries))]
    for folder in candidates:
        try:
            found = os.stat(folder)
        except OSError:
            continue
        if found.st_dev != site.roots[0].device or folder in libraries or not os.access(folder, os.W_OK):
            continue
        if os.name == "posix" and found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            continue  # anybody could swap what is in it
        return Root(folder, found.st_dev, found.st_ino), os.path.join(folder, name)
    raise Refused(f"beside {site.roots[0].path} there is no folder that may be written, where hfdoctor could unpack")


@contextlib.contextmanager
def untouched(*folders: str) -> Iterator[None]:
    """Take away again the lock that uv leaves in an environment even where it only tells what it would do."""
    before = []
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError):
            lock = os.path.join(folder, ".lock")
            before.append((folder, lock, os.stat(folder), os.path.lexists(lock)))
    try:
        yield
    finally:
        for folder, lock, found, there in before:
            with contextlib.suppress(OSError):
                if not there and os.path.getsize(lock) == 0:
                    os.unlink(lock)
                    os.utime(folder, ns=(found.st_atime_ns, found.st_mtime_ns))
