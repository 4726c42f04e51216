"""CUDA's libraries that are not there, cuDNN's parts that do not go together, and the compiler that torch asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..facts.sections.native import LinkProblem
from ..facts.snapshot import Snapshot
from .closure import Ask, closure_of
from .cuda_mixed import libraries_of
from .cuda_names import WHEELS, Pin, cuda_problems, family_of, is_cuda_build, pins_of_torch
from .install_steps import install
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Verdict
from .reinstall import WORDS, reinstall, torch_index
from .seen_imports import may_be_error
from .seen_torch import said
from .told_packages import known_from_text
from .torch_pairs import TRITONS

#: installers that write other package managers' metadata: what those leave out was tried out by their makers
_MANAGERS = ("conda", "debian", "apt", "dpkg", "rpm", "dnf", "portage", "nix", "guix", "brew")
#: libcudnn_ops.so.9, cudnn_engines_precompiled64_9.dll: loaded when they are first used, not with torch
_PART = r"(?i)(?:lib)?cudnn_\w+?(?:64_\d+)?\.(?:so|dll)"
#: what a library that is there, and is no use, is called here, and the template of its evidence
_UNUSABLE = {"truncated": "cut", "wrong-architecture": "other_machine", "wrong-class": "other_class"}


def _asked(s: Snapshot, goal: Goal) -> list[Pin]:
    return pins_of_torch(s, goal.packages if "torch" in goal.packages else (*goal.packages, "torch"))


def _managed(s: Snapshot, name: str) -> bool:
    entry = s.packages.installed().get(name)
    return entry is not None and entry.installer.lower().startswith(_MANAGERS)


# -- cuda-libs-missing ------------------------------------------------------------------------------------------------


def _missing(s: Snapshot, goal: Goal) -> Verdict:
    if known_from_text(s):
        return Skip("text")
    torch = s.packages.installed().get("torch")
    if torch is None:
        return Skip("no_torch")
    pins = [] if _managed(s, "torch") else _asked(s, goal)
    if is_cuda_build(s) is False and not pins:
        return Skip("no_cuda")
    if s.packages.imported("torch"):
        return Pass(max(1, len(pins)), [Clue(s.packages.imports, "torch", "imported")])
    # a file that is there and is no use; on Windows dll-load-failed speaks of those
    os = s.machine.os.maybe()
    unusable = () if os is None or os.system == "windows" else tuple(_UNUSABLE)
    problems = [one for one in cuda_problems(s, "missing", *unusable) if not re.match(_PART, _name(one))]
    lacking = [pin for pin in pins if pin.ask.installed is None and _nowhere(s, pin)]
    if not problems and not lacking:
        linkage = s.native.linkage.or_absent()
        return Pass(max(1, len(pins) + (linkage.examined if linkage else 0)), [Clue(s.native.linkage)])
    clues = []
    for problem in problems:
        chain = " -> ".join(problem.chain) or problem.library
        row: dict[str, Plain] = {"needs": problem.needs, "found": problem.found, "chain": chain}
        row["wanted"] = problem.wanted
        clues.append(Clue(s.native.linkage, problem.needs, _UNUSABLE.get(problem.kind, "nowhere"), row))
    for pin in lacking:
        row = {"by": pin.ask.by, "by_version": pin.ask.by_version, "asked": pin.ask.text, "name": pin.ask.name}
        clues.append(Clue(s.packages.distributions, pin.ask.text, "asks", row))
    names = list(dict.fromkeys([_name(one) for one in problems] or [pin.ask.name for pin in lacking]))
    fields: dict[str, Plain] = {"torch": torch.version, "names": ", ".join(names[:6]), "name": names[0]}
    hard = any(one.package == "torch" or one.package.startswith("nvidia-") for one in problems)
    severity: Severity = "error" if hard and may_be_error(s) else "warning"
    says = "not_found" if problems else "not_installed"
    if problems and problems[0].kind != "missing":
        says = "unusable"
    return Fail(says, severity, "derived", clues[:8], fields, _cure(s, pins, problems, lacking), len(clues))


def _name(problem: LinkProblem) -> str:
    return problem.needs.replace("\\", "/").rpartition("/")[2]


def _nowhere(s: Snapshot, pin: Pin) -> bool:
    """Whether no library of the wheel is found elsewhere (the system's CUDA, a container's, conda's)."""
    libraries = s.native.cuda_libraries.maybe()
    families = [family for family, stem in WHEELS.items() if stem == pin.stem]
    return not any(one.family.lower() in families for one in libraries or ())


def _cure(s: Snapshot, pins: list[Pin], problems: list[LinkProblem], lacking: list[Pin]) -> Treatment:
    stems = {WHEELS[family_of(one.needs)] for one in problems}
    wanted = [pin for pin in pins if pin.stem in stems or pin in lacking]
    if not wanted:
        return Treatment("confirm", reinstall(s, s.packages.installed()["torch"]))
    asked = list(dict.fromkeys(pin.ask.text for pin in wanted))
    there = any(pin.ask.installed is not None for pin in wanted)
    flags = ["--force-reinstall", "--no-deps"] if there else []  # the wheel is there, its library is not
    return Treatment("confirm", [Step(install(s, asked, *flags), "add", network=True)])


# -- cudnn-failure ----------------------------------------------------------------------------------------------------

_SAYS_MISMATCH = (
    r"cuDNN version incompatibility|CUDNN_STATUS_SUBLIBRARY|CUDNN_STATUS_VERSION_MISMATCH"
    r"|(?:could not|unable to) load (?:library|any of)[^\n]*cudnn|libcudnn\w*\.so[^\n]*(?:cannot open|undefined symbol)"
)


def _cudnn(s: Snapshot, goal: Goal) -> Verdict:
    word = s.gpu.torch.maybe()
    line = said(s, _SAYS_MISMATCH)
    if line or (word and word.cudnn_ok is False):
        return _cudnn_seen(s, line or said(s, "cudnn"))
    if is_cuda_build(s) is False:
        return Skip("no_cuda")
    if known_from_text(s):
        return Skip("text")
    if s.packages.installed().get("torch") is None:
        return Skip("no_torch")
    if word and word.cudnn_ok:
        return Pass(1, [Clue(s.gpu.torch, "a convolution", "works")])
    parts = [one for one in cuda_problems(s, "missing") if re.match(_PART, _name(one))]
    libraries = [one for one in libraries_of(s, "cudnn") if one.version]
    versions = sorted({one.version for one in libraries})
    if not parts and len(versions) < 2 and (elsewhere := _parts_from_elsewhere(s)):
        return _from_elsewhere(s, elsewhere)
    if not parts and len(versions) < 2:
        known = s.native.cuda_libraries.or_absent()
        s.native.linkage.or_absent()
        if known is None:
            return Skip("no_cuda")
        return Pass(max(1, len(libraries)), [Clue(s.native.cuda_libraries, versions)])
    clues = []
    for problem in parts:
        row: dict[str, Plain] = {"needs": problem.needs, "library": problem.library}
        clues.append(Clue(s.native.linkage, problem.needs, "part_missing", row))
    if len(versions) > 1:
        for one in libraries:
            row = {"path": one.path, "version": one.version, "origin": one.origin}
            clues.append(Clue(s.native.cuda_libraries, one.path, "copy", row))
    fields: dict[str, Plain] = {"versions": " and ".join(versions), "needs": parts[0].needs if parts else ""}
    # where torch was asked and its answer is lost it may have been a good one
    asked = s.gpu.torch.status in ("known", "not-run", "absent")
    severity: Severity = "error" if asked and may_be_error(s) else "warning"
    foreign = [one for one in libraries if one.origin not in ("wheel", "torch")]
    steps = [Step(says="take_away", fields={"path": one.path, "origin": one.origin}) for one in foreign[:1]]
    says = "incomplete" if parts else "versions"
    if parts or not steps:  # where another copy comes first, torch's own is not at fault
        steps += _again(s, goal)
    return Fail(says, severity, "derived", clues, fields, Treatment("confirm", steps), len(clues))


def _parts_from_elsewhere(s: Snapshot) -> list[LinkProblem]:
    """Parts of cuDNN that are other files than those beside the libcudnn that torch loads."""
    found = []
    for one in cuda_problems(s, "shadowed"):
        beside = one.library.rpartition("/")[0] == one.expected.rpartition("/")[0]
        if re.match(_PART, _name(one)) and beside and one.found.rpartition("/")[0] != one.expected.rpartition("/")[0]:
            found.append(one)
    return found


def _from_elsewhere(s: Snapshot, problems: list[LinkProblem]) -> Fail:
    """The files differ, but nothing says of which release they are: they may be of the same one."""
    clues = []
    for one in problems[:2]:
        row: dict[str, Plain] = {"needs": one.needs, "found": one.found, "found_by": one.found_by}
        clues.append(Clue(s.native.linkage, one.found, "part_from", {**row, "expected": one.expected}))
    first = problems[0]
    fields: dict[str, Plain] = {"found_by": first.found_by, "path": first.found, "origin": first.found_by}
    treatment = Treatment("confirm", [Step(says="take_away", fields=fields)])
    return Fail("elsewhere", "warning", "derived", clues, fields, treatment, len(problems))


def _cudnn_seen(s: Snapshot, line: str) -> Fail:
    message = " ".join(line.split())[:200] or "a convolution failed"
    fact = s.gpu.torch if s.gpu.torch.known else s.packages.imports
    clues = [Clue(fact, message, "seen", {"message": message})]
    libraries = libraries_of(s, "cudnn")
    foreign = [one for one in libraries if one.origin not in ("wheel", "torch")]
    for one in [*(one for one in libraries if one.version), *(one for one in foreign if not one.version)][:3]:
        row: dict[str, Plain] = {"path": one.path, "version": one.version, "origin": one.origin}
        clues.append(Clue(s.native.cuda_libraries, one.path, "copy" if one.version else "first", row))
    steps = [Step(says="take_away", fields={"path": one.path, "origin": one.origin}) for one in foreign[:1]]
    return Fail("fails", "error", "observed", clues, {}, Treatment("confirm", steps or _again(s, Goal())), len(clues))


def _again(s: Snapshot, goal: Goal) -> list[Step]:
    """Put the cuDNN back that torch asks for; where that is not known, say what to do."""
    if known_from_text(s) or not s.target.interpreter.known or not s.packages.distributions.known:
        return [Step(says="one_copy")]
    asked = [pin.ask.text for pin in _asked(s, goal) if pin.stem == "nvidia-cudnn"]
    if not asked:
        return [Step(says="one_copy")]
    return [Step(install(s, asked, "--force-reinstall", "--no-deps"), "again", network=True)]


# -- triton-missing ---------------------------------------------------------------------------------------------------

_SAYS_NO_TRITON = r"cannot find a working triton|TritonMissing|No module named 'triton'"


def concerns_triton(name: str, asks: Iterable[Ask]) -> bool:
    """Whether unmet asks for ``name`` are this module's to report rather than dependency-conflict's."""
    return name in TRITONS and all(ask.by == "torch" and ask.installed is None for ask in asks)


def _triton(s: Snapshot, goal: Goal) -> Verdict:
    line = said(s, _SAYS_NO_TRITON)
    if line:
        message = " ".join(line.split())[:200]
        fact = s.gpu.torch if s.gpu.torch.known else s.packages.imports
        windows = s.machine.os.maybe()
        name = "triton-windows" if windows and windows.system == "windows" else "triton"
        wanted, index = _triton_of_torch(s, goal) or (name, [])
        steps = [Step(install(s, [wanted], *index), "add_triton", {"name": name}, network=True)]
        clue = Clue(fact, message, "seen", {"message": message})
        return Fail("asked_for", "warning", "observed", [clue], {}, Treatment("confirm", steps))
    if known_from_text(s):
        return Skip("text")
    installed = s.packages.installed()
    torch = installed.get("torch")
    if torch is None or torch.problem:
        return Skip("no_torch")
    asks = [ask for ask in closure_of(s, goal.packages).asks if ask.by == "torch" and ask.name in TRITONS]
    if not asks or _managed(s, "torch"):
        return Skip("not_asked")
    there = [name for name in TRITONS if name in installed]
    orphan = any(one.package == "triton" and one.importable for one in s.packages.orphans.maybe() or ())
    if there or orphan:
        return Pass(1, [Clue(s.packages.distributions, [f"{name} {installed[name].version}" for name in there])])
    ask = asks[0]
    fields: dict[str, Plain] = {"torch": torch.version, "asked": ask.text, "name": ask.name}
    steps = [Step(install(s, [ask.text], *torch_index(torch.version)), "add_triton", fields, network=True)]
    clue = Clue(s.packages.distributions, ask.text, "asks", fields)
    return Fail("missing", "warning", "derived", [clue], fields, Treatment("confirm", steps))


def _triton_of_torch(s: Snapshot, goal: Goal) -> tuple[str, list[str]] | None:
    """The requirement by which the installed torch asks for its triton, and its index; None where it asks for none."""
    if known_from_text(s) or not s.target.interpreter.known or not s.packages.distributions.known:
        return None
    asks = [ask for ask in closure_of(s, goal.packages).asks if ask.by == "torch" and ask.name in TRITONS]
    return (asks[0].text, torch_index(asks[0].by_version)) if asks else None


CUDA_LIBS_MISSING = Condition(
    id="cuda-libs-missing",
    family="gpu",
    title="A CUDA library that torch needs is not there",
    reads=("packages", "native", "target", "machine", "settings"),
    detect=_missing,
    words={
        "text": "a text does not tell which libraries are there",
        "no_torch": "torch is not installed",
        "no_cuda": "this torch is not a build for CUDA",
        "imported": "torch was seen being imported",
        "not_found": "torch {torch} cannot be loaded: {names} is nowhere to be found",
        "unusable": "torch {torch} cannot be loaded: {names} is there, and cannot be used",
        "cut": "{found} is cut short; {chain} needs it",
        "other_machine": "{found} is for another kind of processor; {chain} needs it",
        "other_class": "{found} is for {wanted} (the loader calls that a wrong ELF class); {chain} needs it",
        "not_installed": "torch {torch} asks for CUDA libraries that are not installed: {names}",
        "nowhere": "{needs} is needed by {chain}, and it is in no folder that the loader searches",
        "asks": "{by} {by_version} asks for {asked}; {name} is not installed",
        "add": "install the wheel that torch asks for",
        **{key: text for key, text in WORDS.items() if key.startswith("reinstall")},
    },
    explained_by=("broken-install", "cuda-libs-mixed", "python-environment-moved"),
)

CUDNN_FAILURE = Condition(
    id="cudnn-failure",
    family="gpu",
    title="cuDNN does not work, or is put together from two releases",
    reads=("packages", "native", "target", "machine", "gpu"),
    detect=_cudnn,
    words={
        "no_cuda": "this torch uses no cuDNN",
        "no_torch": "torch is not installed",
        "text": "a text does not tell which copies of cuDNN are there",
        "works": "torch was seen computing a convolution with cuDNN",
        "fails": "cuDNN does not work with this torch",
        "versions": "cuDNN is put together from several releases: {versions}",
        "incomplete": "cuDNN is not whole: {needs} is nowhere to be found",
        "seen": "torch said: {message}",
        "copy": "{path} is cuDNN {version} ({origin})",
        "part_missing": "{library} needs {needs}, which is in no folder that the loader searches",
        "elsewhere": "{found_by} puts parts of another cuDNN before those that belong to torch's",
        "part_from": "{needs} comes from {found} (by {found_by}); {expected} was meant",
        "first": "{path} comes first ({origin})",
        "take_away": "take the folder of {path} out of {origin}: torch finds its own cuDNN without it",
        "again": "install the cuDNN that torch asks for again",
        "one_copy": "keep one cuDNN: remove the folders of others from LD_LIBRARY_PATH (PATH on Windows), "
        "and install torch again",
    },
    explained_by=("cuda-libs-mixed", "cuda-libs-missing", "broken-install"),
)

TRITON_MISSING = Condition(
    id="triton-missing",
    family="gpu",
    title="triton, with which torch.compile makes GPU code, is not installed",
    reads=("packages", "target", "machine", "gpu"),
    detect=_triton,
    words={
        "text": "a text does not tell whether this torch asks for triton",
        "no_torch": "torch is not installed",
        "not_asked": "this torch asks for no triton (on Windows none does: torch.compile needs triton-windows there)",
        "missing": "torch {torch} asks for {name}, which is not installed: torch.compile cannot make GPU code",
        "asked_for": "torch.compile was asked for, and there is no triton",
        "asks": "torch {torch} asks for {asked}",
        "seen": "torch said: {message}",
        "add_triton": "install {name}",
    },
)

CONDITIONS: tuple[Condition, ...] = (CUDA_LIBS_MISSING, CUDNN_FAILURE, TRITON_MISSING)
