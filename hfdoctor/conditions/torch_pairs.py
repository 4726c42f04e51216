"""torch and what was compiled against it: torchvision, torchaudio and their kind, and the triton that it asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from ..facts.sections.packages import Distribution
from ..facts.snapshot import Snapshot
from .closure import Ask, closure_of
from .install_steps import install
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .newer_torch import torch_release
from .reinstall import torch_index
from .requirement_lines import fits, parse
from .seen_imports import may_be_error
from .seen_stages import failures_of
from .told_packages import known_from_text, pairs_told, torch_told

#: compiled against one torch, and asking for exactly that one in their metadata
COMPANIONS = ("torchvision", "torchaudio", "torchtext", "torchdata", "torchcodec", "xformers")
#: what torch itself asks for in one version
TRITONS = ("triton", "pytorch-triton", "pytorch-triton-rocm", "pytorch-triton-xpu", "triton-windows")
#: those of which a build for each CUDA exists, and whose version.py says which one it is
BUILT_FOR_CUDA = ("torchvision", "torchaudio")

#: transformers' models import torchvision through their image code, text models too: a broken one stops them all
STOPS_TRANSFORMERS = "torchvision"

_BUILD = r"\+(cpu|xpu|cu\d+|rocm\d+)"
_PUBLISHED = r"\d+(?:\.\d+)*(?:\.post\d+)?(?:\+(?:cpu|xpu|cu\d+|rocm[\d.]+))?\Z"


def concerns_companions(name: str, asks: Iterable[Ask]) -> bool:
    """Whether unmet asks for ``name`` are this module's to report rather than dependency-conflict's."""
    installed = [ask for ask in asks if ask.installed is not None]
    if name == "torch":
        return any(ask.by in COMPANIONS for ask in installed)
    return name in TRITONS and any(ask.by == "torch" for ask in installed)


class Mismatch(msgspec.Struct, frozen=True):
    """One companion that does not fit, and the severity and basis of that."""

    name: str
    version: str
    clue: Clue
    severity: Severity
    basis: Basis
    #: another build of the same release is needed
    rebuild: bool = False
    #: the one torch that it was made for, where its metadata say so
    pinned: str | None = None


def _companions(s: Snapshot, goal: Goal) -> Verdict:
    installed = s.packages.installed()
    torch = installed.get("torch")
    if known_from_text(s):
        return _companions_told(s, goal)
    if torch is None or torch.problem:
        return Skip("no_torch")
    present = [name for name in (*COMPANIONS, *TRITONS) if name in installed and not installed[name].problem]
    if not present:
        return Skip("none")
    found = [one for one in _by_metadata(s, goal, torch) if not s.packages.imported(one.name)]
    told = {one.name for one in found}
    for name in present:
        if name in told or s.packages.imported(name):
            continue
        one = _by_build(s, torch, installed[name]) or _by_table(s, torch, installed[name])
        if one:
            found.append(one)
    found = _with_seen(s, present, found)
    if not found:
        return Pass(len(present), [Clue(s.packages.distributions, [f"{n} {installed[n].version}" for n in present])])
    return _fail(s, goal, torch, found)


def _companions_told(s: Snapshot, goal: Goal) -> Verdict:
    """The same of a machine that is known from a text: names and versions, held against the published releases."""
    installed = s.packages.installed()
    version = torch_told(s)
    if version == "":
        return Skip("no_torch")
    if version is None:
        return Unknown("two_torches", clues=[Clue(s.packages.torch_build), Clue(s.packages.distributions, "torch")])
    present = [installed[name] for name in (*COMPANIONS, *TRITONS) if name in installed]
    if not present:
        return Skip("none")
    found = []
    for told in pairs_told(s, version, present):
        clue = Clue(s.packages.distributions, f"{told.name} {told.version}", told.says, told.fields)
        found.append(Mismatch(told.name, told.version, clue, "warning", "table", told.rebuild, told.pinned))
    if not found:
        return Pass(len(present), [Clue(s.packages.distributions, [f"{one.name} {one.version}" for one in present])])
    return _fail(s, goal, Distribution("torch", version, ""), found)


def _by_metadata(s: Snapshot, goal: Goal, torch: Distribution) -> list[Mismatch]:
    found = []
    for ask in closure_of(s, goal.packages).broken:
        if ask.installed is None:
            continue
        fields: dict[str, Plain] = {"by": ask.by, "by_version": ask.by_version, "asked": ask.text}
        value = f"{ask.by} {ask.by_version}: {ask.text}"
        if ask.name == "torch" and ask.by != "transformers":
            clue = Clue(s.packages.distributions, value, "asks", fields)
            exact = _pinned(ask.specifier)
            far = exact is not None and _series(exact) != _series(torch.version)
            severity = _severity(s, ask.by, far)
            found.append(Mismatch(ask.by, ask.by_version, clue, severity, "derived", pinned=exact))
        elif ask.name in TRITONS and ask.by == "torch":
            fields["installed"] = ask.installed
            clue = Clue(s.packages.distributions, value, "torch_asks", fields)
            found.append(Mismatch(ask.name, ask.installed, clue, "warning", "derived"))
    # others that ask for another torch are dependency-conflict's, unless a companion asks too: that is one cause
    if any(one.name in COMPANIONS for one in found):
        return found
    return [one for one in found if one.name in TRITONS]


def _severity(s: Snapshot, name: str, sure: bool) -> Severity:
    stops = name == STOPS_TRANSFORMERS and "transformers" in s.packages.installed()
    return "error" if sure and stops and may_be_error(s) else "warning"


def _pinned(specifier: str) -> str | None:
    match = re.fullmatch(r"==\s*([^,*\s]+)", specifier)
    return match[1] if match else None


def _series(version: str) -> tuple[str, ...]:
    """Major and minor: patch releases of torch keep its C++ interface."""
    return tuple(re.findall(r"\d+", version)[:2])


def _by_build(s: Snapshot, torch: Distribution, entry: Distribution) -> Mismatch | None:
    """A companion of the right version, built for another CUDA (or for none) than torch."""
    if entry.name not in BUILT_FOR_CUDA:
        return None
    builds = s.packages.companion_builds.maybe() or {}
    stated = builds.get(entry.name, entry.version)
    own, other = _torch_build(s, torch), re.search(_BUILD, stated)
    if not own or other is None or _same_build(own, other[1]):
        return None
    if other[1] == "cpu":
        return None  # it loads, and lacks its GPU operators: nothing is wrong where there is no GPU
    # measured: a build for a GPU needs torch's own GPU libraries and does not load without them
    fact = s.packages.companion_builds if entry.name in builds else s.packages.distributions
    fields: dict[str, Plain] = {"by": entry.name, "build": other[1], "torch_build": own, "stated": stated}
    severity = _severity(s, entry.name, True)
    return Mismatch(entry.name, entry.version, Clue(fact, stated, "built", fields), severity, "derived", True)


def _torch_build(s: Snapshot, torch: Distribution) -> str:
    """cpu, xpu, cu126, rocm6; "" where that is not known."""
    build = s.packages.torch_build.maybe()
    if build is None:
        return ""
    if build.cuda:
        return "cu" + build.cuda.replace(".", "")
    if build.hip:
        return "rocm" + build.hip.partition(".")[0]
    if build.xpu:
        return "xpu"
    return "cpu"


def _same_build(own: str, other: str) -> bool:
    # torchvision itself only minds the major version of CUDA
    return own == other or (own[:4] == other[:4] and own.startswith(("cu1", "rocm")))


def _by_table(s: Snapshot, torch: Distribution, entry: Distribution) -> Mismatch | None:
    """What the table of published releases says of a companion whose own metadata names no torch version."""
    for one in (torch, entry):
        # builds of other makers (conda, NVIDIA's containers, from source) pair versions in their own way
        if one.direct_url or one.editable or one.installer.lower().startswith("conda"):
            return None
        if not re.match(_PUBLISHED, one.version):
            return None
    asks = (parse(line) for line in entry.requires)
    if entry.name not in BUILT_FOR_CUDA or any(ask and ask.name == "torch" and "==" in ask.specifier for ask in asks):
        return None
    from ..knowledge.companions import load_companions

    public = entry.version.partition("+")[0]
    row = next((row for row in load_companions() if row.package == entry.name and row.release == public), None)
    if row is None or row.torch is None:
        return None
    pinned = _pinned(row.torch)
    if fits(torch.version.partition("+")[0], row.torch) is not False or not pinned:
        return None
    if _series(pinned) == _series(torch.version):
        return None
    fields: dict[str, Plain] = {"by": entry.name, "by_version": entry.version, "asked": "torch" + row.torch}
    fields |= {"source": row.source, "as_of": row.as_of.isoformat()}
    clue = Clue(s.packages.distributions, f"{entry.name} {entry.version}", "row", fields)
    return Mismatch(entry.name, entry.version, clue, "warning", "table")


def _with_seen(s: Snapshot, present: Sequence[str], found: list[Mismatch]) -> list[Mismatch]:
    """Put what was seen failing for a companion first; without another reason it is one by itself."""
    installed = s.packages.installed()
    for seen in failures_of(s, "torch-companion-mismatch"):
        name = next((name for name in present if name in seen.text), None)
        if name:
            clue = Clue(seen.fact, seen.key, "seen", {"doing": seen.doing, "message": seen.line()})
            rebuild = all(one.rebuild for one in found if one.name == name)
            return [Mismatch(name, installed[name].version, clue, seen.severity, "observed", rebuild), *found]
    return found


def _fail(s: Snapshot, goal: Goal, torch: Distribution, found: Sequence[Mismatch]) -> Fail:
    worst = next((one for one in found if one.severity == "error"), found[0])
    basis: Basis = "observed" if any(one.basis == "observed" for one in found) else worst.basis
    names = list(dict.fromkeys(one.name for one in found))
    fields: dict[str, Plain] = {
        "names": " and ".join(f"{one.name} {one.version}" for one in {one.name: one for one in found}.values()),
        "torch": torch.version,
        "torch_path": torch.path,
    }
    clues = [one.clue for one in found]
    says = "torch_is" if torch.path else "torch_said"
    clues.append(Clue(s.packages.distributions, f"torch {torch.version}", says, fields))
    stops = any(one.name == STOPS_TRANSFORMERS and one.severity == "error" for one in found)
    says = "stops" if stops else "triton" if all(name in TRITONS for name in names) else "mismatch"
    return Fail(says, worst.severity, basis, clues, fields, _cure(s, torch, found, names), len(clues))


def _cure(s: Snapshot, torch: Distribution, found: Sequence[Mismatch], names: Sequence[str]) -> Treatment:
    fields: dict[str, Plain] = {"names": " and ".join(names), "torch": torch.version}
    index = torch_index(torch.version)
    rebuilds = [one for one in found if one.rebuild]
    if rebuilds and len(rebuilds) == len(found):
        again = list(dict.fromkeys(f"{one.name}=={one.version.partition('+')[0]}" for one in rebuilds))
        step = Step(install(s, again, "--force-reinstall", "--no-deps", *index), "rebuild", fields, network=True)
        return Treatment("confirm", [step])
    if all(name in TRITONS for name in names):
        step = Step(install(s, [f"torch=={torch.version}"], "--force-reinstall", *index), "again", fields, network=True)
        return Treatment("confirm", [step])
    # torch stays as it is and the resolver looks for the releases that were made for it
    companions = [name for name in names if name in COMPANIONS]
    fields["companions"] = " and ".join(companions)
    # the metadata of old releases name no torch: nothing but --upgrade moves those
    flags = [] if all(one.basis != "table" for one in found) else ["--upgrade"]
    steps = [Step(install(s, [f"torch=={torch.version}", *companions], *flags, *index), "pair", fields, network=True)]
    pins = {one.pinned for one in found if one.pinned}
    if len(names) > 1 and len(pins) == 1:
        old = pins.pop()
        steps.append(torch_release(s, old, torch.version, {**fields, "old": old}, says="go_back"))
    return Treatment("confirm", steps)


COMPANION_MISMATCH = Condition(
    id="torch-companion-mismatch",
    family="packages",
    title="torchvision, torchaudio or another companion was made for another torch",
    reads=("packages", "target", "gpu", "smoke"),
    detect=_companions,
    words={
        "no_torch": "torch is not installed",
        "none": "no companion of torch is installed",
        "mismatch": "torch {torch} does not fit {names}, made for another one",
        "stops": "torch {torch} does not fit {names}: importing torchvision fails, and transformers' models with it",
        "triton": "{names} is not the one that torch {torch} asks for: torch.compile may fail",
        "asks": "{by} {by_version} asks for {asked}",
        "torch_asks": "{by} {by_version} asks for {asked}, but {installed} is installed",
        "two_torches": "the text names two versions of torch: whose companions these are is not clear",
        "torch_is": "torch {torch} is in {torch_path}",
        "torch_said": "torch {torch} is installed",
        "nightly": "{by} {by_version} is a nightly build of {day}, torch is one of {torch_day}",
        "row_older": "{by} {by_version} is older than {oldest}, which was published for torch {first} "
        "({source}, read {as_of})",
        "built_cpu": "{by} {stated} is a build without GPU, torch is a build for {torch_build}: "
        "its operators cannot run on the GPU",
        "built_pypi": "{by} {stated} has no tag, so it is PyPI's build, which is one for {build}; torch is a build for "
        "{torch_build} ({source}, read {as_of})",
        "built": "{by} {stated} is a build for {build}, torch is a build for {torch_build}: "
        "its compiled part cannot be loaded",
        "row": "{by} {by_version} was published for {asked} ({source}, read {as_of})",
        "seen": "{doing} failed: {message}",
        "pair": "let the installer find the releases of {companions} that were made for torch {torch}",
        "go_back": "or go back to torch {old}, for which {names} were made",
        "rebuild": "install {names} in the build that goes with torch {torch}",
        "again": "install torch {torch} again with the {names} that it asks for",
    },
)

CONDITIONS: tuple[Condition, ...] = (COMPANION_MISMATCH,)
