"""The command line: one module a command, loaded only when that command is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from ..version import __version__

#: command -> (module, one-line help): the help of the group must not load every command
COMMANDS = {
    "check": ("check", "Inspect this machine and one Python environment, and say what is wrong."),
    "conditions": ("conditions", "List what hfdoctor knows about, or print the page of one condition."),
    "fix": ("fix", "Put right what check finds: shown before, verified after, undone at will."),
    "smoke": ("smoke", "Run the real libraries end to end, with tiny models and without a network."),
    "snapshot": ("snapshot", "Write the facts about this machine, for `check --snapshot` elsewhere."),
    "undo": ("undo", "Take a fix back: the last one, or any that still stands."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on use: ``hfdoctor check`` must not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command ``cmd_name``; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"{__name__}.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 nothing found, 1 findings, 2 wrong usage or unreadable input, "
    "3 hfdoctor could not do its job, 130 interrupted.",
)
@click.version_option(__version__, prog_name="hfdoctor", message="%(prog)s %(version)s")
def cli() -> None:
    """Find what stands between you and a working transformers + PyTorch.

    Start with `hfdoctor check`.
    """


def run(arguments: list[str]) -> int:
    """Run the command line with ``arguments`` and return its exit code."""
    from ..reports.terminal import prepare_streams, silence_broken_pipe

    prepare_streams()
    try:
        result = cli.main(arguments, prog_name="hfdoctor", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return int(stop.exit_code)
    except click.ClickException as error:
        click.echo(f"hfdoctor: {error.format_message()}", err=True)  # one line: what, where, what to do
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:  # `hfdoctor check | head`: whoever listened has heard enough
        silence_broken_pipe()
        return 0
    except Exception as error:
        return _own_crash(error)
    return result if isinstance(result, int) else 0


def _own_crash(error: Exception) -> int:
    import traceback

    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__, limit=-6))
    click.echo(trace, err=True)
    click.echo(
        f"hfdoctor {__version__} crashed ({type(error).__name__}). This is our bug: please report the lines above.",
        err=True,
    )
    return 3
