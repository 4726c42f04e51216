"""The rows as a Markdown page, and as the JSON beside it from which they are read again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .pairs import AS_OF
from .trial import ROOT, Row

#: columns of stages; "import" is the five imports together, "device" all devices
COLUMNS = ("import", "tokenizer", "model", "generate", "train", "save", "device", "compile")
PACKAGES = ("transformers", "torch", "tokenizers", "numpy", "safetensors", "accelerate")
TINY = ROOT / "hfdoctor" / "smoke" / "tiny"
#: what is measured, the stage and fact it is from, and the file and place of what is allowed
LARGEST = (
    ("logit", "model", "largest difference"),
    ("training loss", "train", "largest difference of a loss"),
    ("loss or parameter after resuming", "train", "largest difference after resuming"),
)


def read(output: Path) -> tuple[list[Row], list[Row]]:
    """The rows, and what could not be built, of an earlier run; none where there was none.

    Raises ValueError where the file beside ``output`` is something else.
    """
    path = output.with_suffix(".json")
    if not path.exists():
        return [], []
    try:
        kept = json.loads(path.read_text("utf-8"))
        return list(kept["rows"]), list(kept["not_built"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path.name} is not what this script writes") from None


def write(output: Path, rows: Sequence[Row], not_built: Sequence[Row]) -> None:
    """Write both files, each at once."""
    kept = {"rows": list(rows), "not_built": list(not_built)}
    texts = {output.with_suffix(".json"): json.dumps(kept, indent=1, ensure_ascii=False) + "\n"}
    texts[output] = page(rows, not_built)
    for path, text in texts.items():
        half = path.with_name(path.name + ".part")
        half.write_text(text, "utf-8", newline="\n")
        half.replace(path)


def identity(row: Row) -> tuple[str, ...]:
    """What makes a row the same as another: versions of transformers, torch and Python, without local labels."""
    versions = row["versions"]
    return (*(versions.get(name, "").partition("+")[0] for name in PACKAGES[:2]), minor_of(row))


def minor_of(row: Row) -> str:
    """ "3.12" of "3.12.1"."""
    return ".".join(row["python"].split(".")[:2])


def merged(rows: Sequence[Row], fresh: Row) -> list[Row]:
    """``rows`` with ``fresh`` among them, in order of the versions, in the place of the row it repeats."""
    kept = [row for row in rows if identity(row) != identity(fresh)]
    return sorted([*kept, fresh], key=lambda row: [version_key(part) for part in identity(row)])


def version_key(version: str) -> list[int]:
    """Numbers to sort by."""
    return [int(part) if part.isdecimal() else -1 for part in version.split(".")]


# -- the page ---------------------------------------------------------------------------------------------------------


def page(rows: Sequence[Row], not_built: Sequence[Row]) -> str:
    """The whole page."""
    notes: list[str] = []
    lines = [
        "# Versions that `hfdoctor smoke --level full` was run with",
        "",
        "Written by `scripts/smoke_matrix.py`: environments made from the package index, one a row. A stage has the "
        "seconds it took; **FAIL** and *skip* are explained below by their number.",
        "",
    ]
    header = ["Python", *PACKAGES, *COLUMNS, "whole run", "largest deviation: logit", "loss"]
    lines += [line(header), line(["---"] * len(header))]
    for row in rows:
        cells = [row["python"], *(row["versions"].get(name, "-") for name in PACKAGES)]
        cells += [cell(row, column, notes) for column in COLUMNS]
        cells += [f"{row['seconds']:.0f} s", *(figure(measured(row, *LARGEST[place][1:])) for place in (0, 1))]
        lines.append(line(cells))
    lines += ["", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]
    lines += ["", "## What failed", "", *(failures(rows) or ["Nothing."])]
    if not_built:
        lines += ["", "## What could not be installed", ""]
        lines += [f"- Python {one['python']}, {one['asked'].replace(':', ' and ')}: {one['why']}" for one in not_built]
    lines += ["", "## Largest deviations", "", *deviations(rows)]
    lines += ["", "## How it was measured", "", *circumstances(rows), ""]
    return "\n".join(lines)


def line(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(escaped(text) for text in cells) + " |"


def escaped(text: str) -> str:
    """Text that cannot break out of a cell."""
    return " ".join(text.replace("|", "\\|").split())


def of_column(row: Row, column: str) -> list[dict[str, Any]]:
    """The stages of a column."""
    return [stage for stage in row["stages"] if stage["key"].partition(" ")[0] == column]


def cell(row: Row, column: str, notes: list[str]) -> str:
    """How a column went in a row; reasons are added to ``notes``."""
    stages = of_column(row, column)
    if not stages:
        return "not run"
    words = []
    for outcome, word in (("fail", "**FAIL**"), ("skip", "*skip*")):
        for stage in stages:
            if stage["outcome"] == outcome:
                note = code_of(reason(stage))
                if note not in notes:
                    notes.append(note)
                words.append(f"{word} ({notes.index(note) + 1})")
    words = list(dict.fromkeys(words))
    if any(stage["outcome"] == "pass" for stage in stages):
        words.append(f"{sum(stage['seconds'] for stage in stages):.1f} s")
    return " ".join(words)


def reason(stage: dict[str, Any]) -> str:
    """Why a stage was skipped, or how it failed."""
    if stage["outcome"] == "skip":
        return f"{stage['key']}: {stage.get('because') or 'no reason was given'}"
    during = f" ({stage['during']})" if stage.get("during") else ""
    said = f": {stage['message']}" if stage.get("message") else ""
    wrong = [one["what"] for one in stage.get("deviations", [])]
    more = f" [{'; '.join(wrong[:3])}{' ...' if len(wrong) > 3 else ''}]" if wrong else ""
    return f"{stage['key']}{during}: {stage.get('error', 'failed')}{said}{more}"


def code_of(text: str) -> str:
    """Words of a library as words of Markdown; what it put into backticks is code there, too."""
    parts = escaped(text).split("`")
    if len(parts) % 2 == 0:  # one is alone
        parts = ["\\`".join(parts)]
    for place in range(0, len(parts), 2):
        parts[place] = parts[place].replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
    return "`".join(parts)


def failures(rows: Sequence[Row]) -> list[str]:
    """A line for each stage that failed and each finding, with the environments in which it did."""
    seen: dict[str, list[str]] = {}
    for row in rows:
        where = f"{row['python']} with {' and '.join(row['versions'].get(name, '-') for name in PACKAGES[:2])}"
        for stage in row["stages"]:
            if stage["outcome"] == "fail":
                ids = ", ".join(f"`{one['condition']}`" for one in row["findings"]) or "no finding"
                seen.setdefault(f"{code_of(reason(stage))} ({ids})", []).append(where)
        if row["findings"] and not any(stage["outcome"] == "fail" for stage in row["stages"]):
            for one in row["findings"]:
                seen.setdefault(f"no stage, but `{one['condition']}`: {code_of(one['summary'])}", []).append(where)
    return [f"- {what}: Python {'; '.join(places)}" for what, places in seen.items()]


def measured(row: Row, stage_key: str, fact: str) -> float | None:
    """A largest difference that a stage told."""
    for stage in row["stages"]:
        value = stage.get("largest", {}).get(fact)
        if stage["key"] == stage_key and isinstance(value, (int, float)):
            return float(value)
    return None


def figure(value: float | None) -> str:
    """A small number."""
    return "-" if value is None else "0" if value == 0 else f"{value:.1e}"


def deviations(rows: Sequence[Row]) -> list[str]:
    """The largest of each kind over all rows, and what is allowed."""
    allowed = {
        "logit": json.loads((TINY / "golden.json").read_text("utf-8"))["tolerances"]["float32"],
        "training loss": json.loads((TINY / "golden_training.json").read_text("utf-8"))["tolerance"],
    }
    lines = []
    for name, stage, fact in LARGEST:
        values = [(value, row) for row in rows if (value := measured(row, stage, fact)) is not None]
        if not values:
            continue
        value, row = max(values, key=lambda entry: entry[0])
        versions = row["versions"]
        where = f"Python {row['python']}, transformers {versions['transformers']}, torch {versions['torch']}"
        limit = f", allowed {allowed[name]:g}" if name in allowed else ""
        lines.append(f"- {name}: {figure(value)}{limit} ({len(values)} environments; largest: {where})")
    return lines or ["Nothing was measured."]


def circumstances(rows: Sequence[Row]) -> list[str]:
    """When, where and with what."""
    if not rows:
        return ["Nothing was run."]
    days = sorted({row["on"] for row in rows})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    lines = [f"- {when}, hfdoctor {', '.join(sorted({row['hfdoctor'] for row in rows}))}"]
    lines += [f"- {machine}" for machine in sorted({row["machine"] for row in rows})]
    loads = [row["load"] for row in rows if row.get("load") is not None]
    busy = ""
    if loads:
        busy = f" Before the runs the load of the machine (1-minute average) was {min(loads):g} to {max(loads):g}."
    return [
        *lines,
        f"- The pairs were chosen on {AS_OF}.",
        "- Seconds are of one run each, right after the installation: files are cold, and Python compiles each module "
        f"anew, since uv leaves no compiled ones and `hfdoctor smoke` writes none.{busy}",
    ]
