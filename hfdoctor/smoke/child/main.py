"""Reads the plan and runs its stages in order.

The plan (see plan.py) is a JSON object: ``stages`` (``[key, deadline_s]`` each), ``seconds`` (for all of them),
``word`` (begins each line that the doctor is told), ``scratch`` (a folder of the run), ``tiny`` (the folder of the
tiny models), ``cwd`` (the folder of the person), ``level``, ``device``, ``framework``, ``online``, ``local_model``,
``hub_model``, ``hub`` (what is fetched from there).
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys

from .teller import Stage, Teller

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import ModuleType
    from typing import Any

#: stage -> (module here, function): a flaw in one costs no other
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
#: stages that take more than plain modules (OpenSSL) from the standard library: no library must find those loaded
LATE = ("hub",)
#: seconds that Python may take to end after the last stage
EXIT_S = 30.0


def main(plan_file: str, before: Collection[str] = ()) -> None:
    """Run the plan. What is printed meanwhile goes to standard error; standard output is the teller's.

    ``before`` names the modules that Python had loaded by itself.
    """
    pipe = own_the_output()
    die_quietly()
    with open(plan_file, encoding="utf-8") as file:
        plan = json.load(file)
    teller = Teller(pipe, plan)
    waiting = [(key, deadline_s) for key, deadline_s in plan["stages"]]
    names = dict.fromkeys(key.partition(" ")[0] for key, _ in waiting)
    modules = {name: load(STAGES[name][0]) for name in names if name not in LATE}
    become_a_script(plan["cwd"], before)
    while waiting:
        key, deadline_s = waiting.pop(0)
        name = key.partition(" ")[0]
        if name != "import":
            leave_folder(plan["scratch"])
        answer = teller.stage(key, deadline_s, runner(modules.get(name), *STAGES[name]))
        if key == "device" and answer["outcome"] == "pass":  # which there are is known only now
            waiting[:0] = [(f"device {name}", deadline_s) for name in answer["facts"]["devices"].split()]
        if key.startswith("device ") and answer["outcome"] == "fail":
            teller.say({"again": True})  # errors of CUDA are sticky: what comes next gets a process of its own
            break
    teller.end(EXIT_S)


def own_the_output() -> int:
    """Give standard output to the teller, and standard error to all who print; the teller's end of the pipe."""
    pipe = os.dup(1)  # not inherited by other programs (PEP 446)
    os.dup2(2, 1)
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        try:
            stream.reconfigure(line_buffering=True)  # what was printed before a death must be out
        except Exception:
            continue  # a start-up file may have put anything there
    return pipe


def die_quietly() -> None:
    """No file of memory is left in the person's folder, and no window waits for somebody to close it."""
    faulthandler.enable(2)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.SetErrorMode(msvcrt.SEM_FAILCRITICALERRORS | msvcrt.SEM_NOGPFAULTERRORBOX)
        return
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    except (ImportError, ValueError, OSError):
        pass


def load(module: str) -> Any:
    """The module of a stage, or what went wrong with it: it fails in its own stage then."""
    try:
        return importlib.import_module("." + module, __package__)
    except Exception as error:
        return error


def leave_folder(scratch: str) -> None:
    """What a library writes into "here" is removed with the scratch folder. Imports still see the person's."""
    try:
        os.chdir(os.path.join(scratch, "work"))
    except OSError:
        pass  # a library removed it: then there is nothing to keep clean


def runner(loaded: ModuleType | Exception | None, module: str, function: str) -> Callable[[Stage], None]:
    """What runs a stage; its module is loaded now where it is not ``loaded``."""

    def run(stage: Stage) -> None:
        if isinstance(loaded, Exception):
            raise loaded
        getattr(loaded or importlib.import_module("." + module, __package__), function)(stage)

    return run


def become_a_script(folder: str, before: Collection[str]) -> None:
    """Make sys.path, sys.argv and sys.modules what a script in ``folder`` would begin with."""
    sys.argv[1:] = []
    flags = sys.flags
    if not folder or getattr(flags, "safe_path", False) or flags.isolated:  # -P, PYTHONSAFEPATH, a ._pth file
        return
    fresh = {name for name in sys.modules if name not in before and name.partition(".")[0] != "hfdoctor_smoke"}
    if any(stands_in(folder, name) for name in {name.partition(".")[0] for name in fresh}):
        # a file there has the name of a module that we have loaded: the libraries must get that file, as in any script
        for name in fresh:
            if str(getattr(sys.modules[name], "__file__", None)).endswith(".py"):
                del sys.modules[name]
    sys.path.insert(0, folder)


def stands_in(folder: str, name: str) -> bool:
    """Whether ``import name`` would find a module or package of ``folder``."""
    path = os.path.join(folder, name)
    return os.path.isfile(path + ".py") or os.path.isfile(os.path.join(path, "__init__.py"))
