"""The dynamic loader of Linux, played through on files: what a process would load, from where, and what it would miss.

The order is that of glibc's ld.so(8), or of musl where the program asks for that one. Nothing is loaded or executed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

import msgspec

from .elf import MACHINES, Elf, Malformed, kind_of, read_elf
from .files import File, Files
from .ld_cache import LARGEST_CACHE, Cache

#: libraries of one process that are looked at; torch with all of CUDA has 60
MOST_LIBRARIES = 400

#: what musl has in itself, and glibc's names for it
_MUSL_OWN = ("libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet.")

_TRIPLETS = {3: "i386-linux-gnu", 40: "arm-linux-gnueabihf", 21: "powerpc64le-linux-gnu"}


class Library(msgspec.Struct, eq=False):
    """A library (or the program itself) in the process."""

    path: str
    elf: Elf
    identity: tuple[int, int]
    #: every name under which it was asked for, and its SONAME
    names: set[str]
    #: who asked for it first
    loader: Library | None = None
    #: rpath, runpath, LD_LIBRARY_PATH, ld.so.cache, default, path (asked for by its path)
    found_by: str = ""

    def chain(self) -> list[str]:
        """The file names from the first library that was asked for to this one; the program is none of them."""
        names: list[str] = []
        here: Library | None = self
        while here is not None and here.found_by and len(names) < 50:
            names.append(here.path.rpartition("/")[2])
            here = here.loader
        return names[::-1]


class Flaw(msgspec.Struct):
    """What the loader would stumble over: ``kind`` is missing, version, wrong-architecture, wrong-class or truncated.

    wrong-class, as the loader calls it, is a library of 32 bits for a process of 64, or the other way round.
    """

    kind: str
    #: who needs it; None where it was asked for by its path
    library: Library | None
    needs: str
    wanted: str = ""
    found: str = ""
    found_by: str = ""
    searched: list[str] = []


class LinuxProcess:
    """A process of ``program`` (the path of an ELF file) with the environment ``environ``; ``cwd`` is its folder.

    Raises Malformed, OSError if the program itself cannot be read; TimeoutError after ``deadline`` (time.monotonic()).
    """

    def __init__(
        self, files: Files, program: str, environ: Mapping[str, str], deadline: float = float("inf"), cwd: str = "/"
    ) -> None:
        self.files = files
        self.environ = environ
        self.deadline = deadline
        self.cwd = cwd
        self.loaded: list[Library] = []
        self._kind: tuple[int, str, int] | None = None
        self._images: dict[tuple[int, int], Elf | Malformed] = {}
        self._opened: dict[str, tuple[tuple[int, int], Elf | Malformed] | None] = {}
        self._cache: Cache | None = None
        self._folders: dict[tuple[str, str], list[str]] = {}
        #: asked for what was loaded at once; set from outside by who knows which symbols are worth a look
        self.check_symbols: Callable[[list[Library]], list[Flaw]] = lambda libraries: []
        real = files.real(program)
        image = self._open(real)
        if image is None:
            raise FileNotFoundError(f"{program} cannot be opened")
        if isinstance(image[1], Malformed):
            raise image[1]
        self.main = Library(real, image[1], image[0], {real})
        self._kind = self.main.elf.kind
        self.musl = "ld-musl" in image[1].interpreter
        self.library_path = self._split(environ.get("LD_LIBRARY_PATH", ""), self.main, ":;")
        self.default_folders = self._defaults()
        self.loaded.append(self.main)
        preload = environ.get("LD_PRELOAD", "").replace(":", " ").split()
        #: what the program itself lacks
        self.flaws = self._map([(name, self.main) for name in preload], forgiving=True)
        self.flaws = self._map([(name, self.main) for name in self.main.elf.needed])

    def load(self, path: str, keep: bool = False) -> list[Flaw]:
        """Load the library at ``path`` and all that it needs; what is missing.

        With any flaw nothing stays loaded, but for ``keep``, to see what else would be there.
        """
        before = len(self.loaded)
        flaws = self._map([(path, None)])
        flaws += self._version_flaws(self.loaded[before:])
        flaws += self.check_symbols(self.loaded[before:])
        if flaws and not keep:
            del self.loaded[before:]
        return flaws

    def resolve(self, name: str, loader: Library) -> Library | None:
        """Load the library ``name`` for ``loader``, as dlopen with a bare name does; None where that fails."""
        before = len(self.loaded)
        if self._map([(name, loader)]):
            del self.loaded[before:]
        return self.find_loaded(name)

    def find_loaded(self, name: str) -> Library | None:
        """The library that is there under ``name`` (its SONAME, a name it was asked for by, or a path)."""
        for library in self.loaded:
            if name in library.names:
                return library
        return None

    @property
    def examined(self) -> int:
        """How many files were looked at."""
        return len(self._images)

    def look_at(self, path: str) -> Elf | Malformed | None:
        """What the library at ``path`` says, whether it is loaded or not; None if it cannot be opened."""
        opened = self._open(path)
        return opened[1] if opened is not None else None

    def _map(self, wanted: list[tuple[str, Library | None]], forgiving: bool = False) -> list[Flaw]:
        """Load each and, level by level, what they need."""
        flaws: list[Flaw] = []
        at = 0
        while at < len(wanted):
            name, loader = wanted[at]
            at += 1
            if monotonic() > self.deadline:
                raise TimeoutError("the libraries could not be followed in time")
            if self.find_loaded(name) is not None or (self.musl and name.startswith(_MUSL_OWN)):
                continue
            found = self._find(name, loader)
            if isinstance(found, Flaw):
                if not forgiving and not any(flaw.needs == name for flaw in flaws):
                    flaws.append(found)
                continue
            twin = next((library for library in self.loaded if library.identity == found.identity), None)
            if twin is not None:
                twin.names.add(name)
                continue
            if len(self.loaded) >= MOST_LIBRARIES:
                raise OSError(f"more than {MOST_LIBRARIES} libraries")
            self.loaded.append(found)
            if found.elf.truncated:
                flaws.append(Flaw("truncated", loader, name, found=found.path, found_by=found.found_by))
                continue
            wanted += [(need, found) for need in found.elf.needed]
        return flaws

    def _find(self, name: str, loader: Library | None) -> Library | Flaw:
        if "/" in name:
            path = self._expand(name, loader or self.main)[0]
            steps = [("path", [path])]
        else:
            steps = self._steps(name, loader or self.main)
        foreign = None
        for step, paths in steps:
            for path in paths:
                opened = self._open(path)
                if opened is None:
                    continue
                identity, image = opened
                if isinstance(image, Malformed):
                    return Flaw("truncated", loader, name, found=path, found_by=step, wanted=str(image))
                if image.kind != self._kind:
                    foreign = foreign or self._foreign(path, step, image, loader, name)
                    if image.bits == self.main.elf.bits and image.order != self.main.elf.order:
                        return foreign
                    continue  # as the loader does: a library for another processor is passed over
                names = {name, path, image.soname} - {""}
                return Library(path, image, identity, names, loader, step)
        if foreign is not None:
            return foreign
        folders = [path.rpartition("/")[0] for step, paths in steps for path in paths if step != "ld.so.cache"]
        return Flaw("missing", loader, name, searched=list(dict.fromkeys(folders)))

    def _foreign(self, path: str, step: str, image: Elf, loader: Library | None, name: str) -> Flaw:
        kind = "wrong-architecture" if image.bits == self.main.elf.bits else "wrong-class"
        machine = f"{MACHINES.get(image.machine, image.machine)}, {image.bits} bits"
        return Flaw(kind, loader, name, found=path, found_by=step, wanted=machine)

    def _steps(self, name: str, loader: Library) -> list[tuple[str, list[str]]]:
        """The places where ``loader``'s need for ``name`` is looked for, in the loader's order, with their names."""
        elf = loader.elf
        steps: list[tuple[str, list[str]]] = []
        if self.musl:
            steps.append(("LD_LIBRARY_PATH", self.library_path))
            steps.append(("rpath", self._run_paths(loader, either=True)))
            return [(step, [f"{folder}/{name}" for folder in folders]) for step, folders in steps] + [
                ("default", [f"{folder}/{name}" for folder in self.default_folders])
            ]
        if elf.runpath is None:
            steps.append(("rpath", self._run_paths(loader)))
        steps.append(("LD_LIBRARY_PATH", self.library_path))
        if elf.runpath is not None:
            steps.append(("runpath", self._split(elf.runpath, loader)))
        places = [(step, [f"{folder}/{name}" for folder in folders]) for step, folders in steps]
        if not elf.no_default:
            places.append(("ld.so.cache", self._cached(name)))
            places.append(("default", [f"{folder}/{name}" for folder in self.default_folders]))
        return places

    def _run_paths(self, loader: Library, either: bool = False) -> list[str]:
        """DT_RPATH of the library, of those that asked for it, and of the program; musl takes DT_RUNPATH as well."""
        folders: list[str] = []
        here: Library | None = loader
        seen: list[Library] = []
        while here is not None and len(seen) < 50:
            seen.append(here)
            here = here.loader
        if self.main not in seen:
            seen.append(self.main)
        for library in seen:
            elf = library.elf
            run_path = elf.runpath if elf.runpath is not None and either else elf.rpath
            if run_path and (elf.runpath is None or either):
                folders += self._split(run_path, library)
        return folders

    def _split(self, text: str, library: Library, separators: str = ":") -> list[str]:
        if not text:
            return []
        key = (text, library.path.rpartition("/")[0])
        if key in self._folders:
            return self._folders[key]
        for separator in separators[1:]:
            text = text.replace(separator, separators[0])
        folders = []
        for part in text.split(separators[0]):
            folders += [self._absolute(folder) for folder in self._expand(part or ".", library)]
        self._folders[key] = folders
        return folders

    def _absolute(self, folder: str) -> str:
        return (folder if folder.startswith("/") else f"{self.cwd}/{folder}").rstrip("/") or "/"

    def _expand(self, text: str, library: Library) -> list[str]:
        """``text`` with $ORIGIN, $LIB and $PLATFORM in it replaced: $LIB has two readings, and both are tried."""
        if "$" not in text:
            return [text]
        machine = MACHINES.get(self.main.elf.machine, "")
        origin = library.path.rpartition("/")[0] or "/"
        results = []
        for lib in dict.fromkeys((f"lib/{self._triplet()}", "lib64" if self.main.elf.bits == 64 else "lib")):
            result = text
            for name, value in (("ORIGIN", origin), ("LIB", lib), ("PLATFORM", machine)):
                result = result.replace(f"${{{name}}}", value).replace(f"${name}", value)
            results.append(result)
        return list(dict.fromkeys(results))

    def _triplet(self) -> str:
        machine = self.main.elf.machine
        return _TRIPLETS.get(machine, f"{MACHINES.get(machine, 'unknown')}-linux-gnu")

    def _defaults(self) -> list[str]:
        interpreter = self.main.elf.interpreter
        if self.musl:
            own = interpreter.rpartition("/")[2].removesuffix(".so.1")
            listed = self._read_whole(f"/etc/{own}.path").decode("utf-8", "surrogateescape")
            return listed.replace("\n", ":").strip(":").split(":") if listed else ["/lib", "/usr/local/lib", "/usr/lib"]
        if interpreter.startswith(("/nix/store/", "/gnu/store/")):
            return [self.files.real(interpreter).rpartition("/")[0]]
        triplet = self._triplet()
        wide = ["/lib64", "/usr/lib64"] if self.main.elf.bits == 64 else []
        return [f"/lib/{triplet}", f"/usr/lib/{triplet}", *wide, "/lib", "/usr/lib"]

    def _cached(self, name: str) -> list[str]:
        if self._cache is None:
            own = self.main.elf.interpreter.startswith(("/nix/store/", "/gnu/store/"))
            self._cache = Cache(b"" if own else self._read_whole("/etc/ld.so.cache"))
        return self._cache.files(name)

    def _read_whole(self, path: str) -> bytes:
        try:
            file = self.files.open(path)
        except (OSError, ValueError):
            return b""
        try:
            return file.read(0, min(file.size, LARGEST_CACHE))
        except OSError:
            return b""
        finally:
            file.close()

    def _open(self, path: str) -> tuple[tuple[int, int], Elf | Malformed] | None:
        """What the file at ``path`` says; None where there is none that may be read."""
        if path not in self._opened:
            self._opened[path] = None
            try:
                file: File = self.files.open(path)
            except (OSError, ValueError):
                return None
            try:
                if file.identity not in self._images:
                    try:
                        self._images[file.identity] = read_elf(file)
                    except Malformed as error:
                        self._images[file.identity] = self._header_alone(file) or error
                self._opened[path] = (file.identity, self._images[file.identity])
            except OSError:
                return None
            finally:
                file.close()
        return self._opened[path]

    def _header_alone(self, file: File) -> Elf | None:
        """A damaged library for another kind of process: the loader passes it over before it sees the damage."""
        kind = kind_of(file, self._kind[0]) if self._kind else None
        return Elf(*kind, file.size, 0) if kind and kind != self._kind else None

    def _version_flaws(self, libraries: list[Library]) -> list[Flaw]:
        """The versions that ``libraries`` must have and that what is loaded lacks. musl does not look at versions."""
        flaws: list[Flaw] = []
        for library in [] if self.musl else libraries:
            for name, versions in library.elf.versions_needed.items():
                provider = self.find_loaded(name)
                if provider is None or provider.elf.versions is None:
                    continue  # missing is another flaw; and without a table of versions the loader asks for none
                flaws += [
                    Flaw("version", library, name, version, provider.path, provider.found_by)
                    for version in versions
                    if version not in provider.elf.versions
                ]
        return flaws
