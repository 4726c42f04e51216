"""What a command tells as it goes: lines for a person, one document at the end for a machine."""

from __future__ import annotations

import sys

import click
import msgspec

from ..reports import terminal


class Teller(msgspec.Struct, frozen=True):
    """``form`` is text or json; ``no_unicode``: ASCII only."""

    form: str
    no_unicode: bool

    @property
    def width(self) -> int:
        """Columns to fill."""
        return terminal.columns(sys.stdout)

    def say(self, *lines: str) -> None:
        """Write ``lines`` if a person reads."""
        if self.form == "text":
            for line in lines:
                click.echo(terminal.to_ascii(line) if self.no_unicode else line)

    def document(self, content: msgspec.Struct) -> bool:
        """Write ``content`` as JSON if a machine reads; whether one does."""
        if self.form != "json":
            return False
        import json

        click.echo(json.dumps(msgspec.to_builtins(content), indent=1))
        return True
