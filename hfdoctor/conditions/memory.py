"""The machine's own memory did not suffice: seen, never derived. What a model needs shows when it is loaded."""

from __future__ import annotations

from ..facts.snapshot import Snapshot
from .byte_count import size
from .model import Clue, Condition, Fail, Goal, Plain, Skip, Step, Treatment, Verdict
from .seen_stages import WORDS, Seen, first_of, ran


def _out_of_memory(s: Snapshot, goal: Goal) -> Verdict:
    seen = first_of(s, "out-of-memory")
    if seen is None:
        return ran(s) or Skip("not_run")
    clues = [seen.clue()]
    kills = s.smoke.oom_kills.maybe()
    if kills:
        clues.append(Clue(s.smoke.oom_kills, kills, "killed", {"count": kills}))
    memory = s.machine.memory.maybe()
    if memory is not None:
        fields: dict[str, Plain] = {"total": size(memory.ram_total), "free": size(memory.ram_available)}
        clues.append(Clue(s.machine.memory, memory.ram_available, "has", fields))
        if memory.cgroup_limit is not None:
            fields = {"limit": size(memory.cgroup_limit)}
            clues.append(Clue(s.machine.memory, memory.cgroup_limit, "may_use", fields))
    fields = {"doing": seen.doing}
    says = "threads" if "thread" in seen.words.lower() and "MemoryError" not in seen.words else "out"
    return Fail(says, seen.severity, "observed", clues, fields, Treatment("print-only", _ways(s, seen)), len(clues))


def _ways(s: Snapshot, seen: Seen) -> list[Step]:
    os = s.machine.os.maybe()
    steps = [Step(says="close")]
    if os is None or os.system != "windows":
        memory = s.machine.memory.maybe()
        contained = s.machine.container.maybe() or (memory is not None and memory.cgroup_limit is not None)
        steps.insert(0, Step(says="container" if contained else "limit"))
    return [*steps, Step(says="smaller")]


OUT_OF_MEMORY = Condition(
    id="out-of-memory",
    family="limits",
    title="There was too little memory for what was run",
    reads=("smoke", "packages", "machine", "target"),
    detect=_out_of_memory,
    words={
        **WORDS,
        "not_run": "how much memory a program needs shows when it runs (hfdoctor smoke runs one)",
        "out": "{doing} ends for want of memory",
        "threads": "{doing} ends for want of memory or threads: the system gives it no more of them",
        "killed": "meanwhile the system killed {count} process(es) of this group for want of memory",
        "has": "the machine has {total} of memory, of which {free} were free before",
        "may_use": "this process and its siblings may use {limit}",
        "limit": "look at the limits with: ulimit -v -u; in a cluster's job ask for more memory",
        "container": "give the container, or the cluster's job, more memory (docker run --memory, --pids-limit)",
        "close": "close other programs that use much memory",
        "smaller": "with models of your own: load them with torch_dtype=torch.bfloat16, or take a smaller one",
    },
)

CONDITIONS: tuple[Condition, ...] = (OUT_OF_MEMORY,)
