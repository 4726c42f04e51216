"""On Windows: names the library that WinError 126 does not name, and who needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..facts.sections.native import LinkProblem
from ..facts.sections.packages import Distribution
from ..facts.snapshot import Snapshot
from .cuda_names import family_of
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Verdict
from .newer_torch import newer_torch
from .reinstall import WORDS, reinstall
from .seen_imports import may_be_error
from .seen_stages import Seen, failures
from .told_packages import known_from_text

#: the Visual C++ runtime's: a condition of its own
_VC = r"(?i)(?:vcruntime|msvcp|concrt|vccorlib)\d+(?:_\w+)?\.dll\Z"
#: the GPU driver's: a machine without them is served by the processor
_DRIVER = r"(?i)nv(?:cuda|ml|api64|cuvid|encodeapi)\w*\.dll\Z"
#: what Windows says when a library cannot be loaded: 126 one that it needs is missing, 127 a symbol is, 182 and 193 not
#: for this kind of processor, 1114 its start failed
_WINERROR = r"\[WinError (126|127|182|193|1114)\]"
#: kind of problem -> the templates of the summary and of the evidence
_KINDS: Mapping[str, tuple[str, str]] = {
    "missing": ("missing", "is_missing"),
    "wrong-architecture": ("wrong_architecture", "is_wrong_architecture"),
    "truncated": ("truncated", "is_truncated"),
}
#: Microsoft's OpenMP of LLVM: the wheels of torch 2.3 and 2.4.0 needed it and did not bring it (pytorch issue 131662)
_OPENMP = "libomp140.x86_64.dll"


def is_vc_runtime(library: str) -> bool:
    """Whether the library comes with Microsoft's Visual C++ redistributable."""
    return bool(re.match(_VC, _name(library)))


def vc_problems(s: Snapshot) -> list[LinkProblem]:
    """Libraries of the Visual C++ runtime that torch's would not find; [] where it was not looked."""
    linkage = s.native.linkage.maybe()
    return [one for one in (linkage.problems if linkage else ()) if one.kind == "missing" and is_vc_runtime(one.needs)]


def _dll_load(s: Snapshot, goal: Goal) -> Verdict:
    os = s.machine.os.need()
    if os.system != "windows":
        return Skip("not_windows")
    trial = _trial(s)
    torch = s.packages.installed().get("torch") if s.packages.distributions.known else None
    if torch is None and trial is None:
        return Skip("no_torch")
    if trial is None and s.packages.imported("torch"):
        return Pass(1, [Clue(s.packages.imports, "torch", "imported")])
    linkage = s.native.linkage.maybe()
    problems = [one for one in (linkage.problems if linkage else ()) if _ours(one)]
    if trial is None and known_from_text(s):
        return Skip("text")
    if trial is None and not problems:
        told = s.native.linkage.or_absent()
        return Pass(max(1, told.examined if told else 1), [Clue(s.native.linkage)])
    clues = [] if trial is None else [_seen(trial)]
    clues += [_clue(s, one) for one in problems[:6]]
    first = problems[0] if problems else None
    fields: dict[str, Plain] = {"needs": _name(first.needs) if first else "", "library": _file(trial, first)}
    fields["torch"] = torch.version if torch else ""
    says = _KINDS[first.kind][0] if first else "not_named"
    basis: Basis = "observed" if trial else "derived"
    severity: Severity = "error" if trial or may_be_error(s) else "warning"
    return Fail(says, severity, basis, clues, fields, _cure(s, torch, problems), max(1, len(problems)))


def _ours(problem: LinkProblem) -> bool:
    if problem.kind not in _KINDS or is_vc_runtime(problem.needs) or re.match(_DRIVER, _name(problem.needs)):
        return False
    if problem.package and problem.package != "torch" and not problem.package.startswith("nvidia-"):
        return False  # what one of the others needs does not keep torch from starting
    return problem.kind != "missing" or not family_of(problem.needs)


def _trial(s: Snapshot) -> Seen | None:
    """The failure of torch that Windows' loader ended."""
    return next((one for one in failures(s) if re.search(_WINERROR, one.text) and _of_torch(one)), None)


def _of_torch(seen: Seen) -> bool:
    return seen.package in ("torch", "transformers", "") or bool(re.search(r"[\\/]torch[\\/]lib[\\/]", seen.text))


def _seen(seen: Seen) -> Clue:
    return Clue(seen.fact, seen.key, "seen", {"doing": seen.doing, "message": seen.line(_WINERROR)})


def _clue(s: Snapshot, problem: LinkProblem) -> Clue:
    fields: dict[str, Plain] = {
        "needs": _name(problem.needs),
        "library": _name(problem.library),
        "found": problem.found or problem.needs,
        "chain": " -> ".join(_name(one) for one in problem.chain) or _name(problem.library),
    }
    return Clue(s.native.linkage, f"{problem.kind}: {problem.needs}", _KINDS[problem.kind][1], fields)


def _name(library: str) -> str:
    return library.replace("\\", "/").rpartition("/")[2]


def _file(trial: Seen | None, problem: LinkProblem | None) -> str:
    """The library that Windows names: torch's own, which is there."""
    match = re.search(r"Error loading \"([^\"]+)\"", trial.text) if trial else None
    return _name(match[1]) if match else _name(problem.library) if problem else "one of torch's libraries"


def _cure(s: Snapshot, torch: Distribution | None, problems: Sequence[LinkProblem]) -> Treatment:
    if any(_name(one.needs).lower() == _OPENMP for one in problems):
        step = newer_torch(s)
        return Treatment("confirm", [*([step] if step else []), Step(says="no_dll_sites")])
    steps = reinstall(s, torch) if torch else []
    return Treatment("confirm", [*steps, Step(says="no_dll_sites")])


DLL_LOAD_FAILED = Condition(
    id="dll-load-failed",
    family="gpu",
    title="Windows cannot load one of torch's libraries",
    reads=("packages", "native", "machine", "target", "smoke", "settings"),
    detect=_dll_load,
    words={
        **{key: text for key, text in WORDS.items() if key.startswith("reinstall")},
        "not_windows": "only Windows has these libraries",
        "no_torch": "torch is not installed",
        "text": "a text does not tell which libraries are there",
        "imported": "torch was seen being imported",
        "missing": "torch cannot be imported: {needs}, which {library} needs, is nowhere to be found",
        "wrong_architecture": "torch cannot be imported: {needs} is for another kind of processor",
        "truncated": "torch cannot be imported: {needs} is cut short",
        "not_named": "torch cannot be imported: Windows cannot load {library}",
        "seen": "{doing} failed: {message}",
        "is_missing": "{needs} is missing; it is needed by {chain}",
        "is_wrong_architecture": "{found} is for another kind of processor; it is needed by {chain}",
        "is_truncated": "{found} is cut short; it is needed by {chain}",
        "newer_torch": "install a newer torch: releases from 2.4.1 on bring what they need",
        "no_dll_sites": "never take a single DLL from a download site",
    },
    explained_by=(
        *("broken-install", "vc-redist-missing", "cuda-libs-missing", "extension-abi-mismatch"),
        *("windows-pagefile", "python-32bit"),
    ),
)

CONDITIONS: tuple[Condition, ...] = (DLL_LOAD_FAILED,)
