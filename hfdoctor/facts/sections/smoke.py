"""What happened when the real libraries were run (``smoke``, ``check --smoke``)."""

from __future__ import annotations

import msgspec

from ..fact import Fact, unobserved

#: the stages in their order; ``import`` runs once for each package, ``device`` once for each device
STAGES = ("import", "tokenizer", "model", "generate", "train", "save", "local", "device", "compile", "hub")


class Deviation(msgspec.Struct, omit_defaults=True):
    """A result that is not the recorded one. ``what`` names the tensor or the value, in words a person can follow."""

    what: str
    #: cpu, cuda:0, mps ...
    device: str = "cpu"
    #: float32, bfloat16, float16, int64; "" for what is no number
    dtype: str = ""
    #: the largest difference, and what is allowed; 0 where the values must be the same
    difference: float | None = None
    tolerance: float = 0.0
    #: where the largest difference is, as an index, and the two values there
    at: list[int] = []
    expected: str = ""
    got: str = ""


class StageRun(msgspec.Struct, omit_defaults=True):
    """How one stage went.

    ``outcome`` is pass, fail or skip. A fail has an ``error``: the type of the exception, "signal SIGSEGV",
    "exit 0xC0000005", "exit 3", "timeout", "wrong result", "not installed", "no-answer" or "not-started".
    """

    name: str
    #: the package of an ``import``, the device of a ``device``; "" elsewhere
    subject: str = ""
    outcome: str = "pass"
    #: seconds of wall time
    seconds: float = 0.0
    #: why it was skipped, in words: "torch could not be imported"
    because: str = ""
    error: str = ""
    message: str = ""
    #: where the exception came from, innermost last, or the stacks of all threads when Python died or hung
    trace: list[str] = []
    #: the last lines that were printed meanwhile
    printed: list[str] = []
    deviations: list[Deviation] = []
    #: what is worth knowing of a stage that passed: versions, files, devices, measured differences; plain values only
    facts: dict[str, str | int | float | bool | None] = {}

    @property
    def key(self) -> str:
        """Name and subject: ``import torch``."""
        return f"{self.name} {self.subject}".strip()


class Machinery(msgspec.Struct, omit_defaults=True):
    """How the run was made."""

    level: str
    device: str = "auto"
    framework: str = "torch"
    online: bool = False
    #: the model folder that was asked for besides the tiny ones, "" without
    local_model: str = ""
    hub_model: str = ""
    #: "" or why the run as a whole is void: a device that does not exist ("cuda:7: torch sees cuda:0 and cuda:1")
    refused: str = ""


class Smoke(msgspec.Struct, omit_defaults=True):
    """The section ``smoke``."""

    run: Fact[Machinery] = unobserved()
    stages: Fact[list[StageRun]] = unobserved()
    #: processes that the kernel killed for want of memory meanwhile (Linux, cgroup 2)
    oom_kills: Fact[int] = unobserved()

    def failed(self) -> list[StageRun]:
        """The stages that failed, in their order; none where nothing was run."""
        return [stage for stage in self.stages.maybe() or () if stage.outcome == "fail"]
