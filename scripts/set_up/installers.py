"""Making an environment and installing into it: uv where it can be had, else venv and pip.

Where uv can be had: on the PATH, beside the Python that started us, or in the doctor's environment already. Where it
cannot, what is done depends on how much there is to install. Measured on 2 cores with cold caches (2026-11-22, uv
0.13.9, pip 23.2): hfdoctor alone takes pip 12 s, and fetching uv 6 s plus uv 5 s: nothing gained for 25 MB more to
fetch, so pip it is. What the tests need takes pip 174 s and uv 43 s: there uv is fetched first, with pip, from the
same index as everything else.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import settings
from .environments import LOG, Environment
from .failures import SetUpError, cause_of, long_path_hint, say


class StepFailed(Exception):
    """A command of the set-up failed; the text says why in a few words, ``output`` is all it printed."""

    def __init__(self, why: str, output: str = "") -> None:
        super().__init__(why)
        self.output = output


class Installer:
    """The steps that fill one environment, with all their output in its log."""

    def __init__(
        self,
        target: Environment,
        project: Path,
        launched_by: Path,
        lock: int | None,
        uv_from: Environment | None = None,
    ) -> None:
        self.target = target
        self.uv_from = uv_from or target
        self.project = project
        self.launched_by = launched_by
        self.lock = lock
        self.environ: Mapping[str, str] = os.environ
        self._uv_environ: dict[str, str] | None = None
        self.log = target.folder / LOG
        self.log.write_bytes(b"")

    # -- one command ---------------------------------------------------------------------------------------------

    def run(self, command: Sequence[str | Path], environ: Mapping[str, str]) -> None:
        """Run a command in the project's folder. Raises StepFailed, OSError."""
        with self.log.open("ab") as log:
            log.write(b"$ " + " ".join(map(str, command)).encode(errors="backslashreplace") + b"\n")
            log.flush()
            start = log.tell()
            try:
                # A child that outlives us (we were killed) keeps the lock until it is through, so that the next
                # set-up does not write beside it.
                status = subprocess.run(
                    command,
                    cwd=self.project,
                    env=dict(environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(self.lock,) if self.lock is not None and os.name == "posix" else (),
                    check=False,
                ).returncode
            except OSError as error:
                raise StepFailed(f"{command[0]}: {error.strerror or error}") from None
        if status:
            output = self.log.read_bytes()[start:].decode("utf-8", "replace")
            hint = long_path_hint(self.target.folder, self.target.longest_inside, output)
            raise StepFailed(cause_of(output) + hint, output)

    # -- which uv ------------------------------------------------------------------------------------------------

    def find_uv(self) -> str | None:
        """A uv that is at hand, or None."""
        beside = Path(sysconfig.get_path("scripts")) / ("uv.exe" if os.name == "nt" else "uv")
        own = self.uv_from.program("uv")
        return shutil.which("uv") or next((str(path) for path in (own, beside) if path.is_file()), None)

    def uv_environ(self) -> dict[str, str]:
        """The variables for uv. Asks pip for its configuration (0.3 s), once."""
        if self._uv_environ is None:
            configured = settings.pip_configuration(self.launched_by, self.environ)
            self._uv_environ = settings.for_uv(self.environ, configured)
        return self._uv_environ

    # -- the environment -----------------------------------------------------------------------------------------

    def make(self, *, with_pip: bool) -> None:
        """Make the environment, in the folder that holds nothing but our mark. Raises SetUpError, OSError."""
        uv = self.find_uv()
        if uv:
            seed = ["--seed"] if with_pip else []
            command: list[str | Path] = [
                uv,
                "venv",
                "-q",
                "--allow-existing",
                *seed,
                "--python",
                self.target.base,
                self.target.folder,
            ]
            try:
                self.run(command, self.uv_environ())
                return
            except StepFailed as failed:
                say(f"hfdoctor set-up: uv cannot make the environment ({failed}); using venv")
        bare = [] if with_pip else ["--without-pip"]
        command = [self.target.base, "-I", "-m", "venv", *bare, self.target.folder]
        what = f"cannot make a virtual environment with {self.target.base}"
        try:
            self.run(command, self._pip_environ())
        except StepFailed as failed:
            raise self._give_up(what, failed) from None
        if not self.target.has_interpreter():
            # on Windows venv ends well when it has found no launcher to copy, as in Pythons without an installer
            raise self._give_up(what, StepFailed(cause_of(self.log.read_text("utf-8", "replace"))))

    def install(self, *what: str, uv_options: Sequence[str] = (), pip_options: Sequence[str] = ()) -> None:
        """Install with one call of the resolver. Raises SetUpError, OSError."""
        uv = self.find_uv()
        if uv:
            command = [uv, "pip", "install", "-q", "--python", str(self.target.python)]
            try:
                self.run([*command, *uv_options, *what], self.uv_environ())
                return
            except StepFailed as failed:
                say(f"hfdoctor set-up: uv cannot install ({failed}); trying pip")
        self._pip_install(*pip_options, *what)

    def install_project(self) -> None:
        """Install the project, editable, with the environment's extras. Raises SetUpError, OSError."""
        extras = f"[{','.join(self.target.extras)}]" if self.target.extras else ""
        self.install("-e", "." + extras)
        if str(self.project).isascii():
            return
        # An editable install is a .pth file that names the folder in UTF-8, which Python before 3.13 reads in the
        # locale's encoding: under a Korean user folder on Windows the package would not be found, or no Python
        # would start in the environment. The same in ASCII can be read by all.
        line = f"import os, sys; sys.path.append(os.fsdecode({os.fsencode(self.project)!r}))\n"
        for packages in self.target.site_packages():
            for path in packages.glob("*hfdoctor*.pth"):
                path.write_text(line, encoding="ascii")

    def fetch_uv(self) -> None:
        """Put uv into the environment if none is at hand. Without success pip does the work."""
        if self.find_uv() is None:
            try:
                self._pip_install("uv")
            except SetUpError as failed:
                say(f"hfdoctor set-up: going on without uv ({failed})")

    def _pip_environ(self) -> dict[str, str]:
        return settings.for_pip(self.environ)

    def _pip_install(self, *words: str) -> None:
        own: list[str | Path] = [self.target.python, "-I", "-m", "pip"]
        # The pip that is there already installs into another environment since 22.3: 7 s less than ensurepip.
        other: list[str | Path] = [self.launched_by, "-I", "-m", "pip", "--python", self.target.python]
        ways: list[tuple[list[str | Path], list[str | Path]]] = [
            ([], other),
            ([self.target.python, "-I", "-m", "ensurepip"], own),
        ]
        if self._has_pip():
            ways.insert(0, ([], own))
        environ = self._pip_environ()
        for preparation, pip in ways:
            try:
                if preparation:
                    self.run(preparation, environ)
                self.run([*pip, "install", "--quiet", *words], environ)
                return
            except StepFailed as failed:
                last = failed
                # a pip that is missing, too old or broken: the next one; a pip that could not install: the end
                if not re.search(r"No module named|no such option|unknown command|Traceback", failed.output):
                    break
        raise self._give_up(f"cannot install into {self.target.folder}", last)

    def _has_pip(self) -> bool:
        return any((packages / "pip").is_dir() for packages in self.target.site_packages())

    def _give_up(self, what: str, why: StepFailed) -> SetUpError:
        return SetUpError(f"hfdoctor set-up: {what}: {why}; all output is in {self.log}")
