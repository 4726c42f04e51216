"""A run of made libraries, and proof that nothing of it is left: no process, no file, no change of the folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from hfdoctor.facts.sections.smoke import StageRun
from hfdoctor.smoke.plan import Ask
from hfdoctor.smoke.run import Run
from tests.smoke.made import SOUND

#: seconds that a process may take to be gone
PATIENCE_S = 8.0


@dataclass
class Bench:
    """``site`` holds the made libraries, ``temp`` is the temporary directory, ``work`` the person's folder."""

    site: Path
    temp: Path
    work: Path
    python: str = sys.executable

    def libraries(self, changes: Mapping[str, str] | None = None) -> None:
        """Write the libraries, some with other code."""
        for name, code in {**SOUND, **(changes or {})}.items():
            (self.site / name).mkdir(parents=True, exist_ok=True)
            (self.site / name / "__init__.py").write_text(code, "utf-8")

    def environ(self, **more: str) -> dict[str, str]:
        """The person's variables; PYTHONPATH also marks every process of the run."""
        return {**os.environ, "PYTHONPATH": str(self.site), "TMPDIR": str(self.temp), **more}

    def run(
        self,
        changes: Mapping[str, str] | None = None,
        *,
        level: str = "import",
        timeout_s: float | None = None,
        within_s: float = 60.0,
        **environ: str,
    ) -> dict[str, StageRun]:
        """Run the stages of a level; the answers by key. Fails where a stage is answered twice."""
        self.libraries(changes)
        run = Run(Ask(level=level, stage_timeout_s=timeout_s), self.python, self.environ(**environ), str(self.work))
        stages = run.go(time.monotonic() + within_s)
        keys = [stage.key for stage in stages]
        assert len(keys) == len(set(keys)), keys
        return {stage.key: stage for stage in stages}

    def processes(self) -> list[psutil.Process]:
        """Those that have the libraries in their environment, and guards of runs in this temporary directory."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        try:
            if process.status() == psutil.STATUS_ZOMBIE and process.ppid() != os.getpid():
                return False  # dead, and for its parent (not us) to bury
            said = process.environ().get("PYTHONPATH", "") == str(self.site)
            return said or any(str(self.temp) in word for word in process.cmdline())
        except psutil.Error:
            return False

    def left_behind(self) -> list[str]:
        """What is there that was not there before; waits a moment for what is about to be gone."""
        until = time.monotonic() + PATIENCE_S
        while True:
            found = [str(process) for process in self.processes()]
            found += [str(path) for folder in (self.temp, self.work) for path in folder.iterdir()]
            if not found or time.monotonic() > until:
                return found
            time.sleep(0.05)


def made_bench(folder: Path, temp: Path) -> Iterator[Bench]:
    """A bench whose run must leave nothing behind."""
    bench = Bench(folder / "site", temp, folder / "work")
    for path in (bench.site, bench.temp, bench.work):
        path.mkdir(exist_ok=True)
    yield bench
    assert bench.left_behind() == []
