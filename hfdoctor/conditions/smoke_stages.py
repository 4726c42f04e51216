"""What a run of the real libraries (``smoke``) shows, where no other condition says why."""

from __future__ import annotations

from collections.abc import Sequence

from ..facts.sections.smoke import Deviation, StageRun
from ..facts.snapshot import SECTIONS, Snapshot
from .install_steps import install, install_like
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Verdict
from .stage_findings import taken_up
from .torch_choice import WORDS as CHOICE_WORDS
from .torch_choice import install_build
from .torch_wanted import Nothing, wanted_build

#: what a person asks for by name; the other packages come with these
ASKED_FOR = ("torch", "tensorflow", "jax", "flax", "transformers")
#: deviations and printed lines that are shown of one stage
SHOWN = 4
#: stages whose failure stops nothing that was asked for
OPTIONAL = ("compile",)
NOT_RUN = "the libraries were not run (hfdoctor smoke does)"


def stages_of(s: Snapshot) -> Sequence[StageRun] | None:
    """The stages; None where no run was asked for, or where the target does not start. Raises FactMissing otherwise."""
    return None if s.smoke.stages.status == "not-run" else s.smoke.stages.need()


# -- not-installed ----------------------------------------------------------------------------------------------------


def _not_installed(s: Snapshot, goal: Goal) -> Verdict:
    stages = stages_of(s)
    if stages is None:
        return Skip("not_run")
    imports = [stage for stage in stages if stage.name == "import"]
    missing = [stage.subject for stage in imports if stage.error == "not installed" and stage.subject in ASKED_FOR]
    if not missing:
        return Pass(max(1, len(imports)), [Clue(s.smoke.stages, [stage.subject for stage in imports])])
    fields: dict[str, Plain] = {"packages": " and ".join(reversed(missing))}
    clues = [Clue(s.smoke.stages, name, "no_module", {"package": name}) for name in missing]
    treatment = Treatment("confirm", _install(s, missing))
    return Fail("missing", "error", "observed", clues, fields, treatment, len(imports))


def _install(s: Snapshot, missing: Sequence[str]) -> list[Step]:
    """torch in the build that belongs on this machine, where the index does not bring that one by itself."""
    names = list(reversed(missing))
    fields: dict[str, Plain] = {"packages": " and ".join(names)}
    # what is not known of the GPUs must not lead to another build than everybody gets
    answer = (
        wanted_build(s) if "torch" in missing and s.gpu.devices.status in ("known", "absent") else Nothing("no_gpu")
    )
    plain = install(s, names)
    # a GPU that only waits for a driver is no reason for a torch that will never use it
    if isinstance(answer, Nothing) or answer.plain or (answer.kind == "cpu" and answer.says != "no_gpu"):
        return [Step(plain, "add", fields, network=True)]
    rest = [name for name in names if name != "torch"]
    steps = install_build(s, answer.choice)
    told: dict[str, Plain] = {"packages": " and ".join(rest)}
    steps += [Step(install(s, rest), "add", told, network=True)] if rest else []
    return [*steps, Step(plain, "or_pypi", fields, network=True)] if answer.kind == "cpu" else steps


NOT_INSTALLED = Condition(
    id="not-installed",
    family="smoke",
    title="What is to be run is not installed",
    reads=("smoke", "target", "machine", "gpu", "packages"),
    detect=_not_installed,
    words={
        **CHOICE_WORDS,
        "not_run": NOT_RUN,
        "missing": "{packages} cannot be run here: not installed in this environment",
        "no_module": "this Python finds no module {package}",
        "add": "install {packages}",
        "or_pypi": "or, for a GPU of NVIDIA that comes later, install {packages} as PyPI has them",
    },
)


# -- framework-dropped ------------------------------------------------------------------------------------------------


def _framework_dropped(s: Snapshot, goal: Goal) -> Verdict:
    stages = stages_of(s)
    if stages is None:
        return Skip("not_run")
    asked = s.smoke.run.need().framework
    if asked == "torch":
        return Skip("torch")
    refused = next((stage for stage in stages if stage.error == "framework dropped"), None)
    fields: dict[str, Plain] = {"framework": {"tensorflow": "TensorFlow", "jax": "JAX"}.get(asked, asked)}
    if refused is None:
        return Pass(len(stages), [Clue(s.smoke.run, asked)])
    entry = s.packages.installed().get("transformers") if s.packages.distributions.known else None
    fields["version"] = entry.version if entry else ""
    clue = Clue(s.smoke.stages, refused.key, "said", {"message": " ".join(refused.message.split())[:300]})
    steps = [Step(says="with_torch"), Step(install_like(s, "transformers", "<5"), "older", fields, network=True)]
    return Fail("dropped", "error", "observed", [clue], fields, Treatment("confirm", steps), len(stages))


FRAMEWORK_DROPPED = Condition(
    id="framework-dropped",
    family="smoke",
    title="This transformers no longer works with TensorFlow or JAX",
    reads=("smoke", "packages", "target"),
    detect=_framework_dropped,
    words={
        "not_run": NOT_RUN,
        "torch": "PyTorch was asked for",
        "dropped": "transformers {version} works with PyTorch only: its classes for {framework} ended with release 4",
        "said": "{message}",
        "with_torch": "use the model with PyTorch, which loads the same checkpoints",
        "older": "or go back to the last transformers that has them",
    },
)


# -- wrong-results ----------------------------------------------------------------------------------------------------


def _wrong_results(s: Snapshot, goal: Goal) -> Verdict:
    stages = stages_of(s)
    if stages is None:
        return Skip("not_run")
    run = [stage for stage in stages if stage.outcome != "skip" and stage.name != "import"]
    wrong = [stage for stage in run if stage.error == "wrong result"]
    if not wrong:
        return Pass(len(run), [Clue(s.smoke.stages, [stage.key for stage in run])]) if run else Skip("nothing_computed")
    return [_deviating(s, stage) for stage in wrong]


def _deviating(s: Snapshot, stage: StageRun) -> Fail:
    fields: dict[str, Plain] = {"stage": stage.key, "count": len(stage.deviations)}
    devices = dict.fromkeys(one.device for one in stage.deviations)
    fields["device"] = " and ".join(devices)
    clues = [Clue(s.smoke.stages, one.what, *_shown(one)) for one in stage.deviations[:SHOWN]]
    if len(stage.deviations) > SHOWN:
        clues.append(Clue(s.smoke.stages, stage.key, "more", {"count": len(stage.deviations) - SHOWN}))
    severity: Severity = "warning" if stage.name in OPTIONAL else "error"
    says = "one_wrong" if len(stage.deviations) == 1 else "wrong"
    return Fail(says, severity, "observed", clues, fields, Treatment("print-only", [Step(says="look")]), len(clues))


def _shown(one: Deviation) -> tuple[str, dict[str, Plain]]:
    """The template for a deviation, and what it names."""
    fields: dict[str, Plain] = {"what": one.what, "device": one.device, "dtype": one.dtype}
    fields |= {"expected": one.expected, "got": one.got, "at": ", ".join(str(place) for place in one.at)}
    if one.difference is None:
        return ("other", fields) if one.expected or one.got else ("plain", fields)
    fields |= {"difference": f"{one.difference:.3g}", "tolerance": f"{one.tolerance:.3g}"}
    return ("off_at" if one.at and one.got else "off"), fields


WRONG_RESULTS = Condition(
    id="wrong-results",
    family="smoke",
    title="The libraries compute something else than they should",
    reads=("smoke",),
    detect=_wrong_results,
    words={
        "not_run": NOT_RUN,
        "nothing_computed": "no stage that computes was reached",
        "one_wrong": "the stage {stage} gives a wrong result on {device}",
        "wrong": "the stage {stage} gives {count} wrong results on {device}",
        "off": "{what} on {device} ({dtype}): off by {difference}, allowed is {tolerance}",
        "off_at": "{what} on {device} ({dtype}): off by {difference}, allowed is {tolerance}; "
        "at [{at}] {got} instead of {expected}",
        "other": "{what} on {device}: {got} instead of {expected}",
        "plain": "{what} on {device}",
        "more": "and {count} more",
        "look": "run it again; if the number stays wrong, report it with `hfdoctor smoke --format json --with-facts` "
        "to the makers of the library or of the device's driver, and do not trust results of this environment",
    },
)


# -- smoke-failed -----------------------------------------------------------------------------------------------------


def _smoke_failed(s: Snapshot, goal: Goal) -> Verdict:
    stages = stages_of(s)
    if stages is None:
        return Skip("not_run")
    run = [stage for stage in stages if stage.outcome != "skip"]
    wrong = [stage for stage in run if stage.outcome == "fail" and not taken_up(s, goal, stage)]
    if wrong:
        return [_failing(s, group) for group in _alike(wrong)]
    if any(stage.outcome == "fail" for stage in run):
        return Skip("told_elsewhere")
    return Pass(len(run), [Clue(s.smoke.stages, [stage.key for stage in run])]) if run else Skip("nothing_ran")


def _alike(wrong: Sequence[StageRun]) -> list[list[StageRun]]:
    """The stages by what they say: one cause, one finding."""
    groups: dict[tuple[str, str], list[StageRun]] = {}
    for stage in wrong:
        groups.setdefault((stage.error, stage.message), []).append(stage)
    return list(groups.values())


def _failing(s: Snapshot, group: Sequence[StageRun]) -> Fail:
    stage = group[0]
    names = " and ".join(one.key for one in group)
    fields: dict[str, Plain] = {"stage": names, "error": stage.error, "seconds": round(stage.seconds)}
    says = "fails" if len(group) == 1 else "several_fail"
    if stage.error == "timeout":
        says = "hangs"
    elif stage.error.startswith(("signal", "exit", "no-answer")):
        says = "dies"
    clues = []
    if stage.message and says != "hangs":
        shown: dict[str, Plain] = {"error": stage.error, "message": " ".join(stage.message.split())[:300]}
        clues.append(Clue(s.smoke.stages, stage.key, "message", shown))
    if says in ("fails", "several_fail"):
        clues += [Clue(s.smoke.stages, stage.key, "from", {"place": place}) for place in stage.trace[-1:]]
    else:
        lines = [line for line in stage.trace if line.lstrip().startswith('File "') and "<frozen" not in line][:SHOWN]
        clues += [Clue(s.smoke.stages, stage.key, "stack", {"line": line.strip()}) for line in lines]
    printed = [line for line in stage.printed[-SHOWN:] if line.strip()]
    clues += [Clue(s.smoke.stages, stage.key, "printed", {"line": line[:200]}) for line in printed]
    if not clues:
        clues.append(Clue(s.smoke.stages, stage.key, "only_error", fields))
    severity: Severity = "warning" if stage.name in OPTIONAL else "error"
    treatment = Treatment("print-only", [Step(says="look_deep"), Step(says="report")])
    return Fail(says, severity, "observed", clues, fields, treatment, len(group))


SMOKE_FAILED = Condition(
    id="smoke-failed",
    family="smoke",
    title="The libraries are installed and do not work",
    reads=SECTIONS,  # whether another condition has an answer depends on what that one reads
    detect=_smoke_failed,
    explained_by=("not-installed", "python-does-not-start"),
    words={
        "not_run": NOT_RUN,
        "nothing_ran": "no stage was reached",
        "told_elsewhere": "what failed is told by another finding",
        "fails": "the stage {stage} fails: {error}",
        "several_fail": "the stages {stage} fail: {error}",
        "dies": "Python dies in the stage {stage}: {error}",
        "hangs": "the stage {stage} does not end: it was stopped after {seconds} seconds",
        "message": "{error}: {message}",
        "only_error": "{error}",
        "from": "raised in {place}",
        "stack": "{line}",
        "printed": "printed: {line}",
        "look_deep": "`hfdoctor check --deep` looks at every installed file and setting for a cause",
        "report": "if it finds none, report what `hfdoctor smoke --format json --with-facts` writes to the library "
        "that the error comes from",
    },
)

CONDITIONS = (NOT_INSTALLED, FRAMEWORK_DROPPED, WRONG_RESULTS, SMOKE_FAILED)
