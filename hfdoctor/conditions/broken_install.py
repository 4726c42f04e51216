"""broken-install: a package is listed as installed, and is not whole."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ..facts.sections.packages import (
    DAMAGE_KINDS,
    METADATA_PROBLEMS,
    RECORD_PROBLEMS,
    Distribution,
    Leftover,
    PackageFiles,
)
from ..facts.snapshot import Snapshot
from .closure import closure_of
from .install_steps import can_all_hold, joined
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Verdict
from .reinstall import WORDS, put_away, reinstall
from .seen_imports import WORDS as IMPORT_WORDS
from .seen_imports import import_failure, may_be_error, seen_working
from .seen_stages import WORDS as SEEN_WORDS
from .seen_stages import Seen, damaged_by, failures_of, package_in

#: kinds of environments that no other package manager fills
VENVS = ("venv", "uv", "pipx")

#: ~ransformers-4.57.6.dist-info
_VERSION = r"-(\d[^-\\/]*)\.dist-info\Z"
#: damaged files that are shown of one package
SHOWN = 3


class _Patient(msgspec.Struct):
    """What is known of one package: all descriptions of it in its folder, and its files under each of them."""

    name: str
    entries: list[Distribution]
    files: list[PackageFiles]

    @property
    def first(self) -> Distribution:
        return next((entry for entry in self.entries if not entry.problem), self.entries[0])


def _broken_install(s: Snapshot, goal: Goal) -> Verdict:
    distributions = s.packages.distributions.need()
    fails: list[Fail] = []
    held = s.packages.files.maybe() or []
    for patient in _patients(distributions, held):
        trouble = _versions(s, goal, patient) or _files(s, goal, patient) or _description(s, goal, patient)
        if trouble:
            fails.append(trouble)
    fails += _orphans(s, goal)
    fails += _leftovers(s, goal)
    failure = import_failure(s, {str(fail.fields.get("package")) for fail in fails if fail.severity != "note"})
    if failure:
        fails.insert(0, failure)
    fails = _seen(s, fails)
    if fails:
        return fails
    for fact in (s.packages.files, s.packages.leftovers, s.packages.orphans):
        fact.need()
    if not distributions:
        return Skip("nothing_installed")
    checked = sum(files.checked for files in held)
    fields: dict[str, Plain] = {"packages": len(distributions), "files": checked}
    return Pass(len(distributions) + checked, [Clue(s.packages.files, checked, "whole", fields), *_harmless(s, held)])


def _patients(distributions: Sequence[Distribution], held: Sequence[PackageFiles]) -> list[_Patient]:
    patients: dict[str, _Patient] = {}
    for entry in distributions:
        if not entry.shadowed:
            patients.setdefault(entry.name, _Patient(entry.name, [], [])).entries.append(entry)
    for files in held:
        if files.name in patients:
            patients[files.name].files.append(files)
    return list(patients.values())


def _severity(s: Snapshot, goal: Goal, name: str, required: bool) -> Severity:
    """An error where what the person asked for needs the package and was not seen working in spite of it."""
    wanted = required or name in goal.packages
    return "error" if wanted and may_be_error(s) and not seen_working(s, goal, name) else "warning"


# -- what was seen failing --------------------------------------------------------------------------------------------


def _seen(s: Snapshot, fails: list[Fail]) -> list[Fail]:
    """The findings, and what failed for damage as evidence of the one that it comes from: one cause, one finding."""
    heard = 0
    for seen in failures_of(s, "broken-install"):
        if any(clue.fact is seen.fact and clue.value == seen.key for fail in fails for clue in fail.clues):
            continue
        named = [*damaged_by(s, seen), package_in(s, seen)]
        own = next((fail for name in named for fail in fails if name and fail.fields.get("package") == name), None)
        if own is None:
            fails.insert(0, _seen_alone(s, seen, next((name for name in named if name), "")))
        else:
            own.clues = [*own.clues[:heard], seen.clue(), *own.clues[heard:]]
            heard += 1
            own.basis = "observed"
            own.severity = "error" if seen.severity == "error" else own.severity
            fails.sort(key=lambda fail: fail is not own)
    return fails


def _seen_alone(s: Snapshot, seen: Seen, package: str) -> Fail:
    """A failure that only damage explains, where the lists of files show none: not every file is in one."""
    entry = s.packages.installed().get(package)
    fields: dict[str, Plain] = {"doing": seen.doing, "package": package or "a library"}
    treatment = Treatment("confirm", reinstall(s, entry)) if entry else None
    return Fail("seen_alone", seen.severity, "observed", [seen.clue()], fields, treatment)


# -- two versions at once ---------------------------------------------------------------------------------------------


def _versions(s: Snapshot, goal: Goal, patient: _Patient) -> Fail | None:
    wheels = [entry for entry in patient.entries if entry.path.lower().endswith(".dist-info")]
    if len({entry.version for entry in wheels}) < 2:
        return None
    matters = bool(patient.files)
    whole = {files.path for files in patient.files if not files.problem and not files.damaged_parts.get("code")}
    true = [entry for entry in wheels if entry.path in whole and not entry.problem]
    severity: Severity = "warning" if matters else "note"
    if matters and not true and any(files.required for files in patient.files):
        severity = _severity(s, goal, patient.name, required=True)
    keep = true[0] if len(true) == 1 else max(wheels, key=lambda entry: (not entry.problem, _order(entry.version)))
    steps = [put_away(entry.path) for entry in wheels if entry is not keep]
    if keep.path not in whole:
        steps += reinstall(s, keep, over=True)
    says = "versions_one_whole" if len(true) == 1 else "versions"
    fields: dict[str, Plain] = {
        "package": patient.name,
        "versions": " and ".join(sorted({entry.version or "(unknown)" for entry in wheels}, key=_order)),
        "version": keep.version,
    }
    clues = [
        Clue(s.packages.distributions, entry.path, "description", {"path": entry.path, "version": entry.version})
        for entry in wheels
    ]
    return Fail(says, severity, "derived", clues, fields, Treatment("confirm", steps), examined=len(wheels))


def _order(version: str) -> tuple[tuple[int, int | str], ...]:
    """Good enough to put two releases of one package in order."""
    parts = version.replace("+", ".").replace("-", ".").split(".")
    return tuple((1, int(part)) if part.isdigit() and part.isascii() else (0, part) for part in parts)


# -- files ------------------------------------------------------------------------------------------------------------


def _files(s: Snapshot, goal: Goal, patient: _Patient) -> Fail | None:
    broken = [files for files in patient.files if files.damaged or files.altered]
    if not broken or len(broken) < len([files for files in patient.files if not files.problem]):
        return None  # another description of the same version fits
    files = broken[0]
    entry = next((entry for entry in patient.entries if entry.path == files.path), patient.first)
    code, data = files.damaged_parts.get("code", 0), files.damaged_parts.get("data", 0)
    headers = files.damaged_parts.get("headers", 0)
    severity: Severity = "note"
    if code:
        severity = _severity(s, goal, files.name, files.required)
    elif data or _same_length(files):
        severity = "warning"
    elif not headers and not _edited(files):
        return None  # tests, type stubs and documentation stop nothing
    count = code + data + headers if files.damaged else files.altered
    fields: dict[str, Plain] = {"package": files.name, "version": files.version, "count": count}
    clues = []
    for damage in files.damages[:SHOWN]:
        shown: dict[str, Plain] = {"path": damage.path, "trouble": DAMAGE_KINDS.get(damage.kind, damage.kind)}
        says = "file"
        if damage.actual_bytes is not None and damage.expected_bytes not in (None, damage.actual_bytes):
            says = "file_size"
            shown |= {"actual": damage.actual_bytes, "expected": damage.expected_bytes}
        clues.append(Clue(s.packages.files, damage.path, says, shown))
    return Fail(
        _what_is_wrong(files, code, data, headers),
        severity,
        "derived",
        clues,
        fields,
        Treatment("confirm", _cure(s, entry, files)),
        examined=max(1, files.checked),
    )


def _what_is_wrong(files: PackageFiles, code: int, data: int, headers: int) -> str:
    kinds = {damage.kind for damage in files.damages}
    if not files.damaged:
        return "edited"
    if kinds == {"unreadable"}:
        return "closed"
    if kinds == {"dangling-link"}:
        return "unlinked"
    if code and kinds == {"missing"} and code + data >= 0.9 * files.checked:
        return "gone"
    if code + data + headers == 1:
        return "one_file"
    return "files" if code or data else "headers"


def _edited(files: PackageFiles) -> bool:
    """Whether a module of Python was changed by hand.

    Libraries of another length that are whole were stripped, patched or signed by whoever packed them.
    """
    return any(damage.kind == "altered" and damage.path.endswith(".py") for damage in files.damages)


def _same_length(files: PackageFiles) -> bool:
    """Whether a library kept its length and has other bytes (--deep): a bad disk does that, no tool does it on purpose.

    Apple's codesign does, and Mach-O files are left out.
    """
    return any(
        damage.kind == "altered"
        and damage.expected_bytes == damage.actual_bytes
        and damage.part == "code"
        and not damage.path.endswith((".py", ".dylib"))
        and "-darwin." not in damage.path
        for damage in files.damages
    )


def _cure(s: Snapshot, entry: Distribution, files: PackageFiles) -> list[Step]:
    if all(damage.kind == "unreadable" for damage in files.damages):
        return [Step(says="open_up", fields={"folder": entry.path.rpartition("/")[0] or entry.path})]
    return reinstall(s, entry, over=bool(files.problem or entry.problem))


def _harmless(s: Snapshot, held: Sequence[PackageFiles]) -> list[Clue]:
    """What differs and stops nothing: shown by -v alone."""
    clues = []
    for files in held:
        count = files.damaged + files.altered
        if count:
            fields: dict[str, Plain] = {"package": files.name, "count": count}
            clues.append(Clue(s.packages.files, count, "harmless", fields))
    return clues


# -- the description: .dist-info --------------------------------------------------------------------------------------


def _description(s: Snapshot, goal: Goal, patient: _Patient) -> Fail | None:
    entry = patient.first
    matters = bool(patient.files)
    if entry.problem:
        needs = s.packages.transformers_needs.maybe()
        severity: Severity = "warning" if matters else "note"
        says = "undescribed"
        if entry.problem == "oversized":
            pass  # it takes Python long to read, and works
        elif needs is not None and entry.name in needs.checked_at_import:
            says, severity = "undescribed_checked", _severity(s, goal, entry.name, required=True)
        elif needs is not None and entry.name == "torch":
            # its import works, and that of transformers too: it just does without torch
            says, severity = "undescribed_torch", "error" if "torch" in goal.packages else "warning"
        trouble = METADATA_PROBLEMS.get(entry.problem, entry.problem)
        clue = Clue(s.packages.distributions, entry.path, "about", {"path": entry.path, "trouble": trouble})
    elif matters and patient.files[0].problem in ("no-record", "unreadable", "garbled"):
        problem = patient.files[0].problem
        if problem == "no-record" and not (entry.installer.lower().startswith(("pip", "uv")) or _in_venv(s, entry)):
            return None  # what operating systems and conda install comes without
        severity, says = "warning", "unlisted"
        trouble = RECORD_PROBLEMS[problem]
        clue = Clue(s.packages.files, entry.path, "about", {"path": entry.path, "trouble": trouble})
    else:
        return None
    fields: dict[str, Plain] = {"package": entry.name, "trouble": trouble}
    return Fail(says, severity, "derived", [clue], fields, Treatment("confirm", reinstall(s, entry, over=True)))


def _in_venv(s: Snapshot, entry: Distribution) -> bool:
    """Whether a wheel was installed into the target's own virtual environment, where only pip and its kind install."""
    folder = s.target.environment.maybe()
    is_wheel = entry.path.lower().endswith(".dist-info") and not entry.installer
    return bool(folder and is_wheel and entry.path.startswith(folder) and s.target.kind.maybe() in VENVS)


# -- folders that no description belongs to ---------------------------------------------------------------------------


def _orphans(s: Snapshot, goal: Goal) -> list[Fail]:
    needs = s.packages.transformers_needs.maybe()
    checked = needs.checked_at_import if needs else []
    fails = []
    for orphan in s.packages.orphans.maybe() or ():
        fields: dict[str, Plain] = {"package": orphan.package, "path": orphan.path}
        severity: Severity = "warning"
        if not orphan.importable:
            says = "remains"
            steps = [put_away(orphan.path)]
        else:
            says = "orphan"
            steps = []
            if orphan.package in checked:
                says, severity = "orphan_checked", _severity(s, goal, orphan.package, required=True)
        steps += _by_its_name(s, goal, orphan.package, orphan.path)
        clue = Clue(s.packages.orphans, orphan.path, "folder", fields)
        fails.append(Fail(says, severity, "derived", [clue], fields, Treatment("confirm", steps)))
    return fails


def _leftovers(s: Snapshot, goal: Goal) -> list[Fail]:
    leftovers = s.packages.leftovers.maybe() or []
    if not leftovers:
        return []
    installed = s.packages.installed()
    fails = []
    for name in goal.packages:
        halves = [leftover for leftover in leftovers if leftover.package == name]
        if halves and name not in installed:
            clues = [Clue(s.packages.leftovers, half.path, "folder", {"path": half.path}) for half in halves]
            steps = [*(put_away(half.path) for half in halves), *_by_its_name(s, goal, name, halves[0].path, halves)]
            severity: Severity = "error" if may_be_error(s) else "warning"
            treatment = Treatment("confirm", steps)
            fails.append(Fail("half_removed", severity, "derived", clues, {"package": name}, treatment))
            leftovers = [leftover for leftover in leftovers if leftover not in halves]
    if leftovers:
        clues = [Clue(s.packages.leftovers, left.path, "folder", {"path": left.path}) for left in leftovers[:SHOWN]]
        steps = [put_away(left.path) for left in leftovers]
        fields: dict[str, Plain] = {"count": len(leftovers)}
        says = "leftovers" if len(leftovers) > 1 else "leftover"
        fails.append(Fail(says, "note", "derived", clues, fields, Treatment("safe", steps), len(leftovers)))
    return fails


def _by_its_name(s: Snapshot, goal: Goal, name: str, path: str, halves: Sequence[Leftover] = ()) -> list[Step]:
    """Install what has lost its description: in its own version where some file still tells it, else in one that the
    others ask for."""
    version = next((match[1] for half in halves if (match := re.search(_VERSION, half.path))), "")
    needs, build = s.packages.transformers_needs.maybe(), s.packages.torch_build.maybe()
    if not halves and name == "transformers" and needs is not None:
        version = needs.version
    elif not halves and name == "torch" and build is not None:
        version = build.version
    asked = "" if version else _asked(s, goal, name)
    return reinstall(s, Distribution(name, version, path), over=True, asked=asked)


def _asked(s: Snapshot, goal: Goal, name: str) -> str:
    if not s.target.interpreter.known:
        return ""
    specifiers = [ask.specifier for ask in closure_of(s, goal.packages).asks if ask.name == name and ask.specifier]
    return joined(specifiers) if can_all_hold(specifiers) else ""


BROKEN_INSTALL = Condition(
    id="broken-install",
    family="installation",
    title="An installed package is not whole",
    reads=("packages", "target", "smoke", "settings"),
    detect=_broken_install,
    words={
        **WORDS,
        **IMPORT_WORDS,
        **SEEN_WORDS,
        "seen_alone": "{package} is damaged: {doing} fails as only a damaged file makes it fail",
        "nothing_installed": "nothing is installed",
        "whole": "{packages} packages are described soundly and {files} files are there as they were installed",
        "harmless": "{count} files of {package} differ from what was installed; none of them stops anything",
        "one_file": "{package} {version} is damaged: one of its files is not as it was installed",
        "files": "{package} {version} is damaged: {count} of its files are not as they were installed",
        "gone": "{package} {version} is listed as installed, but its files are gone",
        "closed": "{package} {version} cannot be used: {count} of its files cannot be read",
        "unlinked": "{package} {version} is damaged: {count} of its files are links to something that is gone",
        "headers": "{count} header files of {package} {version} are missing: torch.compile needs them",
        "edited": "{package} {version} was changed after it was installed ({count} files)",
        "file": "{path} {trouble}",
        "file_size": "{path} {trouble}: it has {actual} bytes and had {expected}",
        "versions": "{package} is installed in several versions at once: {versions}",
        "versions_one_whole": "{package} {version} is installed, but the description of another is left: {versions}",
        "description": "{path} describes version {version}",
        "undescribed": "the version of {package} cannot be told: {trouble}",
        "undescribed_checked": "transformers stops at import, since the version of {package} cannot be told: {trouble}",
        "undescribed_torch": "transformers takes torch for not installed, since its version cannot be told: {trouble}",
        "unlisted": "{package} cannot be upgraded or removed by pip: {trouble}",
        "about": "{path}: {trouble}",
        "remains": "a folder {package} without code is left in site-packages: import finds it instead of the package",
        "orphan": "{package} is there, but pip does not know it: its .dist-info folder is missing",
        "orphan_checked": "transformers stops at import, since {package} has lost its .dist-info folder",
        "folder": "{path}",
        "half_removed": "{package} is not installed: its removal or upgrade was interrupted half-way",
        "leftover": "a folder is left of an interrupted or blocked removal; pip warns about it at each start",
        "leftovers": "{count} folders are left of interrupted or blocked removals; pip warns about them at each start",
        "open_up": "give your user the right to read the files below {folder}",
    },
)
