"""A Windows of one's own under Wine: its registry and its drive C: can be changed without a trace elsewhere."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]

#: seconds for all steps of one call; one start of Wine takes one or two
PATIENCE_S = 120

Step = dict[str, Any]


def windows_path(path: Path) -> str:
    """How Windows names a path of this machine: Wine shows the root folder as drive Z:."""
    return "Z:" + str(path).replace("/", "\\")


@dataclass
class Result:
    """How one program ended: its exit code and what it wrote, as bytes."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def report(self) -> dict[str, Any]:
        """The JSON document on standard output."""
        document = json.loads(self.stdout)
        assert isinstance(document, dict), self.stderr.decode("utf-8", "replace")
        return document


@dataclass
class WindowsMachine:
    """``folder`` holds the Wine prefix and a scratch folder; ``site`` the packages that hfdoctor needs."""

    winpy: Path
    folder: Path
    site: Path
    #: driver.py, which waits for steps and keeps Wine running in between
    _driver: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def prefix(self) -> Path:
        return self.folder / "prefix"

    @property
    def drive_c(self) -> Path:
        return self.prefix / "drive_c"

    @property
    def scratch(self) -> Path:
        path = self.folder / "scratch"
        path.mkdir(exist_ok=True)
        return path

    def create(self) -> None:
        """Copy the prefix beside the launcher: the registry for real, drive C: by links, which take no time."""
        base = self.winpy.parent / "prefix"
        temporary = shutil.ignore_patterns("Temp", "temp")  # where others may be at work this moment
        shutil.copytree(base, self.prefix, symlinks=True, copy_function=_link, ignore=temporary)
        for user in (self.drive_c / "users").iterdir():
            (user / "Temp").mkdir(exist_ok=True)
        for name in ("system.reg", "user.reg", "userdef.reg"):
            (self.prefix / name).unlink()
            shutil.copy2(base / name, self.prefix / name)

    def remove(self) -> None:
        """End what still runs in this prefix, and delete it."""
        self.new_terminal()
        if shutil.which("wineserver"):
            environ = {**os.environ, "WINEPREFIX": str(self.prefix)}
            subprocess.run(["wineserver", "-k"], env=environ, capture_output=True, timeout=30, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_terminal(self) -> None:
        """The next step gets the variables that the registry holds then, as in a terminal that is opened then."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.communicate(timeout=PATIENCE_S)

    def run(self, *steps: Step) -> list[Result]:
        """Perform the steps (see driver.py) one after another; a result for each that runs a program."""
        driver = self._driver = self._driver or self._start()
        assert driver.stdin is not None
        assert driver.stdout is not None
        # the launcher, and what it started
        overdue = threading.Timer(PATIENCE_S, os.killpg, (driver.pid, signal.SIGKILL))
        overdue.start()
        try:
            driver.stdin.write(json.dumps(steps).encode() + b"\n")
            driver.stdin.flush()
            told = driver.stdout.readline()
        finally:
            overdue.cancel()
        if not told:
            self.new_terminal()
            raise AssertionError(self._complaints.read_text("utf-8", "replace"))
        found = [result for result in json.loads(told) if result is not None]
        return [Result(r["code"], base64.b64decode(r["stdout"]), base64.b64decode(r["stderr"])) for r in found]

    @property
    def _complaints(self) -> Path:
        """What the driver writes to its standard error."""
        return self.folder / "complaints.txt"

    def _start(self) -> subprocess.Popen[bytes]:
        environ = {
            **os.environ,
            "WINEPREFIX": str(self.prefix),
            "PYTHONPATH": ";".join(windows_path(path) for path in (REPOSITORY, self.site)),
            # what Wine compiles is kept for all tests, but beside the packages: nothing is written into the repository
            "PYTHONPYCACHEPREFIX": windows_path(self.site.with_name("compiled")),
        }
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        driver = windows_path(Path(__file__).with_name("driver.py"))
        with self._complaints.open("wb") as complaints:
            return subprocess.Popen(
                [str(self.winpy), driver],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,
            )


def hfdoctor(*words: str, **step: Any) -> Step:
    """The step that runs hfdoctor with these words."""
    return {"argv": ["-m", "hfdoctor", *words], **step}


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system
        shutil.copy2(source, target, follow_symlinks=False)
