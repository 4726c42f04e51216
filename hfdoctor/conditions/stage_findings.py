"""A condition that a failed stage speaks of fails, and by observation: whatever the files and tables suggest.

Where the condition has a finding of its own, what was seen stands first in its evidence; where it has none, it says
what the stage said, with the way out that helps whoever meets these words.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import msgspec

from ..facts.fact import FactMissing
from ..facts.sections.smoke import StageRun
from ..facts.snapshot import Snapshot
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Unknown, Verdict
from .seen_stages import WORDS, Seen, cause_of, failures_of, shadowing
from .stage_remedies import REMEDIES, Remedy
from .told_packages import known_from_text

#: the templates that are added to a condition's own: the summary, and the ways out by their number
SUMMARY, WAY = "stage_says", "way_{}"
#: what these find by themselves is about other places than the one that a stage met
OF_OTHER_PLACES = frozenset({"cache-corrupt", "git-lfs-pointer", "disk-full", "permission-denied", "shared-memory"})


def with_stages(condition: Condition) -> Condition:
    """The condition as the catalogue has it: it hears the stages, if there are words by which it can be known."""
    remedy = REMEDIES.get(condition.id)
    if remedy is None:
        return condition
    detect = condition.detect

    @functools.wraps(detect)
    def judge(s: Snapshot, goal: Goal) -> Verdict:
        seen = next(failures_of(s, condition.id), None)
        if seen is None or known_from_text(s) or s.described:  # a text has its own rules
            return detect(s, goal)
        try:
            return _heard(condition, remedy, s, seen, detect(s, goal))
        except FactMissing:
            return _said(condition, remedy, s, seen)

    words = {SUMMARY: remedy.summary, **{WAY.format(n): way.text for n, way in enumerate(remedy.ways)}, **WORDS}
    reads = tuple(dict.fromkeys((*condition.reads, "packages", "smoke", "target")))
    return msgspec.structs.replace(condition, detect=judge, words={**words, **condition.words}, reads=reads)


def taken_up(s: Snapshot, goal: Goal, stage: StageRun) -> str:
    """The id of the condition that fails for a failed stage; "" if none does, and the stage must speak for itself.

    That a condition is known to be the one is not enough: where facts are missing it may have no answer.
    """
    from .catalogue import CATALOGUE
    from .engine import examine

    told = cause_of(s, stage)
    condition = next((one for one in CATALOGUE if one.id == told), None)
    if condition is None:
        return ""
    return told if any(finding.outcome == "fail" for finding in examine(condition, s, goal)) else ""


def _heard(condition: Condition, remedy: Remedy, s: Snapshot, seen: Seen, verdict: Verdict) -> Verdict:
    fails: list[Fail] = []
    if isinstance(verdict, Fail):
        fails = [verdict]
    elif not isinstance(verdict, (Pass, Skip, Unknown)):
        fails = list(verdict)
    if any(clue.fact is seen.fact for fail in fails for clue in fail.clues):
        return verdict  # it has taken it up itself
    own = None if condition.id in OF_OTHER_PLACES else _about(s, seen, fails)
    if own is None:
        return [_said(condition, remedy, s, seen), *fails]
    stronger = Fail(
        own.says,
        seen.severity if own.severity != "error" else "error",
        "observed",
        [seen.clue(), *own.clues],
        own.fields,
        own.treatment,
        own.examined + 1,
    )
    return [stronger, *(fail for fail in fails if fail is not own)]


def _about(s: Snapshot, seen: Seen, fails: Sequence[Fail]) -> Fail | None:
    """The finding that a failure belongs to: of several the one that names its file, else the first."""
    path = shadowing(s, seen)
    return next((fail for fail in fails if path and fail.fields.get("path") == path), fails[0] if fails else None)


def _said(condition: Condition, remedy: Remedy, s: Snapshot, seen: Seen) -> Fail:
    """The finding of a condition that sees no reason of its own."""
    fields: dict[str, Plain] = {"doing": seen.doing, "message": seen.line(), "package": seen.package or "a library"}
    fields["path"] = shadowing(s, seen) or seen.file
    steps = []
    for number, way in enumerate(remedy.ways):
        try:
            argv = way.command(s, seen) if way.command else []
        except FactMissing:
            argv = []
        if argv or way.command is None:
            says = WAY.format(number)
            steps.append(Step(argv, says, fields, administrator=way.administrator, network=bool(argv)))
    treatment = Treatment(remedy.fix_class, steps) if steps else None
    clues: list[Clue] = [seen.clue()]
    return Fail(SUMMARY, seen.severity, "observed", clues, fields, treatment)
