"""Which interpreter is inspected, and why that one.

In this order: ``--python``; what is active in the shell (VIRTUAL_ENV, or a conda environment that was activated by
name: of the two the one that comes first on PATH); ``.venv`` in the current folder and in no other; conda's base;
the Python that started hfdoctor's set-up; the one that runs hfdoctor, unless that environment only exists to hold
hfdoctor (uvx, pipx, the set-up's own); the first Python on PATH. An environment made for hfdoctor is never chosen
unless ``--python`` names it. Links are never followed to decide what belongs to an environment: its ``python`` is one.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping

import msgspec

from ..collect import TargetError
from ..probe import Request

#: files that mark an environment as made to hold one tool: uv tool, pipx, scripts/bootstrap.py
TOOL_MARKS = ("uv-receipt.toml", "pipx_metadata.json", "hfdoctor-setup.json")
#: folders of uv's cache in which uvx and "uv run --with" keep environments
UV_CACHE_FOLDERS = ("archive-v", "builds-v", "environments-v")


class Choice(msgspec.Struct, frozen=True):
    """``python`` is what is started; ``environment`` the folder of the environment it stands in ("" if none).

    ``candidates`` maps other interpreters that could have been meant to what they are.
    """

    python: str
    because: str
    environment: str = ""
    explicit: bool = False
    candidates: dict[str, str] = msgspec.field(default_factory=dict)


class Self(msgspec.Struct, frozen=True):
    """The interpreter that runs hfdoctor."""

    executable: str
    prefix: str
    base_executable: str

    @classmethod
    def current(cls) -> Self:
        """This process."""
        base = getattr(sys, "_base_executable", None) or sys.executable
        return cls(sys.executable or "", sys.prefix, base or "")

    @property
    def is_tool(self) -> bool:
        """Whether this environment exists only to hold hfdoctor."""
        return is_tool_environment(self.prefix)


def choose(request: Request, own: Self | None = None) -> Choice | None:
    """The interpreter to inspect, or None if there is none on this machine.

    Raises TargetError if ``--python`` names nothing that could be one.
    """
    own = own or Self.current()
    found = list(_candidates(request, own))
    if request.python is not None:
        python, environment = named(request)
        return Choice(python, "given by --python", environment, True, _others(found, python, environment))
    first = next((candidate for candidate in found if candidate[2]), None)
    if first is None:
        return None
    python, environment, because, _ = first
    passed = [what for _, _, _, what in found[: found.index(first)]]
    because = "; ".join([because, *(f"not {what}" for what in passed)])
    return Choice(python, because, environment, False, _others(found, python, environment))


#: (interpreter, environment, because, what it is as a candidate); because is "" where it cannot be chosen: closed to us
Candidate = tuple[str, str, str, str]


def _candidates(request: Request, own: Self) -> Iterator[Candidate]:
    """Every candidate, best first, without hfdoctor's own."""
    environ = request.environ

    def usable(folder: str) -> bool:
        return not (own.is_tool and same_folder(folder, own.prefix)) and not is_tool_environment(folder)

    for folder, because, what in _active(environ):
        python = interpreter_in(folder)
        if python and usable(folder):
            yield python, folder, because, what
        elif is_closed(folder):
            yield expected_in(folder), folder, "", f"the one that is {what}, which this user may not open"
    here = os.path.join(request.cwd, ".venv")
    if os.path.lexists(os.path.join(here, "pyvenv.cfg")) and usable(here):
        yield interpreter_in(here) or expected_in(here), here, "the environment .venv in this folder", ".venv here"
    elif is_closed(here):
        yield expected_in(here), here, "", ".venv in this folder, which this user may not open"
    base = environ.get("CONDA_PREFIX", "")
    if base and is_conda_base(environ):
        python = interpreter_in(base)
        if python and usable(base):
            yield python, base, "conda's base environment (CONDA_PREFIX)", "conda's base environment"
    launcher = environ.get("HFDOCTOR_LAUNCHED_BY", "")
    if launcher and os.path.isfile(launcher):
        folder = environment_of(launcher)
        if not folder or usable(folder):
            yield launcher, folder, "the Python that started hfdoctor's set-up", "started hfdoctor's set-up"
    if not own.is_tool and own.executable:
        yield (
            own.executable,
            environment_of(own.executable),
            "the interpreter that runs hfdoctor",
            "runs hfdoctor",
        )
    yield from _on_path(environ, own)


def _active(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The environments that are active in the shell; the one whose programs come first on PATH comes first."""
    found = []
    venv = environ.get("VIRTUAL_ENV", "")
    if venv:
        found.append((venv, "the active virtual environment (VIRTUAL_ENV)", "active (VIRTUAL_ENV)"))
    conda = environ.get("CONDA_PREFIX", "")
    if conda and not is_conda_base(environ) and not (venv and same_folder(venv, conda)):
        found.append((conda, "the active conda environment (CONDA_PREFIX)", "active (CONDA_PREFIX)"))
    if len(found) == 2:
        path = [os.path.normcase(os.path.normpath(p)) for p in environ.get("PATH", "").split(os.pathsep) if p]

        def position(item: tuple[str, str, str]) -> int:
            programs = [os.path.normcase(os.path.dirname(p)) for p in _interpreter_names(item[0])]
            return min((path.index(p) for p in programs if p in path), default=len(path))

        found.sort(key=position)
    return found


def is_conda_base(environ: Mapping[str, str]) -> bool:
    """Whether the active conda environment is the base, which conda may activate in every shell by itself."""
    prefix = environ.get("CONDA_PREFIX", "")
    if environ.get("CONDA_DEFAULT_ENV") == "base":
        return True
    root = environ.get("MAMBA_ROOT_PREFIX") or os.path.dirname(os.path.dirname(environ.get("CONDA_EXE", "")))
    return bool(root) and os.path.normcase(os.path.normpath(prefix)) == os.path.normcase(os.path.normpath(root))


def _on_path(environ: Mapping[str, str], own: Self) -> Iterator[Candidate]:
    stubs: list[Candidate] = []
    seen = False
    for name in ("python3", "python"):
        for python in programs_on_path(name, environ):
            folder = environment_of(python)
            if folder and (is_tool_environment(folder) or (own.is_tool and same_folder(folder, own.prefix))):
                continue
            candidate = (python, folder, f"the first {name} on PATH", "")
            if is_store_stub(python):
                stubs.append(candidate)
                continue
            seen = True
            yield candidate
            break
    base = own.base_executable
    if not seen and own.is_tool and base and os.path.isfile(base):
        seen = True
        yield base, environment_of(base), "the Python that hfdoctor's own environment was made from", ""
    if not seen:
        yield from stubs[:1]


def programs_on_path(name: str, environ: Mapping[str, str]) -> Iterator[str]:
    """The programs of that name in the folders of PATH, in order."""
    endings = (".exe", ".bat", ".cmd", "") if os.name == "nt" else ("",)
    for folder in environ.get("PATH", "").split(os.pathsep):
        folder = folder.strip('"') if os.name == "nt" else folder
        if not os.path.isabs(folder):
            continue
        for ending in endings:
            path = os.path.join(folder, name + ending)
            if (os.path.isfile(path) and os.access(path, os.X_OK)) or (os.name == "nt" and _is_alias(path)):
                yield path
                break


def _is_alias(path: str) -> bool:
    """An app execution alias: a reparse point that isfile() may deny."""
    return "windowsapps" in path.lower() and os.path.lexists(path)


def is_store_stub(path: str) -> bool:
    """Whether it is the alias that only opens the Microsoft Store: no Python package is registered beside it."""
    folder = os.path.dirname(path)
    if os.name != "nt" or os.path.basename(folder).lower() != "windowsapps":
        return False
    try:
        return not any(name.startswith("PythonSoftwareFoundation.Python") for name in os.listdir(folder))
    except OSError:
        return False


def named(request: Request) -> tuple[str, str]:
    """The interpreter and environment that ``--python`` names. Raises TargetError."""
    given = request.python or ""
    if not given:
        raise TargetError(f"nothing is named; {_WANTED}")
    path = os.path.join(request.cwd, os.path.expanduser(given) if given.startswith("~") else given)
    if ".." not in path.split(os.sep):  # what comes before ".." may be a link
        path = os.path.normpath(path)
    if os.path.isdir(path):
        python = _in_folder(path, given)
        return python, environment_of(python)
    if not os.path.dirname(given):
        names = [given, f"python{given}"] if re.fullmatch(r"\d(\.\d+)*t?", given) else [given]
        for name in names:
            for python in programs_on_path(name, request.environ):
                return _program(python, given)
        if not os.path.lexists(path):
            raise TargetError(f"{given}: there is no program of that name on PATH and nothing here; {_WANTED}")
    _must_be_there(path, given)
    return _program(path, given)


def _must_be_there(path: str, given: str) -> None:
    try:
        os.lstat(path)
    except PermissionError:
        raise TargetError(f"{given}: you have no right to look there; name another, or ask its owner") from None
    except (OSError, ValueError):
        raise TargetError(f"{given}: there is no such file or folder; {_WANTED}") from None


def _in_folder(folder: str, given: str) -> str:
    python = interpreter_in(folder)
    if python:
        return python
    if os.path.lexists(os.path.join(folder, "pyvenv.cfg")):
        if os.name != "nt" and os.path.isdir(os.path.join(folder, "Scripts")):
            raise TargetError(f"{given}: this environment was made by a Windows Python, it cannot be inspected here")
        return expected_in(folder)
    _must_be_there(os.path.join(folder, "."), given)
    raise TargetError(f"{given}: this folder holds no Python interpreter; {_WANTED}")


def _program(path: str, given: str) -> tuple[str, str]:
    environment = environment_of(path)
    if not environment:
        _must_be_program(path, given)
    return path, environment


_WANTED = "name an interpreter, or the folder of a virtual environment or conda environment"


def _must_be_program(path: str, what: str) -> None:
    """Refuse what is no interpreter before it is run: starting any program with our arguments could do harm."""
    if not os.path.exists(path):
        raise TargetError(f"{what}: this link leads nowhere; {_WANTED}")
    if not os.path.isfile(path):
        raise TargetError(f"{what}: this is neither a file nor a folder; {_WANTED}")
    if not os.access(path, os.X_OK):
        raise TargetError(f"{what}: this file is not executable; {_WANTED}")
    if looks_like_python(path):
        return
    try:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                if b"python" in chunk.lower():
                    return
                if len(chunk) == 1 << 20:
                    file.seek(-5, os.SEEK_CUR)
    except OSError as error:
        raise TargetError(f"{what}: this file cannot be read ({error.strerror}); {_WANTED}") from None
    raise TargetError(f"{what}: this program is no Python interpreter; {_WANTED}")


def _interpreter_names(folder: str) -> list[str]:
    if os.name == "nt":
        inside = ["Scripts\\python.exe", "python.exe", "bin\\python.exe"]
    else:
        inside = ["bin/python", "bin/python3", "python", "python3"]
    return [os.path.join(folder, name) for name in inside]


def looks_like_python(path: str) -> bool:
    """Whether a program has the name of an interpreter: python3.12, PYTHON.EXE, pypy3."""
    return os.path.basename(path).lower().startswith(("python", "pypy", "graalpy"))


def interpreter_in(folder: str) -> str:
    """The interpreter of a virtual environment, a conda prefix or an installation; "" if there is none.

    A link whose end is gone counts: that environment cannot start, and the doctor says so.
    """
    names = _interpreter_names(folder)
    for path in names:
        if os.path.isfile(path):
            return path
    for path in names:
        if os.path.lexists(path) and not os.path.isdir(path):
            return path
    return ""


def expected_in(folder: str) -> str:
    """Where the interpreter of a virtual environment would be."""
    return _interpreter_names(folder)[0]


def environment_of(python: str) -> str:
    """The environment (virtual, or conda prefix) in which this interpreter stands, by its path alone; "" if none."""
    folder = os.path.dirname(python)
    for place in (folder, os.path.dirname(folder)):
        if os.path.lexists(os.path.join(place, "pyvenv.cfg")) or os.path.isdir(os.path.join(place, "conda-meta")):
            return place
    # without its pyvenv.cfg a virtual environment still has the programs that activate it
    for name in ("activate", "activate.bat"):
        try:
            with open(os.path.join(folder, name), "rb") as file:
                if b"VIRTUAL_ENV" in file.read(8192):
                    return os.path.dirname(folder)
        except OSError:
            continue
    return ""


def is_tool_environment(folder: str) -> bool:
    """Whether this environment was made to hold one tool: by uvx, uv tool, pipx, or hfdoctor's own set-up."""
    if any(os.path.isfile(os.path.join(folder, name)) for name in TOOL_MARKS):
        return True
    parts = os.path.normpath(folder).split(os.sep)
    for index, part in enumerate(parts):
        if part.startswith(UV_CACHE_FOLDERS) and part.rpartition("-v")[2].isdigit():
            return os.path.isfile(os.path.join(os.sep.join(parts[:index]), "CACHEDIR.TAG"))
    return False


def is_closed(folder: str) -> bool:
    """Whether a folder is there that this user may not look into: it may well be an environment."""
    try:
        if not os.path.isdir(folder):
            return False
        os.lstat(os.path.join(folder, "pyvenv.cfg"))
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return False


def same_folder(one: str, other: str) -> bool:
    """Whether two paths lead to one folder."""
    if os.path.normcase(os.path.abspath(one)) == os.path.normcase(os.path.abspath(other)):
        return True
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _others(found: list[Candidate], python: str, environment: str) -> dict[str, str]:
    """Those that are another environment or interpreter than the chosen one. PATH alone expresses no wish."""
    others: dict[str, str] = {}
    for path, folder, _, what in found:
        if not what or path == python or (environment and folder and same_folder(environment, folder)):
            continue
        others.setdefault(path, what)
    return others
