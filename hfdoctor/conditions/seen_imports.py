"""What ``--deep`` saw when the target imported the packages: it outweighs what the files suggest."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..facts.sections.packages import Distribution
from ..facts.snapshot import Snapshot
from .model import Clue, Fail, Goal, Plain, Treatment
from .reinstall import reinstall
from .seen_stages import Seen, cause, failures

WORDS: Mapping[str, str] = {
    "import_fails": "importing {package} fails: {error}",
    "import_crashes": "importing {package} kills Python: {error}",
    "import_hangs": "importing {package} does not end within {seconds} seconds",
    "import_message": "{error}: {message}",
}


def seen_working(s: Snapshot, goal: Goal, package: str) -> bool:
    """Whether ``package``, or all that the goal asks for and that leans on it, was seen being imported."""
    if s.packages.imported(package):
        return True
    return bool(goal.packages) and all(s.packages.imported(name) for name in goal.packages)


def may_be_error(s: Snapshot) -> bool:
    """False where imports were tried and nothing is known of how they went: what they showed might acquit."""
    return s.packages.imports.status in ("known", "not-run", "absent")


def import_failure(s: Snapshot, accused: Collection[str]) -> Fail | None:
    """The first import of ``--deep`` that failed for a reason that no other finding gives.

    ``accused`` are the packages already called broken: their imports fail for that. An import that a run of the stages
    tried has a finding of that run.
    """
    if s.smoke.stages.status not in ("known", "not-run"):
        return None  # these may be the imports of that run, of which more is to be said
    installed = s.packages.installed()
    for seen in failures(s):
        if seen.fact is not s.packages.imports or seen.error in ("not-tried", "not-started"):
            continue
        if accused or cause(s, seen) not in ("", "broken-install"):
            return None  # what comes after the first failure usually follows from it
        return _fails(seen, s, installed)
    return None


def _fails(seen: Seen, s: Snapshot, installed: Mapping[str, Distribution]) -> Fail:
    trial = next(trial for trial in s.packages.imports.need() if trial.package == seen.key)
    fields: dict[str, Plain] = {"package": seen.package, "error": seen.error, "seconds": round(trial.seconds)}
    says = "import_fails"
    if seen.error == "timeout":
        says = "import_hangs"
    elif seen.died:
        says = "import_crashes"
    message = seen.message or (seen.printed or [""])[-1]
    shown: dict[str, Plain] = {"error": seen.error, "message": " ".join(message.split())[:200]}
    entry = installed.get(seen.package)
    return Fail(
        says,
        "error" if seen.package in ("transformers", "torch", "numpy", "tokenizers", "safetensors") else "warning",
        "observed",
        [Clue(seen.fact, seen.key, "import_message", shown)],
        fields,
        Treatment("confirm", reinstall(s, entry)) if entry and seen.error != "timeout" else None,
    )
