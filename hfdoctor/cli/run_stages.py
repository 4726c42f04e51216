"""Runs the libraries for a command: the stages are shown as they end, and nothing is left behind."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import click

from ..facts.sections.smoke import StageRun
from ..facts.snapshot import Snapshot
from ..smoke.plan import Ask
from ..smoke.probe import SmokeProbe, tell_the_others
from .options import SMOKE_TIMEOUT_S
from .stage_view import StageView


def run_stages(
    ask: Ask,
    *,
    python: str | None,
    deep: bool = False,
    timeout: float | None = None,
    anonymise: bool = False,
    view: StageView | None = None,
) -> Snapshot:
    """Look at this machine and run the stages that ``ask`` names.

    Raises click.UsageError if ``python`` names no interpreter, or if the device that was asked for does not exist.
    """
    from ..facts.collect import TargetError, collect
    from .observe import load_the_judges, masked

    view = view or StageView(sys.stderr, lines=False)

    def on_stage(key: str, stage: StageRun | None) -> None:
        if stage is None:
            view.begins(key)
        else:
            view.ends(stage)

    probe = SmokeProbe(ask, on_stage, view.inspects)
    with ended_gently(), view:
        try:
            snapshot = collect(
                python,
                deep=deep,
                online=ask.online,
                timeout_s=timeout if timeout is not None else SMOKE_TIMEOUT_S,
                on_start=load_the_judges,
                besides=[probe.probe()],
            )
        except TargetError as error:
            raise click.UsageError(f"--python: {error}") from None
        finally:
            probe.stop()
    tell_the_others(snapshot)
    run = snapshot.smoke.run.maybe()
    if run is not None and run.refused:
        raise click.UsageError(f"--device: {run.refused}")
    return masked(snapshot, own_machine=True) if anonymise else snapshot


@contextlib.contextmanager
def ended_gently() -> Iterator[None]:
    """Have the signals that end a program raise KeyboardInterrupt, so that what was started is taken down first."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    names = [name for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        names = []  # only the main thread may set handlers; whoever runs us elsewhere handles signals
    before = {name: signal.signal(getattr(signal, name), interrupt) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
