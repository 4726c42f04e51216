"""Compiled parts that do not go together in one process: NumPy's generations, two OpenMP runtimes."""

from __future__ import annotations

from collections.abc import Sequence

from ..facts.sections.packages import Distribution, OpenMPRuntime
from ..facts.snapshot import Snapshot
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Severity, Skip, Step, Treatment, Unknown, Verdict
from .newer_torch import newer_torch
from .reinstall import python_of
from .seen_imports import may_be_error
from .seen_stages import first_of
from .told_packages import known_from_text, torch_told

#: the first torch whose wheels run with NumPy 2 on every system; it is history
FOR_NUMPY_2 = "2.4.1"

# -- numpy-abi --------------------------------------------------------------------------------------------------------


def _numpy_abi(s: Snapshot, goal: Goal) -> Verdict:
    installed = s.packages.installed()
    numpy = installed.get("numpy")
    if numpy is None:
        return Skip("no_numpy")
    major = numpy.version.partition(".")[0]
    seen = first_of(s, "numpy-abi")
    if seen is None and known_from_text(s):
        return _numpy_told(s, installed, numpy, major)
    clients = s.packages.numpy_clients.maybe() if seen else s.packages.numpy_clients.need()
    # modules built with NumPy 2 run on NumPy 1 too, as far as their metadata allow
    old = [client for client in clients or () if client.built_with == "1" and major not in ("", "0", "1")]
    if seen is None and not old:
        return Pass(max(1, len(clients or ())), [Clue(s.packages.numpy_clients, says="fits", fields={"numpy": major})])
    package = old[0].package if old else (seen.package if seen else "")
    fields: dict[str, Plain] = {"package": package, "numpy": numpy.version}
    entry = installed.get(package)
    version = entry.version if entry else (torch_told(s) or "" if package == "torch" and known_from_text(s) else "")
    fields["what"] = f"{package} {version}".strip() or "a compiled module"
    clues = []
    if seen:
        message = seen.line() if seen.message else " ".join(" ".join(seen.printed).split())[:200]
        clues.append(Clue(seen.fact, seen.key, "seen", {"doing": seen.doing, "message": message}))
    clues += [Clue(s.packages.numpy_clients, client.path, "built", {"path": client.path}) for client in old]
    clues.append(Clue(s.packages.distributions, numpy.version, "installed", {"numpy": numpy.version}))
    treatment = Treatment("confirm", _numpy_cure(s, installed, package))
    if seen:
        return Fail("abi", seen.severity, "observed", clues, fields, treatment, len(clues))
    if s.packages.imported("torch.numpy") and package == "torch":
        return Pass(len(old), [Clue(s.packages.imports, "torch.numpy", "works", fields)])
    if s.packages.imported(package) and package != "torch":
        return Pass(len(old), [Clue(s.packages.imports, package, "works", fields)])
    severity: Severity = "error" if package in goal.packages and may_be_error(s) else "warning"
    return Fail("abi", severity, "derived", clues, fields, treatment, len(clues))


def _numpy_told(s: Snapshot, installed: dict[str, Distribution], numpy: Distribution, major: str) -> Verdict:
    """By the table of published torch releases, where the files were not seen."""
    if major in ("", "0", "1"):
        return Pass(1, [Clue(s.packages.distributions, numpy.version, "fits", {"numpy": major})])
    version = torch_told(s)
    if not version:
        return Skip("no_torch") if version == "" else Unknown("two_torches")
    from ..knowledge.generations import numpy_build

    # where the system is not told, a release that needs NumPy 1 on every one of them does so here, too
    os = s.machine.os.maybe()
    systems = [os.system] if os else ["linux", "windows", "macos"]
    rows = [numpy_build("torch", version, system) for system in systems]
    row = rows[0]
    if row is None or None in rows:
        if any(rows):
            return Unknown("system_not_told", {"version": version, "numpy": numpy.version})
        return Pass(1, [Clue(s.packages.distributions, numpy.version, "fits", {"numpy": major})])
    fields: dict[str, Plain] = {"package": "torch", "version": version, "numpy": numpy.version}
    fields["what"] = f"torch {version}"
    fields |= {"source": row.source, "as_of": row.as_of.isoformat()}
    clues = [
        Clue(s.packages.distributions, f"torch {version}", "row", fields),
        Clue(s.packages.distributions, numpy.version, "installed", fields),
    ]
    treatment = Treatment("confirm", _numpy_cure(s, installed, "torch"))
    return Fail("abi", "warning", "table", clues, fields, treatment, len(clues))


def _numpy_cure(s: Snapshot, installed: dict[str, Distribution], package: str) -> list[Step]:
    """NumPy 1, which is the smaller change; or a newer release of what was compiled for it."""
    python = python_of(s)
    without_pip = s.target.pip.absent or (package in installed and installed[package].installer.startswith("uv"))
    command = ["uv", "pip", "install", "--python", python] if without_pip else [python, "-m", "pip", "install"]
    fields: dict[str, Plain] = {"package": package or "the module"}
    newer: Step | None = Step(says="newer_package", fields=fields)
    if package == "torch":
        newer = newer_torch(s, FOR_NUMPY_2, fields, says="newer_package")
    elif package in installed:
        newer = Step([*command, package, "--upgrade"], "newer_package", fields, network=True)
    interpreter = s.target.interpreter.maybe()
    steps = []
    # the last NumPy 1 has wheels up to Python 3.12
    if interpreter is None or tuple(interpreter.version_info[:2]) <= (3, 12):
        steps.append(Step([*command, "numpy<2"], "older_numpy", fields, network=True))
    return [*steps, *([newer] if newer else [])]


NUMPY_ABI = Condition(
    id="numpy-abi",
    family="installation",
    title="A compiled module was built for NumPy 1, and NumPy 2 is installed",
    reads=("packages", "target", "machine", "smoke"),
    detect=_numpy_abi,
    words={
        "no_numpy": "NumPy is not installed",
        "fits": "the compiled modules go together with NumPy {numpy}",
        "works": "{package} was seen working with NumPy {numpy}",
        "no_torch": "the text names no torch",
        "two_torches": "the text names two versions of torch, or one that is none",
        "system_not_told": "torch {version} goes with NumPy {numpy} on some systems only, and which one this is "
        "was not told",
        "row": "torch {version} was published for NumPy 1 ({source}, read {as_of})",
        "abi": "{what} was compiled for NumPy 1 and cannot use NumPy {numpy}",
        "seen": "{doing} fails: {message}",
        "built": "{path} asks for NumPy 1's module only",
        "installed": "NumPy {numpy} is installed",
        "older_numpy": "go back to NumPy 1",
        "newer_package": "or install a newer release of {package}, compiled for NumPy 2",
    },
)


# -- openmp-duplicate -------------------------------------------------------------------------------------------------


def _openmp_duplicate(s: Snapshot, goal: Goal) -> Verdict:
    seen = first_of(s, "openmp-duplicate")
    runtimes = s.packages.openmp.need() if seen is None else s.packages.openmp.maybe() or []
    kmp = [runtime for runtime in runtimes if runtime.family in ("intel", "llvm")]
    clues = [
        Clue(s.packages.openmp, runtime.path, "copy", {"path": runtime.path, "package": runtime.package})
        for runtime in kmp
    ]
    if seen:
        fields: dict[str, Plain] = {"doing": seen.doing, "message": seen.line("OMP: Error #15")}
        found = [Clue(seen.fact, seen.key, "seen", fields), *clues]
        return Fail("aborts", seen.severity, "observed", found, fields, _openmp_cure(s), 1 + len(kmp))
    if not runtimes:
        return Skip("no_openmp")
    os = s.machine.os.need()
    mkl = _second_intel(s, runtimes) if os.system == "windows" else None
    if mkl is None or _allowed(s):
        return Pass(len(runtimes), clues)
    fields = {"package": mkl.name}
    clues.append(Clue(s.packages.distributions, mkl.path, "mkl", fields))
    return Fail("may_abort", "warning", "derived", clues, fields, _openmp_cure(s), len(runtimes))


def _second_intel(s: Snapshot, runtimes: Sequence[OpenMPRuntime]) -> Distribution | None:
    """The NumPy that brings Intel's runtime into a process in which torch's own copy of it is loaded too.

    torch loads its copy by its full path. conda's NumPy, built on MKL, loads that of Library/bin: whichever of the two
    starts second ends the process. pip's NumPy is built on OpenBLAS and loads none, and torch leaves the copy of the
    intel-openmp wheel alone where it has its own.
    """
    intel = [runtime for runtime in runtimes if runtime.family == "intel"]
    beside_torch = any(runtime.package == "torch" for runtime in intel)
    in_conda = any(runtime.package == "Library/bin" for runtime in intel)
    numpy = s.packages.installed().get("numpy")
    from_conda = numpy is not None and numpy.installer.lower() == "conda"
    computes_with_mkl = any(runtime.family == "mkl" and runtime.package == "Library/bin" for runtime in runtimes)
    return numpy if beside_torch and in_conda and from_conda and computes_with_mkl else None


def _allowed(s: Snapshot) -> bool:
    """Whether the person told the runtime to go on with two copies."""
    return (s.settings.variable("KMP_DUPLICATE_LIB_OK") or "").strip().lower() in ("true", "1", "yes", "on", ".true.")


def _openmp_cure(s: Snapshot) -> Treatment:
    numpy = s.packages.installed().get("numpy") if s.packages.distributions.known else None
    steps = []
    if numpy is not None and numpy.installer.lower() == "conda":
        wheel = f"numpy=={numpy.version}" if numpy.version else "numpy"
        command = [python_of(s), "-m", "pip", "install", "--force-reinstall", "--no-deps", wheel]
        steps.append(Step(command, "pip_numpy", network=True))
    return Treatment("print-only", [*steps, Step(says="one_source")])  # what conda installed is the person's to change


OPENMP_DUPLICATE = Condition(
    id="openmp-duplicate",
    family="installation",
    title="Two copies of an OpenMP runtime meet in one process",
    reads=("packages", "target", "machine", "settings", "smoke"),
    detect=_openmp_duplicate,
    words={
        "no_openmp": "no package brings an OpenMP runtime",
        "aborts": "{doing} ends with OMP: Error #15: two OpenMP runtimes meet in one process",
        "may_abort": "{package} from conda and torch from pip each load their own libiomp5md.dll: OMP: Error #15",
        "seen": "{doing}: {message}",
        "copy": "{path}",
        "mkl": "conda's {package} computes with MKL, which loads the copy in Library\\bin",
        "pip_numpy": "replace conda's NumPy by the one from PyPI, which loads no OpenMP runtime",
        "one_source": "take torch and NumPy from one source: both from conda, or both from pip in a fresh environment",
    },
)
