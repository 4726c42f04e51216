"""Whether the installed versions go together, by what each distribution says of itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from ..facts.snapshot import Snapshot
from .closure import FAMILY, Ask, Closure, by_culprit, closure_of
from .cuda_missing import concerns_triton
from .cuda_names import concerns_cuda
from .import_checks import ImportCheck, failing_checks
from .install_steps import can_all_hold, install, install_like, joined
from .model import Basis, Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .newer_torch import torch_release
from .reinstall import torch_index
from .requirement_lines import normalised
from .seen_imports import may_be_error
from .seen_stages import Seen, failures
from .told_packages import known_from_text
from .torch_pairs import concerns_companions

#: declared as required, and left out on purpose by people and by other package managers: the library does without
DISPENSABLE = frozenset({"hf-xet"})
#: torch declares these for its own wheels; where they are missing it may find the machine's own libraries
MAYBE_ELSEWHERE = ("nvidia-", "triton", "pytorch-triton", "intel-")
#: installers that write other package managers' metadata: what those leave out was tried out by their makers
MANAGERS = ("conda", "debian", "apt", "dpkg", "rpm", "dnf", "portage", "nix", "guix", "brew")

#: lines shown of one kind; the counts are whole
MOST_SHOWN = 8

_CHECK_MESSAGE = r"([\w.-]+)[^\n]* is required for a normal functioning of this module, but found "
_NO_METADATA = r"The '([\w.-]+)[^']*' distribution was not found and is required by this application"
_NO_MODULE = r"No module named '([\w]+)"
_NO_NAME = r"cannot import name '(\w+)' from '(\w+)"
#: modules that do not carry their distribution's name
_MODULE_OF = {"yaml": "pyyaml", "pil": "pillow", "attr": "attrs", "dateutil": "python-dateutil"}


def _dependency_conflict(s: Snapshot, goal: Goal) -> Verdict:
    if known_from_text(s):
        return Unknown("text")
    closure = closure_of(s, goal.packages)
    if not closure.roots:
        return Skip("nothing", {"packages": " nor ".join(goal.packages)})
    missing, wrong = _sorted_out(s, closure, skew=False)
    failing = _failing(s)
    checks = {check.name: check for check in failing if check.name not in FAMILY or check.installed is None}
    for name in checks:
        (missing if checks[name].installed is None else wrong).setdefault(name, [])
    # what only a package of a wrong version asks for goes away with that version
    leaving = {check.name for check in failing if check.installed is not None and check.stops_import}
    missing = {name: asks for name, asks in missing.items() if not asks or {ask.by for ask in asks} - leaving}
    fails = [_wrong(s, closure, name, asks, checks.get(name)) for name, asks in wrong.items()]
    if missing:
        fails.insert(0, _missing(s, closure, missing, checks))
    return fails or _all_met(s, closure)


def _version_skew(s: Snapshot, goal: Goal) -> Verdict:
    if known_from_text(s):
        return Unknown("text")
    closure = closure_of(s, goal.packages)
    family = sorted(name for name in s.packages.installed() if name in FAMILY)
    if len(family) < 2:
        return Skip("alone")
    _, wrong = _sorted_out(s, closure, skew=True)
    checks = {check.name: check for check in _failing(s) if check.name in FAMILY and check.installed is not None}
    for name in checks:
        wrong.setdefault(name, [])
    fails = _together(s, [_wrong(s, closure, name, asks, checks.get(name)) for name, asks in wrong.items()])
    if not fails:
        seen = _name_not_found(s)
        return seen if seen else Pass(len(family), [Clue(s.packages.distributions, family)])
    return fails


def _sorted_out(s: Snapshot, closure: Closure, *, skew: bool) -> tuple[dict[str, list[Ask]], dict[str, list[Ask]]]:
    """The unmet asks that belong to version-skew, or those that do not, as (not installed, of a wrong version)."""
    missing: dict[str, list[Ask]] = {}
    wrong: dict[str, list[Ask]] = {}
    for name, asks in by_culprit(closure.broken).items():
        if concerns_companions(name, asks) or concerns_cuda(name, asks) or concerns_triton(name, asks):
            continue
        asks = [ask for ask in asks if not (ask.by == "transformers" and name == "torch")]
        if asks and asks[0].installed is None:
            if name not in DISPENSABLE:
                missing[name] = asks
            continue
        asks = [ask for ask in asks if not _seen_working(s, closure, ask)]
        of_family = name in FAMILY and any(ask.by in FAMILY for ask in asks)
        if asks and of_family == skew:
            wrong[name] = asks
    return missing, wrong


def _failing(s: Snapshot) -> list[ImportCheck]:
    """transformers' own checks that fail, unless its import was seen to succeed all the same."""
    seen = s.packages.imported("transformers")
    return [check for check in failing_checks(s) if not (check.stops_import and seen)]


def _seen_working(s: Snapshot, closure: Closure, ask: Ask) -> bool:
    """Whether the asking package was seen being imported with what it has (``--deep``)."""
    if ask.inside:
        return all(s.packages.imported(root) for root in closure.roots)
    return s.packages.imported(ask.by)


# -- a version that does not fit --------------------------------------------------------------------------------------


def _wrong(s: Snapshot, closure: Closure, name: str, asks: Sequence[Ask], check: ImportCheck | None) -> Fail:
    entry = s.packages.installed()[name]
    trial = _trial_about(s, name)
    transformers = s.packages.installed().get("transformers")
    fields: dict[str, Plain] = {"package": name, "version": entry.version}
    stops = check is not None and check.stops_import
    if check is not None and transformers is not None:
        fields |= {"by": "transformers", "by_version": transformers.version, "asked": name + check.specifier}
    else:
        fields |= {"by": asks[0].by, "by_version": asks[0].by_version, "asked": asks[0].text}
    clues = [Clue(s.packages.distributions, f"{name} {entry.version}", "has", {**fields, "path": entry.path})]
    if trial:
        clues.append(_trial_clue(s, trial))
    if check is not None:
        says = "checks" if stops else "wants"
        clues.append(Clue(s.packages.transformers_needs, fields["asked"], says, dict(fields)))
    others = [ask for ask in asks if not (check is not None and ask.by == "transformers")]
    clues += [_ask_clue(s, ask) for ask in others[:MOST_SHOWN]]
    says = "stops" if stops or trial else "unsupported" if check is not None and not asks else "wrong"
    severity: Severity = "error" if trial or (stops and may_be_error(s)) else "warning"
    basis: Basis = "observed" if trial else "derived"
    specifiers = [ask.specifier for ask in closure.asks if ask.name == name and ask.specifier]
    if check is not None and check.specifier not in specifiers:
        specifiers.insert(0, check.specifier)
    askers = list(dict.fromkeys([str(fields["by"]), *(ask.by for ask in asks)]))
    return Fail(says, severity, basis, clues, fields, _cure_wrong(s, closure, name, specifiers, askers), len(clues))


def _cure_wrong(
    s: Snapshot, closure: Closure, name: str, specifiers: Sequence[str], askers: Sequence[str]
) -> Treatment:
    fields: dict[str, Plain] = {"package": name, "by": " and ".join(askers)}
    newer = Step(install(s, [*askers, name], "--upgrade"), "newer_all", fields, network=True)
    if name in closure.roots:  # what the person asked for stays; those that lean on it follow
        version = s.packages.installed()[name].version
        index = torch_index(version) if name == "torch" else []
        extra = ["--extra-index-url", index[1]] if index else []
        argv = install(s, [*askers, f"{name}=={version}"], "--upgrade", *extra)
        steps = [Step(argv, "newer_asker", fields, network=True)]
        pin = re.fullmatch(r"==\s*(\d[\w.]*)", joined(specifiers))
        if name == "torch" and pin:
            steps.append(torch_release(s, pin[1], version, {**fields, "pin": pin[1]}, says="or_asked"))
        return Treatment("confirm", steps)
    if not can_all_hold(specifiers):
        return Treatment("confirm", [newer])
    fitting = Step(install_like(s, name, joined(specifiers)), "fitting", fields, network=True)
    return Treatment("confirm", [fitting, _or_newer(s, name, askers, fields)])


def _or_newer(s: Snapshot, name: str, askers: Sequence[str], fields: Mapping[str, Plain]) -> Step:
    """The other way round: ``name`` stays, and those who ask for another version of it get newer."""
    entries = [s.packages.installed().get(asker) for asker in askers]
    if "torch" in askers or any(entry is None or entry.installer.lower().startswith("conda") for entry in entries):
        return Step(says="or_newer", fields=fields)
    kept = f"{name}=={s.packages.installed()[name].version}"
    return Step(install(s, [*askers, kept], "--upgrade"), "or_newer", fields, network=True)


def _together(s: Snapshot, fails: list[Fail]) -> list[Fail]:
    """Give several fails the one command that cures all: the installer then looks for versions that fit each other."""
    steps = [fail.treatment.steps[0] for fail in fails if fail.treatment]
    if len(fails) < 2 or len(steps) < len(fails) or any(step.says != "fitting" for step in steps):
        return fails
    plain = len(install(s, []))
    if any(step.argv[:plain] != install(s, []) for step in steps):
        return fails  # conda's
    argv = install(s, [requirement for step in steps for requirement in step.argv[plain:]])
    for fail in fails:
        if fail.treatment:
            first, *rest = fail.treatment.steps
            fail.treatment = Treatment("confirm", [Step(argv, "fitting_all", first.fields, network=True), *rest])
    return fails


# -- what is not there ------------------------------------------------------------------------------------------------


def _missing(
    s: Snapshot, closure: Closure, missing: Mapping[str, Sequence[Ask]], checks: Mapping[str, ImportCheck]
) -> Fail:
    """One finding for all that is not installed: one interrupted or partial install left it out."""
    installed = s.packages.installed()
    trials = {name: trial for name in missing if (trial := _trial_about(s, name))}
    names = sorted(missing, key=lambda name: (name not in trials, name not in checks, name))
    clues = [_trial_clue(s, trials[name]) for name in names if name in trials][:1]
    wanted = []
    errors = []
    for name in names:
        asks = missing[name]
        check = checks.get(name)
        specifiers = [ask.specifier for ask in closure.asks if ask.name == name and ask.specifier]
        if check is not None and check.specifier not in specifiers:
            specifiers.append(check.specifier)
        wanted.append(name + (joined(specifiers) if can_all_hold(specifiers) else ""))
        if name in trials or (check and may_be_error(s)) or any(_is_grave(s, closure, ask) for ask in asks):
            errors.append(name)
        if asks and len(clues) < MOST_SHOWN:
            clues.append(_missing_clue(s, asks))
        elif len(clues) < MOST_SHOWN:
            clues.append(Clue(s.packages.transformers_needs, name, "checks_presence", {"package": name}))
    first = missing[names[0]]
    fields: dict[str, Plain] = {
        "package": names[0],
        "packages": ", ".join(names[:MOST_SHOWN]) + (", ..." if len(names) > MOST_SHOWN else ""),
        "count": len(names),
        "by": first[0].by if first else "transformers",
        "by_version": first[0].by_version if first else installed["transformers"].version,
        "askers": ", ".join(sorted({asks[0].by if asks else "transformers" for asks in missing.values()})[:MOST_SHOWN]),
    }
    says = "missing_one" if len(names) == 1 else "missing_many"
    basis: Basis = "observed" if trials else "derived"
    treatment = Treatment("confirm", [Step(install(s, wanted), "add", fields, network=True)])
    return Fail(says, "error" if errors else "warning", basis, clues, fields, treatment, len(names))


def _is_grave(s: Snapshot, closure: Closure, ask: Ask) -> bool:
    """Whether what is missing is a plain requirement of transformers or torch, by a maker who meant it for pip."""
    if not ask.inside or ask.extra or not closure.certain or ask.name.startswith(MAYBE_ELSEWHERE):
        return False
    if s.packages.installed()[ask.by].installer.lower().startswith(MANAGERS):
        return False
    from ..knowledge.lazy_imports import lazy_import

    if lazy_import(ask.by, ask.by_version, ask.name):
        return False
    return may_be_error(s) and not all(s.packages.imported(root) for root in closure.roots)


# -- what was seen ----------------------------------------------------------------------------------------------------


def _trial_about(s: Snapshot, name: str) -> Seen | None:
    """The import or stage that failed for ``name``: its version is refused, or it is not found."""
    for trial in failures(s):
        text = trial.words
        named = {match[1] for pattern in (_CHECK_MESSAGE, _NO_METADATA) for match in re.finditer(pattern, text)}
        named |= {_MODULE_OF.get(match[1].lower(), match[1]) for match in re.finditer(_NO_MODULE, text)}
        named |= {match[2] for match in re.finditer(_NO_NAME, text)}
        named |= {trial.package or trial.lacks} if trial.error == "not installed" else set()
        if name in {normalised(one) for one in named}:
            return trial
    return None


def _name_not_found(s: Snapshot) -> Fail | None:
    """An import between two of the family that failed for a name that the other's version does not have."""
    installed = s.packages.installed()
    damaged = {files.name for files in s.packages.files.maybe() or () if files.damaged}
    for trial in failures(s):
        match = re.search(_NO_NAME, trial.words)
        name = normalised(match[2]) if match else ""
        if (
            match is None
            or name not in FAMILY
            or name not in installed
            or trial.package == name
            or damaged & {name, trial.package}
        ):
            continue
        fields: dict[str, Plain] = {"package": name, "version": installed[name].version, "wanted": match[1]}
        fields["by"] = trial.package or "transformers"
        step = Step(install(s, [str(fields["by"]), name], "--upgrade"), "newer_all", fields, network=True)
        severity: Severity = "error" if s.packages.files.known else "warning"  # damage would explain it as well
        return Fail("no_name", severity, "observed", [_trial_clue(s, trial)], fields, Treatment("confirm", [step]))
    return None


# -- clues ------------------------------------------------------------------------------------------------------------


def _trial_clue(s: Snapshot, trial: Seen) -> Clue:
    return Clue(trial.fact, trial.key, "seen", {"doing": trial.doing, "message": trial.line()})


def _ask_clue(s: Snapshot, ask: Ask) -> Clue:
    says = "asks_through" if ask.extra else "asks"
    fields: dict[str, Plain] = {"by": ask.by, "by_version": ask.by_version, "asked": ask.text, "extra": ask.extra}
    return Clue(s.packages.distributions, f"{ask.by} {ask.by_version}: {ask.text}", says, fields)


def _missing_clue(s: Snapshot, asks: Sequence[Ask]) -> Clue:
    """The ask that weighs most; where its package is imported only by a part of the asker, which part that is."""
    from ..knowledge.lazy_imports import lazy_import

    rows = [lazy_import(ask.by, ask.by_version, ask.name) for ask in asks]
    if None in rows:
        return _ask_clue(s, asks[rows.index(None)])
    clue = _ask_clue(s, asks[0])
    if rows[0] is not None:
        clue.says, clue.fields = "asks_lazily", {**clue.fields, "uses": rows[0].uses}
    return clue


def _all_met(s: Snapshot, closure: Closure) -> Pass:
    says = f"{len(closure.asks)} requirements of {len(closure.members)} distributions"
    clues = [Clue(s.packages.distributions, says)]
    unmet = [ask for ask in closure.broken if ask.installed is not None and _seen_working(s, closure, ask)]
    for ask in unmet[:3]:
        clue = _ask_clue(s, ask)
        clue.says, clue.fields = "works", {**clue.fields, "version": ask.installed}
        clues.append(clue)
    return Pass(max(1, len(closure.asks)), clues)


_WORDS: Collection[tuple[str, str]] = (
    ("wrong", "{by} {by_version} asks for {asked}, but {package} {version} is installed"),
    ("stops", "import {by} fails: {by} {by_version} asks for {asked}, but {package} {version} is installed"),
    ("has", "{package} {version} is in {path}"),
    ("checks", "transformers {by_version} checks this whenever it is imported: {asked}"),
    ("asks", "{by} {by_version} asks for {asked}"),
    ("asks_lazily", "{by} {by_version} asks for {asked}; it is imported only for {uses}"),
    ("works", "{by} {by_version} asks for {asked}; what needs it was seen being imported with {version} all the same"),
    ("asks_through", "{by} {by_version} asks for {asked} (through its extra {extra})"),
    ("seen", "{doing} failed: {message}"),
    ("fitting", "install a version of {package} that all of them accept"),
    ("fitting_all", "install versions that go together"),
    ("newer_all", "no one version suits the installed packages: let the installer find newer ones that go together"),
    ("newer_asker", "install another {by}, made for the {package} that is here"),
    ("or_asked", "or install torch {pin}, for which {by} was made"),
    ("or_newer", "or keep {package} and install another {by} that goes with it"),
)

DEPENDENCY_CONFLICT = Condition(
    id="dependency-conflict",
    family="packages",
    title="An installed package lacks what it requires, or has another version of it",
    reads=("packages", "target", "smoke"),
    detect=_dependency_conflict,
    words={
        "text": "a text tells versions, not what the packages ask of each other",
        **dict(_WORDS),
        "nothing": "neither {packages} is installed",
        "missing_one": "{by} {by_version} requires {package}, which is not installed",
        "missing_many": "{count} required packages are not installed: {packages} (asked for by {askers})",
        "checks_presence": "transformers checks at every import that {package} is installed",
        "add": "install what is missing",
    },
)

VERSION_SKEW = Condition(
    id="version-skew",
    family="packages",
    title="Hugging Face libraries of versions that do not go together",
    reads=("packages", "target", "smoke"),
    detect=_version_skew,
    words={
        "text": "a text tells versions, not what the packages ask of each other",
        **dict(_WORDS),
        "alone": "fewer than two libraries of the Hugging Face family are installed",
        "unsupported": "{by} {by_version} does not work with {package} {version}: it asks for {asked}",
        "wants": "transformers {by_version} uses {package} only from {asked} on, by its own table",
        "no_name": "importing {by} fails: {package} {version} has no {wanted}, which its partner expects",
    },
)

CONDITIONS: tuple[Condition, ...] = (VERSION_SKEW, DEPENDENCY_CONFLICT)
