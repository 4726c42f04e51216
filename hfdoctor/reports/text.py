"""The report for a person: which patient, the findings worst first, one line of counts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence

from ..conditions.model import Finding, RemedyStep, Report, TargetLine
from ..conditions.ways import as_first, fixable, ways
from ..facts.snapshot import Snapshot
from .commands import command_line

#: columns of "warning  ": everything below a finding's first line is indented by this
INDENT = 9
#: of one remedy; the page has the rest
MOST_COMMANDS = 3

Paint = Callable[[str, str], str]


def render(
    report: Report,
    *,
    width: int = 80,
    verbose: bool = False,
    windows: bool = False,
    paint: Paint | None = None,
    begun: bool = False,
    here: Sequence[str] | None = None,
) -> str:
    """The report in plain words. ``paint(text, role)`` may colour what the words already say.

    ``width`` in columns: sentences are wrapped there; paths and commands never are. ``windows`` chooses how
    commands are quoted. ``begun``: the first line and the stages of a smoke run have been written as they came.
    ``here``: the options that `hfdoctor fix` needs to mean this machine and target; None where it cannot reach them.
    """
    paint = paint or (lambda text, role: text)
    lines = [] if begun else [first_line(report.target)]
    if isinstance(report.stages, list) and not begun:
        from .stages import stage_lines

        lines += ["", *stage_lines(report.stages, width, paint)]
    shown = [f for f in report.findings if f.outcome == "crash"] + report.failed()
    if shown or isinstance(report.stages, list):
        lines.append("")
    for finding in shown:
        lines += _finding(finding, report, width, windows, paint, here)
        lines.append("")
    lines.append(state_line(report))
    lines += given_up_lines(report, width)
    if verbose:
        lines += ["", *_everything(report, width, paint), ""]
    lines.append(count_line(report))
    return "\n".join(lines) + "\n"


def first_line(target: TargetLine) -> str:
    """Which interpreter is inspected and why that one."""
    if target.python is None and target.chosen_because:
        return f"Reading {target.chosen_because}{f', Python {target.version}' if target.version else ''}"
    if target.python is None:
        return "Inspecting no Python: none was found or described"
    version = f"Python {target.version}" if target.version else "a Python that does not start"
    kind = f" ({target.environment})" if target.environment else ""
    because = f", {target.chosen_because}" if target.chosen_because else ""
    return f"Inspecting {target.python}, {version}{kind}{because}"


def state_line(report: Report) -> str:
    """What of the goal is installed and whether something stands in the way."""
    state = report.state
    if state.installed is None:
        return "What is installed could not be told."
    there = " and ".join(f"{name} {version}" for name, version in state.installed.items() if version)
    missing = " and ".join(name for name, version in state.installed.items() if not version)
    worked = ""
    if isinstance(report.stages, list):
        from .stages import worked as seen_working

        worked = seen_working(report)
    if worked:
        verdict = worked
    elif state.ready is False:
        verdict = f"not ready, because of {', '.join(dict.fromkeys(state.because))}"
    else:
        verdict = f"ready for {missing}" if missing else "nothing found that stops them"
        if state.ready is None:
            verdict += ", as far as could be told"
        if report.counts.get("warning"):
            verdict += f", with {_plural(report.counts['warning'], 'warning')}"
    if not there:
        return f"Nothing installed yet: {verdict}."
    return f"{there} installed, {missing} not yet: {verdict}." if missing else f"{there}: {verdict}."


def given_up_lines(report: Report, width: int) -> list[str]:
    """What was not observed to the end, and why: the reason for exit code 3."""
    if not isinstance(report.given_up, dict):
        return []
    sections: dict[str, list[str]] = {}
    for section, why in report.given_up.items():
        sections.setdefault(why, []).append(section)
    text = "; ".join(f"{', '.join(names)} ({why})" for why, names in sections.items())
    return textwrap.wrap(f"Not looked at to the end: {text}.", width, break_long_words=False, break_on_hyphens=False)


def count_line(report: Report) -> str:
    """The findings by severity, then what passed, what does not apply and what could not be told."""
    counts = report.counts
    wrong = [_plural(counts[severity], severity) for severity in ("error", "warning", "note") if counts[severity]]
    if counts["crash"]:
        wrong.insert(0, _plural(counts["crash"], "crash"))
    line = f"{', '.join(wrong) if wrong else 'No findings'}. {_plural(counts['pass'], 'condition')} passed"
    if counts["skip"]:
        line += f", {counts['skip']} {'does' if counts['skip'] == 1 else 'do'} not apply here"
    if counts["unknown"]:
        names = [finding.condition for finding in report.findings if finding.outcome == "unknown"]
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        line += f", {counts['unknown']} could not be told ({shown})"
    return f"{line}. {report.elapsed_s:.2f} s"


def _finding(
    finding: Finding, report: Report, width: int, windows: bool, paint: Paint, here: Sequence[str] | None
) -> list[str]:
    label = finding.severity or finding.outcome
    head = f"{paint(label.ljust(INDENT), label)}{paint(finding.condition, 'id')}"
    lines = [head, *_wrap(finding.summary, width)]
    for evidence in finding.evidence:
        lines += _wrap(evidence.text, width, hang=2)
    if finding.remedy and finding.remedy.steps:
        first = "next:"
        if here is not None and fixable(finding.remedy):
            command = command_line(["hfdoctor", "fix", finding.condition, *here], windows=windows)
            lines.append(f"{' ' * INDENT}{paint('next:', 'next')} {command}")
            first = "by hand:"
        lines += _next(finding.remedy.steps, finding.condition, width, windows, paint, first)
    folded = [f.condition for f in report.findings if f.explained_by == finding.condition]
    if folded:
        lines += _wrap(f"explains: {', '.join(dict.fromkeys(folded))}", width)
    return lines


def _next(
    steps: Sequence[RemedyStep], condition: str, width: int, windows: bool, paint: Paint, first: str
) -> list[str]:
    """The first way to a cure, and the next one if that has the first command; the page has the rest.

    ``first`` is the label of the first step.
    """
    pad = " " * INDENT
    lines: list[str] = []
    alternatives = ways(steps)
    shown = alternatives[0]
    if not any(step.argv for step in shown) and len(alternatives) > 1 and any(step.argv for step in alternatives[1]):
        shown = [*shown, *alternatives[1]]
    if sum(1 for step in shown if step.argv) > MOST_COMMANDS:
        shown = shown[: [place for place, step in enumerate(shown) if step.argv][MOST_COMMANDS]]
    commands = 0
    for step in shown:
        who = " (as administrator)" if step.administrator else ""
        # a first step that is worded as an alternative has lost the one before it: it did not apply here
        text = as_first(step.text) if step is steps[0] else step.text
        if not step.argv:
            lines += _wrap(f"{first} {text}{who}" if step is steps[0] else f"{text}{who}", width)
            continue
        if text:
            lines += _wrap(f"{text}:", width)
        label = "then:" if commands else first if step is steps[0] else "run:"
        lines.append(f"{pad}{paint(label, 'next')} {command_line(step.argv, windows=windows)}{who}")
        commands += 1
    if len(steps) > len(shown):
        lines += _wrap(f"more: hfdoctor conditions {condition}", width)
    return lines


def _everything(report: Report, width: int, paint: Paint) -> Iterable[str]:
    for finding in report.findings:
        if finding.outcome in ("fail", "crash"):
            continue
        label = f"explained by {finding.explained_by}" if finding.explained_by else finding.summary
        examined = f" ({finding.examined} examined)" if finding.outcome == "pass" else ""
        yield f"{paint(finding.outcome.ljust(INDENT), finding.outcome)}{finding.condition}{examined}"
        if label:
            yield from _wrap(label, width)
        for evidence in finding.evidence:
            shown = evidence.text or f"{evidence.fact} = {_short(evidence.value)}"
            source = f" [{evidence.source}]" if evidence.source else ""
            yield from _wrap(f"{shown}{source}", width, hang=2)
    if isinstance(report.snapshot, Snapshot):
        times = ", ".join(f"{name} {run.seconds:.3f} s" for name, run in report.snapshot.probes.items())
        yield from ["", *textwrap.wrap(f"probes: {times}", width)]


def _wrap(text: str, width: int, hang: int = 0) -> list[str]:
    """Indent below a finding and wrap at spaces only: a path or a command stays in one piece."""
    pad = " " * INDENT
    lines: list[str] = []
    for paragraph in text.splitlines():
        lines += textwrap.wrap(
            paragraph,
            width,
            initial_indent=pad,
            subsequent_indent=pad + " " * hang,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 160 else text[:157] + "..."


def _plural(count: int, word: str) -> str:
    ending = "" if count == 1 else "es" if word == "crash" else "s"
    return f"{count} {word}{ending}"
