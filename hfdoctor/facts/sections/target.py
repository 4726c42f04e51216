"""The patient: the Python interpreter and environment that is inspected."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class Chosen(msgspec.Struct):
    """Which interpreter is inspected, and why that one (a phrase that follows "Inspecting X,")."""

    python: str
    because: str


class Start(msgspec.Struct, omit_defaults=True):
    """Whether the interpreter starts. ``trouble`` is one of the words in START_TROUBLES."""

    ok: bool
    trouble: str = ""
    detail: str = ""
    exit_code: int | None = None
    signal: str = ""
    stderr: str = ""
    #: the start-up file, start-up module or variable that stops it, found by trying each alone
    culprit: str = ""


#: why a target cannot start -> what that means
START_TROUBLES = {
    "base-gone": "the interpreter that the environment was made from is not there any more",
    "no-interpreter": "the environment's interpreter is missing",
    "broken-config": "the environment's pyvenv.cfg is missing or cannot be read",
    "not-executable": "the file cannot be executed",
    "forbidden": "this user may not run it",
    "wrong-architecture": "the file is a program for another kind of machine",
    "missing-library": "a shared library of the interpreter is missing",
    "no-stdlib": "the interpreter does not find its own standard library",
    "startup-file": "a start-up file (.pth, sitecustomize) stops the interpreter",
    "settings": "a PYTHON* variable stops the interpreter",
    "store-stub": "it is the Microsoft Store alias, not an interpreter",
    "crashed": "the interpreter was killed by a signal or an exception",
    "hung": "the interpreter did not answer before the deadline",
    "not-python": "the program is not a Python interpreter",
    "other": "the interpreter ended with an error",
}


class Interpreter(msgspec.Struct, omit_defaults=True):
    """What the interpreter says of itself."""

    version: str
    version_info: list[int]
    release_level: str
    implementation: str
    bits: int
    executable: str
    prefix: str
    base_prefix: str
    #: sysconfig.get_platform(): linux-x86_64, win-amd64, macosx-11.0-arm64 ...
    platform: str
    soabi: str = ""
    free_threaded: bool = False
    compiler: str = ""
    machine: str = ""


class Paths(msgspec.Struct, omit_defaults=True):
    """Where packages go and are found; ``purelib`` is where pip installs."""

    purelib: str
    platlib: str
    scripts: str
    stdlib: str
    site_packages: list[str]
    user_site: str = ""
    user_site_enabled: bool = False


class PthFile(msgspec.Struct, omit_defaults=True):
    """A .pth file: folders it adds, lines it executes (cut at 200 characters), and what is wrong with it."""

    path: str
    adds: list[str] = []
    missing: list[str] = []
    executes: list[str] = []
    error: str = ""


class StartupModule(msgspec.Struct, omit_defaults=True):
    """A sitecustomize or usercustomize module that the interpreter imports at start-up."""

    name: str
    path: str
    #: what its import raised (Python prints that and goes on)
    error: str = ""


class Base(msgspec.Struct):
    """The ``home`` of pyvenv.cfg and whether an interpreter is still there."""

    home: str
    exists: bool


class Script(msgspec.Struct):
    """A console script of the environment, the interpreter it names, and whether that one is this environment's."""

    path: str
    python: str
    fits: bool


class Shadow(msgspec.Struct, omit_defaults=True):
    """A file or folder of the person's that hides a module: ``module`` is what Python would import instead."""

    module: str
    path: str
    #: "cwd" (only from that folder) or "sys.path" (PYTHONPATH: always)
    via: str
    #: package (a folder with __init__.py), module (.py) or extension (a compiled one)
    kind: str = "module"
    #: whether the module is the standard library's
    stdlib: bool = False
    #: version of the distribution that is installed in the same folder under this name; "" for a lone file
    version: str = ""


class Target(msgspec.Struct, omit_defaults=True):
    """The section ``target``."""

    chosen: Fact[Chosen] = unobserved()
    #: other interpreters that could have been meant, for the first line and -v: path -> what it is
    candidates: Fact[dict[str, str]] = unobserved()
    #: folder of the virtual or conda environment in which the chosen interpreter stands; absent outside. It is
    #: sys.prefix where the interpreter takes itself for part of it
    environment: Fact[str] = unobserved()
    start: Fact[Start] = unobserved()
    interpreter: Fact[Interpreter] = unobserved()
    #: venv, conda, uv, pipx, store, homebrew, pyenv, system, framework, embedded, standalone
    kind: Fact[str] = unobserved()
    #: true in a virtual environment (prefix differs from base_prefix) or a conda prefix
    isolated: Fact[bool] = unobserved()
    #: path of the EXTERNALLY-MANAGED marker (PEP 668) that applies to this environment; absent otherwise
    externally_managed: Fact[str] = unobserved()
    paths: Fact[Paths] = unobserved()
    sys_path: Fact[list[str]] = unobserved()
    pth_files: Fact[list[PthFile]] = unobserved()
    startup_modules: Fact[list[StartupModule]] = unobserved()
    pyvenv_cfg: Fact[dict[str, str]] = unobserved()
    base: Fact[Base] = unobserved()
    #: some of the environment's console scripts; an empty list where none names an interpreter by its path
    scripts: Fact[list[Script]] = unobserved()
    #: version of pip in the environment; absent without pip
    pip: Fact[str] = unobserved()
    shadows: Fact[list[Shadow]] = unobserved()
    stdlib_modules: Fact[list[str]] = unobserved()
    #: those of stdlib_modules that no file can hide: built in, frozen, or loaded before any program starts
    fixed_modules: Fact[list[str]] = unobserved()
