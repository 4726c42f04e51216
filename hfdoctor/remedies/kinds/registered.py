"""All kinds of actions: what the journal may hold, and who prepares which change."""

from __future__ import annotations

from ...conditions import changes
from ..action import Workplace
from .command import CommandAction, prepare_command
from .environment import EnvironmentAction, prepare_environment
from .git import GitAction, prepare_git
from .move import MoveAction, prepare_move
from .packages import PackagesAction, prepare_packages
from .quarantine import QuarantineAction, prepare_quarantine
from .registry import RegistryAction, prepare_registry
from .variable import VariableAction, prepare_variable
from .variable_windows import WindowsVariableAction

#: what the journal reads back; msgspec tells them apart by their tags
Kind = (
    CommandAction
    | GitAction
    | MoveAction
    | QuarantineAction
    | VariableAction
    | RegistryAction
    | WindowsVariableAction
    | PackagesAction
    | EnvironmentAction
)


def prepare(change: changes.Change, place: Workplace) -> Kind:
    """The action that makes ``change`` on this machine, with the old state in it.

    Raises NothingToDo if the machine is so already, Refused if it cannot be done here (one line says why and what a
    person can do).
    """
    if isinstance(change, changes.Command):
        return prepare_command(change, place)
    if isinstance(change, changes.GitChange):
        return prepare_git(change, place)
    if isinstance(change, changes.RegistryChange):
        return prepare_registry(change, place)
    if isinstance(change, changes.VariableChange):
        return prepare_variable(change, place)
    if isinstance(change, changes.TreeMove):
        return prepare_move(change, place)
    if isinstance(change, changes.PutAway):
        return prepare_quarantine(change, place)
    if isinstance(change, changes.PackageChange):
        return prepare_packages(change, place)
    if isinstance(change, changes.NewEnvironment):
        return prepare_environment(change, place)
    raise NotImplementedError(type(change).__name__)
