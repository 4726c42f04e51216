"""Runs the cases of one module inside the Windows Python, all in one process, and tells how each went.

A case is a function named ``case_...`` without arguments; it fails as a test does, by an exception. Its module must
also be importable on other systems, where the tests read its cases' names.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
import time
import traceback
from types import ModuleType

from .machine import WindowsMachine


def names(module: ModuleType) -> list[str]:
    """The cases of ``module``, in the order in which they stand there."""
    return [name for name in vars(module) if name.startswith("case_")]


def outcomes(machine: WindowsMachine, module: ModuleType) -> dict[str, str]:
    """Run all cases of ``module`` in ``machine``: each one's trace, "" if it went well."""
    (result,) = machine.run({"argv": ["-m", __name__, module.__name__]})
    assert result.code == 0, result.stderr.decode("utf-8", "replace")
    told = json.loads(result.stdout.decode("utf-8").splitlines()[-1])
    assert isinstance(told, dict)
    return told


def _perform(module: ModuleType) -> dict[str, str]:
    told = {}
    for name in names(module):
        began = time.monotonic()
        try:
            getattr(module, name)()
            told[name] = ""
        except BaseException:
            told[name] = traceback.format_exc()
        print(f"{name} {time.monotonic() - began:.2f} s", file=sys.stderr)
    return told


if __name__ == "__main__":
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(encoding="utf-8")
    print(json.dumps(_perform(importlib.import_module(sys.argv[1]))))
