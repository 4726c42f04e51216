"""Runs the stages: starts the child, watches it, starts it again for what a dead one could not do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..facts.sections.smoke import Deviation, StageRun
from .child_process import Patient, Said, write_plan
from .ended import error_of, meaning
from .plan import Ask, Step, first_steps, hub_examples, obstacle
from .redact import Redactor
from .scratch import Scratch

TINY = str(Path(__file__).parent / "tiny")
#: seconds past a deadline that the child's own watchdog gets before it is killed from here
GRACE_S = 5.0
#: seconds that Python may take to start, and to end after the last stage
START_S, END_S = 60.0, 35.0
#: faulthandler's own words when its time is over
TIMED_OUT = "Timeout ("


class Run:
    """One run of the stages in one target.

    ``python`` is the target interpreter, ``environ`` and ``cwd`` what the person has. ``on_stage`` is called with the
    key when a stage begins, and with the StageRun when it is over. ``stop`` may be called from another thread.
    """

    def __init__(
        self,
        ask: Ask,
        python: str,
        environ: Mapping[str, str],
        cwd: str,
        on_stage: Callable[[str, StageRun | None], None] | None = None,
    ) -> None:
        self.ask = ask
        self.python = python
        self.environ = environ
        self.cwd = cwd
        self.on_stage = on_stage or (lambda key, stage: None)
        self.stages: list[StageRun] = []
        self.refused = ""
        self._waiting = list(first_steps(ask))
        self._redactor = Redactor(environ)
        self._patient: Patient | None = None
        self._scratch: Scratch | None = None
        self._stopped = False

    def stop(self) -> None:
        """End the child and remove the scratch folder, now."""
        self._stopped = True
        if self._patient is not None:
            self._patient.stop()
        if self._scratch is not None:
            self._scratch.remove()

    def go(self, deadline: float) -> list[StageRun]:
        """Run everything; what is not done by ``deadline`` (a time.monotonic()) fails with a timeout or is skipped.

        Raises OSError if no scratch folder can be made.
        """
        with Scratch() as scratch:
            self._scratch = scratch
            while self._waiting and not self._stopped and not self.refused:
                self._skip_the_hopeless()
                if self._waiting:
                    self._one_child(scratch, deadline)
            if self.refused:
                self._skip_all(self.refused)
        return self.stages

    # -- one child ----------------------------------------------------------------------------------------------------

    def _one_child(self, scratch: Scratch, deadline: float) -> None:
        """Start a child for what is waiting and follow it to its end; it does at least one stage."""
        if time.monotonic() >= deadline:
            self._skip_all("no time was left")
            return
        safe = self.environ.get("PYTHONSAFEPATH") and True
        plan = {
            "stages": [
                [step.key, min(step.deadline_s, max(0.1, deadline - time.monotonic()))] for step in self._waiting
            ],
            "scratch": scratch.path,
            "tiny": TINY,
            "cwd": "" if safe else self.cwd,
            "level": self.ask.level,
            "device": self.ask.device,
            "framework": self.ask.framework,
            "online": self.ask.online,
            "local_model": self.ask.local_model,
            "hub_model": self.ask.hub_model,
            "hub": hub_examples() if self.ask.online else {},
        }
        environ = scratch.environment(self.environ, online=self.ask.online)
        first = self._waiting[0]
        try:
            patient = Patient(self.python, write_plan(scratch.path, plan), environ, self.cwd, self._redactor.text)
        except OSError as error:
            self._over(first, StageRun(error="not-started", message=str(error), **_named(first)))
            return
        self._patient = patient
        try:
            self._follow(patient, deadline)
        finally:
            patient.stop()
            self._patient = None

    def _follow(self, patient: Patient, deadline: float) -> None:
        step: Step | None = None
        began = time.monotonic()
        until = began + START_S
        while True:
            try:
                said = patient.next(min(until, deadline) + GRACE_S)
            except TimeoutError:
                self._died(patient, step, None, time.monotonic() - began)
                return
            if said is None:
                self._died(patient, step, patient.stop(END_S), time.monotonic() - began)
                return
            if said.end:
                code = patient.stop(END_S)
                if error_of(code) and self.stages:
                    self._crashed_at_exit(patient, code)
                return
            if said.begin:
                step = self._step(said.begin)
                began = time.monotonic()
                until = began + step.deadline_s
                self.on_stage(step.key, None)
            elif said.done and step is not None:
                self._done(patient, step, said)
                began, until, step = time.monotonic(), time.monotonic() + START_S, None
                if self.refused:
                    return
                if self._skip_the_hopeless():
                    return  # the child would go on with what means nothing now

    def _step(self, key: str) -> Step:
        return next(step for step in self._waiting if step.key == key)

    def _done(self, patient: Patient, step: Step, said: Said) -> None:
        stage = StageRun(
            outcome=said.outcome,
            seconds=said.seconds,
            because=said.because,
            error=said.error,
            message=said.message,
            trace=said.trace,
            deviations=[msgspec.convert(entry, Deviation) for entry in said.deviations],
            facts=said.facts,
            **_named(step),
        )
        if said.outcome == "fail":
            stage.printed = patient.printed_in(step.key)
        self.refused = said.refused
        self._over(step, stage)
        if step.key == "device" and said.outcome == "pass":
            names = str(said.facts.get("devices", "")).split()
            self._waiting[:0] = [Step(f"device {name}", step.deadline_s) for name in names]

    def _died(self, patient: Patient, step: Step | None, code: int | None, seconds: float) -> None:
        """The child is gone, or hangs, without having said how the stage went."""
        if self._stopped:
            return
        if code is None:
            patient.stop()
        step = step or (self._waiting[0] if self._waiting else None)
        if step is None:
            return
        printed = patient.printed_in(step.key) or patient.printed_in("")
        error = error_of(code) or "no-answer"
        if any(line.startswith(TIMED_OUT) for line in printed):
            error = "timeout"  # its own watchdog ended it
        message = "no answer within its deadline" if error == "timeout" else meaning(error)
        stage = StageRun(outcome="fail", seconds=round(seconds, 3), error=error, message=message, **_named(step))
        stage.printed, stage.trace = split_trace(printed)
        self._over(step, stage)

    def _crashed_at_exit(self, patient: Patient, code: int | None) -> None:
        """Everything passed and Python crashed while it ended: a script of the person's would, too."""
        last = self.stages[-1]
        stage = StageRun(name="exit", outcome="fail", error=error_of(code), message=meaning(error_of(code)))
        stage.printed, stage.trace = split_trace(patient.printed_in(last.key))
        self._redactor.stage(stage)
        self.stages.append(stage)

    # -- what is done and what is left --------------------------------------------------------------------------------

    def _over(self, step: Step, stage: StageRun) -> None:
        self._waiting.remove(step)
        self._redactor.stage(stage)
        self.stages.append(stage)
        self.on_stage(step.key, stage)

    def _skip_the_hopeless(self) -> bool:
        """Skip what means nothing after what went wrong; whether there was such a thing."""
        wrong = [stage for stage in self.stages if stage.outcome == "fail"]
        found = False
        for step in list(self._waiting):
            cause = obstacle(step, wrong)
            if cause and (step.name == "import" or not any(other.name == "import" for other in self._waiting)):
                found = True
                self._over(step, StageRun(outcome="skip", because=f"{cause} failed", **_named(step)))
        return found

    def _skip_all(self, because: str) -> None:
        for step in list(self._waiting):
            self._over(step, StageRun(outcome="skip", because=because, **_named(step)))


def _named(step: Step) -> dict[str, Any]:
    name, _, subject = step.key.partition(" ")
    return {"name": name, "subject": subject}


def split_trace(printed: Sequence[str]) -> tuple[list[str], list[str]]:
    """What was printed, and the stacks that faulthandler printed, apart."""
    for place, line in enumerate(printed):
        if line.startswith((TIMED_OUT, "Fatal Python error:", "Windows fatal exception:")):
            return list(printed[:place]), list(printed[place:])
    return list(printed), []
