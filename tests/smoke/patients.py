"""A real environment that may be damaged: hard links to the real files, and a new file wherever one is changed."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from hfdoctor.conditions.engine import diagnose
from hfdoctor.conditions.model import Report
from hfdoctor.facts.collect import collect
from hfdoctor.facts.sections.smoke import StageRun
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.smoke.plan import Ask
from hfdoctor.smoke.probe import SmokeProbe, tell_the_others

#: every process of an examination has this variable, with the folder of the test as its value
MARK = "HFDOCTOR_TEST_DEATHS"
#: seconds that a process may take to be gone
PATIENCE_S = 8.0


def linked_copy(env: Path, to: Path) -> Path:
    """A copy of the virtual environment ``env`` whose packages are hard links; its scripts are left out."""
    site = site_of(env)
    copy = to / site.relative_to(env)
    copy.parent.mkdir(parents=True)
    try:
        shutil.copytree(site, copy, copy_function=os.link, symlinks=True)
    except shutil.Error:  # another file system
        shutil.rmtree(copy)
        shutil.copytree(site, copy, symlinks=True)
    shutil.copy(env / "pyvenv.cfg", to)
    (to / "bin").mkdir()
    for name in ("python", "python3"):
        (to / "bin" / name).symlink_to((env / "bin" / name).resolve())
    return to


def site_of(env: Path) -> Path:
    """The site-packages of a virtual environment on Linux."""
    return next(env.glob("lib/python*/site-packages"))


@dataclass
class Examination:
    """What came of one run: the stages by key, the report, and what was still there a moment later."""

    snapshot: Snapshot
    report: Report
    stages: dict[str, StageRun]
    left: list[str]

    @property
    def failed(self) -> StageRun:
        """The stage that failed; fails where there is not exactly one."""
        (stage,) = [one for one in self.stages.values() if one.outcome == "fail"]
        return stage

    @property
    def errors(self) -> dict[str, str]:
        """The conditions that are errors, with their summaries."""
        return {one.condition: one.summary for one in self.report.failed() if one.severity == "error"}

    def skipped_because(self) -> set[str]:
        """Why stages were skipped."""
        return {one.because for one in self.stages.values() if one.outcome == "skip"}


@dataclass
class Ward:
    """Where patients are examined: ``env`` the copied environment, ``work`` the person's folder, ``temp`` /tmp."""

    env: Path
    work: Path
    temp: Path
    changed: list[tuple[Path, Path | None]] = field(default_factory=list)

    @property
    def site(self) -> Path:
        return site_of(self.env)

    def find(self, pattern: str) -> Path:
        """The one file of site-packages that fits ``pattern``."""
        (path,) = self.site.glob(pattern)
        return path

    def replace(self, path: Path, content: bytes | None) -> None:
        """Put a new file in the place of one of the environment's (None: take it away) until the test ends."""
        kept = self.env / "kept" / str(len(self.changed))
        kept.parent.mkdir(exist_ok=True)
        self.changed.append((path, kept if path.exists() else None))
        if path.exists():
            path.rename(kept)
        if content is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)

    def act(self, package: str, code: str) -> None:
        """Have a package do something at the begin of its import, as if it had been published so."""
        path = self.site / package / "__init__.py"
        own = path.read_bytes()
        head = f"{code}\n".encode()
        self.replace(path, head + b"".join(one for one in own.splitlines(True) if b"from __future__" not in one))
        record = self.find(f"{package}-*.dist-info/RECORD")
        lines = record.read_text("utf-8").splitlines(keepends=True)
        self.replace(record, "".join(line for line in lines if f"{package}/__init__.py," not in line).encode())

    def restore(self) -> None:
        """Undo every change."""
        while self.changed:
            path, kept = self.changed.pop()
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            if kept is not None:
                kept.rename(path)

    def examine(
        self, level: str = "import", *, stage_timeout_s: float | None = None, environ: dict[str, str] | None = None
    ) -> Examination:
        """What ``hfdoctor smoke --level LEVEL`` does here, and what it leaves."""
        probe = SmokeProbe(Ask(level=level, device="cpu", stage_timeout_s=stage_timeout_s))
        person = {**os.environ, "TMPDIR": str(self.temp), MARK: str(self.work), **(environ or {})}
        try:
            snapshot = collect(
                str(self.env / "bin" / "python"), timeout_s=240, cwd=self.work, environ=person, besides=[probe.probe()]
            )
        finally:
            probe.stop()
        tell_the_others(snapshot)
        stages = {stage.key: stage for stage in snapshot.smoke.stages.need()}
        return Examination(snapshot, diagnose(snapshot), stages, self.left_behind())

    def left_behind(self) -> list[str]:
        """Processes of the run that still live, and files in the temporary folder; waits for what is about to go."""
        until = time.monotonic() + PATIENCE_S
        while True:
            left = [str(process) for process in psutil.process_iter() if self._is_of_the_run(process)]
            left += [str(path) for path in self.temp.iterdir()]
            if not left or time.monotonic() > until:
                return left
            time.sleep(0.1)

    def _is_of_the_run(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        try:
            if process.status() == psutil.STATUS_ZOMBIE and process.ppid() != os.getpid():
                return False
            return process.environ().get(MARK) == str(self.work)
        except psutil.Error:
            return False


def wards(env: Path, folder: Path, temp: Path) -> Iterator[Ward]:
    """A ward for one test; the environment is whole again after it."""
    ward = Ward(env, folder / "work", temp)
    ward.work.mkdir()
    try:
        yield ward
    finally:
        ward.restore()


def shown(stage: StageRun) -> Sequence[str]:
    """Stack and printed lines together."""
    return [*stage.trace, *stage.printed]
