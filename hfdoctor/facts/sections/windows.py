"""What only Windows has."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved


class RegistryValue(msgspec.Struct, omit_defaults=True):
    """One registry value: REG_* type name and its value as text or number."""

    key: str
    name: str
    type: str
    value: str | int | list[str]


class PathProof(msgspec.Struct, omit_defaults=True):
    """A path longer than 260 characters created (and removed) by a fresh process of the target interpreter."""

    ok: bool
    length: int
    error: str = ""
    #: WinError number, or errno where the C library gave no other
    code: int | None = None


class VcRuntime(msgspec.Struct, omit_defaults=True):
    """An installed Visual C++ 2015+ redistributable, e.g. arch x64, version 14.44.35211.0."""

    arch: str
    version: str


class VcLibrary(msgspec.Struct, omit_defaults=True):
    """One copy of a runtime DLL where the loader would meet it (vcruntime140.dll, vcruntime140_1.dll, msvcp140.dll).

    ``via`` is python (the interpreter's own folders), torch, system (Windows' own) or path.
    """

    name: str
    path: str
    version: str = ""
    via: str = ""


class PageFile(msgspec.Struct, omit_defaults=True):
    """Page file settings: ``automatic`` is Windows' own management; no ``entries`` means that there is no page file."""

    automatic: bool
    entries: list[str] = []


class Alias(msgspec.Struct, omit_defaults=True):
    """An app execution alias found on PATH; ``stub`` is true for the one that only opens the Store."""

    name: str
    path: str
    stub: bool
    #: no real program of that name comes before it on PATH
    first: bool = False
    #: the package that it belongs to, "" if that could not be read
    package: str = ""
    #: the real program of that name later on PATH, which an alias that is first hides
    hides: str = ""


class SyncFolder(msgspec.Struct, omit_defaults=True):
    """A folder that OneDrive synchronises, and the account (Personal, Business1 ...) it belongs to."""

    path: str
    account: str


class ControlledFolders(msgspec.Struct, omit_defaults=True):
    """Controlled folder access: ``mode`` is off, block, audit, disk-only, disk-audit.

    ``folders`` are the protected ones, only looked up for ``block``; ``complete`` is False where those that were added
    by hand could not be read.
    """

    mode: str
    folders: list[str] = []
    complete: bool = True


class Windows(msgspec.Struct, omit_defaults=True):
    """The section ``windows``: None in snapshots of other systems."""

    #: absent when the value is not there
    long_paths_registry: Fact[RegistryValue] = unobserved()
    #: absent when neither Group Policy nor device management sets it
    long_paths_policy: Fact[RegistryValue] = unobserved()
    #: RtlAreLongPathsEnabled in a fresh process of the target interpreter
    long_paths_process: Fact[bool] = unobserved()
    long_paths_proof: Fact[PathProof] = unobserved()
    #: git's program on PATH; absent where there is none
    git: Fact[str] = unobserved()
    developer_mode: Fact[bool] = unobserved()
    #: the target is (or is based on) the Microsoft Store's Python
    store_python: Fact[bool] = unobserved()
    aliases: Fact[list[Alias]] = unobserved()
    vc_runtimes: Fact[list[VcRuntime]] = unobserved()
    #: in the loader's order: the first of a name is the one that loads, a name that is missing is nowhere
    vc_libraries: Fact[list[VcLibrary]] = unobserved()
    page_file: Fact[PageFile] = unobserved()
    #: absent when no OneDrive account is signed in
    sync_folders: Fact[list[SyncFolder]] = unobserved()
    #: absent when controlled folder access was never configured, which is off
    controlled_folders: Fact[ControlledFolders] = unobserved()
    #: programs that were let through by hand; usually denied to who is no administrator
    controlled_allowed: Fact[list[str]] = unobserved()
    #: ANSI, OEM and console output code pages, e.g. ansi 949
    code_pages: Fact[dict[str, int]] = unobserved()
