"""``hfdoctor check``."""

from __future__ import annotations

import click

from .deliver import deliver, policy_of, refuse_facts_in_text, reporting
from .options import OutputFile, fix_options, memory_size, observing, refuse_model_without_run, running


@click.command(name="check", context_settings={"help_option_names": ["-h", "--help"]})
@observing
@click.option(
    "--snapshot",
    "snapshot_file",
    metavar="FILE",
    help="Judge another machine instead: a snapshot, or what torch's collect_env, transformers env, nvidia-smi, "
    "pip list ... printed there (- for standard input).",
)
@reporting
@click.option(
    "--require",
    type=click.Choice(["cuda", "rocm", "mps", "xpu", "gpu", "cpu"]),
    help="What torch must be able to compute on; gpu: any of them.",
)
@click.option("--min-vram", metavar="SIZE", help="Memory that one GPU must have: 24G, 16GiB, 8000M.")
@running
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
    strict: bool,
    with_facts: bool,
    anonymise: bool,
    no_unicode: bool,
    verbose: bool,
    require: str | None,
    min_vram: str | None,
    smoke: str | None,
    local_model: str,
) -> int:
    """Inspect this machine and one Python environment, and say what is wrong.

    Without --python it inspects the active environment, else .venv in this folder, else the Python that started
    hfdoctor (from uvx or pipx: the one on PATH). It changes nothing and, without --online, makes no connection.
    """
    if snapshot_file is not None and (python is not None or deep or online or smoke or timeout is not None):
        raise click.UsageError(
            "--snapshot replays recorded facts: --python, --deep, --online, --smoke and --timeout look at a machine"
        )
    refuse_model_without_run(local_model, smoke)
    refuse_facts_in_text(with_facts, form)
    needed_memory = memory_size("--min-vram", min_vram) if min_vram is not None else 0
    if needed_memory and require == "cpu":
        raise click.UsageError("--min-vram asks for a GPU, --require cpu for none")
    from ..conditions.engine import diagnose
    from ..conditions.model import Goal

    goal = Goal(require=require or "", min_vram=needed_memory)
    policy = policy_of(fail_on, strict, select, ignore)
    file = OutputFile(output) if output else None
    try:
        from .observe import observe, replay

        if snapshot_file is not None:
            snapshot = replay(snapshot_file, anonymise=anonymise)
        elif smoke is not None:
            from ..smoke.plan import Ask
            from .run_stages import run_stages

            ask = Ask(smoke, online=online, local_model=local_model)
            snapshot = run_stages(ask, python=python, deep=deep, timeout=timeout, anonymise=anonymise)
        else:
            snapshot = observe(python=python, deep=deep, online=online, timeout=timeout, anonymise=anonymise)
        report = diagnose(snapshot, goal, policy)
        here = None  # where the facts are another machine's
        if snapshot_file is None:
            here = fix_options(python, deep=deep, online=online, smoke=smoke or "", local_model=local_model)
        deliver(
            report,
            snapshot,
            file,
            form=form,
            with_facts=with_facts,
            verbose=verbose,
            no_unicode=no_unicode,
            here=here,
        )
    finally:
        if file is not None:
            file.discard()
    return report.exit_code
