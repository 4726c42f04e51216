"""Has the target import the packages that matter, each in a child of its own (``--deep`` only).

A crash, a hang or an abort of the child is the observation; the doctor itself imports none of them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

import msgspec

from ..child import Ended, run_child
from ..legible import legible
from ..probe import Context
from ..sections.packages import ImportTrial
from .start_target import folder_to_run_in

#: what is tried, in this order: the name of the trial, and what the child does after importing the module
TRIALS = {
    "numpy": ("numpy", "module.zeros(2).sum()"),
    "safetensors": ("safetensors", "module.safe_open"),
    "tokenizers": ("tokenizers", "module.Tokenizer"),
    "torch": ("torch", "module.ones(2).sum().item()"),
    "torch.numpy": ("torch", "module.ones(2).numpy()"),
    # transformers imports it wherever it is installed; its compiled part must fit torch's
    "torchvision": ("torchvision", "module.ops"),
    # most of transformers is imported only when a name is asked for
    "transformers": ("transformers", "module.AutoModel, module.AutoTokenizer"),
}

#: seconds for one import: torch from a cold disk takes many
LONGEST_S = 60.0

_MARKER = "hfdoctor-import "
_LINES_KEPT = 12

# sys.path[0] is "" for -c: the folder the person works in must not lend its files here. Python 3.8 and later.
_CHILD = """
import sys
if sys.path and sys.path[0] == '':
    del sys.path[0]
import faulthandler
faulthandler.enable()
import importlib, json
name, use, marker = sys.argv[1:4]
answer = {'version': '', 'error': '', 'message': ''}
try:
    module = importlib.import_module(name)
    answer['version'] = str(getattr(module, '__version__', ''))
    eval(use, {'module': module})
except BaseException as error:
    answer['error'] = type(error).__name__
    answer['message'] = str(error)[:2000]
sys.stdout.flush()
sys.stdout.write('\\n' + marker + json.dumps(answer) + '\\n')
sys.stdout.flush()
"""


class _Answer(msgspec.Struct):
    version: str
    error: str
    message: str


def try_imports(
    ctx: Context, python: str, installed: Collection[str], old_numpy_client: bool = False
) -> list[ImportTrial]:
    """Try those of TRIALS whose package is among ``installed`` (normalised names) with the interpreter ``python``.

    ``old_numpy_client``: torch's files suggest that it cannot use the installed NumPy. Raises TimeoutError if the
    time of the whole run is over before the first one.
    """
    names = [name for name, (package, _) in TRIALS.items() if package in installed]
    trials: list[ImportTrial] = []
    for name in names:
        if name == "torch.numpy" and not (old_numpy_client or _complains_of_numpy(trials)):
            continue  # another import of torch takes seconds
        if ctx.deadline - time.monotonic() < 1.0:
            if not trials:
                raise TimeoutError("no time was left to import anything")
            trials.append(ImportTrial(name, ok=False, error="not-tried", message="no time was left"))
            continue
        trials.append(_try(ctx, python, name))
    return trials


def _complains_of_numpy(trials: Sequence[ImportTrial]) -> bool:
    return any(trial.package == "torch" and "numpy" in trial.stderr.lower() for trial in trials)


def _try(ctx: Context, python: str, name: str) -> ImportTrial:
    package, use = TRIALS[name]
    began = time.monotonic()
    try:
        ended = run_child(
            [python, "-B", "-c", _CHILD, package, use, _MARKER],
            ctx.left_s(LONGEST_S),
            environ=ctx.request.environ,
            cwd=folder_to_run_in(ctx),
        )
    except OSError as error:
        return ImportTrial(name, ok=False, error="not-started", message=str(error))
    trial = judge(name, ended)
    trial.seconds = round(time.monotonic() - began, 3)
    return trial


def judge(name: str, ended: Ended) -> ImportTrial:
    """What the end of the child says of the import."""
    trial = ImportTrial(name, ok=False)
    lines = legible(ended.stderr.decode("utf-8", "replace")).splitlines()
    trial.stderr = "\n".join(line[:300] for line in lines[-_LINES_KEPT:])
    answer = _answer(ended.stdout)
    if answer is not None:
        trial.version, trial.error, trial.message = answer.version, answer.error, answer.message
    if ended.timed_out:
        trial.error = "timeout"
    elif ended.signal:
        trial.error = f"signal {ended.signal}"  # also after an answer: a crash at exit is a crash
    elif ended.code:
        # Windows' exceptions are numbers such as 0xC0000005
        trial.error = f"exit {ended.code}" if 0 < ended.code < 0x80000000 else f"exit 0x{ended.code & 0xFFFFFFFF:X}"
    elif answer is None:
        trial.error = "no-answer"
    trial.ok = not trial.error
    return trial


def _answer(stdout: bytes) -> _Answer | None:
    _, marker, rest = stdout.rpartition(b"\n" + _MARKER.encode())
    if not marker:
        return None
    try:
        return msgspec.json.decode(rest.partition(b"\n")[0], type=_Answer)
    except msgspec.DecodeError:
        return None
