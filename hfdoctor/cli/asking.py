"""Questions to the person at the terminal, each with the answers that it takes."""

from __future__ import annotations

import click

from ..remedies.plan import Choice, Fix


class Quit(Exception):
    """The person has had enough: nothing more is asked, and nothing more is begun."""


def ask_choice(fix: Fix) -> Choice | None:
    """Which way to go; None for "leave it". Raises Quit."""
    open_ways = {str(number): choice for number, choice in enumerate(fix.choices, 1) if not choice.refused}
    if not open_ways:
        click.echo("         Nothing can be done about it here.")
        return None
    first = next(iter(open_ways))
    yes = f"y = way {first}, " if len(open_ways) == 1 else f"{' or '.join(open_ways)} = that way, "
    while True:
        answer = click.prompt(
            f"         {yes}n = leave it, d = details, q = quit", default="n", show_default=True, err=False
        )
        answer = answer.strip().lower()
        if answer in ("q", "quit"):
            raise Quit
        if answer in ("n", "no"):
            return None
        if answer in ("d", "details"):
            from ..conditions.catalogue import page

            click.echo(page(fix.finding.condition))
            continue
        if answer in ("y", "yes") and len(open_ways) == 1:
            answer = first
        if answer in open_ways:
            return open_ways[answer]
        click.echo(f"         {answer!r} is none of the answers.")


def confirmed(question: str) -> bool:
    """Yes or no; Enter is no."""
    return click.confirm(question, default=False)


def ask_done() -> bool:
    """Whether the person has done the steps that were shown; then it is looked at again."""
    return click.confirm("         Done? (hfdoctor then looks again)", default=False)
