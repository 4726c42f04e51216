"""From the findings of a report to what can be done about each: the choices, with everything they would change."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ..conditions.install_commands import together
from ..conditions.model import Finding, RemedyStep, Report
from ..conditions.ways import automatic, change_of, ways
from ..facts.snapshot import Snapshot
from .action import Needs, NothingToDo, Refused, Workplace
from .kinds.registered import Kind, prepare
from .place import state_folder


class Choice(msgspec.Struct):
    """One way to cure a finding.

    ``actions`` is what hfdoctor does, ``by_hand`` what the person does (all of it, where there are no actions);
    ``refused`` says why this way cannot be gone here.
    """

    text: str
    actions: list[Kind]
    by_hand: list[RemedyStep]
    token: str
    refused: str = ""
    #: nothing was left to change: the machine is so already
    nothing: bool = False

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


class Person(msgspec.Struct, frozen=True):
    """Whose machine it is: their environment variables, home and current folder."""

    environ: Mapping[str, str]
    home: Path
    cwd: Path


def plan(report: Report, snapshot: Snapshot, person: Person) -> list[Fix]:
    """What can be done about each failed finding of ``report``, worst first. Looks at the machine, changes nothing."""
    return [plan_finding(finding, snapshot, person) for finding in report.failed()]


def plan_finding(finding: Finding, snapshot: Snapshot, person: Person) -> Fix:
    """The choices for one finding."""
    steps = finding.remedy.steps if finding.remedy else []
    hands_off = finding.remedy is None or finding.remedy.fix_class == "print-only"
    choices = []
    for way in ways(steps) if steps else []:
        if hands_off or not automatic(way):
            choices.append(Choice(title(way), [], list(way), ""))
        else:
            choices.append(_choice(way, snapshot, person))
    return Fix(finding, choices)


def _choice(way: Sequence[RemedyStep], snapshot: Snapshot, person: Person) -> Choice:
    token = secrets.token_hex(4)
    state = state_folder()
    place = Workplace(state, state / "runs" / token, token, dict(person.environ), person.home, person.cwd, snapshot)
    changes = [change for step in way if (change := change_of(step)) is not None]
    choice = Choice(title(way), [], [step for step in way if change_of(step) is None], token)
    for change in together(changes):
        try:
            choice.actions.append(prepare(change, place))
        except NothingToDo:
            continue
        except Refused as refused:
            choice.refused = str(refused)
            choice.actions = []
            return choice
    choice.nothing = not choice.actions
    return choice


def title(way: Sequence[RemedyStep]) -> str:
    """The words of the first step; an alternative's "or" belongs to the list it stood in."""
    text = next((step.text for step in way if step.text), "")
    for start in ("or, ", "or "):
        text = text.removeprefix(start)
    return text
