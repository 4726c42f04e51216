"""The README says what the program does: every condition, every option, the set-up commands."""

from __future__ import annotations

import re
from pathlib import Path

import click

from hfdoctor.cli import COMMANDS, cli
from hfdoctor.cli.check import command as check
from hfdoctor.cli.fix import command as fix
from hfdoctor.cli.smoke import command as smoke
from hfdoctor.cli.undo import command as undo
from hfdoctor.conditions.catalogue import CATALOGUE

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_every_condition_is_listed() -> None:
    assert not [condition.id for condition in CATALOGUE if f"`{condition.id}`" not in README]


def test_every_option_of_check_is_explained() -> None:
    options = [parameter.opts[-1] for parameter in check.params if isinstance(parameter, click.Option)]
    shown = set(re.findall(r"--[a-z-]+", README)) | set(re.findall(r"`(-v)`", README))
    missing = [name for name in options if name not in shown and name != "--verbose" and name != "--anonymize"]
    assert not missing


def test_every_option_of_smoke_is_explained() -> None:
    options = [parameter.opts[-1] for parameter in smoke.params if isinstance(parameter, click.Option)]
    shown = set(re.findall(r"--[a-z-]+", README)) | set(re.findall(r"`(-v)`", README))
    missing = [name for name in options if name not in shown and name not in ("--verbose", "--anonymize")]
    assert not missing


def test_every_option_of_fix_and_undo_is_explained() -> None:
    shown = README[README.index("## Put it right") : README.index("## Does this torch run on this GPU")]
    for command in (fix, undo):
        options = [parameter.opts[-1] for parameter in command.params if isinstance(parameter, click.Option)]
        assert not [name for name in options if name not in shown]


def test_every_command_is_shown() -> None:
    assert not [name for name in COMMANDS if f"hfdoctor {name}" not in README]
    assert sorted(cli.list_commands(click.Context(cli))) == sorted(COMMANDS)


def test_the_set_up_commands_stand_at_the_top() -> None:
    top = README[: README.index("## What a check says")]
    for line in (
        "python scripts/bootstrap.py ",
        "python scripts/bootstrap.py test",
        "uvx hfdoctor check",
        "pipx run hfdoctor check",
    ):
        assert line in top
    assert "scripts/bootstrap.py test" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_nothing_is_left_to_fill_in() -> None:
    assert "@@" not in README and "TODO" not in README
