"""``hfdoctor conditions``."""

from __future__ import annotations

import click

from .options import did_you_mean


@click.command(name="conditions", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("condition_id", metavar="[ID]", required=False)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(condition_id: str | None, form: str) -> int:
    """List the conditions that hfdoctor knows, or print the page of one."""
    from ..conditions.catalogue import CATALOGUE, page

    titles = {condition.id: condition.title for condition in CATALOGUE}
    if condition_id is not None and condition_id not in titles:
        raise click.UsageError(f"no condition is called {condition_id!r}{did_you_mean(condition_id, list(titles))}")
    if form == "json":
        import json

        entries = [
            {"id": c.id, "family": c.family, "title": c.title, "page": page(c.id)}
            for c in CATALOGUE
            if condition_id in (None, c.id)
        ]
        click.echo(json.dumps(entries, indent=1))
    elif condition_id is not None:
        click.echo(f"# {condition_id}: {titles[condition_id]}\n\n{page(condition_id)}", nl=False)
    else:
        widest = max(map(len, titles))
        family = ""
        for condition in CATALOGUE:
            if condition.family != family:
                family = condition.family
                click.echo(f"\n{family}" if condition is not CATALOGUE[0] else family)
            click.echo(f"  {condition.id.ljust(widest)}  {condition.title}")
        click.echo("\n`hfdoctor conditions ID` prints the page of one.")
    return 0
