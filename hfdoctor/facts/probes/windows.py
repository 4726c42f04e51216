"""Fills the section ``windows``: registry, loader and shell facts that no other system has."""

from __future__ import annotations

import sys

from ..fact import Fact, known, not_run
from ..observe import observe
from ..probe import Context
from ..sections.windows import PageFile
from . import windows_folders, windows_long_paths, windows_registry, windows_store, windows_vc

DEVELOPER_KEY = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\AppModelUnlock"
MEMORY_KEY = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management"


def probe(ctx: Context) -> None:
    """Observe what only Windows has. Does nothing elsewhere; comes after ``target``."""
    section = ctx.snapshot.windows
    if section is None:
        return
    environ, target = ctx.request.environ, ctx.snapshot.target
    fresh = windows_long_paths.start_fresh_process(ctx)  # works while the rest is read
    long_path_source = windows_registry.place(windows_long_paths.KEY, windows_long_paths.NAME)
    observe(section, "long_paths_registry", windows_long_paths.registry_fact, long_path_source)
    observe(section, "long_paths_policy", lambda: windows_long_paths.policy_fact(environ), "Group Policy")
    observe(section, "git", lambda: windows_long_paths.git(environ), "PATH")
    observe(section, "developer_mode", developer_mode, DEVELOPER_KEY)
    observe(section, "page_file", page_file, MEMORY_KEY)
    observe(section, "code_pages", code_pages, "GetACP, GetOEMCP, GetConsoleOutputCP")
    observe(section, "sync_folders", windows_folders.sync_folders, windows_folders.ONEDRIVE_KEY)
    defender = windows_folders.DEFENDER_KEYS[-1]
    observe(section, "controlled_folders", lambda: windows_folders.controlled_folders(environ), defender)
    observe(section, "controlled_allowed", windows_folders.allowed_programs, defender)
    observe(section, "vc_runtimes", windows_vc.runtimes, windows_vc.KEY)
    observe(section, "vc_libraries", lambda: windows_vc.libraries(target, environ), "the loader's search order")
    observe(section, "aliases", lambda: windows_store.aliases(environ), "PATH")
    observe(section, "store_python", lambda: windows_store.is_store_python(target), "sys.base_prefix")
    section.long_paths_process, section.long_paths_proof = fresh.answer(ctx.left_s(10.0))


def developer_mode() -> Fact[bool]:
    """The switch "Developer Mode"; absent where it was never touched. Only the proof in the cache tells about links."""
    fact = windows_registry.value_fact(DEVELOPER_KEY, "AllowDevelopmentWithoutDevLicense")
    return windows_registry.converted(fact, ("REG_DWORD",), lambda value: value == 1)


def page_file() -> Fact[PageFile]:
    r"""The page file settings: ``?:\pagefile.sys`` is Windows' own management, no entry is no page file."""

    def read(entries: list[str]) -> PageFile:
        named = [entry.strip() for entry in entries if entry.strip()]
        return PageFile(automatic=any(entry.startswith("?:") for entry in named), entries=named)

    return windows_registry.converted(windows_registry.value_fact(MEMORY_KEY, "PagingFiles"), ("REG_MULTI_SZ",), read)


def code_pages() -> Fact[dict[str, int]]:
    """The ANSI, OEM and console code pages; ``console`` is missing where the process has no console."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.WinDLL("kernel32")
        found = {"ansi": kernel.GetACP(), "oem": kernel.GetOEMCP(), "console": kernel.GetConsoleOutputCP()}
        return known({name: number for name, number in found.items() if number}, "GetACP, GetOEMCP, GetConsoleOutputCP")
    else:  # noqa: RET505 - a type checker that looks at one system at a time must see two branches
        return not_run("only Windows has code pages")
