"""Whether this machine carries the compiled packages: its C library, and what its processor can do."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence

from ..facts.sections.native import LinkProblem
from ..facts.sections.packages import Distribution
from ..facts.sections.target import Interpreter
from ..facts.snapshot import Snapshot
from .closure import closure_of
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .requirement_lines import fits
from .seen_imports import may_be_error
from .seen_stages import Seen, first_of

_GLIBC_TAG = r"-manylinux_(\d+)_(\d+)_\w+\Z"
_MUSL_TAG = r"-musllinux_(\d+)_(\d+)_\w+\Z"
#: the names before PEP 600, and the glibc that each stands for
_OLD_TAGS = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_GLIBC_MESSAGE = r"version `((?:GLIBC(?:XX)?|CXXABI)_[\d.]+)' not found(?: \(required by ([^)]*)\))?"


# -- glibc-too-old ----------------------------------------------------------------------------------------------------


def _glibc(s: Snapshot, goal: Goal) -> Verdict:
    if s.machine.os.need().system != "linux":
        return Skip("not_linux")
    seen = first_of(s, "glibc-too-old")
    if seen:
        return _glibc_seen(s, seen)
    lacking = [] if s.packages.imported("torch") else _lacking_versions(s)
    if lacking:
        return _glibc_derived(s, lacking)
    told = s.target.interpreter.need()
    libc = s.machine.libc.need()
    family = _family(told, libc.family)
    have = _numbers(libc.version)
    # an interpreter that brings its own C library (musl on a glibc system) says nothing of that one's version
    if family == "glibc" and (libc.family != "glibc" or have is None):
        return Unknown("no_version", {"family": family, "version": libc.version})
    bad = []
    looked_at = 0
    for entry in _compiled(s, goal):
        needs = _needs(entry)
        if needs is None:
            continue
        looked_at += 1
        if s.packages.imported(entry.name):
            continue
        if entry.name == "torch" and family == needs[0] == "glibc" and s.native.linkage.known:
            continue  # its files were read, and they get what they ask for, whatever the tags say
        other, least = needs
        if other != family or (family == "glibc" and have is not None and least > have):
            bad.append((entry, other, least))
    if bad:
        return _glibc_fail(s, bad, family, libc.version)
    if looked_at and all(s.packages.installed().get(name) for name in goal.packages):
        return Pass(looked_at, [Clue(s.machine.libc, f"{libc.family} {libc.version}")])
    return _before_installing(s, goal, told, have if family == "glibc" else None, looked_at)


def _lacking_versions(s: Snapshot) -> list[LinkProblem]:
    """What torch's own files ask of the C and C++ libraries and do not get: a version of one, or all of it."""
    linkage = s.native.linkage.maybe()
    found = []
    for one in linkage.problems if linkage else ():
        # the loader of glibc names the library before the version
        version = one.wanted.rpartition(" ")[2]
        of_libc = one.kind == "version" and version.startswith(("GLIBC_", "GLIBCXX_", "CXXABI_", "GCC_"))
        if of_libc or (one.kind == "missing" and one.needs in ("libstdc++.so.6", "libgcc_s.so.1")):
            found.append(one)
    return found


def _glibc_derived(s: Snapshot, lacking: Sequence[LinkProblem]) -> Fail:
    clues = []
    for one in lacking[:8]:
        row: dict[str, Plain] = {"library": one.library, "wanted": one.wanted or one.needs, "found": one.found}
        row["found_by"] = one.found_by or "the loader"
        clues.append(Clue(s.native.linkage, f"{one.library}: {row['wanted']}", "asks" if one.found else "no_file", row))
    libc = s.machine.libc.maybe()
    if libc is not None:
        own: dict[str, Plain] = {"family": libc.family, "version": libc.version}
        clues.append(Clue(s.machine.libc, f"{libc.family} {libc.version}", "libc_is", own))
    first = next((one for one in lacking if "GLIBC_" in one.wanted), lacking[0])
    step = Step(says="newer_system" if "GLIBC_" in first.wanted else "newer_cxx")
    fields: dict[str, Plain] = {"package": first.package, "symbol": first.wanted or first.needs}
    hard = any(one.package == "torch" or one.package.startswith("nvidia-") for one in lacking)
    severity: Severity = "error" if hard and may_be_error(s) else "warning"
    return Fail("not_found", severity, "derived", clues, fields, Treatment("print-only", [step]), len(lacking))


def _compiled(s: Snapshot, goal: Goal) -> Iterable[Distribution]:
    """The installed distributions that transformers and torch need, sorted by name."""
    installed = s.packages.installed()
    members = closure_of(s, goal.packages).members
    return [installed[name] for name in sorted(members) if not installed[name].problem]


def _needs(entry: Distribution) -> tuple[str, tuple[int, int]] | None:
    """The C library that the wheel's tags name and the least version of it; None where they name none.

    A wheel with several tags runs where the least demanding of them does.
    """
    glibc = [found for tag in entry.tags if (found := _glibc_of(tag))]
    if glibc:
        return "glibc", min(glibc)
    musl = [(int(match[1]), int(match[2])) for tag in entry.tags if (match := re.search(_MUSL_TAG, tag))]
    return ("musl", min(musl)) if musl else None


def _glibc_of(tag: str) -> tuple[int, int] | None:
    match = re.search(_GLIBC_TAG, tag)
    if match:
        return int(match[1]), int(match[2])
    return next((least for name, least in _OLD_TAGS.items() if f"-{name}_" in tag), None)


def _family(told: Interpreter, machine: str) -> str:
    """The C library of the interpreter itself, which what it loads has to share."""
    if told.soabi.endswith("-musl"):
        return "musl"
    if told.soabi.endswith(("-gnu", "-gnueabihf")):
        return "glibc"
    return machine


def _numbers(version: str) -> tuple[int, int] | None:
    match = re.match(r"(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else None


def _glibc_fail(
    s: Snapshot, bad: Sequence[tuple[Distribution, str, tuple[int, int]]], family: str, version: str
) -> Fail:
    fields: dict[str, Plain] = {"family": family, "version": version}
    clues = []
    for entry, other, least in bad[:8]:
        needed = f"{other} {least[0]}.{least[1]}"
        row: dict[str, Plain] = {"package": entry.name, "package_version": entry.version, "needed": needed}
        clues.append(Clue(s.packages.distributions, f"{entry.name}: {', '.join(entry.tags)}", "built_for", row))
    clues.append(Clue(s.machine.libc, f"{family} {version}", "libc_is", fields))
    entry, other, least = max(bad, key=lambda one: one[2])
    fields |= {"package": entry.name, "needed": f"{other} {least[0]}.{least[1]}"}
    says = "too_old" if other == family else "other_libc"
    step = Step(says="newer_system" if other == family else "own_wheels", fields=fields)
    severity: Severity = "error" if may_be_error(s) else "warning"
    return Fail(says, severity, "derived", clues, fields, Treatment("print-only", [step]), len(bad))


def _glibc_seen(s: Snapshot, seen: Seen) -> Fail:
    match = re.search(_GLIBC_MESSAGE, seen.text)
    lacking = re.search(r"lib(?:stdc\+\+|gcc_s)\.so\.\d+|ld-linux[\w.-]*", seen.text)
    fields: dict[str, Plain] = {
        "doing": seen.doing,
        "symbol": match[1] if match else lacking[0] if lacking else "a newer GLIBC",
        "message": " ".join(match[0].split())[:200] if match else seen.line(),
    }
    clue = Clue(seen.fact, seen.key, "seen", fields)
    # GLIBCXX is the C++ library's, which an environment can bring along
    says = "newer_cxx" if re.match(r"GLIBCXX|CXXABI|lib", str(fields["symbol"])) else "newer_system"
    treatment = Treatment("print-only", [Step(says=says, fields=fields)])
    return Fail("seen_not_found", seen.severity, "observed", [clue], fields, treatment)


def _before_installing(
    s: Snapshot, goal: Goal, told: Interpreter, glibc: tuple[int, int] | None, looked_at: int
) -> Verdict:
    """What is still to be installed: whether the published wheels want a newer glibc (table)."""
    from ..knowledge.wheels import Interpreter as Described
    from ..knowledge.wheels import wheels_for

    missing = [name for name in goal.packages if name not in s.packages.installed()]
    if glibc is None or not missing or told.implementation != "cpython":
        return Pass(looked_at, [Clue(s.machine.libc)]) if looked_at else Skip("nothing_compiled")
    described = Described(
        python=tuple(told.version_info),
        os="linux",
        machine=told.machine or s.machine.architecture.need(),
        bits=told.bits,
        free_threaded=told.free_threaded,
        glibc=glibc,
    )
    # a recording without a date is taken to be as old as the tables
    today = datetime.date.fromisoformat(s.taken_at[:10]) if s.taken_at else datetime.date.min
    answers = [wheels_for(name, described, today=today) for name in missing]
    blocked = [answer for answer in answers if answer.blocked_by == "glibc-too-old"]
    if not blocked:
        return Pass(looked_at + len(answers), [Clue(s.machine.libc)])
    fields: dict[str, Plain] = {"version": f"{glibc[0]}.{glibc[1]}", "family": "glibc"}
    clues = [Clue(s.machine.libc, f"glibc {glibc[0]}.{glibc[1]}", "libc_is", fields)]
    for answer in blocked:
        row: dict[str, Plain] = {
            "package": answer.package,
            "newest": answer.newest,
            "platforms": ", ".join(answer.platforms),
            "release": answer.release or "none",
            "source": answer.source,
            "as_of": answer.as_of,
        }
        clues.append(Clue(s.machine.libc, answer.package, "row", row))
    fields |= {"packages": " and ".join(answer.package for answer in blocked)}
    treatment = Treatment("print-only", [Step(says="newer_system", fields=fields)])
    return Fail("no_wheel", "warning", "table", clues, fields, treatment, len(blocked))


# -- illegal-instruction ----------------------------------------------------------------------------------------------

#: the features that the observation looks for on every system; what else a table names cannot be told to be missing
OBSERVED_FEATURES = frozenset({"ssse3", "sse4_1", "sse4_2", "avx", "avx2"})


def _illegal_instruction(s: Snapshot, goal: Goal) -> Verdict:
    seen = first_of(s, "illegal-instruction")
    if seen:
        fields: dict[str, Plain] = {"doing": seen.doing, "package": seen.package or "torch", "error": seen.error}
        clues = [Clue(seen.fact, seen.key, "killed", fields)]
        features = s.machine.cpu_features.maybe()
        if features is not None:
            clues.append(Clue(s.machine.cpu_features, features, "cpu_has", {"features": ", ".join(features)}))
        treatment = Treatment("print-only", [Step(says="other_build", fields=fields)])
        return Fail("kills", seen.severity, "observed", clues, fields, treatment)
    told = s.target.interpreter.need()
    if (told.machine or s.machine.architecture.need()).lower() not in ("x86_64", "amd64"):
        return Skip("not_x86")
    from ..knowledge.baselines import cpu_baseline

    installed = s.packages.installed()
    members = sorted({*closure_of(s, goal.packages).members} | ({"tensorflow"} & set(installed)))
    rows = [(installed[name], cpu_baseline(name, installed[name].version, "x86_64")) for name in members]
    known = [(entry, row) for entry, row in rows if row is not None and row.verified]
    if not known:
        return Skip("nothing_known")
    features = s.machine.cpu_features.need()
    if not any(feature.startswith(("sse", "ssse", "pni", "avx")) for feature in features):
        return Unknown("other_features")  # an Intel Python that is translated on an ARM machine
    for entry, row in known:
        lacking = sorted(set(row.features) & OBSERVED_FEATURES - set(features))
        # other makers build for other processors
        if not lacking or entry.installer.lower().startswith("conda") or s.packages.imported(entry.name):
            continue
        fields = {
            "package": entry.name,
            "version": entry.version,
            "lacking": ", ".join(lacking),
            "source": row.source,
            "as_of": row.as_of.isoformat(),
        }
        clues = [
            Clue(s.machine.cpu_features, features, "cpu_lacks", fields),
            Clue(s.packages.distributions, f"{entry.name} {entry.version}", "row", fields),
        ]
        treatment = Treatment("print-only", [Step(says="other_build", fields=fields)])
        return Fail("lacks", "warning", "table", clues, fields, treatment, len(known))
    return Pass(len(known), [Clue(s.machine.cpu_features)])


# -- pip-too-old ------------------------------------------------------------------------------------------------------

#: the first pip that knows the manylinux_2_28 names of today's wheels; it is history
KNOWS_WHEELS = ">=20.3"


def _pip_too_old(s: Snapshot, goal: Goal) -> Verdict:
    installed = s.packages.installed()
    missing = [name for name in goal.packages if name not in installed]
    if not missing:
        return Skip("all_there")
    version = s.target.pip.or_absent()
    if version is None:
        return Skip("no_pip")
    if s.machine.os.need().system != "linux" or fits(version, KNOWS_WHEELS) is not False:
        return Pass(1, [Clue(s.target.pip, version)])
    fields: dict[str, Plain] = {"version": version, "packages": " and ".join(missing)}
    chosen = s.target.chosen.maybe()
    python = chosen.python if chosen else "python"
    steps = [Step([python, "-m", "pip", "install", "--upgrade", "pip"], "newer_pip", network=True)]
    clues = [Clue(s.target.pip, version, "pip_is", fields)]
    return Fail("old_pip", "warning", "table", clues, fields, Treatment("confirm", steps))


GLIBC_TOO_OLD = Condition(
    id="glibc-too-old",
    family="packages",
    title="A compiled package needs another or a newer C library than this system has",
    reads=("packages", "machine", "target", "native", "smoke"),
    detect=_glibc,
    words={
        "not_linux": "only Linux has several C libraries",
        "no_version": "the version of the interpreter's C library ({family}) is not known",
        "nothing_compiled": "no compiled package is installed, and none is to be judged",
        "too_old": "{package} needs {needed}, this system has {family} {version}",
        "other_libc": "{package} was built for {needed}, this Python uses {family}",
        "no_wheel": "this system's glibc {version} is too old for the current wheels of {packages}",
        "not_found": "{package} cannot be loaded: this system lacks {symbol}",
        "asks": "{library} asks for {wanted}, and {found} (by {found_by}) does not have it",
        "no_file": "{library} asks for {wanted}, which is in no folder that the loader searches",
        "built_for": "{package} {package_version} was built for {needed} or newer, by the tags in its WHEEL file",
        "libc_is": "the C library is {family} {version}",
        "seen_not_found": "{doing} fails: this system lacks {symbol}",
        "seen": "{doing} failed: {message}",
        "row": "{package} {newest} is published for {platforms}; the newest for this system: {release} "
        "(as of {as_of}, {source})",
        "newer_system": "use a newer Linux, or a container of one: the C library cannot be replaced by itself",
        "newer_cxx": "install a newer libstdc++ (with conda: libstdcxx-ng), or remove an old one from LD_LIBRARY_PATH",
        "own_wheels": "make the environment anew on this system: the packages were installed for another C library",
    },
)

ILLEGAL_INSTRUCTION = Condition(
    id="illegal-instruction",
    family="packages",
    title="The processor lacks instructions that a compiled package uses",
    reads=("packages", "machine", "target", "smoke"),
    detect=_illegal_instruction,
    words={
        "not_x86": "only x86-64 processors differ in what the wheels need",
        "other_features": "the features that are known are those of another kind of processor",
        "nothing_known": "of no installed package is it known what it needs of the processor",
        "kills": "{doing} is ended by the processor: it does not know an instruction ({error})",
        "killed": "{doing} ended with {error}",
        "lacks": "{package} {version} needs {lacking}, which this processor does not offer",
        "cpu_has": "the processor offers: {features}",
        "cpu_lacks": "the processor does not offer {lacking}",
        "row": "{package} {version} was built to need it ({source}, read {as_of})",
        "other_build": "use an older release of {package}, or conda's build of it; in a virtual machine give the guest "
        "the host's processor model",
    },
)

PIP_TOO_OLD = Condition(
    id="pip-too-old",
    family="packages",
    title="pip is too old to see the current wheels",
    reads=("target", "packages", "machine"),
    detect=_pip_too_old,
    words={
        "all_there": "everything asked for is installed",
        "no_pip": "the environment has no pip",
        "old_pip": "pip {version} cannot see the current wheels of {packages}",
        "pip_is": "pip {version} does not know the names of wheels for newer Linux systems (manylinux_2_28)",
        "newer_pip": "upgrade pip first",
    },
    explained_by=("python-too-old",),
)

CONDITIONS: tuple[Condition, ...] = (PIP_TOO_OLD, GLIBC_TOO_OLD, ILLEGAL_INSTRUCTION)
