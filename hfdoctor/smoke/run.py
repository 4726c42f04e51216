"""Runs the stages: starts the child, watches it, starts it again for what a dead one could not do."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..facts.sections.smoke import Deviation, StageRun
from .child.teller import BETWEEN, EXIT
from .child_process import Patient, Said, write_plan
from .ended import error_of, meaning
from .plan import Ask, Step, first_steps, hub_examples, obstacle
from .printed import MOST_LINES, time_was_over
from .redact import Redactor
from .scratch import Scratch

TINY = str(Path(__file__).parent / "tiny")
#: seconds past a deadline that the child's own watchdog gets before it is ended from here
GRACE_S = 5.0
#: seconds that Python may take to start, and to end after the last stage; the child's own watchdog has less for that
START_S, END_S = 60.0, 35.0
#: seconds that a child which closed its end of the pipe has to end
CLOSED_S = 3.0
#: of the time for all: what the child does not get, so that its stacks can be printed, read and told in time; at most
SPARE_S, ABORT_S = 3.0, 1.0
#: the least of a deadline that must have passed here for the child's watchdog to be ours: on a busy machine a stage is
#: heard of late
OURS = 0.7
#: Python's exit code where it could not write out what was printed: somebody put something else there
UNFLUSHED = 120
#: seconds to read what was printed before the answer of a stage
READ_S = 1.0


class Run:
    """One run of the stages in one target.

    ``python`` is the target interpreter, ``environ`` and ``cwd`` what the person has. ``on_stage`` is called with the
    key when a stage begins, and with the StageRun when it is over, in the thread that runs ``go``; where it raises an
    Exception it is not called again, and ``view_error`` keeps that. ``stop`` may be called from another thread.
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
        self.on_stage = on_stage
        self.view_error: Exception | None = None
        self.stages: list[StageRun] = []
        self.refused = ""
        self._redactor = Redactor(environ)
        self._waiting = list(first_steps(ask))
        self._patient: Patient | None = None
        self._scratch: Scratch | None = None
        self._stopped = False
        #: when the child's own time for all is over, at the earliest
        self._child_until = 0.0
        #: nothing is started once ``stop`` has been called
        self._starting = threading.Lock()

    def stop(self) -> None:
        """End the child and remove the scratch folder, now. What ``go`` has by then is what it returns."""
        self._stopped = True
        with self._starting:
            patient, scratch = self._patient, self._scratch
        if patient is not None:
            patient.stop()
        if scratch is not None:
            scratch.remove()

    def go(self, deadline: float) -> list[StageRun]:
        """Run everything; what is not done by ``deadline`` (a time.monotonic()) fails with a timeout or is skipped.

        Raises OSError if no scratch folder can be made, or nothing can be written there.
        """
        with self._starting:
            if self._stopped:
                return self.stages
            scratch = self._scratch = Scratch()
        with scratch:
            while self._waiting and not self._stopped and not self.refused:
                self._skip_the_hopeless()
                if self._waiting:
                    self._one_child(scratch, deadline)
            if self.refused:
                self._skip_all(self.refused)
        return self.stages

    # -- one child ----------------------------------------------------------------------------------------------------

    def _one_child(self, scratch: Scratch, deadline: float) -> None:
        """Start a child for what is waiting and follow it to its end; at least one step is over then."""
        left = deadline - time.monotonic()
        if left <= 0:
            self._skip_all("no time was left")
            return
        first, waiting = self._waiting[0], len(self._waiting)
        spare = min(SPARE_S, left / 4)
        word = secrets.token_hex(8)
        self._child_until = time.monotonic() + left - spare
        plan_file = write_plan(scratch.path, self._plan(scratch, word, left - spare))
        environ = scratch.environment(self.environ, online=self.ask.online)
        with self._starting:
            if self._stopped:
                return
            try:
                self._patient = patient = Patient(
                    self.python,
                    plan_file,
                    environ,
                    self.cwd,
                    scratch=scratch,
                    word=word,
                    clean=self._redactor.text,
                )
            except OSError as error:
                self._over(first, StageRun(outcome="fail", error="not-started", message=str(error), **_named(first)))
                self._skip_all("Python could not be started")
                return
        try:
            self._follow(patient, deadline - spare / 2)
        finally:
            patient.stop()
            self._patient = None
        if len(self._waiting) >= waiting and first in self._waiting and not self._stopped:
            self._over(
                first, StageRun(outcome="fail", error="no-answer", **_named(first))
            )  # or it would go on for ever

    def _plan(self, scratch: Scratch, word: str, seconds: float) -> dict[str, Any]:
        return {
            "stages": [[step.key, step.deadline_s] for step in self._waiting],
            "seconds": seconds,
            "word": word,
            "scratch": scratch.path,
            "tiny": TINY,
            "cwd": self.cwd,
            "level": self.ask.level,
            "device": self.ask.device,
            "framework": self.ask.framework,
            "online": self.ask.online,
            "local_model": os.path.join(self.cwd, self.ask.local_model) if self.ask.local_model else "",
            "hub_model": self.ask.hub_model,
            "hub": hub_examples() if self.ask.online else {},
        }

    def _follow(self, patient: Patient, deadline: float) -> None:
        step: Step | None = None
        began = time.monotonic()
        until = began + START_S
        good, closed, any_begun = True, False, False
        while True:
            try:
                said = patient.next(min(until + GRACE_S, deadline))
            except TimeoutError:
                if not self._stopped:
                    patient.abort(ABORT_S)
                    self._died(patient, step, time.monotonic() - began, "no-answer" if closed else "timeout")
                    self._give_up_unless(any_begun)
                return
            if self._stopped:
                return
            if said is None:
                self._died(patient, step, time.monotonic() - began)
                self._give_up_unless(any_begun)
                return
            if said.closed:  # its death will be heard of in a moment; what lives on will not answer any more
                closed, until = True, min(until, time.monotonic() + CLOSED_S - GRACE_S)
            elif said.end:
                self._ends(patient, deadline, good)
                return
            elif said.again:
                return
            elif said.begin and step is None:
                step = next((one for one in self._waiting if one.key == said.begin), None)
                if step is not None:
                    began = time.monotonic()
                    until = began + step.deadline_s
                    any_begun = True
                    self._show(step.key, None)
            elif said.done and step is not None and said.done == step.key:
                stage = self._done(patient, step, said)
                good = good and stage.outcome != "fail"
                began, until, step = time.monotonic(), time.monotonic() + START_S, None
                if self.refused or self._skip_the_hopeless():
                    return  # the child would go on with what means nothing now

    def _done(self, patient: Patient, step: Step, said: Said) -> StageRun:
        stage = StageRun(
            outcome=said.outcome,
            seconds=said.seconds,
            because=said.because,
            error=said.error,
            message=said.message,
            trace=said.trace,
            deviations=[_deviation(entry) for entry in said.deviations],
            facts=said.facts,
            **_named(step),
        )
        if said.outcome == "fail":
            patient.printed.wait_for_end_of(step.key, READ_S)
            printed, stack = patient.printed_in(step.key)
            stage.printed = [*printed, *stack][-MOST_LINES:]  # Python lives: on Windows stacks may mean little
        self.refused = self._redactor.text(said.refused)
        if step.key == "device" and said.outcome == "pass":
            names = dict.fromkeys(str(said.facts.get("devices", "")).split())
            place = self._waiting.index(step) + 1
            self._waiting[place:place] = [Step(f"device {name}", step.deadline_s) for name in names]
        self._over(step, stage)
        return stage

    def _died(self, patient: Patient, step: Step | None, seconds: float, ended_for: str = "") -> None:
        """The child is gone without having said how the stage went; ``ended_for``: the error that it was ended for."""
        if self._stopped:
            return
        begun = step is not None
        step = step or (self._waiting[0] if self._waiting else None)
        if step is None:
            return
        printed, stack = patient.printed_in(step.key if begun else BETWEEN)
        if not begun and not (printed or stack):  # it has not come as far as any stage
            printed, stack = patient.printed_in("")
        error = ended_for or error_of(patient.code) or "no-answer"
        given = min(step.deadline_s, self._child_until - time.monotonic() + seconds)
        if patient.code == 1 and begun and time_was_over(stack) and seconds > OURS * given:
            error = "timeout"  # its own watchdog ended it
        if ended_for and stack and stack[0].startswith("Fatal Python error: Aborted"):
            del stack[0]  # that was the doctor's own signal
        message = _unanswered(error, seconds, begun)
        stage = StageRun(outcome="fail", seconds=round(seconds, 3), error=error, message=message, **_named(step))
        stage.printed, stage.trace = printed, stack
        self._over(step, stage)

    def _give_up_unless(self, any_begun: bool) -> None:
        """A Python that does not come as far as the first stage will not do so a second time."""
        if not any_begun and not self._stopped:
            self._skip_all("Python did not begin")

    def _ends(self, patient: Patient, deadline: float, good: bool) -> None:
        """All stages are done: Python ends. Where it crashes or hangs meanwhile, a script of the person's would, too.

        After a stage that failed nothing is said of it: it may follow from that.
        """
        began = time.monotonic()
        limit = min(END_S, max(0.0, deadline - began))
        if not patient.gone_within(limit):
            if limit < END_S:
                return  # there was no time to see
            patient.abort(ABORT_S)
        seconds = time.monotonic() - began
        printed, stack = patient.printed_in(EXIT)
        error = error_of(patient.code)
        if patient.code == 1 and time_was_over(stack):
            error = "timeout"
        if not error or patient.code == UNFLUSHED or self._stopped or not good:
            return
        message = meaning(error) or f"Python did not end in {seconds:.0f} s" * (error == "timeout")
        stage = StageRun(name="exit", outcome="fail", seconds=round(seconds, 3), error=error, message=message)
        stage.printed, stage.trace = printed, stack
        self._redactor.stage(stage)
        self.stages.append(stage)
        self._show(stage.key, stage)

    # -- what is done and what is left --------------------------------------------------------------------------------

    def _over(self, step: Step, stage: StageRun) -> None:
        self._waiting.remove(step)
        self._redactor.stage(stage)
        self.stages.append(stage)
        self._show(step.key, stage)

    def _show(self, key: str, stage: StageRun | None) -> None:
        if self.on_stage is None or self._stopped:
            return
        try:
            self.on_stage(key, stage)
        except Exception as error:  # a terminal that is gone must not cost the answers
            self.view_error, self.on_stage = error, None

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


def _deviation(entry: Mapping[str, Any]) -> Deviation:
    try:
        return msgspec.convert(entry, Deviation, strict=False)
    except msgspec.ValidationError:
        return Deviation(str(entry.get("what") or "a result"))


def _unanswered(error: str, seconds: float, begun: bool) -> str:
    """What is said of a stage whose process is gone."""
    if error == "timeout":
        return f"no end after {seconds:.0f} s" if begun else f"the first stage had not begun after {seconds:.0f} s"
    if error == "no-answer":
        return "Python ended without an error, and without an answer"
    return meaning(error) if begun else "Python ended before a stage had begun"
