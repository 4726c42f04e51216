"""What goes wrong on a GPU only while it computes: its memory, its driver's state, an operation it does not have."""

from __future__ import annotations

import re

from ..facts.snapshot import Snapshot
from .byte_count import size
from .model import Clue, Condition, Fail, Goal, Plain, Skip, Step, Treatment, Verdict
from .seen_stages import WORDS, Seen, first_of, ran

NOT_RUN = "it shows only when something is computed on the GPU (hfdoctor smoke does where torch sees one)"
#: the stages that compute on a GPU
ON_GPU = ("device cuda", "device xpu", "device mps")


def _memory(s: Snapshot, goal: Goal) -> Verdict:
    seen = first_of(s, "gpu-out-of-memory")
    if seen is None:
        return ran(s, *ON_GPU) or Skip("not_run")
    clues = [seen.clue(r"out of memory|ALLOC_FAILED")]
    for device in s.gpu.devices.maybe() or ():
        if device.memory_total and device.memory_free is not None:
            fields: dict[str, Plain] = {"gpu": device.name or "the GPU", "total": size(device.memory_total)}
            fields["free"] = size(device.memory_free)
            clues.append(Clue(s.gpu.devices, device.memory_free, "has_free", fields))
    steps = [Step(says="who_uses"), Step(says="other_gpu"), Step(says="less")]
    fields = {"doing": seen.doing}
    return Fail("out", seen.severity, "observed", clues, fields, Treatment("print-only", steps), len(clues))


def _unknown_error(s: Snapshot, goal: Goal) -> Verdict:
    seen = first_of(s, "cuda-unknown-error")
    if seen is None:
        return ran(s, *ON_GPU) or Skip("not_run")
    clues = [seen.clue(r"CUDA |HIP error|CUBLAS_")]
    driver = s.gpu.driver.maybe()
    if driver is not None:
        clues.append(Clue(s.gpu.driver, driver.version, "driver_is", {"version": driver.version}))
    started = bool(re.search(r"unknown error|initialization error|not yet initialized|busy", seen.words))
    steps = [Step(says="reload", administrator=True), Step(says="restart")]
    if not started:
        steps = [Step(says="restart"), Step(says="log"), Step(says="newer_driver")]
    fields: dict[str, Plain] = {"doing": seen.doing}
    says = "does_not_start" if started else "fails"
    return Fail(says, seen.severity, "observed", clues, fields, Treatment("print-only", steps), len(clues))


def _mps(s: Snapshot, goal: Goal) -> Verdict:
    os = s.machine.os.maybe()
    seen = first_of(s, "mps-unsupported-op")
    if seen is None:
        if os is not None and os.system != "macos":
            return Skip("not_mac")
        return ran(s, "device mps") or Skip("not_run")
    fields: dict[str, Plain] = {"doing": seen.doing, "what": _operation(seen)}
    steps = [Step(says="fallback"), Step(says="newer")]
    return Fail("lacks", seen.severity, "observed", [seen.clue("MPS")], fields, Treatment("print-only", steps))


def _operation(seen: Seen) -> str:
    named = re.search(r"'(aten::[\w.]+)'", seen.message)
    return named[1] if named else "an operation or a type of number"


GPU_OUT_OF_MEMORY = Condition(
    id="gpu-out-of-memory",
    family="gpu",
    title="The GPU had too little free memory for what was run",
    reads=("smoke", "packages", "gpu", "target"),
    detect=_memory,
    words={
        **WORDS,
        "not_run": NOT_RUN,
        "out": "{doing} ends for want of memory on the GPU",
        "has_free": "{gpu}: {free} of {total} were free before",
        "who_uses": "see what uses the GPU's memory with nvidia-smi, and end what is not needed (an old notebook)",
        "other_gpu": "or compute on another GPU: CUDA_VISIBLE_DEVICES names the one that programs see",
        "less": "with models of your own: a smaller batch, shorter texts, or torch_dtype=torch.bfloat16",
    },
)

CUDA_UNKNOWN_ERROR = Condition(
    id="cuda-unknown-error",
    family="gpu",
    title="The GPU or its driver is in a state in which nothing can be computed",
    reads=("smoke", "packages", "gpu", "target"),
    detect=_unknown_error,
    words={
        **WORDS,
        "not_run": NOT_RUN,
        "does_not_start": "{doing} fails: the driver cannot start CUDA",
        "fails": "{doing} fails: the GPU gives up on a computation that is known to be right",
        "driver_is": "the driver is {version}",
        "reload": "after the machine was suspended: sudo modprobe -r nvidia_uvm && sudo modprobe nvidia_uvm",
        "restart": "restart the machine",
        "log": "look for the word Xid in the system's log (sudo dmesg): its number says what the GPU complains of",
        "newer_driver": "if it comes again, install a newer driver, and have the GPU, its cables and cooling checked",
    },
    explained_by=("driver-mismatch", "driver-too-old", "gpu-arch-unsupported", "cuda-libs-mixed"),
)

MPS_UNSUPPORTED_OP = Condition(
    id="mps-unsupported-op",
    family="gpu",
    title="Apple's GPU lacks an operation that the model uses",
    reads=("smoke", "packages", "machine", "target"),
    detect=_mps,
    words={
        **WORDS,
        "not_mac": "only a Mac has this GPU",
        "not_run": NOT_RUN,
        "lacks": "{doing} fails: torch cannot compute {what} on Apple's GPU",
        "fallback": "set PYTORCH_ENABLE_MPS_FALLBACK=1 before Python starts: the processor then does what is missing",
        "newer": "or install a newer torch (and macOS), which has more of them, or compute on the processor",
    },
)

CONDITIONS: tuple[Condition, ...] = (GPU_OUT_OF_MEMORY, CUDA_UNKNOWN_ERROR, MPS_UNSUPPORTED_OP)
