"""Reads the plan and runs its stages in order.

The plan (see plan.py) is a JSON object: ``stages`` (``[key, deadline_s]`` each), ``scratch`` (a folder of the run),
``tiny`` (the folder of the tiny models), ``cwd`` (what a script of the person would have on sys.path, "" for none),
``level``, ``device``, ``framework``, ``online``, ``local_model``, ``hub_model``.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import threading

from .teller import Stage, Teller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: stage -> (module here, function): loaded when the stage begins, so that a flaw in one costs no other
STAGES = {
    "import": ("imports", "run"),
    "tokenizer": ("tokenizer", "run"),
    "model": ("model", "run"),
    "generate": ("generate", "run"),
    "train": ("train", "run"),
    "save": ("save", "run"),
    "local": ("local_model", "run"),
    "device": ("device", "run"),
    "compile": ("compile", "run"),
    "hub": ("hub", "run"),
}
#: seconds that Python may take to end after the last stage
EXIT_S = 30.0


def main(plan_file: str) -> None:
    """Run the plan. What is printed meanwhile goes to standard error; standard output is the teller's."""
    with open(plan_file, encoding="utf-8") as file:
        plan = json.load(file)
    pipe = os.dup(1)
    os.set_inheritable(pipe, False)
    os.dup2(2, 1)
    faulthandler.enable()
    die_with_parent(plan["scratch"])
    if plan["cwd"]:
        sys.path.insert(0, plan["cwd"])
    teller = Teller(pipe, plan)
    waiting = [(key, deadline_s) for key, deadline_s in plan["stages"]]
    while waiting:
        key, deadline_s = waiting.pop(0)
        answer = teller.stage(key, deadline_s, runner(key))
        if key == "device" and answer["outcome"] == "pass":  # which there are is known only now
            waiting[:0] = [(f"device {name}", deadline_s) for name in answer["facts"]["devices"].split()]
        if key.startswith("device ") and answer["outcome"] == "fail":
            teller.say({"again": True})  # errors of CUDA are sticky: what comes next gets a process of its own
            break
    faulthandler.dump_traceback_later(EXIT_S, exit=True)
    teller.say({"end": True})


def runner(key: str) -> Callable[[Stage], None]:
    """What runs the stage ``key``; the module is imported inside the stage's own time and deadline."""
    module, function = STAGES[key.partition(" ")[0]]

    def run(stage: Stage) -> None:
        getattr(importlib.import_module("." + module, __package__), function)(stage)

    return run


def die_with_parent(scratch: str) -> None:
    """End this process and remove the scratch folder when whoever started it is gone.

    Its end of the pipe on standard input closes then, however it died. On Windows the parent puts this process into a
    job that dies with it: there a thread that waits for standard input makes the loading of libraries hang.
    """
    if os.name == "nt":
        return

    def wait() -> None:
        while os.read(0, 1):
            pass
        import shutil
        import signal

        shutil.rmtree(scratch, ignore_errors=True)
        if os.getpid() == os.getpgid(0):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, name="hfdoctor-parent", daemon=True).start()
