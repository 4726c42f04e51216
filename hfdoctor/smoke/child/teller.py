"""How a stage speaks: one JSON object a line on the pipe that was standard output.

``{"begin": key}`` before a stage, so that the last one is known when the process dies; ``{"done": key, ...}`` after
it; ``{"end": true}`` after the last. What libraries print goes to standard error, cut into stages by lines that begin
with MARK. A watchdog that needs no GIL prints the stack of every thread and ends the process at a stage's deadline.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import time
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: begins the line on standard error that tells which stage the lines after it belong to
MARK = "\x1ehfdoctor stage "
#: characters of a message, frames of a trace
LONGEST, FRAMES = 4000, 12


class Skip(Exception):
    """Raised by a stage that does not apply here; its text is the reason, in words."""


class Refused(Exception):
    """Raised where the whole run makes no sense: a device that does not exist. Its text says what there is."""


class Wrong(Exception):
    """Raised by a stage whose results are not the recorded ones; the deviations say which."""


class Missing(Exception):
    """Raised by a stage that needs a package which is not installed; ``package`` is its name on the index."""

    def __init__(self, package: str, what: str) -> None:
        super().__init__(what)
        self.package = package


class Stage:
    """One stage under way: collects what is worth knowing and what deviates."""

    def __init__(self, key: str, plan: dict[str, Any]) -> None:
        self.name, _, self.subject = key.partition(" ")
        #: the plan of the whole run: see plan.py
        self.plan = plan
        self.facts: dict[str, Any] = {}
        self.deviations: list[dict[str, Any]] = []

    def fact(self, name: str, value: Any) -> None:
        """Note a plain value (text, number, truth)."""
        self.facts[name] = value

    def folder(self, name: str) -> str:
        """A fresh folder below the scratch folder of the run, removed with it."""
        path = os.path.join(self.plan["scratch"], f"{self.name}-{self.subject}-{name}".replace(":", "-"))
        os.makedirs(path, exist_ok=True)
        return path

    def deviates(self, what: str, **fields: Any) -> None:
        """Note a result that is not the recorded one; fields as in ``Deviation``. The stage fails at its end."""
        self.deviations.append(dict(fields, what=what))


class Teller:
    """Runs the stages and tells each answer at once."""

    def __init__(self, pipe: int, plan: dict[str, Any]) -> None:
        self.pipe = pipe
        self.plan = plan

    def say(self, words: dict[str, Any]) -> None:
        """One object, past whatever a library made of sys.stdout."""
        data = (json.dumps(words, default=str) + "\n").encode("ascii")
        while data:
            data = data[os.write(self.pipe, data) :]

    def stage(self, key: str, deadline_s: float, run: Callable[[Stage], None]) -> dict[str, Any]:
        """Run one stage under its deadline, tell how it went, and return what was told."""
        stage = Stage(key, self.plan)
        flush()
        mark(key)
        self.say({"begin": key})
        began = time.monotonic()
        faulthandler.dump_traceback_later(deadline_s, exit=True, file=2)
        answer: dict[str, Any] = {"done": key, "outcome": "pass"}
        try:
            run(stage)
            if stage.deviations:
                raise Wrong("the result is not the recorded one")
        except Skip as skip:
            answer.update(outcome="skip", because=str(skip))
        except Refused as refused:
            answer.update(outcome="skip", because=str(refused), refused=str(refused))
        except Wrong as wrong:
            answer.update(outcome="fail", error="wrong result", message=str(wrong))
        except Missing as missing:
            answer.update(outcome="fail", error="not installed", message=str(missing))
            stage.fact("package", missing.package)
        except BaseException as error:  # a panic of Rust is no Exception, and a library may call sys.exit
            answer.update(described(error))
        finally:
            faulthandler.cancel_dump_traceback_later()
        answer["seconds"] = round(time.monotonic() - began, 3)
        if stage.facts:
            answer["facts"] = stage.facts
        if stage.deviations:
            answer["deviations"] = stage.deviations
        flush()
        self.say(answer)
        return answer


def described(error: BaseException) -> dict[str, Any]:
    """An exception in plain values: its type, its words with those of what caused it, where it came from."""
    words = [str(error)]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and len(words) < 6:
        if str(cause) and str(cause) not in words[-1]:
            words.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    trace = []
    try:
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        trace = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    except Exception:
        pass  # a trace that cannot be read is no reason to lose the error
    return {
        "outcome": "fail",
        "error": type(error).__name__,
        "message": "\n".join(words)[:LONGEST],
        "trace": trace,
    }


def mark(key: str) -> None:
    """Begin the part of ``key`` on standard error."""
    os.write(2, ("\n" + MARK + key + "\n").encode("utf-8", "backslashreplace"))


def flush() -> None:
    """Bring out what libraries printed, so that it lands in the right stage."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue
