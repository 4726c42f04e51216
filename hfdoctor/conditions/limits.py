"""Limits of the operating system that PyTorch's DataLoader runs into."""

from __future__ import annotations

from ..facts.snapshot import Snapshot
from .model import Clue, Condition, Fail, Goal, Pass, Plain, Skip, Step, Treatment, Verdict

#: bytes; Docker gives a container 64 MiB of /dev/shm, and DataLoader workers pass whole batches through it
SMALL_SHM = 128 * 1024 * 1024
#: bytes; what every container gets that is not started otherwise: fine for text, too little for images
USUAL_SHM = 64 * 1024 * 1024
#: bytes; less than one batch of images
NO_SHM_LEFT = 16 * 1024 * 1024


def _shared_memory(s: Snapshot, goal: Goal) -> Verdict:
    if s.machine.os.need().system != "linux":
        return Skip("not_linux")
    space = s.machine.shm.or_absent()
    if space is None:
        return Fail("no_shm", "warning", "observed", [Clue(s.machine.shm, says="shm_absent")])
    size = f"{space.total / 2**20:.0f} MiB"
    if space.total >= SMALL_SHM:
        if space.free >= NO_SHM_LEFT:
            return Pass(1, [Clue(s.machine.shm, space.total)])
        fields: dict[str, Plain] = {"size": size, "free": f"{space.free / 2**20:.0f} MiB"}
        steps = [Step(says="leftovers"), Step(says="one_worker")]
        clue = Clue(s.machine.shm, space.free, "shm_free", fields)
        return Fail("filled", "warning", "derived", [clue], fields, Treatment("print-only", steps))
    steps = [Step(says="one_worker")]
    container = s.machine.container.maybe()
    if container:
        steps.insert(0, Step(says="kubernetes" if container == "kubernetes" else "docker"))
    else:
        steps.insert(0, Step(["mount", "-o", "remount,size=50%", "/dev/shm"], "remount", administrator=True))
    return Fail(
        "small",
        "note" if space.total >= USUAL_SHM else "warning",
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
        "small": "/dev/shm holds only {size}: DataLoader workers that pass more at once die with a bus error",
        "shm_size": "/dev/shm has {size} in all; a batch of images alone can be larger",
        "no_shm": "/dev/shm is missing: a DataLoader with workers cannot pass tensors",
        "shm_absent": "there is no /dev/shm",
        "filled": "/dev/shm is full ({free} left): a DataLoader with workers will die with a bus error",
        "shm_free": "{free} of {size} are left in /dev/shm",
        "leftovers": "ls -l /dev/shm shows by what; files that dead programs left (torch_*, psm_*) can be deleted",
        "kubernetes": "mount an emptyDir with medium: Memory at /dev/shm",
        "docker": "start the container with --shm-size=8g (or --ipc=host)",
        "remount": "give /dev/shm half of the memory until the next restart",
        "one_worker": "or use DataLoader(num_workers=0)",
    },
)

#: macOS gives a process 256, which DataLoader workers get by with: 16 of them were seen to take about 150
FEW_OPEN_FILES = 256


def _open_files(s: Snapshot, goal: Goal) -> Verdict:
    limit = s.machine.open_files.or_absent()
    if limit is None:
        return Skip("no_limit")
    if limit.soft == -1 or limit.soft >= FEW_OPEN_FILES:
        return Pass(1, [Clue(s.machine.open_files, limit.soft)])
    fields: dict[str, Plain] = {"soft": limit.soft, "hard": "unlimited" if limit.hard == -1 else limit.hard}
    wanted = 4096 if limit.hard == -1 else min(4096, limit.hard)
    steps = [Step(says="sharing")]
    if wanted >= FEW_OPEN_FILES:
        steps.insert(0, Step(says="raise", fields={"wanted": wanted}))
    else:
        steps.insert(0, Step(says="raise_hard", administrator=True))
    clue = Clue(s.machine.open_files, limit.soft, "limit", fields)
    return Fail("few", "warning", "derived", [clue], fields, Treatment("print-only", steps))


TOO_MANY_OPEN_FILES = Condition(
    id="too-many-open-files",
    family="limits",
    title="A process may open too few files",
    reads=("machine",),
    detect=_open_files,
    words={
        "no_limit": "Windows has no such limit",
        "few": "a process may open only {soft} files: DataLoader workers and large models need more",
        "limit": "the limit on open files is {soft}; without new rights it can be raised to {hard}",
        "raise": "raise it in the shell before you start Python: ulimit -n {wanted}",
        "raise_hard": "raise the hard limit: nofile in /etc/security/limits.conf (docker run --ulimit nofile=4096)",
        "sharing": "or call torch.multiprocessing.set_sharing_strategy('file_system')",
    },
)

CONDITIONS: tuple[Condition, ...] = (SHARED_MEMORY, TOO_MANY_OPEN_FILES)
