"""``hfdoctor snapshot``."""

from __future__ import annotations

import click

from .options import OutputFile, emit, observing, output_option


@click.command(name="snapshot", context_settings={"help_option_names": ["-h", "--help"]})
@observing
@output_option
@click.option(
    "--anonymise", "--anonymize", is_flag=True, help="Mask user and host names, so that the facts can be posted."
)
def command(
    python: str | None, deep: bool, online: bool, timeout: float | None, output: str | None, anonymise: bool
) -> int:
    """Write the facts about this machine as JSON.

    `hfdoctor check --snapshot FILE` judges them on any other machine and gives the same report. Tokens and
    passwords are never among them.
    """
    file = OutputFile(output) if output else None
    try:
        from ..facts.snapshot import dump
        from .observe import observe

        snapshot = observe(python=python, deep=deep, online=online, timeout=timeout, anonymise=anonymise, judged=False)
        emit(dump(snapshot).decode("ascii"), file)
    finally:
        if file is not None:
            file.discard()
    return 3 if any(run.outcome != "done" for run in snapshot.probes.values()) else 0
