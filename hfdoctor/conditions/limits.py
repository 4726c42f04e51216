"""Limits of the operating system that PyTorch's DataLoader runs into."""

from __future__ import annotations

from ..facts.snapshot import Snapshot
from .model import Clue, Condition, Fail, Goal, Pass, Skip, Step, Treatment, Verdict

#: bytes; Docker gives a container 64 MiB of /dev/shm, and DataLoader workers pass whole batches through it
SMALL_SHM = 128 * 1024 * 1024


def _shared_memory(s: Snapshot, goal: Goal) -> Verdict:
    if s.machine.os.need().system != "linux":
        return Skip("not_linux")
    space = s.machine.shm.or_absent()
    if space is None:
        return Fail("no_shm", "warning", "observed", [Clue(s.machine.shm, says="shm_absent")])
    if space.total >= SMALL_SHM:
        return Pass(1, [Clue(s.machine.shm, space.total)])
    size = f"{space.total / 2**20:.0f} MiB"
    steps = [Step(says="one_worker")]
    if s.machine.container.maybe():
        steps.insert(0, Step(says="docker"))
    else:
        steps.insert(0, Step(["mount", "-o", "remount,size=50%", "/dev/shm"], "remount", administrator=True))
    return Fail(
        "small",
        "warning",
        "derived",
        [Clue(s.machine.shm, space.total, "shm_size", {"size": size})],
        {"size": size},
        Treatment("print-only", steps),
    )


SHARED_MEMORY = Condition(
    id="shared-memory",
    family="limits",
    title="Shared memory (/dev/shm) is too small for DataLoader workers",
    reads=("machine",),
    detect=_shared_memory,
    words={
        "not_linux": "only Linux passes tensors through /dev/shm",
        "small": "/dev/shm holds only {size}: a DataLoader with workers will die with a bus error",
        "shm_size": "/dev/shm has {size} in all; a batch of images alone can be larger",
        "no_shm": "/dev/shm is missing: a DataLoader with workers cannot pass tensors",
        "shm_absent": "there is no /dev/shm",
        "docker": "start the container with --shm-size=8g (or --ipc=host)",
        "remount": "give /dev/shm half of the memory until the next restart",
        "one_worker": "or use DataLoader(num_workers=0)",
    },
)

CONDITIONS: tuple[Condition, ...] = (SHARED_MEMORY,)
