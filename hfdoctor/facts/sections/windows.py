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
    code: int | None = None


class VcRuntime(msgspec.Struct, omit_defaults=True):
    """An installed Visual C++ 2015+ redistributable, e.g. arch x64, version 14.44.35211.0."""

    arch: str
    version: str


class VcLibrary(msgspec.Struct, omit_defaults=True):
    """One runtime DLL as the loader would find it (vcruntime140.dll, vcruntime140_1.dll, msvcp140.dll)."""

    name: str
    path: str
    version: str = ""


class PageFile(msgspec.Struct, omit_defaults=True):
    """Page file settings: ``automatic`` is Windows' own management; ``entries`` is the PagingFiles value."""

    automatic: bool
    entries: list[str] = []


class Alias(msgspec.Struct, omit_defaults=True):
    """An app execution alias found on PATH; ``stub`` is true for the one that only opens the Store."""

    name: str
    path: str
    stub: bool
    #: position on PATH: an alias before a real Python hides it
    first: bool = False


class SyncFolder(msgspec.Struct, omit_defaults=True):
    """A folder that OneDrive synchronises: where it is and what says so."""

    path: str
    account: str


class ControlledFolders(msgspec.Struct, omit_defaults=True):
    """Controlled folder access: ``mode`` is off, block, audit, or disk-only; ``folders`` the protected ones."""

    mode: str
    folders: list[str] = []
    allowed: list[str] = []


class Windows(msgspec.Struct, omit_defaults=True):
    """The section ``windows``: None in snapshots of other systems."""

    #: absent when the value is not there
    long_paths_registry: Fact[RegistryValue] = unobserved()
    #: absent when no Group Policy sets it
    long_paths_policy: Fact[RegistryValue] = unobserved()
    #: RtlAreLongPathsEnabled in a fresh process of the target interpreter
    long_paths_process: Fact[bool] = unobserved()
    long_paths_proof: Fact[PathProof] = unobserved()
    developer_mode: Fact[bool] = unobserved()
    #: the target is (or is based on) the Microsoft Store's Python
    store_python: Fact[bool] = unobserved()
    aliases: Fact[list[Alias]] = unobserved()
    vc_runtimes: Fact[list[VcRuntime]] = unobserved()
    vc_libraries: Fact[list[VcLibrary]] = unobserved()
    page_file: Fact[PageFile] = unobserved()
    sync_folders: Fact[list[SyncFolder]] = unobserved()
    controlled_folders: Fact[ControlledFolders] = unobserved()
    #: ANSI, OEM and console output code pages, e.g. ansi 949
    code_pages: Fact[dict[str, int]] = unobserved()
