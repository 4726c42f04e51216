"""From the findings of a report to what can be done about each: the choices, with everything they would change."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ..conditions.install_commands import together
from ..conditions.model import Finding, RemedyStep
from ..conditions.ways import as_first, automatic, change_of, ways
from ..facts.snapshot import Snapshot
from .action import Needs, NothingToDo, Refused, Workplace
from .kinds.registered import Kind, prepare
from .place import state_folder


class Choice(msgspec.Struct):
    """One way to cure a finding.

    ``automatic``: hfdoctor does it by ``actions``; ``by_hand`` is what the person does (all of it where it is not
    automatic). ``refused`` says why this way cannot be gone here.
    """

    text: str
    automatic: bool
    actions: list[Kind] = []
    by_hand: list[RemedyStep] = []
    token: str = ""
    refused: str = ""
    #: it is all done already (what is left is the person's, a new terminal, say): no other way is better than that
    nothing: bool = False
    #: False where nobody asked for this way yet: its actions are not known then
    worked_out: bool = True

    def needs(self) -> Needs:
        """The price of all its actions together."""
        prices = [action.needs() for action in self.actions]
        return Needs(
            administrator=any(price.administrator for price in prices),
            network=any(price.network for price in prices),
            download_bytes=sum(price.download_bytes for price in prices),
            disk_bytes=sum(price.disk_bytes for price in prices),
            for_good="; ".join(price.for_good for price in prices if price.for_good),
        )


class Fix(msgspec.Struct):
    """A finding and the ways to cure it, the preferred one first."""

    finding: Finding
    choices: list[Choice]

    def first(self) -> Choice | None:
        """The way that is taken unasked: the first that can be gone, unless one before it is all done already."""
        for choice in self.choices:
            if choice.actions:
                return choice
            if choice.nothing:
                return None
        return None


class Person(msgspec.Struct, frozen=True):
    """Whose machine it is: their environment variables, home and current folder."""

    environ: Mapping[str, str]
    home: Path
    cwd: Path


class Appetite(msgspec.Struct, frozen=True):
    """Which ways are worth working out: asking an index what a change brings takes seconds.

    ``first``: only the first that can be gone here. ``number`` (from 1): only that one. ``administrator`` False: none
    that needs an administrator.
    """

    first: bool = False
    number: int | None = None
    administrator: bool = True


def plan_finding(finding: Finding, snapshot: Snapshot, person: Person, appetite: Appetite | None = None) -> Fix:
    """What can be done about ``finding``. Looks at the machine (and asks the index), changes nothing."""
    appetite = appetite or Appetite()
    steps = finding.remedy.steps if finding.remedy else []
    hands_off = finding.remedy is None or finding.remedy.fix_class == "print-only"
    choices: list[Choice] = []
    found = False
    for number, way in enumerate(ways(steps) if steps else [], 1):
        if hands_off or not automatic(way):
            choices.append(Choice(title(way), False, by_hand=list(way)))
        elif (appetite.first and found) or appetite.number not in (None, number):
            choices.append(Choice(title(way), True, worked_out=False))
        else:
            choice = _choice(way, snapshot, person)
            if choice.actions and choice.needs().administrator and not appetite.administrator:
                choice.refused, choice.actions = "it needs an administrator, and --no-admin was given", []
            found = found or bool(choice.actions) or choice.nothing
            choices.append(choice)
    return Fix(finding, choices)


def _choice(way: Sequence[RemedyStep], snapshot: Snapshot, person: Person) -> Choice:
    token = secrets.token_hex(4)
    state = state_folder()
    place = Workplace(state, state / "runs" / token, token, dict(person.environ), person.home, person.cwd, snapshot)
    changes = [change for step in way if (change := change_of(step)) is not None]
    choice = Choice(title(way), True, by_hand=[step for step in way if change_of(step) is None], token=token)
    said = ""
    for change in together(changes):
        try:
            choice.actions.append(prepare(change, place))
        except NothingToDo as nothing:
            said = said or str(nothing)
        except Refused as refused:
            choice.refused, choice.actions = str(refused), []
            return choice
    if not choice.actions:
        choice.nothing = True
        choice.refused = said or "everything that it would change is so already"
    return choice


def title(way: Sequence[RemedyStep]) -> str:
    """The words of the first step that has any."""
    return as_first(next((step.text for step in way if step.text), ""))
