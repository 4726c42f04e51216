"""What ``--deep`` saw when the target imported the packages: it outweighs what the files suggest."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..facts.sections.packages import ImportTrial
from ..facts.snapshot import Snapshot
from .model import Clue, Fail, Goal, Plain, Treatment
from .reinstall import reinstall

WORDS: Mapping[str, str] = {
    "import_fails": "importing {package} fails: {error}",
    "import_crashes": "importing {package} kills Python: {error}",
    "import_hangs": "importing {package} does not end within {seconds} seconds",
    "import_message": "{error}: {message}",
}

#: what a failed import says -> the condition that takes it up itself, from the same trial
ELSEWHERE: Mapping[str, str] = {
    "_ARRAY_API not found": "numpy-abi",
    "compiled using NumPy 1": "numpy-abi",
    "Numpy is not available": "numpy-abi",
    "numpy.dtype size changed": "numpy-abi",
    "OMP: Error #15": "openmp-duplicate",
    "operator torchvision::": "torch-companion-mismatch",
    "compiled with different CUDA": "torch-companion-mismatch",
    "is required for a normal functioning of this module": "version-skew",
    "distribution was not found and is required by this application": "dependency-conflict",
    "' from 'huggingface_hub": "version-skew",
    "' from 'accelerate": "version-skew",
    "' from 'peft": "version-skew",
    "version `GLIBC": "glibc-too-old",
    "version `CXXABI": "glibc-too-old",
    "[WinError 126]": "dll-load-failed",
    "[WinError 127]": "dll-load-failed",
    "[WinError 182]": "dll-load-failed",
    "[WinError 193]": "dll-load-failed",
    "[WinError 1114]": "dll-load-failed",
    "signal SIGILL": "illegal-instruction",
    "exit 0xC000001D": "illegal-instruction",
}


def explained_elsewhere(trial: ImportTrial) -> str:
    """The id of the condition that the failure of an import speaks of, "" if it fits none."""
    text = f"{trial.error}\n{trial.message}\n{trial.stderr}"
    return next((condition for part, condition in ELSEWHERE.items() if part in text), "")


def seen_working(s: Snapshot, goal: Goal, package: str) -> bool:
    """Whether ``package``, or all that the goal asks for and that leans on it, was seen being imported."""
    if s.packages.imported(package):
        return True
    return bool(goal.packages) and all(s.packages.imported(name) for name in goal.packages)


def may_be_error(s: Snapshot) -> bool:
    """False where imports were tried and nothing is known of how they went: what they showed might acquit."""
    return s.packages.imports.status in ("known", "not-run", "absent")


def import_failure(s: Snapshot, goal: Goal, accused: Collection[str]) -> Fail | None:
    """The first import that failed for a reason that no other finding gives.

    ``accused`` are the packages already called broken: their imports fail for that.
    """
    installed = s.packages.installed()
    for trial in s.packages.imports.maybe() or ():
        package = trial.package.partition(".")[0]
        if trial.ok or trial.error in ("not-tried", "not-started"):
            continue
        if accused or explained_elsewhere(trial) or _lacks_requirement(trial, set(installed)):
            return None  # what comes after the first failure usually follows from it
        fields: dict[str, Plain] = {"package": package, "error": trial.error, "seconds": round(trial.seconds)}
        says = "import_fails"
        if trial.error == "timeout":
            says = "import_hangs"
        elif trial.error.startswith(("signal", "exit")):
            says = "import_crashes"
        message = trial.message or (trial.stderr.splitlines() or [""])[-1]
        shown: dict[str, Plain] = {"error": trial.error, "message": " ".join(message.split())[:200]}
        entry = installed.get(package)
        return Fail(
            says,
            "error" if package in ("transformers", "torch", "numpy", "tokenizers", "safetensors") else "warning",
            "observed",
            [Clue(s.packages.imports, trial.package, "import_message", shown)],
            fields,
            Treatment("confirm", reinstall(s, entry)) if entry and trial.error != "timeout" else None,
        )
    return None


def _lacks_requirement(trial: ImportTrial, installed: Collection[str]) -> bool:
    """Whether a module of a package that is not installed is missing: that is dependency-conflict's."""
    if trial.error != "ModuleNotFoundError" or "No module named '" not in trial.message:
        return False
    module = trial.message.partition("No module named '")[2].partition("'")[0].partition(".")[0]
    return module.replace("_", "-").lower() not in installed
