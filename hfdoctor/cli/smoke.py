"""``hfdoctor smoke``."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from ..smoke.plan import FRAMEWORKS, LEVELS
from .deliver import deliver, policy_of, refuse_facts_in_text, reporting
from .options import SMOKE_TIMEOUT_S, OutputFile, fix_options, model_folder

if TYPE_CHECKING:
    from ..conditions.engine import Policy
    from ..facts.snapshot import Snapshot

#: what --device takes, besides a number after cuda and xpu
DEVICES = ("auto", "cpu", "cuda", "mps", "xpu", "all")
#: a device that was asked for by name must be there: what --require of a check says
REQUIRES = {"cuda": "gpu", "mps": "mps", "xpu": "xpu"}


def _device(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value not in DEVICES and not re.fullmatch(r"(cuda|xpu):\d{1,3}", value):
        raise click.UsageError(f"--device: {value!r} is none of {', '.join(DEVICES)}, cuda:N, xpu:N")
    return value


@click.command(name="smoke", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--python",
    metavar="PATH",
    help="What to run: an interpreter, a virtual environment's folder, or a conda prefix.",
)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="full",
    show_default=True,
    help="How far to go; each level holds those before it.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    callback=_device,
    help="Where to compute besides the processor: auto (every device of the best kind there is), cpu, cuda, cuda:N, "
    "mps, xpu, xpu:N, all.",
)
@click.option("--framework", type=click.Choice(FRAMEWORKS), default="torch", show_default=True)
@click.option(
    "--local-model",
    metavar="FOLDER",
    callback=model_folder,
    help="Also load the model in FOLDER, as from_pretrained does.",
)
@click.option("--online", is_flag=True, help="Also download a tiny model and a few rows of data from the hub.")
@click.option("--hub-model", metavar="ID", default="", help="The model to download with --online.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help=f"Give up on the whole run after this long.  [default: {SMOKE_TIMEOUT_S:g}]",
)
@click.option(
    "--stage-timeout",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Give up on one stage after this long.  [default: 60 to 600, by stage]",
)
@reporting
def command(
    python: str | None,
    level: str,
    device: str,
    framework: str,
    local_model: str,
    online: bool,
    hub_model: str,
    timeout: float | None,
    stage_timeout: float | None,
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
) -> int:
    """Run the real libraries of one Python environment, end to end: tokenizer, model, generation, training, saving.

    With tiny models that come with hfdoctor, in a child process, and without a network unless --online asks for it.
    Nothing is left behind. What is computed is held against recorded results.
    """
    refuse_facts_in_text(with_facts, form)
    if hub_model and not online:
        raise click.UsageError("--hub-model is downloaded, which needs --online")
    if device not in ("auto", "cpu") and LEVELS.index(level) < LEVELS.index("model"):
        raise click.UsageError(f"--device {device}: nothing is computed up to --level {level}; go up to model at least")
    if device not in ("auto", "cpu") and framework != "torch":
        raise click.UsageError(f"--device {device} is for PyTorch; {framework} computes where it chooses itself")
    from ..conditions.engine import diagnose
    from ..conditions.model import Goal
    from ..smoke.plan import Ask
    from .run_stages import run_stages
    from .stage_view import StageView

    policy = policy_of(fail_on, strict, select, ignore)
    ask = Ask(level, device, framework, online, hub_model, local_model, stage_timeout)
    goal = Goal(packages=("transformers", framework), require=REQUIRES.get(device.partition(":")[0], ""))
    file = OutputFile(output) if output else None
    try:
        streamed = form == "text" and file is None and not anonymise
        # where the report is a document of its own, the stages pass by on standard error
        view = StageView(sys.stdout if streamed else sys.stderr, lines=True, header=streamed, ascii_only=no_unicode)
        snapshot = run_stages(ask, python=python, timeout=timeout, anonymise=anonymise, view=view)
        report = diagnose(snapshot, goal, _narrowed(policy, snapshot))
        # what `hfdoctor fix` would not see again, it cannot fix
        told = device != "auto" or framework != "torch" or hub_model or stage_timeout is not None
        here = None if told else fix_options(python, online=online, smoke=level, local_model=local_model)
        deliver(
            report,
            snapshot,
            file,
            form=form,
            with_facts=with_facts,
            verbose=verbose,
            no_unicode=no_unicode,
            begun=view.begun,
            here=here,
        )
    finally:
        if file is not None:
            file.discard()
    if not snapshot.smoke.stages.known and report.exit_code == 0:
        click.echo(f"hfdoctor: the libraries were not run: {snapshot.smoke.stages.reason}", err=True)
        return 3
    return report.exit_code


def _narrowed(policy: Policy, snapshot: Snapshot) -> Policy:
    """Where everything that was run works, only what was run is judged: the rest is check's.

    Where something failed every condition is asked for the cause.
    """
    if policy.select or not snapshot.smoke.stages.known or snapshot.smoke.failed():
        return policy
    import msgspec

    from ..conditions.catalogue import CATALOGUE

    own = frozenset(condition.id for condition in CATALOGUE if condition.family == "smoke")
    return msgspec.structs.replace(policy, select=own)
