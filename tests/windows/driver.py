"""Runs inside the Windows Python: changes the registry and the environment, and runs programs in between.

Each line of standard input is a list of steps (JSON); what came of them is a line of standard output. A step is
``{"set": [[key, name, type, value]], "delete": [[key, name]], "drop": [key], "environ": {name: value or null},
"cwd": folder, "argv": [words for python.exe]}``; every part is optional. One start of Wine serves a whole module.
"""

import base64
import json
import os
import subprocess
import sys
import winreg

HIVES = {"HKLM": winreg.HKEY_LOCAL_MACHINE, "HKCU": winreg.HKEY_CURRENT_USER}
ACCESS = winreg.KEY_ALL_ACCESS | winreg.KEY_WOW64_64KEY


def opened(key):
    hive, _, rest = key.partition("\\")
    return winreg.CreateKeyEx(HIVES[hive], rest, 0, ACCESS)


def drop(key):
    """Remove a key and everything below it."""
    hive, _, rest = key.partition("\\")
    try:
        with winreg.OpenKey(HIVES[hive], rest, 0, ACCESS) as handle:
            children = [winreg.EnumKey(handle, index) for index in range(winreg.QueryInfoKey(handle)[0])]
    except FileNotFoundError:
        return
    for child in children:
        drop(key + "\\" + child)
    winreg.DeleteKeyEx(HIVES[hive], rest, winreg.KEY_WOW64_64KEY, 0)


def perform(step):
    for key, name, kind, value in step.get("set", ()):
        if kind == "REG_BINARY":
            value = bytes.fromhex(value)
        with opened(key) as handle:
            winreg.SetValueEx(handle, name, 0, getattr(winreg, kind), value)
    for key, name in step.get("delete", ()):
        try:
            with opened(key) as handle:
                winreg.DeleteValue(handle, name)
        except FileNotFoundError:
            pass
    for key in step.get("drop", ()):
        drop(key)
    if "argv" not in step:
        return None
    environ = dict(os.environ)
    for name, value in step.get("environ", {}).items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value
    ended = subprocess.run(
        [sys.executable, *step["argv"]], env=environ, cwd=step.get("cwd"), stdin=subprocess.DEVNULL, capture_output=True
    )
    streams = [base64.b64encode(stream).decode("ascii") for stream in (ended.stdout, ended.stderr)]
    return {"code": ended.returncode, "stdout": streams[0], "stderr": streams[1]}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps([perform(step) for step in json.loads(line)]), flush=True)
