"""Runs inside the Windows Python: changes packages of another one, and tells what came of it.

Arguments: the folder of the Python that is changed, a folder for the journal's files, the index.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
from uv import find_uv_bin

from hfdoctor.conditions.changes import NewEnvironment, PackageChange
from hfdoctor.facts.snapshot import Snapshot
from hfdoctor.remedies.action import Refused, Workplace, quiet
from hfdoctor.remedies.kinds.environment import prepare_environment
from hfdoctor.remedies.kinds.packages import prepare_packages
from hfdoctor.remedies.kinds.registered import Kind

# the changed Python keeps what it compiles beside its own files, as everybody's does
os.environ.pop("PYTHONPYCACHEPREFIX", None)
target, work, index = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
python = str(target / "python.exe")
library = target / "Lib" / "site-packages"
work.mkdir(exist_ok=True)
environ = {
    **os.environ,
    "UV_DEFAULT_INDEX": index,
    "UV_CACHE_DIR": str(work / "cache"),
    "PIP_CONFIG_FILE": "nul",
    "UV_HTTP_RETRIES": "0",
    "UV_LINK_MODE": "copy",
    "PATH": f"{target};{os.environ['PATH']}",  # where a copy of python.exe finds its DLL: see _launchers in the test
}
told = {}


def state():
    """What is in the changed Python and in its folders of packages and programs: times, and contents there."""
    found = {path.name: 0 for path in target.iterdir()}
    found["time"] = target.stat().st_mtime_ns
    for top in ("Scripts", "Lib\\site-packages"):
        for folder, _, names in os.walk("\\\\?\\" + str(target / top)):
            found[folder] = os.lstat(folder).st_mtime_ns
            for name in names:
                path = f"{folder}\\{name}"
                found[path] = [os.lstat(path).st_mtime_ns, Path(path).read_bytes().hex()]
    return found


def prepare(token, *install, **options):
    place = Workplace(work, work / "runs" / token, token, environ, work, work, Snapshot())
    action = prepare_packages(PackageChange(python, install, **options), place)
    again = msgspec.json.decode(msgspec.json.encode(action), type=Kind)
    again.__dict__["environ"] = environ
    return again


def script():
    ended = subprocess.run([str(target / "Scripts" / "hub.exe")], capture_output=True, text=True, check=False)
    return ended.stdout.strip() or ended.stderr


def run(*words):
    ended = subprocess.run(words, capture_output=True, env=environ, check=False)
    assert ended.returncode == 0, ended.stderr


run(find_uv_bin(), "pip", "install", "--python", python, "hub==1.0")
run(python, "-c", "import hub.part")
assert list((library / "hub" / "__pycache__").iterdir())
told["script at first"] = script()
before = state()
action = prepare("11111111", "hub==2.0")
told["describe"] = msgspec.to_builtins(action.describe())
told["looked only"] = state() == before
action.apply(quiet)
told["after"] = action.look().state
told["script after"] = script()
action.undo(quiet)
after = state()
told["different after undo"] = sorted(key for key in {**before, **after} if before.get(key) != after.get(key))
told["script after undo"] = script()

action = prepare("33333333", "hub==3.0")  # in which a file's name differs by its case alone
before = state()
action.apply(quiet)
told["other case"] = [action.look().state, [path.name for path in (library / "hub").glob("[pP]*.py")]]
action.undo(quiet)
after = state()
told["different after other case"] = sorted(key for key in {**before, **after} if before.get(key) != after.get(key))

action = prepare("22222222", "hub==2.0")
before = state()
with open(library / "hub" / "part.py", "rb"):  # Python opens files so that nobody may rename them meanwhile
    try:
        action.apply(quiet)
        told["in use"] = "done"
    except Refused as refused:
        told["in use"] = str(refused)
    told["look"] = action.look().state
    action.undo(quiet)
after = state()
told["different after use"] = sorted(key for key in {**before, **after} if before.get(key) != after.get(key))

folder = work / "far" / "\ud658\uacbd"
place = Workplace(work, work / "runs" / "44444444", "44444444", environ, work, work, Snapshot())
made = prepare_environment(NewEnvironment(python, str(folder), ("hub==2.0",)), place)
before = state()
made.apply(quiet)
code = "import sys, hub; hub.main(); print(ascii(sys.prefix))"
ended = subprocess.run([made.interpreter, "-c", code], capture_output=True, text=True, env=environ, check=False)
told["new environment"] = [
    *(ended.stdout.split("\n")[:2] if not ended.returncode else [ended.stderr]),
    made.look().state,
]
told["its folder"] = ascii(str(folder))
made.undo(quiet)
told["left of it"] = [made.look().state, (work / "far").exists(), state() == before]
print(json.dumps(told))
