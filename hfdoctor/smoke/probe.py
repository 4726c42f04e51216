"""The run as a probe of a Snapshot, and what it tells the other sections."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..facts.fact import failed, known, not_run
from ..facts.probe import Context, Probe
from ..facts.probes.start_target import folder_to_run_in
from ..facts.sections.packages import ImportTrial
from ..facts.sections.smoke import Machinery, StageRun
from ..facts.snapshot import Snapshot
from .plan import Ask
from .run import Run
from .torch_word import merged, torch_word_of

SOURCE = "hfdoctor smoke"


class SmokeProbe:
    """Runs the stages beside the other probes, as soon as the target is known. ``stop`` ends whatever runs."""

    def __init__(
        self,
        ask: Ask,
        on_stage: Callable[[str, StageRun | None], None] | None = None,
        on_target: Callable[[Snapshot], None] | None = None,
    ) -> None:
        """``on_target`` is called once the target is known, before the first stage; ``on_stage`` as Run says."""
        self.ask = ask
        self.on_stage = on_stage
        self.on_target = on_target
        self._run: Run | None = None

    def probe(self) -> Probe:
        """To be handed to ``collect``."""
        return Probe("smoke", self.run, after=("target",), budget_s=7200.0)

    def stop(self) -> None:
        """End the child and remove its scratch folder; harmless where nothing runs."""
        if self._run is not None:
            self._run.stop()

    def run(self, ctx: Context) -> None:
        """Fill ``snapshot.smoke``."""
        section = ctx.snapshot.smoke
        chosen = ctx.snapshot.target.chosen.maybe()
        interpreter = ctx.snapshot.target.interpreter
        if chosen is None or not interpreter.known:
            section.run = section.stages = not_run("the target interpreter does not start", SOURCE)
            return
        ask = self.ask
        machinery = Machinery(
            ask.level, ask.device, ask.framework, ask.online, ask.local_model, ask.hub_model if ask.online else ""
        )
        section.stages = not_run("the stages have not ended yet", SOURCE)
        self._run = Run(ask, chosen.python, ctx.request.environ, folder_to_run_in(ctx), self.on_stage)
        if self.on_target is not None:
            self.on_target(ctx.snapshot)
        before = oom_kills()
        try:
            # a little is left for the others: at the deadline of all the probe is given up on, and its answers lost
            stages = self._run.go(ctx.deadline - 1.0 if ctx.deadline - time.monotonic() > 10 else ctx.deadline)
        except OSError as error:
            section.run = section.stages = failed(f"no scratch folder could be made: {error}", SOURCE)
            return
        after = oom_kills()
        if before is not None and after is not None:
            section.oom_kills = known(after - before, "memory.events of the control group")
        machinery.refused = self._run.refused
        section.run = known(machinery, SOURCE)
        section.stages = known(stages, SOURCE)


def tell_the_others(snapshot: Snapshot) -> None:
    """Put what the stages saw where the conditions look for what was seen: imports, and torch's word of its devices."""
    stages = snapshot.smoke.stages.maybe()
    if stages is None:
        return
    trials = [trial_of(stage) for stage in stages if stage.name == "import" and stage.outcome != "skip"]
    trials = [trial for trial in trials if trial.error != "not installed"]
    held = snapshot.packages.imports
    if trials and not held.known:
        snapshot.packages.imports = known(trials, SOURCE)
    word = torch_word_of(stages)
    if word is not None:
        snapshot.gpu.torch = known(merged(snapshot.gpu.torch.maybe(), word), SOURCE)


def trial_of(stage: StageRun) -> ImportTrial:
    """The import of a package as the other sections know it."""
    return ImportTrial(
        stage.subject,
        ok=stage.outcome == "pass",
        version=str(stage.facts.get("version") or ""),
        seconds=stage.seconds,
        error=stage.error,
        message=stage.message,
        stderr="\n".join(stage.printed[-12:]),
    )


def oom_kills() -> int | None:
    """How many processes of this control group the kernel has killed for want of memory; None where it does not say.

    Linux, cgroup 2: ``oom_kill`` in memory.events (Documentation/admin-guide/cgroup-v2.rst).
    """
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            group = next((line[3:].strip() for line in file if line.startswith("0::")), None)
        if group is None:
            return None
        with open(f"/sys/fs/cgroup{group}/memory.events", encoding="utf-8") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), None)
    except (OSError, ValueError, IndexError):
        return None
