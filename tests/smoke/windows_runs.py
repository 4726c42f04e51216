"""Runs inside the Windows Python: runs of made libraries, one for each act, and what was left of them.

Started with a file of JSON ({"root": folder, "acts": {name: code of numpy}, "killed": code or null}) and a file for
the answer.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil


def doctor(root, seconds, on_stage=None):
    from hfdoctor.smoke.plan import Ask
    from hfdoctor.smoke.run import Run

    tempfile.tempdir = str(Path(root, "temp"))
    environ = dict(os.environ, PYTHONPATH=str(Path(root, "site")))
    return Run(Ask(level="import", stage_timeout_s=seconds), sys.executable, environ, str(Path(root, "work")), on_stage)


def write_numpy(root, code):
    Path(root, "site", "numpy", "__init__.py").write_text(code, "utf-8")


def left(root, seconds=6.0):
    """Processes that speak of the folder, and files in its temporary and its working directory."""
    until = time.monotonic() + seconds
    while True:
        found = [str(path) for name in ("temp", "work") for path in Path(root, name).iterdir()]
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and root in " ".join(process.cmdline()):
                    found.append(str(process.cmdline()))
            except psutil.Error:
                continue
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.1)


def act(root, code):
    write_numpy(root, code)
    began = time.monotonic()
    run = doctor(root, 4.0)
    stages = [
        {name: getattr(stage, name) for name in ("key", "outcome", "error", "message", "trace", "printed", "facts")}
        for stage in run.go(time.monotonic() + 60)
    ]
    return {"stages": stages, "seconds": time.monotonic() - began, "left": left(root)}


def killed(root, code):
    """A doctor of its own is ended, without a word, in the middle of a stage."""
    write_numpy(root, code)
    child = subprocess.Popen([sys.executable, __file__, "--doctor", root])
    hangs = Path(root, "hangs")
    until = time.monotonic() + 60
    while not hangs.exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)
    there = len(left(root, 0))
    psutil.Process(child.pid).kill()
    child.wait()
    return {"there": there, "left": left(root)}


if __name__ == "__main__":
    if sys.argv[1] == "--doctor":
        doctor(sys.argv[2], 60.0).go(time.monotonic() + 100)
        sys.exit(0)
    with open(sys.argv[1], encoding="utf-8") as asked:
        asked = json.load(asked)
    answer = {name: act(asked["root"], code) for name, code in asked["acts"].items()}
    if asked["killed"]:
        answer["killed"] = killed(asked["root"], asked["killed"])
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(answer, file)
