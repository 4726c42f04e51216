"""Lets the target's torch speak of the devices that it can compute on (``--deep``), and fills ``gpu.torch``.

inspect_torch.py does the asking, in a child. Where that one is killed, or a device has failed, another child goes on
after the stage that it ended in: one bad device must not hide the others.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..child import Ended, run_child
from ..fact import Fact, absent, failed, known, not_run, timed_out
from ..inspect_torch import MARKER
from ..legible import legible
from ..probe import Context
from ..sections.gpu import TorchDevice, TorchWord
from .start_target import folder_to_run_in

SCRIPT = str(Path(__file__).parent.parent / "inspect_torch.py")
#: seconds for one stage: torch from a cold disk, or a first kernel that the driver compiles
STAGE_S = 60.0
#: seconds for all of it
LONGEST_S = 240.0
#: seconds under which no further child is begun: importing torch takes some
LEAST_S = 3.0
MOST_MESSAGES = 40
#: messages after which no more lines of stderr are kept: how a stage ended must find room
MOST_LINES = 25

_DEVICE = re.compile(r"(cuda|mps|xpu):(\d+)( cudnn)?$")
#: lines of stderr that say nothing: the watchdog's stack, and the line of code under a warning
_STACK = re.compile(r" {2}|Timeout \(\d|(Current t|T)hread 0x|Extension modules: ")


class Talk(msgspec.Struct):
    """What has been said so far, over all children."""

    word: TorchWord = msgspec.field(default_factory=TorchWord)
    #: stages that are not to be asked again: they killed a child, or they are devices that were tried
    skip: list[str] = []
    #: why there is no word at all: the import failed
    no_word: Fact[Any] | None = None
    #: devices that cuDNN worked, or did not work, on
    cudnn: dict[str, bool] = {}

    def device(self, kind: str, index: int) -> TorchDevice | None:
        """The device of that name among those that torch listed."""
        return next((one for one in self.word.devices if (one.kind, one.index) == (kind, index)), None)

    def note(self, text: str) -> None:
        """Keep a message, once."""
        text = legible(" ".join(text.split()))[:700]
        if text and text not in self.word.messages and len(self.word.messages) < MOST_MESSAGES:
            self.word.messages.append(text)


def read_torch_word(ctx: Context) -> Fact[TorchWord]:
    """What torch says; reads ``target`` and ``packages``. Source: torch itself, in a child. Raises OSError."""
    reason = why_not(ctx)
    if reason is not None:
        return reason
    python = ctx.snapshot.target.chosen.need().python
    until = time.monotonic() + ctx.left_s(LONGEST_S) - 1.0
    talk = Talk()
    while (left := until - time.monotonic()) > LEAST_S:
        stage_s = max(LEAST_S - 1.0, min(STAGE_S, left * 0.6))  # a device that hangs leaves time for the next one
        ended = run_child(
            [python, "-B", SCRIPT, f"{stage_s:.1f}", *talk.skip],
            left,
            environ=ctx.request.environ,
            cwd=folder_to_run_in(ctx),
        )
        if not listen(talk, ended):
            break
    else:
        talk.note("not everything was asked: no time was left")
    if talk.no_word is not None:
        return talk.no_word
    for device in talk.word.devices:
        if device.ok is None and not device.error:  # time is over, or a later child does not see it any more
            talk.note(f"{device.kind}:{device.index}: not tried")
    talk.word.cudnn_ok = min(talk.cudnn.values(), default=None)
    return known(talk.word, f"{python} -B inspect_torch.py")


def why_not(ctx: Context) -> Fact[Any] | None:
    """Why torch is not asked; None if it is."""
    if not ctx.request.deep:
        return not_run("only --deep asks torch")
    target, packages = ctx.snapshot.target, ctx.snapshot.packages
    start = target.start.maybe()
    if target.chosen.maybe() is None or start is None or not start.ok:
        return not_run("the interpreter does not start")
    for trial in packages.imports.maybe() or ():
        if trial.package == "torch" and not trial.ok:
            return not_run(f"torch could not be imported: {trial.error}"[:300])
    if packages.torch_build.absent:
        return absent(packages.torch_build.reason)
    if ctx.left_s(LONGEST_S) - 1.0 <= LEAST_S:
        return timed_out("no time was left to ask torch")
    return None


def listen(talk: Talk, ended: Ended) -> bool:
    """Take up what one child said; True if another one should go on where it ended."""
    stage, finished, before = "", False, len(talk.skip)
    for said in objects_in(ended.stdout):
        if "stage" in said:
            stage = str(said["stage"])
        elif said.get("end"):
            finished = True
        elif "done" in said:
            stage = ""
            take(talk, str(said["done"]), said)
    for line in ended.stderr.decode("utf-8", "replace").splitlines()[:400]:
        if len(talk.word.messages) < MOST_LINES and not _STACK.match(line):
            talk.note(line)
    how = how_it_ended(ended)
    if stage:
        ended_in(talk, stage, how)
        return talk.no_word is None
    if talk.no_word is not None or finished:
        if finished and how != "exit 0":
            talk.note(f"after the last answer: {how}")
        return False
    if len(talk.skip) > before:  # a device failed, and the child left the others to the next one
        return any(one.ok is None and not one.error for one in talk.word.devices)
    if talk.word.cuda is None:
        talk.no_word = failed(f"it gave no answer: {how}")
    talk.note(f"between two questions: {how}")
    return False


def objects_in(stdout: bytes) -> list[Mapping[str, Any]]:
    """The JSON objects after the markers."""
    found: list[Mapping[str, Any]] = []
    marker = MARKER.encode("ascii")
    for line in stdout.splitlines():
        if line.startswith(marker):
            try:
                found.append(msgspec.json.decode(line[len(marker) :], type=dict[str, Any]))
            except msgspec.DecodeError:
                continue  # cut off where the process was killed
    return found


def how_it_ended(ended: Ended) -> str:
    """How a child ended: "signal SIGSEGV", "exit 0xC0000005", "exit 1", "timeout"."""
    if ended.timed_out or (ended.code == 1 and b"Timeout (" in ended.stderr):  # the watchdog of a stage
        return "timeout"
    if ended.signal:
        return f"signal {ended.signal}"
    code = ended.code or 0
    return f"exit {code}" if 0 <= code < 0x80000000 else f"exit 0x{code & 0xFFFFFFFF:X}"


# -- one stage --------------------------------------------------------------------------------------------------------


def take(talk: Talk, stage: str, said: Mapping[str, Any]) -> None:
    """Take up the answers of one stage; of a question that was asked twice the first answer holds."""
    word = talk.word
    error = str(said.get("error", ""))
    for text in said.get("messages", ()):
        talk.note(f"{stage}: {text}")
    if error:
        talk.note(f"{stage}: {error}")
    device = _DEVICE.match(stage)
    if device:
        talk.skip.append(stage)
        _judge(talk, device, bool(said.get("ok")), error)
    elif stage == "import" and "version" not in said:
        missing = error.endswith("No module named 'torch'")
        talk.no_word = absent("torch is not installed") if missing else failed(f"import: {error}"[:300])
    elif stage in ("cuda", "mps", "xpu"):
        if getattr(word, stage) is None and "available" in said:
            setattr(word, stage, bool(said["available"]))
    elif stage == "architectures":
        word.arch_list = word.arch_list or [str(one) for one in said.get("arch_list", ())]
    elif stage == "cudnn":
        word.cudnn = word.cudnn or str(said.get("cudnn", ""))
    elif stage.endswith(".devices"):
        for entry in said.get("devices", ()):
            if talk.device(entry["kind"], entry["index"]) is None:
                word.devices.append(_device(entry))


def _device(entry: Mapping[str, Any]) -> TorchDevice:
    memory = entry.get("memory")
    return TorchDevice(
        name=str(entry["name"]),
        capability=str(entry.get("capability") or ""),
        memory_total=memory if isinstance(memory, int) else None,
        kind=str(entry["kind"]),
        index=int(entry["index"]),
    )


def _judge(talk: Talk, stage: re.Match[str], ok: bool | None, error: str) -> None:
    kind, index, cudnn = stage.groups()
    if cudnn:
        if ok is not None:
            talk.cudnn[f"{kind}:{index}"] = ok
        return
    if not ok:
        talk.skip.append(f"{kind}:{index} cudnn")  # it would fail for the same reason
    device = talk.device(kind, int(index))
    if device is not None and device.ok is None:
        device.ok, device.error = ok, error


def ended_in(talk: Talk, stage: str, how: str) -> None:
    """The child was killed in this stage, or by its watchdog."""
    talk.note(f"{stage}: {how}")
    if stage == "import":
        talk.no_word = timed_out("importing torch took too long") if how == "timeout" else failed(f"import: {how}")
        return
    talk.skip.append(stage)
    device = _DEVICE.match(stage)
    if device:
        # who is slow, or was killed from outside (memory ran out), has not failed
        _judge(talk, device, None if how in ("timeout", "signal SIGKILL") else False, how)
