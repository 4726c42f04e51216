"""How a stage speaks: one JSON object a line on the pipe that was standard output, after a word that the doctor chose.

``{"begin": key}`` before a stage, so that the last one is known when the process dies; ``{"done": key, ...}`` after
it; ``{"end": true}`` after the last. What libraries print goes to standard error, cut into stages by lines that begin
with MARK and the word. A watchdog that needs no GIL prints the stack of every thread and ends the process at a stage's
deadline.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: begins the line on standard error that tells which stage the lines after it belong to; the doctor's word comes next
MARK = "\x1ehfdoctor stage "
#: the key of what is printed between two stages, and of what is printed after the last
BETWEEN, EXIT = "-", "exit"
#: characters of a message, frames of a trace
LONGEST, FRAMES = 4000, 12
#: characters of a single value, entries of a list: a line must stay one that the doctor takes
LONGEST_VALUE, MOST = 1000, 60
#: modules whose frames say nothing of where an error came from
OURS = (os.path.abspath(__file__), os.path.join(os.path.dirname(os.path.abspath(__file__)), "main.py"))


class Skip(Exception):
    """Raised by a stage that does not apply here; its text is the reason, in words."""


class Refused(Exception):
    """Raised where the whole run makes no sense: a device that does not exist. Its text says what there is."""


class Wrong(Exception):
    """Raised by a stage whose results are not the recorded ones; the deviations say which."""


class Dropped(Exception):
    """Raised where the installed transformers has dropped the framework that was asked for."""


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
        #: takes secrets out of what an exception says, where a stage handles any
        self.clean: Callable[[str], str] = str

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
        self.plan = plan
        self.word = plan.get("word", "")
        self.began = time.monotonic()
        #: a copy of this process that a library forked must not speak
        self.process = os.getpid()
        #: two ends of the pipe: a library may close, or take for its own, what it did not open
        self.pipes = [pipe, os.dup(pipe)]
        self.seen = identity(pipe)

    def say(self, words: dict[str, Any]) -> None:
        """One object, past whatever a library made of sys.stdout. Ends the process where nobody can hear."""
        # the first line feed ends whatever somebody else wrote there
        data = f"\n{self.word} {json.dumps(plain(words))}\n".encode("ascii")
        for pipe in self.pipes:
            if identity(pipe) != self.seen:
                continue
            try:
                while data:
                    data = data[os.write(pipe, data) :]
                return
            except OSError:
                continue
        os._exit(0)

    def mark(self, key: str) -> None:
        """Begin the part of ``key`` on standard error."""
        try:
            os.write(2, f"\n{MARK}{self.word} {key}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # closed by a library: what is printed from now on is lost, and no more

    def stage(self, key: str, deadline_s: float, run: Callable[[Stage], None]) -> dict[str, Any]:
        """Run one stage under its deadline, tell how it went, and return what was told."""
        stage = Stage(key, self.plan)
        left = self.plan.get("seconds", deadline_s) - (time.monotonic() - self.began)
        self.mark(key)
        self.say({"begin": key})
        began = time.monotonic()
        watch(max(0.1, min(deadline_s, left)))
        answer: dict[str, Any] = {"done": key, "outcome": "pass"}
        try:
            run(stage)
            if stage.deviations:
                raise Wrong("the result is not the recorded one")
        except Skip as skip:
            answer.update(outcome="skip", because=words_of(skip))
        except Refused as refused:
            answer.update(outcome="skip", because=words_of(refused), refused=words_of(refused))
        except Dropped as dropped:
            answer.update(outcome="fail", error="framework dropped", message=str(dropped))
        except Wrong as wrong:
            answer.update(outcome="fail", error="wrong result", message=words_of(wrong))
        except Missing as missing:
            answer.update(outcome="fail", error="not installed", message=words_of(missing))
            stage.fact("package", missing.package)
        except BaseException as error:  # a panic of Rust is no Exception, and a library may call sys.exit
            if os.getpid() != self.process:
                raise
            answer.update(described(error, stage.clean))
        if os.getpid() != self.process:
            os._exit(0)
        answer["seconds"] = round(time.monotonic() - began, 3)
        flush()
        faulthandler.cancel_dump_traceback_later()
        if stage.facts:
            answer["facts"] = {str(name): value_of(value) for name, value in stage.facts.items()}
        if stage.deviations:
            answer["deviations"] = [deviation(entry) for entry in stage.deviations[:MOST]]
        self.mark(BETWEEN)
        self.say(answer)
        return answer

    def end(self, deadline_s: float) -> None:
        """Say that all is done; Python has ``deadline_s`` seconds to end."""
        # Python would look three times for cycles among a million objects of the libraries: half a second for nothing.
        # Its modules are torn down and the libraries' own functions for the end are called all the same
        gc.freeze()
        self.mark(EXIT)
        watch(deadline_s)
        self.say({"end": True})


def watch(seconds: float) -> None:
    """Print all stacks and end the process in ``seconds``, whatever it does by then."""
    try:
        faulthandler.enable(2)
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    except Exception:
        pass  # no thread can be started: the doctor watches, too


def identity(number: int) -> tuple[int, int] | None:
    """What the descriptor stands for; None where it is closed."""
    try:
        seen = os.fstat(number)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def described(error: BaseException, clean: Callable[[str], str] = str) -> dict[str, Any]:
    """An exception in plain values: its type, its words with those of what caused it, where it came from.

    ``clean`` is applied to the words before they are cut to their length: half a secret would not be recognised.
    """
    words = [words_of(error)]
    cause, seen = cause_of(error), {id(error)}
    while cause is not None and len(seen) < 12 and id(cause) not in seen:
        seen.add(id(cause))
        said = words_of(cause)
        if said and said not in words[-1] and len(words) < 6:
            words.append(f"{type(cause).__name__}: {said}")
        cause = cause_of(cause)
    message = "\n".join(words)
    try:
        message = clean(message)
    except Exception:
        message = "what it said could not be cleared of secrets"
    return {"outcome": "fail", "error": type(error).__name__, "message": message[:LONGEST], "trace": trace_of(error)}


def cause_of(error: BaseException) -> BaseException | None:
    """The exception that led to this one."""
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def words_of(error: BaseException) -> str:
    """What an exception says of itself, and nothing where that fails, too."""
    try:
        return str(error)
    except Exception:
        return ""


def trace_of(error: BaseException) -> list[str]:
    """Where it came from, innermost last. The module traceback would read files by modules that may be stood in for."""
    frames = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith("<frozen importlib") and os.path.abspath(code.co_filename) not in OURS:
            frames.append(f"{code.co_filename}:{step.tb_lineno} in {code.co_name}")
        step = step.tb_next
    return frames[-FRAMES:]


def plain(value: Any) -> Any:
    """``value`` as strict JSON has it: no NaN, no lone surrogate, no object of a library."""
    if isinstance(value, (str, int, float)):
        return value_of(value, LONGEST)
    if isinstance(value, dict):
        return {legible(str(name)): plain(entry) for name, entry in list(value.items())[: 4 * MOST]}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value[:MOST]]
    return value_of(value)


def value_of(value: Any, longest: int = LONGEST_VALUE) -> Any:
    """A plain value; numbers of NumPy and torch become Python's, everything else its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return legible(value)[:longest]
    for kind, method in ((int, "__index__"), (float, "__float__")):
        try:
            if hasattr(value, method):
                number = kind(value)
                if isinstance(number, float) and (number != number or number in (float("inf"), float("-inf"))):
                    return str(number)
                return number if isinstance(number, float) or abs(number) < 2**63 else str(number)
        except Exception:
            continue
    try:
        return legible(str(value))[:longest]
    except Exception:
        return f"a {type(value).__name__}"


def deviation(entry: dict[str, Any]) -> dict[str, Any]:
    """A deviation with fields of the types that the doctor knows; no number is said for what is none."""
    kept: dict[str, Any] = {}
    for name, value in entry.items():
        if name in ("difference", "tolerance"):
            number = value_of(value)
            if isinstance(number, (int, float)):
                kept[name] = float(number)
        elif name == "at":
            kept[name] = [place for place in map(value_of, list(value)[:MOST]) if isinstance(place, int)]
        else:
            text = value_of(value, LONGEST_VALUE)
            kept[name] = text if isinstance(text, str) else str(text)
    return kept


def legible(text: str) -> str:
    """``text`` with U+FFFD for lone surrogates, which are no text: a file's name may have bytes that are none."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def flush() -> None:
    """Bring out what libraries printed, so that it lands in the right stage."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue
