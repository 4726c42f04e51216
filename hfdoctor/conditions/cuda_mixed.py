"""CUDA's libraries of two versions in one environment: wheels, conda, and what LD_LIBRARY_PATH puts before them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath

import msgspec

from ..facts.sections.native import CudaLibrary, LinkProblem
from ..facts.snapshot import Snapshot
from .cuda_names import WHEELS, Pin, cuda_problems, family_of, is_cuda_build, major_of, pins_of_torch, stem_of
from .install_steps import install
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .requirement_lines import fits
from .seen_imports import may_be_error
from .seen_torch import said
from .told_packages import known_from_text, torch_told

#: a function that one of CUDA's libraries asks another for, and that the one found does not have: another release
_OTHER_VERSION = r"undefined symbol: (?:__nvJitLink|nccl|cublas|cudnn|cusparse|cusolver|cufft|curand)\w+"
#: places that a program's own settings put before the folders of the wheels
_FROM_SETTINGS = ("LD_LIBRARY_PATH", "LD_PRELOAD", "PATH")


class Trouble(msgspec.Struct, frozen=True):
    """One library or wheel that is not the one torch was built for."""

    clue: Clue
    severity: Severity
    basis: Basis
    #: how it is cured: variable, wheels, shared, conda
    cure: str
    #: requirement to install, or the variable and folder to take away
    what: tuple[str, ...]


def _mixed(s: Snapshot, goal: Goal) -> Verdict:
    told = known_from_text(s)
    if is_cuda_build(s) is False and not (not told and _pins(s, goal)):
        return Skip("no_cuda")
    if not told and s.packages.installed().get("torch") is None:
        return Skip("no_torch")
    if s.packages.imported("torch") and _computed(s):
        return Pass(1, [Clue(s.packages.imports, "torch", "works")])
    found = [*_loaded(s), *_shadowed(s, goal)]
    found += _told(s) if told else _wheels(s, goal)
    found += _shared(s, goal)
    if found:
        return _fail(s, found, _asked_texts(s, goal, told))
    heard = said(s, _OTHER_VERSION)
    if heard:
        return _heard(s, heard)
    if told:
        return _looked_through(s)
    s.native.linkage.or_absent()  # whether the loader meets others first is half of the answer
    examined = len(_pins(s, goal)) + (linkage.examined if (linkage := s.native.linkage.maybe()) else 0)
    return Pass(max(1, examined), [Clue(s.native.cuda_libraries)])


def _heard(s: Snapshot, line: str) -> Fail:
    """The loader's own words, where the files cannot be looked at or do not show it."""
    build = s.packages.torch_build.maybe()
    words = re.search(rf"{_OTHER_VERSION}(?:, version \S+)?", line, re.IGNORECASE)
    fields: dict[str, Plain] = {"torch": build.version if build else "", "message": words[0] if words else line[:160]}
    clue = Clue(s.gpu.torch if s.gpu.torch.known else s.packages.imports, fields["message"], "loader_said", fields)
    treatment = Treatment("confirm", [Step(says="look_at_variable"), Step(says="fresh")])
    return Fail("cannot_load", "error", "observed", [clue], fields, treatment)


def _looked_through(s: Snapshot) -> Verdict:
    """A text without a wheel of CUDA, or without the CUDA of torch, acquits nobody."""
    wheels = [name for name in s.packages.installed() if stem_of(name)]
    build = s.packages.torch_build.maybe()
    if not wheels or build is None or not build.cuda or torch_told(s) is None:
        return Unknown("not_told")
    return Pass(len(wheels), [Clue(s.packages.distributions, wheels)])


def _asked_texts(s: Snapshot, goal: Goal, told: bool) -> dict[str, str]:
    """Wheel without its -cu12 -> the requirement by which torch asks for it."""
    if told or not s.target.interpreter.known:
        return {}
    return {pin.stem: pin.ask.text for pin in _pins(s, goal)}


def _pins(s: Snapshot, goal: Goal) -> list[Pin]:
    return pins_of_torch(s, goal.packages if "torch" in goal.packages else (*goal.packages, "torch"))


def _computed(s: Snapshot) -> bool:
    word = s.gpu.torch.maybe()
    return bool(word and word.cudnn_ok is not False and any(device.ok for device in word.devices))


# -- what the loader meets --------------------------------------------------------------------------------------------


def _loaded(s: Snapshot) -> list[Trouble]:
    """Libraries that lack a symbol which torch's need: their import fails."""
    imported = s.packages.imported("torch")
    found = []
    for problem in [] if imported else cuda_problems(s, "version"):
        fields = _fields(problem)
        clue = Clue(s.native.linkage, f"{problem.library}: {problem.needs} {problem.wanted}", "lacks", fields)
        severity: Severity = "error" if may_be_error(s) else "warning"
        found.append(Trouble(clue, severity, "derived", *_way(problem)))
    return found


def _shadowed(s: Snapshot, goal: Goal) -> list[Trouble]:
    """Libraries of an older release that come before the wheels' own. A newer one does what an older one does."""
    found = []
    patched = len({one.version for one in libraries_of(s, "cudnn") if one.version}) > 1
    for problem in cuda_problems(s, "shadowed"):
        if patched and family_of(problem.needs) == "cudnn":
            continue  # parts of two releases: cudnn-failure says so
        met, meant = _version_at(s, problem.found), _wanted_version(s, goal, problem)
        if not met or not meant or not _older(met, meant):
            continue
        fields = {**_fields(problem), "met": met, "meant": meant}
        clue = Clue(s.native.linkage, f"{problem.needs}: {problem.found}", "shadows", fields)
        found.append(Trouble(clue, "warning", "derived", *_way(problem)))
    return found


def _fields(problem: LinkProblem) -> dict[str, Plain]:
    return {
        "library": problem.library,
        "needs": problem.needs,
        "wanted": problem.wanted.removeprefix(f"{problem.needs} "),
        "found": problem.found,
        "found_by": problem.found_by or "the loader",
        "expected": problem.expected,
    }


def _way(problem: LinkProblem) -> tuple[str, tuple[str, ...]]:
    if problem.found_by in _FROM_SETTINGS:
        folder = PureWindowsPath if "\\" in problem.found else PurePosixPath
        return "variable", (problem.found_by, str(folder(problem.found).parent))
    return "wheels", (WHEELS[family_of(problem.needs)],)


def _version_at(s: Snapshot, path: str) -> str:
    """The version of the library at ``path``: by its own word, else by the folder's name (cuda-11.8)."""
    for library in s.native.cuda_libraries.maybe() or ():
        if library.path == path and library.version:
            return library.version
    match = re.search(r"cuda[-/\\]?v?(\d+\.\d+)", path, re.IGNORECASE)
    return match[1] if match else ""


def _wanted_version(s: Snapshot, goal: Goal, problem: LinkProblem) -> str:
    """The version to hold ``_version_at`` against: of the wheel that was meant, or of torch's own CUDA."""
    by_folder = not any(one.path == problem.found and one.version for one in s.native.cuda_libraries.maybe() or ())
    if by_folder:
        build = s.packages.torch_build.maybe()
        return build.cuda if build else ""
    stem = WHEELS[family_of(problem.needs)]
    return next((pin.ask.installed for pin in _pins(s, goal) if pin.stem == stem and pin.ask.installed), "")


def _older(version: str, than: str) -> bool:
    width = min(len(version.split(".")), len(than.split(".")))
    return fits(".".join(version.split(".")[:width]), "<" + ".".join(than.split(".")[:width])) is True


# -- what is installed ------------------------------------------------------------------------------------------------


def _wheels(s: Snapshot, goal: Goal) -> list[Trouble]:
    """Wheels in another version than torch pins. One that is newer and loads is told in a low voice."""
    if s.packages.imported("torch") and _computed(s):
        return []
    problems = {WHEELS[family_of(one.needs)] for one in cuda_problems(s, "missing", "version", "shadowed")}
    loads = s.native.linkage.known
    found = []
    for pin in _pins(s, goal):
        ask = pin.ask
        if pin.met or ask.installed is None:
            continue
        fields: dict[str, Plain] = {"by": ask.by, "by_version": ask.by_version, "asked": ask.text}
        fields |= {"name": ask.name, "installed": ask.installed}
        clue = Clue(s.packages.distributions, f"{ask.name} {ask.installed}", "pinned", fields)
        exact = re.fullmatch(r"==\s*([\d.]+?)(?:\.\*)?", ask.specifier)
        newer = bool(exact) and not _older(ask.installed, exact[1] if exact else "")
        quiet = newer and loads and pin.stem not in problems
        found.append(Trouble(clue, "note" if quiet else "warning", "derived", "wheels", (ask.text,)))
    return found


def _told(s: Snapshot) -> list[Trouble]:
    """A text tells the CUDA of torch and the versions of the wheels, not what torch asks for."""
    build = s.packages.torch_build.maybe()
    if build is None or not build.cuda or torch_told(s) is None:
        return []
    major, minor = [*build.cuda.split("."), ""][:2]
    found = []
    for name, entry in s.packages.installed().items():
        stem = stem_of(name)
        if stem not in ("nvidia-cuda-runtime", "nvidia-nvjitlink") or major_of(name, entry.version) not in ("", major):
            continue
        numbers = entry.version.split(".")[:2]
        if len(numbers) < 2 or not minor.isdigit() or not numbers[1].isdigit() or numbers[0] != major:
            continue
        # the runtime belongs to one CUDA; of the others a newer one does what an older one does
        wrong = numbers[1] != minor if stem == "nvidia-cuda-runtime" else int(numbers[1]) < int(minor)
        if wrong:
            fields: dict[str, Plain] = {"name": name, "installed": entry.version, "cuda": build.cuda}
            clue = Clue(s.packages.distributions, f"{name} {entry.version}", "other_minor", fields)
            found.append(Trouble(clue, "warning", "derived", "fresh", ()))
    return found


def _shared(s: Snapshot, goal: Goal) -> list[Trouble]:
    """Two wheels that write the same file: the one that was installed last has it.

    All else of another CUDA lies in folders of its own and is never loaded: it costs disk space, and nothing more.
    """
    from ..knowledge.generations import load_shared_wheel_paths

    installed = s.packages.installed()
    build = s.packages.torch_build.maybe()
    major = build.cuda.partition(".")[0] if build else ""
    files = {one.name: one for one in s.packages.files.maybe() or ()}
    found = []
    for row in load_shared_wheel_paths():
        there = [name for name in row.owners if name in installed]
        ours = next((name for name in there if name.endswith(f"-cu{major}")), None)
        theirs = [name for name in there if name != ours]
        if ours is None or not theirs or not _holds(row.path, installed[ours].version, ours):
            continue
        theirs = [name for name in theirs if _holds(row.path, installed[name].version, name)]
        checked = files.get(ours)
        if not theirs or (checked is not None and not checked.problem and not checked.damaged and not checked.altered):
            continue  # the files are those of the right wheel
        overwritten = checked is not None and any(row.path in one.path.replace("\\", "/") for one in checked.damages)
        if checked is not None and not checked.problem and not overwritten:
            continue
        fields: dict[str, Plain] = {
            "path": row.path,
            "owners": " and ".join(f"{name} {installed[name].version}" for name in sorted(there)),
            "ours": ours,
            "theirs": theirs[0],
            "source": row.source,
            "as_of": row.as_of.isoformat(),
        }
        says, basis = ("overwritten", "derived") if overwritten else ("same_path", "table")
        fact = s.packages.files if overwritten else s.packages.distributions
        clue = Clue(fact, fields["owners"], says, fields)
        command = (f"{ours}=={installed[ours].version}", *theirs)
        found.append(Trouble(clue, "warning", basis, "shared", command))  # type: ignore[arg-type]
    return found


def _holds(path: str, version: str, name: str) -> bool:
    """Whether this release of a wheel has the file: cuDNN's generations have names of their own."""
    generation = re.search(r"libcudnn\.so\.(\d+)", path)
    return generation is None or version.partition(".")[0] == generation[1]


# -- words ------------------------------------------------------------------------------------------------------------


def _fail(s: Snapshot, found: Sequence[Trouble], asked: Mapping[str, str]) -> Fail:
    order: tuple[Severity, ...] = ("error", "warning", "note")
    found = sorted(found, key=lambda one: order.index(one.severity))
    first = found[0]
    build = s.packages.torch_build.maybe()
    entry = s.packages.installed().get("torch")
    version = (build.version if build else "") or (entry.version if entry else "")
    fields: dict[str, Plain] = {**first.clue.fields, "torch": version, "cuda": (build.cuda if build else "") or "?"}
    says = {"lacks": "stops", "shadows": "before", "other_minor": "two_cudas", "same_path": "one_file"}
    summary = says.get(first.clue.says, "one_file" if first.cure == "shared" else "other_wheels")
    return Fail(
        summary,
        first.severity,
        first.basis,
        [one.clue for one in found[:8]],
        fields,
        Treatment("confirm", _steps(s, found, asked)),
        len(found),
    )


def _steps(s: Snapshot, found: Sequence[Trouble], asked: Mapping[str, str]) -> list[Step]:
    steps = []
    for variable, folder in dict.fromkeys(one.what for one in found if one.cure == "variable"):
        steps.append(Step(says="take_away", fields={"variable": variable, "folder": folder}))
    names = dict.fromkeys(one.what[0] for one in found if one.cure == "wheels")
    # what torch does not ask for by name came with another torch, or with conda's
    wanted = list(dict.fromkeys(asked.get(name, name) for name in names if name in asked or stem_of(name) != name))
    if wanted:
        steps.append(Step(install(s, wanted), "put_right", network=True))
    shared = [one.what for one in found if one.cure == "shared"]
    if shared:
        again = list(dict.fromkeys(what[0] for what in shared))
        others = sorted({name for what in shared for name in what[1:]})
        fields: dict[str, Plain] = {"others": " and ".join(others)}
        if not s.target.pip.absent:
            chosen = s.target.chosen.maybe()
            python = chosen.python if chosen else "python"
            steps.append(Step([python, "-m", "pip", "uninstall", *others], "remove_others", fields))
        steps.append(Step(install(s, again, "--force-reinstall", "--no-deps"), "write_again", fields, network=True))
    if not steps or any(one.cure == "fresh" for one in found):
        steps.append(Step(says="fresh"))
    return steps


def libraries_of(s: Snapshot, family: str) -> list[CudaLibrary]:
    """The libraries of a family (``cudnn``: its parts, too) that torch would load."""
    return [one for one in s.native.cuda_libraries.maybe() or () if one.family.lower().startswith(family)]


CUDA_LIBS_MIXED = Condition(
    id="cuda-libs-mixed",
    family="gpu",
    title="CUDA libraries of another version than this torch was built for",
    reads=("packages", "native", "target", "machine", "gpu"),
    detect=_mixed,
    words={
        "no_cuda": "this torch is not a build for CUDA",
        "no_torch": "torch is not installed",
        "not_told": "the text does not tell the CUDA of torch and the CUDA wheels beside it",
        "works": "torch was seen computing on the GPU with these libraries",
        "stops": "torch {torch} cannot be loaded: the {needs} that comes first is of another CUDA",
        "before": "{found_by} puts an older {needs} ({met}) before the one that torch {torch} was built with",
        "cannot_load": "torch {torch} cannot be loaded: one of CUDA's libraries comes first in another version",
        "loader_said": "its import ended with: {message}",
        "look_at_variable": "if LD_LIBRARY_PATH names a folder of CUDA, take it out: torch needs none there",
        "other_wheels": "torch {torch} asks for {asked}, but {installed} is installed",
        "two_cudas": "torch {torch} was built for CUDA {cuda}, but {name} {installed} is of another one",
        "one_file": "wheels for two CUDA versions share one file, and torch {torch} gets the last one: {owners}",
        "lacks": "{library} needs {wanted} of {needs}; {found} (by {found_by}) does not have it",
        "shadows": "{found_by} leads to {found} ({met}); {expected} was meant ({meant})",
        "pinned": "{by} {by_version} asks for {asked}; {name} {installed} is installed",
        "other_minor": "{name} {installed} is installed; torch says that it was built for CUDA {cuda}",
        "same_path": "{owners} each install {path} ({source}, read {as_of})",
        "overwritten": "{path} is not the file that {ours} installed: {theirs} writes the same one",
        "take_away": "take {folder} out of {variable}: torch finds its own libraries without it",
        "put_right": "install the wheels that torch asks for",
        "remove_others": "remove {others}, unless another package needs it",
        "write_again": "and write the files of the right wheel again",
        "fresh": "make a fresh environment and install torch into it once, from one source: pip or conda, not both",
    },
    explained_by=("python-environment-moved",),
)

CONDITIONS: tuple[Condition, ...] = (CUDA_LIBS_MIXED,)
