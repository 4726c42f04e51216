"""What a fix would change, and what became of it, for a person."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ..conditions.byte_count import size
from ..conditions.model import RemedyStep
from ..conditions.ways import as_first
from ..remedies.action import Difference, Needs
from ..remedies.outcome import ChoiceLine, Fixed, Undone
from .commands import command_line

#: columns of "warning  ", as in the report of a check
INDENT = 9
PAD = " " * INDENT

#: outcome -> how a line about it begins
HEADS = {
    "fixed": "fixed",
    "cured": "cured",
    "failed": "failed",
    "not-held": "failed",
    "refused": "refused",
    "unknown": "unknown",
    "declined": "left",
    "by-hand": "by hand",
}


def finding_lines(line: Fixed, width: int) -> list[str]:
    """What is wrong: the id and the sentence."""
    return [f"{(line.severity or '').ljust(INDENT)}{line.condition}", *_wrap(line.summary, width)]


def choice_lines(number: int, choice: ChoiceLine, width: int, *, windows: bool) -> list[str]:
    """One way with its price and all its changes."""
    price = price_of(choice)
    lines = _wrap(f"{number}) {choice.text}{f' [{price}]' if price else ''}", width, hang=3)
    if choice.refused:
        return lines + _wrap(f"not here: {choice.refused}", width, more=3)
    for change in choice.changes:
        lines += _wrap(change_line(change), width, more=3, hang=2)
    if [(as_first(step.text), step.argv) for step in choice.by_hand] == [(choice.text, [])]:
        return lines  # its one step is its title
    return lines + hand_lines(choice.by_hand, width, windows=windows, automatic=choice.automatic)


def change_line(change: Difference) -> str:
    """``LongPathsEnabled: not set -> 1``; a command has no values: ``run: hf download gpt2``."""
    if not change.new:
        return f"taken back: {change.old}"
    return f"{change.what}: {change.old} -> {change.new}" if change.old else f"{change.what}: {change.new}"


def hand_lines(steps: Sequence[RemedyStep], width: int, *, windows: bool, automatic: bool = False) -> list[str]:
    """What the person does: numbered steps where all of it is theirs, remarks where hfdoctor does the rest."""
    lines: list[str] = []
    for number, step in enumerate(steps, 1):
        who = " (as administrator)" if step.administrator else ""
        text = as_first(step.text) if number == 1 else step.text
        head = "you: " if automatic else f"{chr(96 + number)}. " if len(steps) > 1 else ""
        if text:
            lines += _wrap(
                f"{head}{text}{who if not step.argv else ''}{':' if step.argv else ''}", width, more=3, hang=3
            )
        if step.argv:
            lines.append(f"{PAD}      {command_line(step.argv, windows=windows)}{who}")
    return lines


def price_of(choice: ChoiceLine) -> str:
    """What a way costs, in words: rights, network, bytes, and whether it can be undone."""
    if not choice.automatic:
        return "by hand"
    if not choice.worked_out or choice.refused:
        return ""
    needs: Needs = choice.needs
    words = ["asks for an administrator" if needs.administrator else "no administrator needed"]
    if needs.download_bytes:
        words.append(f"downloads {size(needs.download_bytes)}")
    elif needs.network:
        words.append("uses the network")
    if needs.disk_bytes > 0:
        words.append(f"needs {size(needs.disk_bytes)} of disk")
    elif needs.disk_bytes < 0:
        words.append(f"frees {size(-needs.disk_bytes)}")
    words.append("what is run cannot be undone" if needs.for_good else "can be undone")
    return ", ".join(words)


def outcome_lines(line: Fixed, width: int) -> list[str]:
    """What became of one finding, and what the person still has to do."""
    if line.outcome == "nothing":
        return _plain(f"Nothing to fix: {line.condition} {line.reason}.", width)
    head = HEADS[line.outcome].ljust(INDENT)
    says = f": {line.reason}" if line.reason else ""
    undo = f" (hfdoctor undo {line.undo} takes it back)" if line.undo is not None else ""
    lines = _plain(f"{head}{line.condition}{says}{undo}", width)
    for words in line.still_to_do if line.outcome in ("fixed", "not-held") else []:
        lines += _wrap(f"you: {words}", width, hang=5)
    for number, choice in enumerate(line.choices, 1) if line.outcome in ("failed", "not-held") else ():
        if choice.automatic and not choice.refused and number != line.chosen:
            lines += _wrap(
                f"another way: hfdoctor fix {line.condition} --choice {number}: {choice.text}", width, hang=5
            )
    return lines


def undo_lines(line: Undone, width: int) -> list[str]:
    """What taking a fix back would change."""
    lines = [f"fix {line.fix}".ljust(INDENT) + line.condition]
    for change in line.changes:
        lines += _wrap(change_line(change), width, hang=2)
    return lines


def listed_lines(line: Undone, width: int) -> list[str]:
    """One fix of the journal: number, condition, when, where it stands, what it had changed."""
    head = f"{str(line.fix).ljust(INDENT)}{line.condition}, {line.at}, {line.outcome}"
    lines = [head, *_wrap(line.choice, width)]
    for change in line.changes if line.outcome in ("done", "cut-short") else []:
        lines += _wrap(change_line(Difference(change.what, change.new, change.old)), width, hang=2)
    return lines + (_wrap(f"because: {line.reason}", width) if line.reason else [])


def _plain(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=PAD, break_long_words=False, break_on_hyphens=False)


def _wrap(text: str, width: int, *, more: int = 0, hang: int = 0) -> list[str]:
    pad = PAD + " " * more
    return textwrap.wrap(
        text,
        width,
        initial_indent=pad,
        subsequent_indent=pad + " " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )
