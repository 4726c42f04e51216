"""What check and smoke share: the options about the report, and writing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .options import OutputFile, emit, known_ids, output_option

if TYPE_CHECKING:
    from ..conditions.engine import Policy
    from ..conditions.model import Report
    from ..facts.snapshot import Snapshot

F = TypeVar("F", bound=Callable[..., Any])


def reporting(function: F) -> F:
    """Add the options of every command that ends with a report."""
    for option in reversed(
        [
            click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True),
            output_option,
            click.option(
                "--select",
                multiple=True,
                metavar="ID",
                help="Only these conditions. May be repeated, or ids with commas.",
            ),
            click.option("--ignore", multiple=True, metavar="ID", help="All but these conditions."),
            click.option(
                "--fail-on",
                type=click.Choice(["error", "warning", "note"]),
                default="error",
                show_default=True,
                help="Exit with 1 from this severity on.",
            ),
            click.option("--strict", is_flag=True, help="Exit with 3 if something could not be told."),
            click.option("--with-facts", is_flag=True, help="Put the snapshot into the JSON report."),
            click.option(
                "--anonymise",
                "--anonymize",
                is_flag=True,
                help="Mask user and host names, so that the report can be posted.",
            ),
            click.option("--no-unicode", is_flag=True, help="Write ASCII only."),
            click.option(
                "-v",
                "--verbose",
                is_flag=True,
                help="Show every condition with its evidence, not only the findings.",
            ),
        ]
    ):
        function = option(function)
    return function


def policy_of(fail_on: str, strict: bool, select: tuple[str, ...], ignore: tuple[str, ...]) -> Policy:
    """The policy that the options ask for. Raises click.UsageError for an unknown id."""
    from ..conditions.engine import Policy

    return Policy(
        fail_on=fail_on,  # type: ignore[arg-type]  # click.Choice has checked it
        strict=strict,
        select=known_ids("--select", select),
        ignore=known_ids("--ignore", ignore),
    )


def refuse_facts_in_text(with_facts: bool, form: str) -> None:
    """Raises click.UsageError where facts are asked for in a report for people."""
    if with_facts and form != "json":
        raise click.UsageError("--with-facts needs --format json; `hfdoctor snapshot` writes the facts alone")


def deliver(
    report: Report,
    snapshot: Snapshot,
    file: OutputFile | None,
    *,
    form: str,
    with_facts: bool,
    verbose: bool,
    no_unicode: bool,
    begun: bool = False,
    here: Sequence[str] | None = None,
) -> None:
    """Write the report. ``begun``: its first line and the stages were written as they came; ``here``: see render."""
    if with_facts or verbose:
        report.snapshot = snapshot
    if form == "json":
        from ..reports.json import render as render_json

        if not with_facts:
            from msgspec import UNSET

            report.snapshot = UNSET
        text = render_json(report)
    else:
        from ..reports import terminal
        from ..reports.text import render

        os_info = snapshot.machine.os.maybe()
        text = render(
            report,
            width=terminal.columns(sys.stdout) if file is None else 80,
            verbose=verbose,
            windows=os_info is not None and os_info.system == "windows",
            paint=terminal.paint if file is None and terminal.takes_colour(sys.stdout) else None,
            begun=begun,
            here=here,
        )
        if no_unicode:
            text = terminal.to_ascii(text)
    emit(text, file)
