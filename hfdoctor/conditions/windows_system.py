"""What stands around Python on Windows: the Visual C++ runtime, the page file, the Store's aliases and folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PureWindowsPath

from ..facts.sections.windows import VcLibrary, Windows
from ..facts.snapshot import Snapshot
from . import windows_by_hand as by_hand
from .changes import VariableChange
from .dll_load import vc_problems
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .move_cache import SET_WITH_HOME
from .seen_imports import may_be_error
from .seen_stages import failures

#: what the libraries of torch's Windows wheels are linked with; torch/__init__.py looks for the same three by name
TORCH_NEEDS = ("vcruntime140.dll", "vcruntime140_1.dll", "msvcp140.dll")

#: the toolset (of Visual Studio 2022 17.10) since which the compiler sets a mutex up itself: with an older
#: msvcp140.dll its first use ends the program
NEW_MUTEX = (14, 40)

#: bytes of memory that can still be promised; starting torch with its CUDA libraries asks for more than this
SMALL_COMMIT = 4 * 1024**3

#: platform of Python -> Microsoft's word for the kind of processor
KINDS = {"win-amd64": "x64", "win-arm64": "arm64", "win32": "x86"}


def _vc_redist(s: Snapshot, goal: Goal) -> Verdict:
    windows = s.windows
    if windows is None:
        return Skip("not_windows")
    if "torch" not in goal.packages:
        return Skip("no_torch")
    platform = s.target.interpreter.need().platform
    if platform != "win-amd64":
        return Skip("other_platform", {"platform": platform})
    if s.packages.imported("torch"):
        return Pass(1, [Clue(s.packages.imports, "torch", "imported")])
    copies = windows.vc_libraries.need()
    found = {copy.name.lower(): copy for copy in reversed(copies)}
    gone = [name for name in TORCH_NEEDS if name not in found]
    gone += [name for name in dict.fromkeys(one.needs.lower() for one in vc_problems(s)) if name not in gone]
    if not gone:
        old = _too_old(s, windows, found, platform)
        if old:
            return old
        shown = [f"{copy.path} {copy.version}".rstrip() for copy in (found[name] for name in TORCH_NEEDS)]
        return Pass(len(TORCH_NEEDS), [Clue(windows.vc_libraries, shown)])
    if s.packages.imports.status not in ("known", "absent", "not-run"):
        s.packages.imports.need()  # --deep asked, and how it went is not known: it may have gone well
    runtimes = [runtime.version for runtime in windows.vc_runtimes.maybe() or () if runtime.arch == "x64"]
    names = ", ".join(gone)
    clues = [Clue(windows.vc_libraries, gone, "nowhere", {"names": names})]
    if runtimes:
        clues.append(Clue(windows.vc_runtimes, runtimes[0], "registered", {"version": runtimes[0]}))
    elif windows.vc_runtimes.known:
        clues.append(Clue(windows.vc_runtimes, [], "not_registered"))
    return Fail(
        "missing", "error", "derived", clues, {"names": names}, Treatment("print-only", _runtime_steps(platform))
    )


def _too_old(s: Snapshot, windows: Windows, found: Mapping[str, VcLibrary], platform: str) -> Fail | None:
    """Microsoft's rule: the runtime must not be older than the newest toolset that built a library using it.

    Only the C++ library counts: Python brings its own vcruntime140.dll, older than torch's toolset on most machines,
    and it serves, since what it offers has not changed. msvcp140.dll has.
    """
    linked = s.native.linked_with.maybe()
    library = found["msvcp140.dll"]
    wanted, have = _numbers(linked or ""), _numbers(library.version)
    if not wanted or not have or have >= wanted:
        return None
    breaks = wanted >= NEW_MUTEX > have
    seen = any("WinError 1114" in one.text for one in failures(s))
    fields: dict[str, Plain] = {"have": library.version, "path": library.path, "wanted": linked or ""}
    fields["source"] = s.native.linked_with.source
    clues = [
        Clue(windows.vc_libraries, library.path, "old_library", fields),
        Clue(s.native.linked_with, linked, "linked", fields),
    ]
    if seen:
        clues.insert(0, Clue(s.packages.imports, "torch", "did_not_start"))
    severity: Severity = "error" if seen or (breaks and may_be_error(s)) else "warning"
    basis: Basis = "observed" if seen else "derived"
    own = [] if library.via == "system" else [Step(says="own", fields=fields)]
    steps = _runtime_steps(platform, own)
    return Fail("too_old", severity, basis, clues, fields, Treatment("print-only", steps), len(clues))


def _numbers(version: str) -> tuple[int, ...]:
    """14.44 of 14.44.35211.0 as numbers; () for what is no version."""
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if len(parts) == 2 and all(part.isdigit() for part in parts) else ()


def _runtime_steps(platform: str, more: Sequence[Step] = ()) -> list[Step]:
    """By hand, with ``more`` to be done after it; or by winget."""
    kind = KINDS[platform]
    url = by_hand.REDISTRIBUTABLE.format(kind=kind)
    winget = ["winget", "install", "--exact", "--id", f"Microsoft.VCRedist.2015+.{kind}"]
    return [
        Step(says="download", fields={"url": url}, network=True),
        Step(says="install", fields={"file": url.rpartition("/")[2]}, administrator=True),
        Step(says="restart_if_asked"),
        *more,
        Step(winget, "winget", administrator=True, network=True),
    ]


def _pagefile(s: Snapshot, goal: Goal) -> Verdict:
    windows = s.windows
    if windows is None:
        return Skip("not_windows")
    setting = windows.page_file.need()
    if setting.automatic or any(_managed(entry) for entry in setting.entries):
        return Pass(1, [Clue(windows.page_file, setting.entries or None, "managed")])
    memory = s.machine.memory.need()
    if memory.commit_available is None:
        return Unknown("no_commit")
    fields: dict[str, Plain] = {"left": _gib(memory.commit_available), "limit": _gib(memory.commit_limit or 0)}
    if memory.commit_available >= SMALL_COMMIT:
        return Pass(1, [Clue(s.machine.memory, memory.commit_available, "enough", fields)])
    says = "fixed" if setting.entries else "none"
    fields["entries"] = ", ".join(setting.entries)
    clues = [
        Clue(windows.page_file, setting.entries, f"{says}_set", fields),
        Clue(s.machine.memory, memory.commit_available, "little", fields),
    ]
    steps = [
        Step(says="open_options", administrator=True),
        Step(says="open_memory"),
        Step(says="automatic"),
        Step(says="restart"),
        Step(says="meanwhile"),
    ]
    return Fail(says, "warning", "derived", clues, fields, Treatment("print-only", steps))


def _managed(entry: str) -> bool:
    r"""Whether Windows chooses the size of this page file: ``C:\pagefile.sys`` or ``C:\pagefile.sys 0 0``."""
    sizes = [word for word in entry.split() if word.isdigit()]
    return all(size == "0" for size in sizes)


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"


def _store_stub(s: Snapshot, goal: Goal) -> Verdict:
    windows = s.windows
    if windows is None:
        return Skip("not_windows")
    start = s.target.start.need()
    if not start.ok and start.trouble == "store-stub":
        steps = [
            Step(says="python_org", network=True),
            Step(says="install_python"),
            Step(says="switch_off"),
            Step(says="new_terminal"),
            Step(["winget", "install", "--exact", "--id", "9NQ7512CXL7T"], "manager", network=True),
        ]
        clue = Clue(s.target.start, start.trouble, "opens_store")
        return Fail("stub", "error", "observed", [clue], {}, Treatment("print-only", steps))
    aliases = windows.aliases.need()
    for alias in aliases:
        if alias.stub and alias.first and alias.hides and alias.name == "python.exe":
            fields: dict[str, Plain] = {"alias": alias.path, "python": alias.hides}
            clue = Clue(windows.aliases, alias.path, "comes_first", fields)
            treatment = Treatment("print-only", [Step(says="switch_off"), Step(says="new_terminal")])
            return Fail("hides", "warning", "observed", [clue], fields, treatment)
    if windows.store_python.need():
        private = _private_cache(s)
        if private:
            return private
    return Pass(len(aliases) + 1, [Clue(windows.aliases, [alias.path for alias in aliases])])


def _private_cache(s: Snapshot) -> Fail | None:
    r"""The Store's Python writes below AppData into a private copy: a cache there is seen by no other program."""
    home, cache = s.machine.home.maybe(), s.hub.cache.maybe()
    if not home or cache is None or not cache.path:
        return None
    folder, appdata = PureWindowsPath(cache.path), PureWindowsPath(home, "AppData")
    if not folder.is_relative_to(appdata) or folder.is_relative_to(appdata / "Local" / "Packages"):
        return None
    # which variable decides, and where it must point: HF_HOME is the folder above the cache
    own = cache.set_by not in SET_WITH_HOME
    name = cache.set_by if own else "HF_HOME"
    better = str(PureWindowsPath(home, ".cache", "huggingface", "hub" if own else ""))
    fields: dict[str, Plain] = {"cache": cache.path, "better": better, "name": name}
    clue = Clue(s.hub.cache, cache.path, "inside_appdata", fields)
    steps = [Step(["setx", name, better], "outside", fields, change=VariableChange(name, better))]
    steps.append(Step(says="anew", fields=fields))
    return Fail("private", "note", "derived", [clue], fields, Treatment("confirm", steps))


PYTHON_STORE_STUB = Condition(
    id="python-store-stub",
    family="windows",
    title="Python is the Microsoft Store's placeholder, or a Store program with private folders",
    reads=("windows", "target", "hub", "machine"),
    detect=_store_stub,
    words={
        "not_windows": "only Windows has the Microsoft Store",
        "stub": "this python.exe is no Python: it only opens the Microsoft Store",
        "opens_store": "it is the alias that Windows ships where no Python is installed",
        "python_org": "open https://www.python.org/downloads/ in your browser and download Python for Windows",
        "install_python": "start the downloaded file and follow it; let it add Python to PATH where it asks",
        "switch_off": "open Settings > Apps > Advanced app settings > App execution aliases, and switch off both lines "
        "called App Installer (python.exe, python3.exe)",
        "new_terminal": "open a new terminal, then run hfdoctor check again",
        "manager": "or let winget, Windows' own package manager, install the Python install manager",
        "hides": "the command python opens the Microsoft Store instead of {python}",
        "comes_first": "{alias} only opens the Store, and it stands before {python} on PATH",
        "private": "the Store's Python keeps the model cache in a private folder that no other program sees",
        "inside_appdata": "{cache} is below AppData, where Windows redirects what Store programs write; "
        "uninstalling Python removes it",
        "outside": "keep the cache outside AppData: set {name} to {better} (open a new terminal afterwards)",
        "anew": "models are downloaded anew into it; {cache} stays until you delete it",
    },
)

VC_REDIST_MISSING = Condition(
    id="vc-redist-missing",
    family="windows",
    title="A library of the Visual C++ runtime that torch needs is missing or too old",
    reads=("windows", "target", "packages", "native", "smoke"),
    detect=_vc_redist,
    words={
        "not_windows": "only Windows has the Visual C++ runtime",
        "no_torch": "torch is not wanted",
        "other_platform": "torch's libraries are known for 64-bit Python on Intel and AMD; this one is for {platform}",
        "imported": "torch was seen being imported",
        "missing": "torch cannot be imported: Windows does not find {names}",
        "too_old": "the Visual C++ runtime {have} is older than the compiler that made torch ({wanted})",
        "old_library": "{path} is version {have}",
        "linked": "torch was linked with toolset {wanted} ({source}); the runtime must not be older",
        "did_not_start": "importing torch ended with WinError 1114: a library could not start",
        "own": "{path} comes before the one in System32: remove it, or update what brought it along",
        "nowhere": "{names}: neither beside Python, nor in torch\\lib, nor in System32, nor on PATH",
        "registered": "the Visual C++ redistributable {version} (x64) is registered as installed all the same",
        "not_registered": "no Visual C++ redistributable for x64 is installed",
        "download": by_hand.DOWNLOAD_RUNTIME,
        "install": by_hand.INSTALL_RUNTIME,
        "restart_if_asked": by_hand.RESTART_IF_ASKED,
        "winget": "or let winget, Windows' own package manager, install it",
    },
)

WINDOWS_PAGEFILE = Condition(
    id="windows-pagefile",
    family="windows",
    title="Windows can promise too little memory for torch to start",
    reads=("windows", "machine"),
    detect=_pagefile,
    words={
        "not_windows": "only Windows promises memory against its page file",
        "no_commit": "how much memory Windows can still promise is not known",
        "managed": "Windows manages the page file itself",
        "enough": "Windows can still promise {left} of {limit}",
        "none": "there is no page file, and only {left} of memory are left to promise: "
        "torch may fail with WinError 1455",
        "fixed": "the page file cannot grow, and only {left} of memory are left to promise: "
        "torch may fail with WinError 1455",
        "none_set": "the page file is switched off",
        "fixed_set": "the page file has a fixed size: {entries} (MB)",
        "little": "Windows can still promise {left} of {limit} to programs, whether they use it or not",
        "open_options": by_hand.OPEN_OPTIONS,
        "open_memory": by_hand.OPEN_MEMORY,
        "automatic": by_hand.LET_WINDOWS_MANAGE,
        "restart": by_hand.RESTART,
        "meanwhile": by_hand.MEANWHILE,
    },
)

CONDITIONS: tuple[Condition, ...] = (PYTHON_STORE_STUB, VC_REDIST_MISSING, WINDOWS_PAGEFILE)
