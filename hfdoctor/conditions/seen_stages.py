"""What was seen failing: the stages of ``smoke``, and the imports of ``--deep``; and which condition each speaks of.

A failed import of a run is both a stage and an import trial (smoke/probe.py): it is one failure here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import msgspec

from ..facts.fact import Fact
from ..facts.sections.packages import ImportTrial
from ..facts.sections.smoke import StageRun
from ..facts.snapshot import Snapshot
from . import seen_hub
from .closure import FAMILY
from .model import Clue, Pass, Plain, Severity
from .requirement_lines import normalised

#: the templates for what was seen; a condition that shows it takes these into its words
WORDS: Mapping[str, str] = {
    "stage_failed": "{doing} failed: {message}",
    "stage_died": "{doing} ended Python: {message}",
}
#: stages whose failure stops nothing that was asked for
OPTIONAL = ("compile",)
#: what other conditions of the run say of a stage by its error alone
BY_ERROR: Mapping[str, str] = {"wrong result": "wrong-results", "framework dropped": "framework-dropped"}
#: ends that a damaged library brings about, where one is known to be damaged
_CRASHES = (
    "signal SIGSEGV",
    "signal SIGBUS",
    "signal SIGABRT",
    "exit 0xC0000005",
    "exit 0xC0000006",
    "exit 0xC0000409",
)
_NO_MODULE = r"No module named '([\w.]+)'"
_NO_DISTRIBUTION = r"The '([\w.-]+)[^']*' distribution was not found"
_WANTED = r"\brequires `?([A-Za-z][\w-]*)(?:[<>=]=?[\w.]+)?`?"
_NAMED = r"([\w.-]+)[^\n]* is required for a normal functioning of this module, but found "


class Seen(msgspec.Struct, frozen=True):
    """A failure: ``fact`` is the evidence, ``doing`` the subject of a sentence ("importing torch", "the stage train").

    ``package`` is what was being imported, "" where nothing was; ``stage`` is the stage's name.
    """

    fact: Fact[Any]
    key: str
    doing: str
    package: str
    stage: str
    error: str
    message: str
    printed: list[str]
    trace: list[str] = []
    #: where the imported module lies, and the package that a stage found missing; "" where that is not known
    file: str = ""
    lacks: str = ""

    @property
    def died(self) -> bool:
        """Whether Python itself ended."""
        return self.error.startswith(("signal ", "exit "))

    @property
    def text(self) -> str:
        """All that was said: error, message, and what was printed."""
        return "\n".join((f"{self.error}: {self.message}", *self.printed))

    @property
    def words(self) -> str:
        """What is to be judged: error and message, and of a process that died what it said last."""
        from .seen_signs import last_words

        said = f"{self.error}: {self.message}"
        return "\n".join((said, *last_words(self.printed))) if self.died else said

    @property
    def severity(self) -> Severity:
        """An error, save in a stage that nobody needs."""
        return "warning" if self.stage in OPTIONAL else "error"

    def line(self, pattern: str = "") -> str:
        """One line of what was said: the one with ``pattern``, else the one by which it is known, else the first."""
        if not pattern and (not self.message.strip() or "\n" in self.message.strip()):
            from .seen_signs import sign_of

            sign = sign_of(self.error, self.message, self.printed, self.stage)
            pattern = sign.pattern if sign else ""
        lines = [line for line in self.text.splitlines() if pattern and re.search(pattern, line)]
        if self.died:
            last = lines[0] if lines and not lines[0].startswith(self.error) else self.message
            said = f"{self.error}: {last}" if last else self.error
        else:
            said = lines[0] if lines else self.message or self.error
        return " ".join(said.split())[:200]

    def clue(self, pattern: str = "") -> Clue:
        """The evidence, in the words of WORDS."""
        fields: dict[str, Plain] = {"doing": self.doing, "message": self.line(pattern)}
        return Clue(self.fact, self.key, "stage_died" if self.died else "stage_failed", fields)


def speaks_of(seen: StageRun | ImportTrial) -> str:
    """The id of the condition that a failure speaks of by its own words; "" if it fits none, or did not fail."""
    from .seen_signs import condition_for  # the signs are many, and only needed where something failed

    if isinstance(seen, ImportTrial):
        return "" if seen.ok else condition_for(seen.error, seen.message, seen.stderr.splitlines(), "import")
    if seen.outcome != "fail":
        return ""
    if about := seen_hub.speaks_of(seen):
        return about
    if seen.name == "import" and seen.error == "not installed":
        return _not_installed(seen.subject)
    return BY_ERROR.get(seen.error) or condition_for(seen.error, seen.message, seen.printed, seen.name)


def _not_installed(package: str) -> str:
    """What a person asked for by name is told as such; the others are what those require."""
    from .smoke_stages import ASKED_FOR

    return "not-installed" if package in ASKED_FOR else "dependency-conflict"


def failures(s: Snapshot) -> list[Seen]:
    """Everything that was seen failing, each once, imports first; what stopped a download has conditions of its own."""
    stages = [stage for stage in s.smoke.failed() if not seen_hub.speaks_of(stage)]
    told = {stage.subject for stage in stages if stage.name == "import"}
    trials = [one for one in s.packages.imports.maybe() or () if not one.ok and one.package not in told]
    return [
        *(_of_stage(s, stage) for stage in stages if stage.name == "import"),
        *(_of_trial(s, trial) for trial in trials),
        *(_of_stage(s, stage) for stage in stages if stage.name != "import"),
    ]


def failures_of(s: Snapshot, condition: str) -> Iterator[Seen]:
    """What was seen failing for the reason that ``condition`` is about."""
    return (seen for seen in failures(s) if cause(s, seen) == condition)


def first_of(s: Snapshot, condition: str) -> Seen | None:
    """The first failure that ``condition`` is about."""
    return next(failures_of(s, condition), None)


def ran(s: Snapshot, *stages: str) -> Pass | None:
    """A pass for what ran: all, or those of ``stages`` ("model", "device cuda"); None where nothing of it was run.

    ``device cuda`` stands for each of its kind. Raises FactMissing where it is not known how the run went.
    """
    if s.smoke.stages.status == "not-run":
        return None
    done = [stage.key for stage in s.smoke.stages.or_absent() or () if stage.outcome != "skip"]
    done = [key for key in done if not stages or key.partition(":")[0] in stages]
    return Pass(len(done), [Clue(s.smoke.stages, done)]) if done else None


def _of_stage(s: Snapshot, stage: StageRun) -> Seen:
    package = stage.subject if stage.name == "import" else ""
    doing = f"importing {package}" if package else f"the stage {stage.key}"
    return Seen(
        s.smoke.stages,
        stage.key,
        doing,
        package,
        stage.name,
        stage.error,
        stage.message,
        stage.printed,
        stage.trace,
        str(stage.facts.get("file") or ""),
        str(stage.facts.get("package") or ""),
    )


def _of_trial(s: Snapshot, trial: ImportTrial) -> Seen:
    package, _, use = trial.package.partition(".")
    doing = f"using {package} with {use}" if use else f"importing {package}"
    lines = trial.stderr.splitlines()
    return Seen(s.packages.imports, trial.package, doing, package, "import", trial.error, trial.message, lines)


# -- what the words alone do not tell ---------------------------------------------------------------------------------


def cause_of(s: Snapshot, stage: StageRun) -> str:
    """The id of the condition that explains a failed stage on this machine; "" if none does."""
    if stage.outcome != "fail":
        return ""
    return seen_hub.speaks_of(stage) or cause(s, _of_stage(s, stage))


def cause(s: Snapshot, seen: Seen) -> str:
    """The id of the condition that explains a failure, by its words and by what else is known of the machine."""
    from .seen_signs import condition_for

    if shadowing(s, seen):
        return "module-shadowed"
    if _names_damage(s, seen):
        return "broken-install"
    said = BY_ERROR.get(seen.error) or condition_for(seen.error, seen.message, seen.printed, seen.stage)
    if seen.error == "not installed" and seen.stage == "import":
        return _not_installed(seen.package)
    if said == "version-skew" and (match := re.search(_NAMED, seen.message)):
        return "version-skew" if normalised(match[1]) in FAMILY else "dependency-conflict"
    if said in ("missing-optional-dependency", "dependency-conflict"):
        return _whose(s, seen) or said
    if said:
        return said
    if seen.error == "signal SIGKILL" and (s.smoke.oom_kills.maybe() or 0) > 0:
        return "out-of-memory"
    return "broken-install" if _from_damage(s, seen) else ""


def _whose(s: Snapshot, seen: Seen) -> str:
    """Whose it is that a module or distribution is not found: a damaged package's, a declared requirement's, or ""."""
    from .closure import closure_of, damaged_names
    from .optional_packages import DISTRIBUTION_OF

    wanted = re.search(_WANTED, seen.message)
    if wanted and s.packages.distributions.known and normalised(wanted[1]) in s.packages.installed():
        return "version-skew"  # it is there, in a version that is too old
    match = re.search(_NO_DISTRIBUTION, seen.message) or re.search(_NO_MODULE, seen.message)
    if match is None or not s.packages.distributions.known:
        return ""
    module = match[1].partition(".")[0]
    name = DISTRIBUTION_OF.get(module.lower(), normalised(module))
    if name in s.packages.installed() or name in damaged_names(s):
        return "broken-install"
    if not s.target.interpreter.known:
        return ""
    declared = {ask.name for ask in closure_of(s, ("transformers", "torch")).asks}
    return "dependency-conflict" if name in declared else ""


def _names_damage(s: Snapshot, seen: Seen) -> bool:
    """Whether the message names a file that is known to be damaged, or an edited module stands in the trace."""
    where = "\n".join((seen.message, *seen.trace)).replace("\\", "/")
    return any(
        (damage.part == "code" and not damage.path.endswith("__init__.py") and _file_of(damage.path) in seen.message)
        or (damage.path.endswith(".py") and f"/{damage.path}" in where)
        for files in s.packages.files.maybe() or ()
        for damage in files.damages
    )


def _file_of(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _from_damage(s: Snapshot, seen: Seen) -> bool:
    """Whether a failure that says nothing of its cause comes from a package whose files are known to be damaged."""
    if not damaged_by(s, seen):
        return False
    return seen.error.startswith(_CRASHES) or not seen.error.startswith(("signal", "exit", "timeout", "no", "wrong"))


def damaged_by(s: Snapshot, seen: Seen) -> list[str]:
    """The packages with damaged code that a failure leads through, those it names first."""
    where = "\n".join((*seen.trace, seen.message, *seen.printed)).replace("\\", "/")
    broken = [
        files.name
        for files in s.packages.files.maybe() or ()
        if files.damaged_parts.get("code")
        or any(one.path.endswith(".py") and f"/{one.path}" in where for one in files.damages)
    ]
    named = [name for name in broken if name == seen.package or f"/{name.replace('-', '_')}/" in where]
    needed = [files.name for files in s.packages.files.maybe() or () if files.name in broken and files.required]
    return list(dict.fromkeys([*named, *(needed if seen.package or seen.died else [])]))


def package_in(s: Snapshot, seen: Seen) -> str:
    """The installed package that a failure names by a path in site-packages, or whose import it is; "" for none."""
    installed = s.packages.installed()
    where = "\n".join((seen.message, *seen.printed, *reversed(seen.trace)))
    named = re.findall(r"[/\\](?:site|dist)-packages[/\\](\w+)", where)
    missed = re.findall(r"(?:No module named|cannot import name '\w+' from) '(\w+)", seen.message)
    return next((name for one in (*missed, *named, seen.package) if (name := normalised(one)) in installed), "")


def shadowing(s: Snapshot, seen: Seen) -> str:
    """The file of the person's own that a failure came from; "" if none is named, or if that is what was wanted."""
    shadows = [one for one in s.target.shadows.maybe() or () if not one.version]
    sources = {one.name for one in s.packages.distributions.maybe() or () if one.editable}
    said = [seen.message, *seen.trace]
    for one in shadows:
        if normalised(one.module) in sources:
            continue
        folder = one.path if one.kind == "package" else ""
        if _lies_in(seen.file, one.path) or any(_names(line, one.path, bool(folder)) for line in said):
            return one.path
    return ""


def _lies_in(file: str, path: str) -> bool:
    flavour = PureWindowsPath if re.match(r"[A-Za-z]:|\\\\", path) else PurePosixPath
    return bool(file) and flavour(file).is_relative_to(flavour(path))


def _names(text: str, path: str, folder: bool) -> bool:
    """Whether a path stands in a text as a whole, or is the beginning of one if it is a folder's."""
    end = r"[\\/]" if folder else r"(?![\w.\\/-])"
    return bool(re.search(r"(?<![\w\\/])" + re.escape(path) + end, text))
