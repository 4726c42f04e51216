"""What an environment's own files say of it, without starting its interpreter."""

from __future__ import annotations

import os
import re
from typing import Any

from ..fact import Fact, absent, failed, from_error, known
from ..sections.target import Base, Paths, Script
from .choose_target import same_folder

CONFIG_LIMIT = 65536  # bytes: a pyvenv.cfg has a few lines
#: console scripts that are likely there; a few suffice to see that the environment was moved
SCRIPTS = ("pip", "pip3", "hf", "huggingface-cli", "transformers", "torchrun", "accelerate", "wheel", "ipython")
#: the second line of a script that starts its interpreter through the shell
SH_EXEC = r"""'{3}exec' (?:"([^"$]+)"|'([^']+)'|([^\s"'$]+)) ["]\$0"""
LAUNCHER_TAIL = 32768  # bytes at the end of a Windows launcher that hold its interpreter and a small zip


def read_config(environment: str) -> Fact[dict[str, str]]:
    """pyvenv.cfg as Python reads it; absent outside virtual environments."""
    if not environment:
        return absent("not in an environment")
    path = os.path.join(environment, "pyvenv.cfg")
    try:
        with open(path, "rb") as file:
            text = file.read(CONFIG_LIMIT).decode("utf-8")
    except FileNotFoundError:
        return absent("there is no pyvenv.cfg", path)
    except UnicodeDecodeError as error:  # Python reads it as UTF-8 and does not start
        return failed(f"byte {error.start} of pyvenv.cfg is not UTF-8", path)
    except OSError as error:
        return from_error(error, path)
    entries = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            entries[key.strip().lower()] = value.strip()
    return known(entries, path)


def read_base(python: str, config: Fact[dict[str, str]]) -> Fact[Base]:
    """Where the environment's base interpreter is, and whether it is still there."""
    entries = config.maybe()
    if entries is None:
        return Fact(status=config.status, reason=config.reason, source=config.source)
    home = entries.get("home", "")
    if not home:
        return failed("pyvenv.cfg names no home", config.source)
    if os.name == "nt":
        names: tuple[str, ...] = ("python.exe", "pypy3.exe", "pypy.exe", "python3.exe")
    else:
        version = version_of(entries)
        names = (f"python{version[0]}.{version[1]}", "python3", "python") if version else ("python3", "python")
        names += ("pypy3", "pypy")
    try:
        there = set(os.listdir(home))
    except (FileNotFoundError, NotADirectoryError):
        there = set()
    except OSError as error:  # another user's folder: the interpreter may well be in it
        return from_error(error, home)
    linked = os.path.islink(python) and os.path.exists(python)  # a copy would outlive what it was copied from
    return known(Base(home, not there.isdisjoint(names) or linked), config.source)


def version_of(entries: dict[str, str]) -> tuple[int, int] | None:
    """Major and minor version of the Python that made the environment, as its pyvenv.cfg says."""
    for key in ("version_info", "version"):
        match = re.match(r"(\d+)\.(\d+)", entries.get(key, ""))
        if match:
            return int(match[1]), int(match[2])
    return None


def site_folder(environment: str, version: tuple[int, int] | None) -> str:
    """The site-packages of an environment by its layout; "" if it has none, or several and no known version."""
    windows = os.path.join(environment, "Lib", "site-packages")
    if os.name == "nt":
        return windows if os.path.isdir(windows) else ""
    if version:
        path = os.path.join(environment, "lib", f"python{version[0]}.{version[1]}", "site-packages")
        if os.path.isdir(path):
            return path
    library = os.path.join(environment, "lib")
    try:
        names = [name for name in os.listdir(library) if re.fullmatch(r"(python|pypy)\d+\.\d+t?", name)]
    except OSError:
        return ""
    found = [os.path.join(library, name, "site-packages") for name in names]
    found = [path for path in found if os.path.isdir(path)]
    return found[0] if len(found) == 1 else ""


def paths_by_layout(environment: str, python: str, version: tuple[int, int] | None) -> Fact[Paths]:
    """Where a virtual environment keeps its packages, for one whose interpreter cannot be asked."""
    folder = site_folder(environment, version)
    if not folder:
        return failed("the interpreter does not start, and its folders could not be told from the outside", environment)
    return known(
        Paths(purelib=folder, platlib=folder, scripts=os.path.dirname(python), stdlib="", site_packages=[folder]),
        f"layout of {environment}; its interpreter does not start",
    )


# -- the interpreter that console scripts name ------------------------------------------------------------------------


def read_scripts(folder: str, names: tuple[str, ...] = SCRIPTS) -> list[Script]:
    """The console scripts of an environment that name an interpreter by its whole path, and which."""
    found = []
    for name in names:
        path = os.path.join(folder, name + (".exe" if os.name == "nt" else ""))
        try:
            python = _interpreter_of_exe(path) if os.name == "nt" else _interpreter_of_script(path)
        except OSError:
            continue
        if python:
            found.append(Script(path, python, _fits(python, folder)))
    return found


def _interpreter_of_script(path: str) -> str:
    """From ``#!/path/python``, or from the two-line form that installers use for long paths and those with spaces."""
    with open(path, "rb") as file:
        head = file.read(4096)
    lines = head.decode("utf-8", "backslashreplace").splitlines()
    if not lines or not lines[0].startswith("#!"):
        return ""
    first = lines[0][2:].strip()
    if first == "/bin/sh" and len(lines) > 1:
        match = re.match(SH_EXEC, lines[1])
        program = next((group for group in match.groups() if group), "") if match else ""
        return program if os.path.isabs(program) else ""
    program = first.partition(" ")[0] if not os.path.exists(first) else first
    return program if os.path.basename(program).startswith(("python", "pypy")) and os.path.isabs(program) else ""


def _interpreter_of_exe(path: str) -> str:
    """From the ``#!`` line before the zip at the end of a Windows launcher."""
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        size = file.tell()
        file.seek(max(0, size - LAUNCHER_TAIL))
        data = file.read()
    zip_start = data.find(b"PK\x03\x04")
    shebang = data.rfind(b"#!", 0, zip_start) if zip_start > 0 else -1
    if shebang < 0:
        return ""
    text = data[shebang + 2 : zip_start].decode("utf-8", "backslashreplace").strip()
    python = text.strip('"') if text.startswith('"') else text
    return python if os.path.isabs(python) and python.lower().endswith(".exe") else ""


def _fits(python: str, folder: str) -> bool:
    """Whether the interpreter named by a script stands beside it, or one folder up as in conda's on Windows."""
    home = os.path.dirname(python)
    return same_folder(home, folder) or (os.name == "nt" and same_folder(home, os.path.dirname(folder)))


def kind_by_files(environment: str, config: dict[str, str] | None) -> str:
    """venv, uv, pipx or conda for an environment; "" for a folder that is none."""
    if not environment:
        return ""
    if os.path.isfile(os.path.join(environment, "pipx_metadata.json")):
        return "pipx"
    if config is not None:
        return "uv" if "uv" in config or os.path.isfile(os.path.join(environment, "uv-receipt.toml")) else "venv"
    return "conda" if os.path.isdir(os.path.join(environment, "conda-meta")) else "venv"


def kind_of_base(facts: dict[str, Any], environ_pyenv_root: str) -> str:
    """What sort of installation an interpreter outside any environment is."""
    told = facts.get("interpreter") or {}
    prefix = str(told.get("base_prefix", "")).replace("\\", "/")
    folder = os.path.dirname(str(told.get("executable", "")))
    if facts.get("store"):
        return "store"
    if os.name == "nt" and _has_path_file(folder):
        return "embedded"
    if "/Cellar/python" in prefix or "/homebrew/" in prefix or "/linuxbrew/" in prefix:
        return "homebrew"
    root = environ_pyenv_root.replace("\\", "/").rstrip("/")
    if "/.pyenv/" in prefix or "/pyenv-win/" in prefix or (root and prefix.startswith(root + "/versions/")):
        return "pyenv"
    if prefix in ("/usr", "/usr/local") or prefix.startswith(("/Library/Developer/", "/Applications/Xcode")):
        return "system" if prefix != "/usr/local" else "standalone"
    if facts.get("framework"):
        return "framework"
    return "standalone"


def _has_path_file(folder: str) -> bool:
    try:
        return any(re.fullmatch(r"python\d+\._pth", name) for name in os.listdir(folder))
    except OSError:
        return False
