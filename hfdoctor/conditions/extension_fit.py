"""Whether the compiled packages were built for this interpreter at all: its Python, its system, its processor."""

from __future__ import annotations

from collections.abc import Sequence

from ..facts.sections.native import LinkProblem
from ..facts.sections.packages import Distribution
from ..facts.sections.target import Interpreter
from ..facts.snapshot import Snapshot
from .closure import closure_of
from .extension_builds import LOADED_BY_TRANSFORMERS, Misfit, misfits, other_torch
from .install_steps import uninstall
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Verdict
from .reinstall import WORDS, reinstall
from .seen_imports import may_be_error
from .told_packages import known_from_text

#: processor names that mean the same, as the tags of wheels spell them
_MACHINES = {
    "amd64": ("x86_64", "amd64", "universal2", "intel", "fat64"),
    "x86_64": ("x86_64", "amd64", "universal2", "intel", "fat64"),
    "arm64": ("arm64", "aarch64", "universal2"),
    "aarch64": ("aarch64", "arm64", "universal2"),
}


def _extensions(s: Snapshot, goal: Goal) -> Verdict:
    told = s.target.interpreter.maybe()
    foreign = other_torch(s)
    if foreign:
        return _other_torch(s, foreign)
    unfit, labelled = misfits(s)
    if told is None or known_from_text(s):  # without tags the labels say all there is
        if unfit:
            return [_built_for_another(s, goal, unfit)]
        if told is None and not known_from_text(s):
            s.target.interpreter.need()
        return Pass(labelled, [Clue(s.packages.distributions)]) if labelled else Skip("text")
    if told.implementation != "cpython":
        return Skip("only_cpython", {"implementation": told.implementation})
    installed = s.packages.installed()
    # conda cross-compiles, and its packages then bear the tag of the machine that built them
    members = [installed[name] for name in sorted(closure_of(s, goal.packages).members)]
    members = [entry for entry in members if not entry.installer.lower().startswith("conda")]
    compiled = [entry for entry in members if any(not tag.endswith("-any") for tag in entry.tags)]
    if not compiled and not labelled:
        return Skip("nothing_compiled")
    wrong = [e for e in compiled if not any(fits_interpreter(tag, told) for tag in e.tags)]
    wrong = [entry for entry in wrong if not s.packages.imported(entry.name)]
    theirs = [_built_for_another(s, goal, unfit)] if unfit else []
    if not wrong:
        return theirs or Pass(len(compiled) + labelled, [Clue(s.target.interpreter, f"{told.version} {told.platform}")])
    names = [entry.name for entry in wrong]
    fields: dict[str, Plain] = {
        "packages": ", ".join(names[:6]) + (", ..." if len(names) > 6 else ""),
        "count": len(wrong),
        "python": told.version,
        "platform": told.platform,
    }
    clues = [Clue(s.target.interpreter, f"{told.version} {told.platform}", "python_is", fields)]
    clues += [_clue(s, entry) for entry in wrong[:6]]
    severity: Severity = "error" if may_be_error(s) else "warning"
    return [Fail("other", severity, "derived", clues, fields, _cure(s, wrong), len(wrong)), *theirs]


def _other_torch(s: Snapshot, foreign: Sequence[LinkProblem]) -> Fail:
    clues = []
    for one in foreign[:8]:
        row: dict[str, Plain] = {"needs": one.needs, "found": one.found, "found_by": one.found_by or "the loader"}
        clues.append(Clue(s.native.linkage, one.found, "comes_first", {**row, "expected": one.expected}))
    severity: Severity = "error" if may_be_error(s) else "warning"
    fields = clues[0].fields
    steps = [Step(says="take_away", fields=fields)]
    return Fail("two_torches", severity, "derived", clues, fields, Treatment("print-only", steps), len(foreign))


def _built_for_another(s: Snapshot, goal: Goal, unfit: Sequence[Misfit]) -> Fail:
    """Extensions that were built for another torch, another CUDA or the other C++ ABI, by their own label."""
    names = [one.entry.name for one in unfit]
    fields: dict[str, Plain] = {"packages": ", ".join(names[:6]), "torch": unfit[0].clue.fields["torch"]}
    # transformers loads flash-attn along with every model, but only where there is a GPU for it
    gpu = any(device.vendor == "nvidia" for device in s.gpu.devices.maybe() or ())
    loaded = any(name in LOADED_BY_TRANSFORMERS for name in names) and "transformers" in s.packages.installed()
    sure = all(one.clue.says != "for_abi" for one in unfit)
    severity: Severity = (
        "error" if loaded and gpu and sure and may_be_error(s) and not known_from_text(s) else "warning"
    )
    table = all(one.clue.says == "for_abi" for one in unfit)
    steps = [Step(says="matching_build", fields=fields)]
    if not known_from_text(s):
        steps.append(Step(uninstall(s, names), "or_without", fields))
    basis: Basis = "table" if table else "derived"
    clues = [one.clue for one in unfit[:8]]
    return Fail("for_other_torch", severity, basis, clues, fields, Treatment("confirm", steps))


def fits_interpreter(tag: str, told: Interpreter) -> bool:
    """Whether a wheel with this tag can be used by the interpreter; True for a tag of an unknown form."""
    from ..knowledge.wheels import tag_pairs

    parts = tag.split("-", 2)
    if len(parts) != 3:
        return True
    python, abi, platform = parts
    own = f"cp{told.version_info[0]}{told.version_info[1]}"
    if python == own and abi.startswith(own):  # with the letters of other builds: m before 3.8, d, t
        if ("t" in abi[len(own) :]) != told.free_threaded:
            return False
    elif not python.startswith("py") and f"{python}-{abi}" not in tag_pairs(told.version_info[1], told.free_threaded):
        return False
    if platform == "any":
        return True
    if told.platform.startswith("win"):
        return platform == told.platform.replace("-", "_")
    systems = ("macosx",) if told.platform.startswith("macosx") else ("linux", "manylinux", "musllinux")
    machine = (told.machine or told.platform.rpartition("-")[2]).lower()
    # only what is known to be another processor is another one
    known = _MACHINES.get(machine)
    return platform.startswith(systems) and (known is None or platform.endswith(known))


def _clue(s: Snapshot, entry: Distribution) -> Clue:
    fields: dict[str, Plain] = {
        "package": entry.name,
        "version": entry.version,
        "tag": entry.tags[0],
        "path": entry.path,
    }
    return Clue(s.packages.distributions, f"{entry.name}: {', '.join(entry.tags)}", "built_for", fields)


def _cure(s: Snapshot, wrong: list[Distribution]) -> Treatment:
    # one or two can be put back; more means that the folder belongs to another interpreter
    if len(wrong) <= 2:
        return Treatment("confirm", [step for entry in wrong for step in reinstall(s, entry)])
    return Treatment("print-only", [Step(says="own_folder")])


EXTENSION_ABI = Condition(
    id="extension-abi-mismatch",
    family="packages",
    title="A compiled package was built for another Python, machine or torch",
    reads=("packages", "target", "machine", "gpu", "native", "settings"),
    detect=_extensions,
    words={
        **{key: text for key, text in WORDS.items() if key.startswith("reinstall")},
        "only_cpython": "the names of wheels are only known for CPython, and this is {implementation}",
        "nothing_compiled": "no compiled package is installed",
        "other": "built for another Python or machine than this one ({python}, {platform}): {packages}",
        "python_is": "the interpreter is Python {python} for {platform}",
        "built_for": "{package} {version} was built for {tag}: {path}",
        "two_torches": "the {needs} of another torch comes before the installed one's: {found}",
        "comes_first": "{found_by} leads to {found}; {expected} was meant",
        "take_away": "take the folder of {found} out of {found_by}",
        "text": "the text lists no package whose name tells for which torch it was built",
        "for_other_torch": "built for another torch than {torch}: {packages}",
        "for_torch": "{package} {label} was built for torch {built}; torch {torch} is installed",
        "for_cuda": "{package} {label} was built for CUDA {built}; torch {torch} is a build for {cuda}",
        "for_abi": "{package} {label} was built with {built} C++ ABI; torch {torch} has {own} one "
        "({source}, read {as_of})",
        "matching_build": "install {packages} in a build for torch {torch} (its label names torch and CUDA), "
        "or build it",
        "or_without": "or remove it: transformers does without",
        "own_folder": "these packages belong to another interpreter: look at PYTHONPATH and .pth files, or make the "
        "environment anew and install into it",
    },
    explained_by=("python-environment-moved",),
)

CONDITIONS: tuple[Condition, ...] = (EXTENSION_ABI,)
