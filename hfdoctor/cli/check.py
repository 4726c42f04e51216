"""``hfdoctor check``."""

from __future__ import annotations

import sys

import click

from .options import OutputFile, emit, known_ids, memory_size, observing, output_option


@click.command(name="check", context_settings={"help_option_names": ["-h", "--help"]})
@observing
@click.option(
    "--snapshot",
    "snapshot_file",
    metavar="FILE",
    help="Judge another machine instead: a snapshot, or what torch's collect_env, transformers env, nvidia-smi, "
    "pip list ... printed there (- for standard input).",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@output_option
@click.option(
    "--select", multiple=True, metavar="ID", help="Only these conditions. May be repeated, or ids with commas."
)
@click.option("--ignore", multiple=True, metavar="ID", help="All but these conditions.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note"]),
    default="error",
    show_default=True,
    help="Exit with 1 from this severity on.",
)
@click.option(
    "--require",
    type=click.Choice(["cuda", "rocm", "mps", "xpu", "gpu", "cpu"]),
    help="What torch must be able to compute on; gpu: any of them.",
)
@click.option("--min-vram", metavar="SIZE", help="Memory that one GPU must have: 24G, 16GiB, 8000M.")
@click.option("--strict", is_flag=True, help="Exit with 3 if something could not be told.")
@click.option("--with-facts", is_flag=True, help="Put the snapshot into the JSON report.")
@click.option(
    "--anonymise", "--anonymize", is_flag=True, help="Mask user and host names, so that the report can be posted."
)
@click.option("--no-unicode", is_flag=True, help="Write ASCII only.")
@click.option("-v", "--verbose", is_flag=True, help="Show every condition with its evidence, not only the findings.")
def command(
    python: str | None,
    deep: bool,
    online: bool,
    timeout: float | None,
    snapshot_file: str | None,
    form: str,
    output: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    require: str | None,
    min_vram: str | None,
    strict: bool,
    with_facts: bool,
    anonymise: bool,
    no_unicode: bool,
    verbose: bool,
) -> int:
    """Inspect this machine and one Python environment, and say what is wrong.

    Without --python it inspects the active environment, else .venv in this folder, else the Python that started
    hfdoctor (from uvx or pipx: the one on PATH). It changes nothing and, without --online, makes no connection.
    """
    if snapshot_file is not None and (python is not None or deep or online or timeout is not None):
        raise click.UsageError(
            "--snapshot replays recorded facts: --python, --deep, --online and --timeout look at a machine"
        )
    if with_facts and form != "json":
        raise click.UsageError("--with-facts needs --format json; `hfdoctor snapshot` writes the facts alone")
    needed_memory = memory_size("--min-vram", min_vram) if min_vram is not None else 0
    if needed_memory and require == "cpu":
        raise click.UsageError("--min-vram asks for a GPU, --require cpu for none")
    from ..conditions.engine import Policy, diagnose
    from ..conditions.model import Goal

    goal = Goal(require=require or "", min_vram=needed_memory)
    policy = Policy(
        fail_on=fail_on,  # type: ignore[arg-type]  # click.Choice has checked it
        strict=strict,
        select=known_ids("--select", select),
        ignore=known_ids("--ignore", ignore),
    )
    file = OutputFile(output) if output else None
    try:
        from .observe import observe, replay

        if snapshot_file is not None:
            snapshot = replay(snapshot_file, anonymise=anonymise)
        else:
            snapshot = observe(python=python, deep=deep, online=online, timeout=timeout, anonymise=anonymise)
        report = diagnose(snapshot, goal, policy)
        if with_facts or verbose:
            report.snapshot = snapshot
        if form == "json":
            from ..reports.json import render as render_json

            if not with_facts:
                from msgspec import UNSET

                report.snapshot = UNSET
            text = render_json(report)
        else:
            from ..reports import terminal
            from ..reports.text import render

            os_info = snapshot.machine.os.maybe()
            text = render(
                report,
                width=terminal.columns(sys.stdout) if file is None else 80,
                verbose=verbose,
                windows=os_info is not None and os_info.system == "windows",
                paint=terminal.paint if file is None and terminal.takes_colour(sys.stdout) else None,
            )
            if no_unicode:
                text = terminal.to_ascii(text)
        emit(text, file)
    finally:
        if file is not None:
            file.discard()
    return report.exit_code
