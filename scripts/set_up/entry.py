"""From the words of the command line to a running hfdoctor or pytest."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .environments import Environment, only_one, refuse_what_is_not_ours
from .failures import SetUpError, say

ROOT = Path(__file__).parents[2]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def main(words: Sequence[str]) -> int:
    """Set up what ``words`` ask for and run it. Returns the exit code, unless the process is replaced."""
    try:
        # a polite kill ends the installer too, instead of leaving it behind
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        if words and words[0] == "test":
            return run_tests(list(words[1:]))
        return run_doctor(list(words) or ["check"])
    except SetUpError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("hfdoctor set-up: interrupted")
        return 130
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        hint = ""
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            hint = " (HFDOCTOR_VENV can name a folder that can be written to)"
        say(f"hfdoctor set-up: {where}{error.strerror or error}{hint}")
        return 3


def run_doctor(words: list[str]) -> int:
    """Run hfdoctor with these words on the Python that started us."""
    doctor = doctor_environment()
    if not doctor.finished():
        set_up_doctor(doctor)
    # hfdoctor inspects the Python that the person uses, not the environment it runs in itself
    os.environ["HFDOCTOR_LAUNCHED_BY"] = str(person_python(doctor))
    if os.environ.get("PYTHONPATH") or os.environ.get("PYTHONHOME"):
        # what the person set is inspected, it does not reach into the doctor
        return run([doctor.python, "-I", "-m", "hfdoctor", *words])
    script = doctor.program("hfdoctor")
    # not "-m": that would let a file in the current folder stand in for a module of the doctor's
    return run([script, *words] if os.name == "nt" else [doctor.python, script, *words])


def run_tests(words: list[str]) -> int:
    """Run pytest in the checkout with these words, on the doctor's environment and a real torch."""
    doctor = doctor_environment("dev", "test")
    if not doctor.finished():
        set_up_doctor(doctor)
    if "HFDOCTOR_TORCH_ENV" not in os.environ:
        patient = patient_environment(doctor)
        if not patient.finished():
            set_up_patient(patient, doctor)
        os.environ["HFDOCTOR_TORCH_ENV"] = str(patient.folder)
    # the tests choose their own targets
    os.environ.pop("HFDOCTOR_LAUNCHED_BY", None)
    # last on the PATH: tests make environments with uv, and "python" stays what it is for the person
    os.environ["PATH"] = os.environ.get("PATH", os.defpath) + os.pathsep + str(doctor.python.parent)
    os.chdir(ROOT)
    return run([doctor.python, "-m", "pytest", *words])


# -- what is needed --------------------------------------------------------------------------------------------------


def base_python() -> Path:
    """The installation behind the running Python, also when that is a virtual environment's."""
    base = getattr(sys, "_base_executable", None)
    return Path(base if base and Path(base).is_file() else sys.executable)


def person_python(doctor: Environment) -> Path:
    """The Python that the person uses: the one that runs now, unless it is our own environment's."""
    inside = doctor.made_here() and Path(sys.prefix).samefile(doctor.folder)
    return base_python() if inside else Path(sys.executable)


def doctor_environment(*extras: str) -> Environment:
    """The environment hfdoctor runs in. Raises OSError when the checkout cannot be read."""
    named = os.environ.get("HFDOCTOR_VENV")
    # the version is part of the installed metadata
    project = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "hfdoctor/version.py")]
    return Environment(
        folder=Path(named).resolve() if named else ROOT / ".venv",
        base=base_python(),
        inputs=(os.fsencode(ROOT), *project),
        extras=tuple(sorted(extras)),
        ours_by_place=not named,
        programs=("hfdoctor",),
    )


def patient_environment(doctor: Environment) -> Environment:
    """The environment with torch and transformers, beside the doctor's own. Raises OSError."""
    return Environment(
        folder=doctor.folder.with_name(doctor.folder.name + "-patient"),
        base=doctor.base,
        inputs=((Path(__file__).parent / "patient.txt").read_bytes(),),
        ours_by_place=doctor.ours_by_place,
        longest_inside=191,
    )


# -- making it -------------------------------------------------------------------------------------------------------


def set_up_doctor(doctor: Environment) -> None:
    """Make the doctor's environment, or add to it. Raises SetUpError, OSError."""
    from .installers import Installer

    refuse_what_is_not_ours(doctor)
    with only_one(doctor) as lock:
        if doctor.finished():
            return  # another set-up did it while we waited
        made_here = doctor.ownership() != "foreign"
        adding = not made_here or doctor.made_for_this()
        say(f"hfdoctor set-up: {'adding to' if adding else 'making'} {doctor.folder} (once)")
        doctor.write_stamp(finished=False, made_here=made_here)
        if not adding:
            doctor.empty()
        installer = Installer(doctor, ROOT, person_python(doctor), lock)
        if not adding:
            installer.make(with_pip=False)
        if doctor.extras:
            installer.fetch_uv()
        installer.install_project()
        doctor.write_stamp(finished=True, made_here=made_here)


def set_up_patient(patient: Environment, doctor: Environment) -> None:
    """Make the environment with torch and transformers. Raises SetUpError, OSError."""
    from . import settings
    from .installers import Installer

    refuse_what_is_not_ours(patient)
    with only_one(patient) as lock:
        if patient.finished():
            return
        if patient.ownership() == "foreign":
            raise SetUpError(
                f"hfdoctor set-up: {patient.folder} was not made here: remove it, or name it in HFDOCTOR_TORCH_ENV"
            )
        say(f"hfdoctor set-up: making {patient.folder} with torch and transformers (once; 1.3 GB)")
        patient.write_stamp(finished=False, made_here=True)
        patient.empty()
        installer = Installer(patient, ROOT, person_python(doctor), lock, uv_from=doctor)
        # copies: tests take hard links of these files and damage them, which must never reach uv's cache
        uv_options = ["--link-mode", "copy"]
        pip_options = []
        if settings.wants_cpu_index() and settings.cpu_index_reachable(CPU_INDEX, os.environ):
            uv_options += ["--torch-backend", "cpu"]
            pip_options += ["--extra-index-url", CPU_INDEX]
        # with pip, as a person's environment has it
        installer.make(with_pip=True)
        try:
            installer.install(
                "-r", str(Path(__file__).parent / "patient.txt"), uv_options=uv_options, pip_options=pip_options
            )
        except SetUpError as error:
            raise SetUpError(f"{error} (an empty HFDOCTOR_TORCH_ENV leaves out the tests with torch)") from None
        patient.write_stamp(finished=True, made_here=True)


# -- running it ------------------------------------------------------------------------------------------------------


def run(command: Sequence[str | Path]) -> int:
    """Become the command where the system can do that, else wait for it. Returns its exit code."""
    if os.name == "posix":
        os.execv(command[0], [str(word) for word in command])
    process = subprocess.Popen([str(word) for word in command])
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:
            continue  # the child got it as well and decides what that means
    if status in (0xC000013A, 0xC000013A - 2**32):
        return 130
    # Windows gives unsigned 32 bits, of which sys.exit takes only what fits a signed number
    return status - 2**32 if status >= 2**31 else status
