"""A second look at the machine, by a new process: Windows tells a process once whether it may use long paths."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ..facts.child import run_child
from ..facts.snapshot import Snapshot, SnapshotError, load
from .action import Refused

#: what starts hfdoctor with the modules that this one has, whatever PYTHON* variables the person set
_START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from hfdoctor.__main__ import main; main()"
#: seconds beyond the deadline of the observation, for starting Python and writing the facts
_SPARE_S = 30.0


def own_command(*words: str) -> list[str]:
    """The argument list that runs ``hfdoctor WORDS`` as this process would, in a process of its own."""
    return [sys.executable, "-I", "-c", _START, json.dumps(sys.path), *words]


class Look(msgspec.Struct, frozen=True):
    """How the machine is looked at: the options of ``hfdoctor check``. ``smoke``: the level of a run, "" for none."""

    python: str | None = None
    deep: bool = False
    online: bool = False
    timeout_s: float = 60.0
    smoke: str = ""
    local_model: str = ""

    def words(self) -> list[str]:
        """The command line that looks so and writes what it found, the facts in it."""
        words = ["check", "--smoke", self.smoke, "--format", "json", "--with-facts"] if self.smoke else ["snapshot"]
        words += ["--local-model", self.local_model] if self.local_model else []
        words += ["--timeout", f"{self.timeout_s:g}", *(["--python", self.python] if self.python else [])]
        return [*words, *(["--deep"] if self.deep else []), *(["--online"] if self.online else [])]


def observe_afresh(look: Look, environ: Mapping[str, str], cwd: Path) -> Snapshot:
    """The facts as a program sees them that is started with ``environ``. Raises Refused if none came back."""
    try:
        ended = run_child(own_command(*look.words()), look.timeout_s + _SPARE_S, environ=environ, cwd=str(cwd))
        return load(ended.stdout, "the second look at the machine")
    except (OSError, SnapshotError) as error:
        raise Refused(f"the machine could not be looked at again: {error}") from None
