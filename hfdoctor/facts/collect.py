"""Runs the probes, each under its deadline, and gathers the Snapshot."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from ..version import __version__
from .fact import Fact, failed, timed_out
from .probe import Context, Probe, Request
from .sections.windows import Windows
from .snapshot import ProbeRun, Snapshot

#: seconds that a probe has to itself before the next one begins beside it; most are over by then
HEAD_START_S = 0.02


class TargetError(Exception):
    """``--python`` names nothing that could be an interpreter: the message is one line for the person."""


def collect(
    python: str | None = None,
    *,
    deep: bool = False,
    online: bool = False,
    timeout_s: float = 60.0,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    on_wait: Callable[[Sequence[str]], None] | None = None,
    on_start: Callable[[], None] | None = None,
    besides: Sequence[Probe] = (),
) -> Snapshot:
    """Observe this machine and one target Python.

    ``python`` is an interpreter, a virtual environment's folder or a conda prefix (None: the doctor chooses).
    ``deep`` may start the target's own torch in a child; ``online`` may connect. ``on_wait`` is called about four
    times a second with the names of the probes that still run; ``on_start`` once they have begun, for what can be done
    meanwhile. ``besides`` are probes of other rooms (the smoke run). Raises TargetError for a ``python`` that is none.
    """
    from .probes import all_probes
    from .probes.look_ahead import look_ahead

    request = Request(
        python=python,
        deep=deep,
        online=online,
        timeout_s=timeout_s,
        cwd=cwd or _cwd(),
        environ=dict(os.environ if environ is None else environ),
    )
    started = time.monotonic()
    snapshot = Snapshot(hfdoctor=__version__, taken_at=_utc_now())
    snapshot.modes = [mode for mode, on in (("deep", deep), ("online", online)) if on]
    if sys.platform == "win32":
        snapshot.windows = Windows()
    context = Context(request, snapshot, started + timeout_s)
    context.ahead = look_ahead(request)  # while there is one thread; it works while the probes are being loaded
    try:
        run_probes((*all_probes(deep), *besides), context, on_wait, on_start)
    finally:
        if context.ahead:
            context.ahead.stop()
    snapshot.elapsed_s = round(time.monotonic() - started, 3)
    return snapshot


def run_probes(
    probes: Sequence[Probe],
    context: Context,
    on_wait: Callable[[Sequence[str]], None] | None = None,
    on_start: Callable[[], None] | None = None,
) -> None:
    """Run ``probes`` in threads; return when all are done or over their budgets.

    Each begins when what it comes after is there, and then has a moment to itself: threads of one Python only take the
    interpreter from each other, and side by side all of them take longer. One that waits for a disk does not keep the
    others from beginning. A probe that overruns is left behind in its (daemon) thread, which nothing waits for; the
    snapshot keeps what it had found by then. Raises TargetError if the target probe does.
    """
    snapshot = context.snapshot
    done = {probe.section: threading.Event() for probe in probes}
    events = {**done, **{name: threading.Event() for probe in probes for name in probe.milestones}}
    changed = threading.Event()
    wrong_target: list[TargetError] = []
    began: dict[str, float] = {}

    def reach(*names: str) -> None:
        for name in names:
            events[name].set()
        changed.set()

    def work(probe: Probe) -> None:
        outcome, detail = "done", ""
        section = getattr(snapshot, probe.section)
        try:
            probe.run(context)
        except TargetError as error:
            wrong_target.append(error)
        except Exception as error:  # a probe's bug must not cost the person the other facts
            outcome, detail = "crash", f"{type(error).__name__}: {error}"[:300]
        if done[probe.section].is_set():
            return  # given up on meanwhile: the snapshot has moved on without us
        if outcome == "crash":
            fill_missing(section, failed(f"the probe crashed: {detail}"))
        seconds = round(time.monotonic() - began[probe.section], 4)
        snapshot.probes[probe.section] = ProbeRun(seconds, outcome, detail)
        reach(*probe.milestones, probe.section)

    def begin(probe: Probe) -> None:
        began[probe.section] = time.monotonic()
        threading.Thread(target=work, args=(probe,), name=f"probe-{probe.section}", daemon=True).start()

    def ready(probe: Probe) -> bool:
        return probe.section not in began and all(events[name].is_set() for name in probe.after if name in events)

    context.reached = lambda milestone: reach(milestone) if milestone in events else None
    for probe in probes:
        if probe.waits and ready(probe):
            begin(probe)
    if on_start:
        on_start()
    told = time.monotonic()
    while True:
        changed.clear()  # before looking: what happens from here on ends the wait
        waiting = [probe for probe in probes if not done[probe.section].is_set()]
        if not waiting:
            break
        following = next((probe for probe in waiting if ready(probe)), None)
        if following is None:
            changed.wait(0.25)
        else:
            begin(following)
            if not following.waits:
                done[following.section].wait(HEAD_START_S)
        now = time.monotonic()
        for probe in waiting:
            start = began.get(probe.section)
            over = now > context.deadline or (start is not None and now > start + probe.budget_s)
            if over and not done[probe.section].is_set():
                reach(*probe.milestones, probe.section)
                spent = round(now - (start if start is not None else now), 4)
                # the thread may still write into the old section: keep a copy of what it had found
                section = msgspec.structs.replace(getattr(snapshot, probe.section))
                fill_missing(section, timed_out(f"no answer within {probe.budget_s:g} s"))
                setattr(snapshot, probe.section, section)
                snapshot.probes[probe.section] = ProbeRun(spent, "deadline")
        if on_wait and now - told >= 0.25:
            told = now
            on_wait([probe.section for probe in waiting if not done[probe.section].is_set()])
    snapshot.probes = {probe.section: snapshot.probes[probe.section] for probe in probes}
    if wrong_target:
        raise wrong_target[0]


def fill_missing(section: msgspec.Struct, reason: Fact[None]) -> None:
    """Give every fact of ``section`` that was not looked at yet the reason why it never will be."""
    for name in section.__struct_fields__:
        fact = getattr(section, name)
        if isinstance(fact, Fact) and fact.status == "not-run" and not fact.reason:
            setattr(section, name, msgspec.structs.replace(reason))


def _cwd() -> Path:
    try:
        return Path.cwd()
    except OSError:  # the folder was removed under the shell's feet
        return Path(os.environ.get("PWD", os.sep))


def _utc_now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
